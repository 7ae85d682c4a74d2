/* Calls on leases that other calls are made of. */
#ifndef SYNOD_CLIENT_LEASE_CALLS_H
#define SYNOD_CLIENT_LEASE_CALLS_H

#include "common/client/handle.h"

/* synod_lease_grant and synod_lease_keepalive with a deadline of their own. */
int lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, time_ms_t deadline,
                uint64_t *out) MUST_USE;
int lease_keepalive(struct synod *s, uint64_t id, time_ms_t deadline, uint64_t *left_ms) MUST_USE;

/* Ends a lease without waiting for it. */
void lease_post_revoke(struct synod *s, uint64_t id);

#endif
