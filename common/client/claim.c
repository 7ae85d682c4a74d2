#include "common/client/keys.h"
#include "common/client/lease_calls.h"
#include "common/client/recipe.h"

struct synod_compare claim_is(struct synod_bytes key, uint64_t token)
{
    return (struct synod_compare){
        .key = key, .target = SYNOD_BY_CREATE, .relation = SYNOD_EQUAL, .number = token};
}

struct synod_compare claim_exists(struct synod_bytes key)
{
    return (struct synod_compare){
        .key = key, .target = SYNOD_BY_VERSION, .relation = SYNOD_GREATER, .number = 0};
}

static int lost(struct synod *s, const char *what, uint64_t token)
{
    return errmsg_set(&s->err, SYNOD_E_LOST,
                      "the claim of the %s has ended (token %llu is of the past), nothing was "
                      "changed; try: to claim it again",
                      what, (unsigned long long)token);
}

int claim_too_short(struct synod *s, const char *what, uint64_t ttl_ms)
{
    return errmsg_set(&s->err, SYNOD_E_UNAVAILABLE,
                      "the claim of the %s ended before it was made (%llu ms are too short, or the "
                      "session ends all the time); try: a longer time",
                      what, (unsigned long long)ttl_ms);
}

void claim_post_revoke(struct synod *s, uint64_t lease)
{
    if (recipe_is_first(s)) {
        lease_post_revoke(s, lease);
    }
}

/* The claim's lease, as long as the token is that of the claim. */
static int find_lease(struct synod *s, const char *what, struct synod_bytes claim, uint64_t token,
                      uint64_t *lease)
{
    struct synod_result *result = NULL;
    int rc = synod_get(s, claim, &result);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct synod_response *found = &result->response;
    if (found->kv_count == 1 && found->kvs[0].create_revision == token) {
        *lease = found->kvs[0].lease;
    } else {
        rc = lost(s, what, token);
    }
    synod_result_free(result);
    return rc;
}

int claim_renew(struct synod *s, const char *what, struct synod_bytes claim, uint64_t token)
{
    uint64_t lease = 0;
    int rc = find_lease(s, what, claim, token, &lease);
    if (rc == SYNOD_OK) {
        /* The lease is this claim's alone: if the claim has ended since, so has the lease. */
        rc = lease_keepalive(s, lease, handle_deadline(s, 0), NULL);
    }
    return rc == SYNOD_E_LEASE ? lost(s, what, token) : rc;
}

int claim_settle(struct synod *s, const char *what, struct synod_bytes claim, uint64_t token,
                 const struct synod_request *also)
{
    const struct synod_compare compare = claim_is(claim, token);
    struct synod_request then[2] = {
        {.op = SYNOD_DELETE, .as.del = {.key = claim, .previous = 1}},
    };
    if (also != NULL) {
        then[1] = *also;
    }
    const struct synod_request request = {
        .op = SYNOD_TXN,
        .as.txn = {.compares = &compare,
                   .compare_count = 1,
                   .then = then,
                   .then_count = also != NULL ? 2 : 1},
    };
    struct synod_result *result = NULL;
    int rc =
        token == 0 ? lost(s, what, token) : synod_request(s, &request, SYNOD_LINEARIZABLE, &result);
    if (rc == SYNOD_OK && !result->response.succeeded) {
        rc = lost(s, what, token);
    } else if (rc == SYNOD_OK) {
        const struct synod_response *deleted = result->response.responses;
        if (deleted != NULL && deleted->kv_count == 1 && deleted->kvs[0].lease != 0) {
            claim_post_revoke(s, deleted->kvs[0].lease);
        }
    }
    synod_result_free(result);
    return rc;
}
