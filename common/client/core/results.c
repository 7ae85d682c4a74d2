#include "common/client/core/state.h"

#include "common/base/mutant.h"

#include <string.h>

/* ---- what a status means */

/* %llu is the value that comes with the status. */
static const struct {
    int code;
    const char *sentence;
} meanings[] = {
    [RESULT_OK] = {0, ""},
    [RESULT_GAP] = {ERROR_CORRUPT, "the cluster misses commands (a bug)"},
    [RESULT_UNKNOWN_SESSION] = {ERROR_SESSION, "the session has expired"},
    [RESULT_SESSIONS_FULL] = {ERROR_BUSY, "the cluster has no room for another session"},
    [RESULT_FORGOTTEN] = {ERROR_CORRUPT, "the cluster forgot a result that was never acknowledged"},
    [RESULT_COMPACTED] = {ERROR_COMPACTED,
                          "the revision is gone (everything before %llu was compacted); try: a "
                          "later one"},
    [RESULT_FUTURE] = {ERROR_FUTURE,
                       "the revision does not exist yet (the newest is %llu); try: an earlier one, "
                       "or to watch"},
    [RESULT_LEASE_NOT_FOUND] = {ERROR_LEASE,
                                "there is no such lease (never granted, revoked or expired); try: "
                                "to grant one"},
    [RESULT_LEASE_EXISTS] = {ERROR_EXISTS,
                             "the lease's id is taken; try: another id, or 0 to be given one"},
    [RESULT_LEASES_FULL] = {ERROR_BUSY,
                            "the cluster has no room for another lease (the limit is 65536, "
                            "sessions included); try: to revoke some"},
    [RESULT_KEY_NOT_FOUND] = {ERROR_NOT_FOUND,
                              "there is no such key (its value or lease was to be kept); try: to "
                              "put it with both"},
    [RESULT_TOO_LARGE] = {ERROR_TOO_LARGE,
                          "the response would be too large; try: a limit, or a smaller range"},
    [RESULT_NO_QUORUM] = {ERROR_UNAVAILABLE,
                          "no quorum of acceptors answers the learner; a local read works without"},
    [RESULT_BUSY] = {ERROR_UNAVAILABLE, "the learner has too many reads waiting"},
    [RESULT_MALFORMED] = {ERROR_CORRUPT,
                          "the learner calls our question malformed (a bug); try: the same version "
                          "of Synod on both sides"},
    [RESULT_CHANGED] = {ERROR_CHANGED,
                        "somebody else changed the settings meanwhile (they are of version %llu "
                        "now); try: to read them again, and again"},
};
_Static_assert(SESSIONS_MAX == 65536, "a sentence names it");

int client_status_code(uint32_t status)
{
    return status < sizeof meanings / sizeof meanings[0] ? meanings[status].code : ERROR_CORRUPT;
}

int results_code(struct client *c, uint32_t status, uint64_t value)
{
    if (status >= sizeof meanings / sizeof meanings[0]) {
        return errmsg_set(&c->err, ERROR_CORRUPT, "a result of unknown status %u (a bug)", status);
    }
    const char *sentence = meanings[status].sentence;
    const char *hole = NULL;
    for (const char *p = sentence; *p != '\0' && hole == NULL; p++) {
        hole = strncmp(p, "%llu", strlen("%llu")) == 0 ? p : NULL;
    }
    if (hole == NULL) {
        return errmsg_set(&c->err, meanings[status].code, "%s", sentence);
    }
    return errmsg_set(&c->err, meanings[status].code, "%.*s%llu%s", (int)(hole - sentence),
                      sentence, (unsigned long long)value, hole + strlen("%llu"));
}

/* ---- results */

/* A result proves that the block of the operation was applied after it was first sent. */
static void note_proof(struct client *c, uint64_t number)
{
    time_ms_t sent_at = submit_sent_at(c, number);
    if (sent_at != 0) {
        leases_session_proved(c, MUTANT(client_session_proved_by_answer) ? c->now : sent_at);
    }
}

static void on_ok(struct client *c, const struct result_range *range, struct effects *out)
{
    uint64_t first = range->sequence + c->session.base;
    note_proof(c, first);
    submit_complete_run(c, range, out);
    target_note_results(c);
}

