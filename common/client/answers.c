#include "common/client/client.h"

#include <stdio.h>
#include <string.h>

/* ---- what a status means */

/* %llu is the value that comes with the status. */
static const struct {
    int code;
    const char *sentence;
} meanings[] = {
    [RESULT_OK] = {SYNOD_OK, ""},
    [RESULT_GAP] = {SYNOD_E_CORRUPT, "the cluster misses commands (a bug)"},
    [RESULT_UNKNOWN_SESSION] = {SYNOD_E_SESSION, "the session has expired"},
    [RESULT_SESSIONS_FULL] = {SYNOD_E_BUSY, "the cluster has no room for another session"},
    [RESULT_FORGOTTEN] = {SYNOD_E_CORRUPT,
                          "the cluster forgot a result that was never acknowledged"},
    [RESULT_COMPACTED] = {SYNOD_E_COMPACTED,
                          "the revision is gone (everything before %llu was compacted); try: a "
                          "later one"},
    [RESULT_FUTURE] = {SYNOD_E_FUTURE,
                       "the revision does not exist yet (the newest is %llu); try: an earlier one, "
                       "or to watch"},
    [RESULT_LEASE_NOT_FOUND] = {SYNOD_E_LEASE,
                                "there is no such lease (never granted, revoked or expired); try: "
                                "to grant one"},
    [RESULT_LEASE_EXISTS] = {SYNOD_E_EXISTS,
                             "the lease's id is taken; try: another id, or 0 to be given one"},
    [RESULT_LEASES_FULL] = {SYNOD_E_BUSY,
                            "the cluster has no room for another lease (the limit is 65536, "
                            "sessions included); try: to revoke some"},
    [RESULT_KEY_NOT_FOUND] = {SYNOD_E_NOT_FOUND,
                              "there is no such key (its value or lease was to be kept); try: to "
                              "put it with both"},
    [RESULT_TOO_LARGE] = {SYNOD_E_TOO_LARGE,
                          "the response would be too large; try: a limit, or a smaller range"},
    [RESULT_NO_QUORUM] = {SYNOD_E_UNAVAILABLE,
                          "no quorum of acceptors answers the learner; a local read works without"},
    [RESULT_BUSY] = {SYNOD_E_UNAVAILABLE, "the learner has too many reads waiting"},
    [RESULT_MALFORMED] = {SYNOD_E_CORRUPT,
                          "the learner calls our question malformed (a bug); try: the same version "
                          "of Synod on both sides"},
    [RESULT_CHANGED] = {SYNOD_E_CHANGED,
                        "somebody else changed the settings meanwhile (they are of version %llu "
                        "now); try: to read them again, and again"},
};
_Static_assert(SESSIONS_MAX == 65536, "a sentence names it");

int answers_code(struct synod *s, uint32_t status, uint64_t value)
{
    if (status >= sizeof meanings / sizeof meanings[0]) {
        return errmsg_set(&s->err, SYNOD_E_CORRUPT, "a result of unknown status %u (a bug)",
                          status);
    }
    const char *sentence = meanings[status].sentence;
    const char *hole = strstr(sentence, "%llu");
    if (hole == NULL) {
        return errmsg_set(&s->err, meanings[status].code, "%s", sentence);
    }
    return errmsg_set(&s->err, meanings[status].code, "%.*s%llu%s", (int)(hole - sentence),
                      sentence, (unsigned long long)value, hole + strlen("%llu"));
}

/* ---- results */

