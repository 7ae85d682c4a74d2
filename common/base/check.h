/* Assertions that stay on in release builds.
 *
 * CHECK is for what only a bug can break: a failed one ends the process, because a consensus
 * process that is wrong about its own state must not go on talking. What comes from the network,
 * the disk or a person is validated with an error, never with CHECK. */
#ifndef SYNOD_BASE_CHECK_H
#define SYNOD_BASE_CHECK_H

/* Ends the process with one line on standard error that names the condition and the place. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            check_failed(#cond, __FILE__, __LINE__);                                               \
        }                                                                                          \
    } while (0)

#endif