/* Commands that were executed and refused. */
static void on_failed(struct client *c, const struct result_range *range, struct effects *out)
{
    uint64_t first = range->sequence + c->session.base;
    note_proof(c, first);
    for (uint32_t i = 0; i < range->count; i++) {
        submit_complete(c, first + i, results_code(c, range->status, range->value), range->value,
                        SLICE_EMPTY, out);
    }
}

static void on_forgotten(struct client *c, const struct result_range *range, struct effects *out)
{
    uint64_t first = range->sequence + c->session.base;
    for (uint32_t i = 0; i < range->count; i++) {
        if (first + i >= c->submit.oldest && first + i < c->submit.sent) {
            submit_complete(c, first + i, results_code(c, RESULT_FORGOTTEN, 0), 0, SLICE_EMPTY,
                            out);
        }
    }
}

static void on_unknown_session(struct client *c, struct effects *out)
{
    errmsg_set(&c->err, ERROR_SESSION,
               "the session has expired (no contact for %u ms), whether the operation happened is "
               "unknown; try: to read before doing it again",
               c->session.ttl_ms);
    session_abandon(c, ERROR_SESSION, out);
}

void results_on_result(struct client *c, const struct message *msg, struct effects *out)
{
    const struct msg_result *result = &msg->result;
    for (uint32_t i = 0; i < result->range_count; i++) {
        const struct result_range *range = &result->ranges[i];
        if (result->session == 0) {
            session_on_opened(c, range, out);
            continue;
        }
        /* Asked for every range: the one before may have ended the session. */
        if (result->session != c->session.id && !MUTANT(client_former_results_taken)) {
            return;
        }
        if (range->count > 0 && !submit_has_sent(c, range)) {
            continue; /* only what this session has sent counts */
        }
        switch (range->status) {
        case RESULT_OK:
            on_ok(c, range, out);
            break;
        case RESULT_GAP:
            submit_on_gap(c, range->sequence);
            break;
        case RESULT_UNKNOWN_SESSION:
            on_unknown_session(c, out);
            break;
        case RESULT_FORGOTTEN:
            on_forgotten(c, range, out);
            break;
        default:
            on_failed(c, range, out);
            break;
        }
    }
}

/* ---- rejections */

static void on_busy(struct client *c, const struct msg_reject *reject)
{
    if (reject->session != 0) {
        submit_rewind_to(c, reject->first_seq + c->session.base);
    } else {
        session_rewind(c);
    }
    if (c->target.paused_until <= c->now) {
        target_pause_for(c, BUSY_PAUSE_MS, 1);
    }
}

static void on_disk(struct client *c)
{
    note_trouble(c, "the acceptors' disks are nearly full, only reads are served");
    submit_rewind(c);
    target_doubt(c);
    target_pause_growing(c);
}

/* What the proposer calls malformed would be so again: a bug of this library, or of the proposer.
 * */
static void on_malformed(struct client *c, struct effects *out)
{
    errmsg_set(&c->err, ERROR_CORRUPT,
               "proposer %llu calls our commands malformed (a bug); try: the same version of Synod "
               "on both sides",
               (unsigned long long)target_contact(c)->peer.id);
    submit_break(c, ERROR_CORRUPT, out);
}

void results_on_reject(struct client *c, const struct message *msg, struct effects *out)
{
    const struct msg_reject *reject = &msg->reject;
    int is_open = reject->session == 0;
    if (!peer_equal(msg->from, target_contact(c)->peer)) {
        return; /* of a target that was given up since: all was sent again already */
    }
    if (reject->reason == REJECT_MALFORMED) {
        on_malformed(c, out); /* it names no session: the block could not be read */
        return;
    }
    if (is_open ? !session_is_opening(c, reject->first_seq) : reject->session != c->session.id) {
        return;
    }
    if (!submit_is_in_flight(c) && !is_open) {
        session_undo_contact(c); /* a keepalive: its timer tries again */
    }
    switch (reject->reason) {
    case REJECT_NOT_LEADER:
        target_on_not_leader(c, reject->leader);
        break;
    case REJECT_BUSY:
        on_busy(c, reject);
        break;
    case REJECT_DISK:
        on_disk(c);
        break;
    default:
        break;
    }
}