static void on_open_result(struct synod *s, const struct result_range *range)
{
    if (s->session_state != SESSION_OPENING || range->sequence != s->openings) {
        return; /* a late answer, or one that is given again, to an opening before */
    }
    if (range->status == RESULT_SESSIONS_FULL) {
        snprintf(s->trouble, sizeof s->trouble,
                 "the cluster has no room for another session, its limit is %d", SESSIONS_MAX);
        s->paused_until = s->now + PAUSE_MS_MAX;
        s->is_open_due = 1;
        return;
    }
    if (range->status != RESULT_OK || range->value == 0 || range->value == s->session_lost) {
        return; /* a learner gives the answer of a session that has ended since again */
    }
    uint64_t former = s->session;
    int is_new = range->value != former;
    if (is_new) {
        s->session = range->value;
        s->session_base = s->oldest - 1;
    }
    s->session_state = SESSION_OPEN;
    s->session_contact = s->now; /* it is no more in doubt than after a block was sent */
    s->is_open_due = 0;
    s->is_probing = 0;
    s->redirect_count = 0;
    s->pause_ms = PAUSE_MS_MIN;
    s->retry_ms = RETRY_MS_MIN;
    s->retry_count = 0;
    s->trouble[0] = '\0';
    s->cursor = s->head;
    if (is_new && former != 0) {
        lease_session_ended(s, former);
    }
    if (is_new) { /* of one that goes on, the next result of a command proves it */
        lease_session_proved(s, s->opening_since);
    }
}

/* Blocks before `sequence` were lost on the way; those after it that are still in flight will
 * report the same gap once more each. */
static void on_gap(struct synod *s, uint64_t sequence)
{
    uint64_t number = sequence + s->session_base;
    if (number < s->oldest || number >= s->sent) {
        return;
    }
    if (sequence == s->gap_sequence && s->now - s->gap_at < GAP_IGNORE_MS) {
        return;
    }
    s->gap_sequence = sequence;
    s->gap_at = s->now;
    submit_rewind_to(s, number);
}

/* 1 if all that the range is about was sent in this session. A learner that learns the log again
 * gives every answer again, also to what is no longer ours. */
static int is_sent(const struct synod *s, const struct result_range *range)
{
    uint64_t last = s->sent - 1 - s->session_base;
    return range->sequence > 0 && range->count <= last &&
           range->sequence <= last - range->count + 1;
}

static void on_ok(struct synod *s, const struct result_range *range)
{
    uint64_t first = range->sequence + s->session_base;
    submit_note_contact(s, first);
    s->body = range->body;
    for (uint32_t i = 0; i < range->count; i++) {
        submit_complete(s, first + i, SYNOD_OK, range->value + i);
    }
    s->body = SLICE_EMPTY;
    if (s->is_busy_pause) {
        s->paused_until = 0;
        s->is_busy_pause = 0;
    }
}

/* Commands that were executed and refused. */
static void on_failed(struct synod *s, const struct result_range *range)
{
    uint64_t first = range->sequence + s->session_base;
    submit_note_contact(s, first);
    for (uint32_t i = 0; i < range->count; i++) {
        submit_complete(s, first + i, answers_code(s, range->status, range->value), range->value);
    }
}

static void on_forgotten(struct synod *s, const struct result_range *range)
{
    uint64_t first = range->sequence + s->session_base;
    for (uint32_t i = 0; i < range->count; i++) {
        if (first + i >= s->oldest && first + i < s->sent) {
            submit_complete(s, first + i, answers_code(s, RESULT_FORGOTTEN, 0), 0);
        }
    }
}

static void on_unknown_session(struct synod *s)
{
    errmsg_set(&s->err, SYNOD_E_SESSION,
               "the session has expired (no contact for %u ms), whether the operation happened is "
               "unknown; try: to read before doing it again",
               s->session_ttl_ms);
    submit_abandon_session(s, SYNOD_E_SESSION);
}

void answers_on_result(struct synod *s, const struct message *msg)
{
    const struct msg_result *result = &msg->result;
    for (uint32_t i = 0; i < result->range_count; i++) {
        const struct result_range *range = &result->ranges[i];
        if (result->session == 0) {
            on_open_result(s, range);
            continue;
        }
        /* Asked anew for every range: the one before may have ended the session. */
        if (result->session != s->session) {
            return;
        }
        if (range->count > 0 && !is_sent(s, range)) {
            continue;
        }
        switch (range->status) {
        case RESULT_OK:
            on_ok(s, range);
            break;
        case RESULT_GAP:
            on_gap(s, range->sequence);
            break;
        case RESULT_UNKNOWN_SESSION:
            on_unknown_session(s);
            break;
        case RESULT_FORGOTTEN:
            on_forgotten(s, range);
            break;
        default:
            on_failed(s, range);
            break;
        }
    }
}

/* ---- rejections */

