/* One list of error codes for the whole project, grouped by what the caller can do about them, and
 * the sentence that goes with a failure.
 *
 * A function that can fail returns int: 0, or one of these negative codes. Results come through
 * pointers that are written on success only. The detail is put into a struct errmsg by the function
 * that knows it and is wrapped with context while the call unwinds. */
#ifndef SYNOD_BASE_ERROR_H
#define SYNOD_BASE_ERROR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

enum error {
    ERROR_USAGE = -1,       /* the caller's input is wrong; the same call will fail again */
    ERROR_BUSY = -2,        /* a budget is exhausted; try again later */
    ERROR_REDIRECT = -3,    /* another process serves this; ask there */
    ERROR_UNAVAILABLE = -4, /* no connection, no leader or no quorum before the deadline; the
                               outcome may be unknown */
    ERROR_REFUSED = -5,     /* the other side will not talk to us (identity, version, cluster) */
    ERROR_IO = -6,        /* a file or the disk failed; the process that owns the store must end */
    ERROR_CORRUPT = -7,   /* bytes that cannot be what we or a peer wrote */
    ERROR_INTERNAL = -8,  /* a limit of this process: memory, descriptors, threads */
    ERROR_NOT_FOUND = -9, /* the thing asked for does not exist */
    ERROR_INTERRUPTED = -10, /* a signal ended the wait */
    /* Of the state machine: what was asked for cannot be done in the state it is in. */
    ERROR_SESSION = -11,   /* the session ended; the outcome may be unknown */
    ERROR_COMPACTED = -12, /* the revision is gone */
    ERROR_FUTURE = -13,    /* the revision does not exist yet */
    ERROR_LEASE = -14,     /* there is no such lease */
    ERROR_EXISTS = -15,    /* there is one already */
    ERROR_TOO_LARGE = -16, /* the response would exceed a limit */
    ERROR_LOST = -17,      /* what was held is not held any more */
    ERROR_CHANGED = -18,   /* somebody else changed it first; read it again */
    ERROR_UNFIT = -19      /* who was named cannot do it now */
};

/* The short name of a code's class, as it appears in logs: "usage", "busy", ... Static storage. */
const char *error_name(int code);

/* The exit status of the command line for a code: 0 done, 1 failed, 2 no connection or no quorum, 3
 * bad input, 4 refused, 5 interrupted. */
int error_exit_status(int code);

/* The sentence that explains a failure. Always terminated; a longer text is cut. */
struct errmsg {
    char text[512];
};

/* Replaces the text and returns code, so that a guard is one line: return errmsg_set(err, ERROR_IO,
 * "...", ...). err may be NULL. */
int errmsg_set(struct errmsg *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " in front of the text. err may be NULL. */
void errmsg_wrap(struct errmsg *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
