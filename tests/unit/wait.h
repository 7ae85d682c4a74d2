/* Waiting for a network in tests. */
#ifndef SYNOD_TESTS_UNIT_WAIT_H
#define SYNOD_TESTS_UNIT_WAIT_H

#include "common/base/check.h"
#include "common/net/net.h"

/* Until something comes, or the time is over, or the wait ends early: epoll_wait does in a process
 * that was stopped and goes on, without any signal to it (signal(7)). */
static inline void wait_for(struct net *net, int64_t timeout_ms, int extra_fd)
{
    int rc = net_wait(net, timeout_ms, extra_fd);
    CHECK(rc == 0 || rc == ERROR_INTERRUPTED);
}

#endif