static void pause_growing(struct synod *s)
{
    s->paused_until = s->now + s->pause_ms + (time_ms_t)rng_below(&s->rng, s->pause_ms);
    s->pause_ms = s->pause_ms * 2 < PAUSE_MS_MAX ? s->pause_ms * 2 : PAUSE_MS_MAX;
    s->is_busy_pause = 0;
}

static void on_not_leader(struct synod *s, node_id_t leader)
{
    struct contact *named = leader != 0 ? links_proposer(s, leader) : NULL;
    s->redirect_count++;
    submit_rewind(s);
    if (named == NULL || named == &s->proposers[s->target]) {
        snprintf(s->trouble, sizeof s->trouble, "no proposer leads");
        s->is_probing = 1;
        submit_rotate(s);
        pause_growing(s);
        return;
    }
    s->target = (size_t)(named - s->proposers);
    snprintf(s->trouble, sizeof s->trouble, "proposer %u is said to lead and does not answer",
             leader);
    /* Two that name each other, or one that names the dead, must not keep us spinning. */
    if (!named->is_welcome || s->redirect_count > 2 * s->proposer_count) {
        s->is_probing = 1;
        pause_growing(s);
    } else {
        s->is_probing = 0;
        s->paused_until = 0;
    }
}

static void on_busy(struct synod *s, const struct msg_reject *reject)
{
    if (reject->session != 0) {
        submit_rewind_to(s, reject->first_seq + s->session_base);
    } else {
        s->is_open_due = 1;
    }
    if (s->paused_until <= s->now) {
        s->paused_until = s->now + BUSY_PAUSE_MS;
        s->is_busy_pause = 1;
    }
}

static void on_disk(struct synod *s)
{
    snprintf(s->trouble, sizeof s->trouble,
             "the acceptors' disks are nearly full, only reads are served");
    submit_rewind(s);
    s->is_probing = 1;
    pause_growing(s);
}

/* What the proposer calls malformed would be so again: a bug of this library, or of the proposer.
 */
static void on_malformed(struct synod *s)
{
    errmsg_set(&s->err, SYNOD_E_CORRUPT,
               "proposer %llu calls our commands malformed (a bug); try: the same version of Synod "
               "on both sides",
               (unsigned long long)s->proposers[s->target].peer.id);
    submit_break(s, SYNOD_E_CORRUPT);
}

void answers_on_reject(struct synod *s, const struct message *msg)
{
    const struct msg_reject *reject = &msg->reject;
    int is_open = reject->session == 0;
    if (!peer_equal(msg->from, s->proposers[s->target].peer)) {
        return; /* of a target that was given up since: all was sent again already */
    }
    if (reject->reason == REJECT_MALFORMED) {
        on_malformed(s); /* it names no session: the block could not be read */
        return;
    }
    if (is_open ? s->session_state != SESSION_OPENING || reject->first_seq != s->openings
                : reject->session != s->session) {
        return;
    }
    if (s->sent == s->oldest && !is_open) {
        s->session_contact = s->session_contact_before; /* a keepalive: its timer tries again */
    }
    switch (reject->reason) {
    case REJECT_NOT_LEADER:
        on_not_leader(s, reject->leader);
        break;
    case REJECT_BUSY:
        on_busy(s, reject);
        break;
    case REJECT_DISK:
        on_disk(s);
        break;
    default:
        break;
    }
}

/* ---- leaders */

void answers_on_leading(struct synod *s, const struct message *msg)
{
    const struct ballot *ballot = &msg->leading.ballot;
    struct contact *leader = links_proposer(s, msg->from.id);
    if (leader == NULL || ballot_compare(ballot, &s->leading) < 0) {
        return;
    }
    int is_news = ballot_compare(ballot, &s->leading) > 0 || leader != &s->proposers[s->target];
    s->leading = *ballot;
    if (!is_news && s->paused_until <= s->now) {
        return;
    }
    s->target = (size_t)(leader - s->proposers);
    s->paused_until = 0;
    s->is_busy_pause = 0;
    s->is_probing = 0;
    s->redirect_count = 0;
    s->pause_ms = PAUSE_MS_MIN;
    submit_rewind(s);
}
