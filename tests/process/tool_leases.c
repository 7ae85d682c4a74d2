/* Holds leases and keeps them alive: `tool_leases CLUSTER COUNT TTL_MS`. Prints `ready` when it has
 * all of them, and how many were lost when its standard input ends; 1 if any was. */
#include "common/client/synod.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t lost_count;

static void on_lost(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
    lost_count++;
}

static int fail(const struct synod *s)
{
    fprintf(stderr, "error: %s\n", synod_error(s));
    return 1;
}

static int hold(struct synod *s, uint64_t count, uint64_t ttl_ms)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id;
        if (synod_lease_grant(s, 0, ttl_ms, 1, &id) != SYNOD_OK ||
            synod_lease_keep(s, id, on_lost, NULL) != SYNOD_OK) {
            return fail(s);
        }
    }
    printf("ready\n");
    fflush(stdout);
    struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {synod_fd(s), POLLIN, 0}};
    char byte;
    while (poll(fds, 2, 100) >= 0) {
        if (fds[0].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0) {
            break;
        }
        synod_poll(s, 0);
    }
    printf("%" PRIu64 " lost\n", lost_count);
    return lost_count > 0;
}

int main(int argc, char **argv)
{
    char why[SYNOD_ERROR_BYTES];
    struct synod *s;
    if (argc != 4) {
        fprintf(stderr, "usage: tool_leases CLUSTER COUNT TTL_MS\n");
        return 3;
    }
    struct synod_options options = {.cluster = argv[1], .timeout_ms = 30000};
    if (synod_open(&options, &s, why) != SYNOD_OK) {
        fprintf(stderr, "error: %s\n", why);
        return 1;
    }
    int status = hold(s, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    synod_close(s);
    return status;
}
