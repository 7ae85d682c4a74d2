#include "common/client/core/state.h"

#include "common/base/mutant.h"

void session_init(struct client *c)
{
    c->session.ttl_ms = c->options.session_ttl_ms;
}

int session_is_open(const struct client *c)
{
    return c->session.state == SESSION_OPEN;
}

/* 1 if the session may have expired unnoticed, because nobody polled: an opening that continues it
 * gives the same one if it still lives. Only with nothing in flight, whose fate the cluster would
 * know. */
static int is_doubtful(const struct client *c)
{
    return session_is_open(c) && !submit_is_in_flight(c) &&
           c->now - c->session.contact > (time_ms_t)c->session.ttl_ms * 2 / 3;
}

void session_want(struct client *c)
{
    struct session *session = &c->session;
    if (session->state == SESSION_NONE || is_doubtful(c)) {
        session->state = SESSION_OPENING;
        session->openings++;
        session->is_open_due = 1;
        session->opening_since = c->now;
        c->submit.progress_at = c->now;
    }
}

void session_rewind(struct client *c)
{
    if (c->session.state == SESSION_OPENING) {
        c->session.is_open_due = 1;
    }
}

void session_note_contact(struct client *c)
{
    c->session.contact_before = c->session.contact;
    c->session.contact = c->now;
    if (MUTANT(client_session_proved_by_sending) && session_is_open(c)) {
        leases_session_proved(c, c->now);
    }
}

void session_undo_contact(struct client *c)
{
    c->session.contact = c->session.contact_before;
}

void session_send_open(struct client *c, struct effects *out)
{
    uint8_t bytes[OPEN_BLOCK_BYTES];
    if (!c->session.is_open_due) {
        return;
    }
    block_put_open(bytes, c->self.id, c->session.openings, c->session.ttl_ms,
                   MUTANT(client_doubtful_session_given_up) ? 0 : c->session.id);
    submit_send(c, slice_borrow(bytes, sizeof bytes), out);
    c->session.is_open_due = 0;
    c->submit.progress_at = c->now;
}

int session_is_opening(const struct client *c, uint64_t opening)
{
    return c->session.state == SESSION_OPENING &&
           (opening == c->session.openings || MUTANT(client_opening_number_ignored));
}

void session_on_opened(struct client *c, const struct result_range *range, struct effects *out)
{
    struct session *session = &c->session;
    if (!session_is_opening(c, range->sequence)) {
        return; /* a late answer, or one that is given again, to an opening before */
    }
    if (range->status == RESULT_SESSIONS_FULL) {
        note_trouble(c, "the cluster has no room for another session, its limit is %d",
                     SESSIONS_MAX);
        target_pause_for(c, PAUSE_MS_MAX, 0);
        session->is_open_due = 1;
        return;
    }
    if (range->status != RESULT_OK || range->value == 0) {
        return;
    }
    uint64_t former = session->id;
    int is_new = range->value != former;
    if (is_new) {
        session->id = range->value;
        session->base = c->submit.oldest - 1;
    }
    session->state = SESSION_OPEN;
    session->contact = c->now; /* it is no more in doubt than after a block was sent */
    session->is_open_due = 0;
    target_note_progress(c);
    submit_on_opened(c);
    note_trouble(c, "%s", "");
    if (is_new && former != 0) {
        leases_session_ended(c, former, out);
    }
    if (is_new) { /* of one that goes on, the next result of a command proves it */
        leases_session_proved(c, session->opening_since);
    }
}

void session_abandon(struct client *c, int code, struct effects *out)
{
    struct session *session = &c->session;
    uint64_t ended = session->id;
    session->state = SESSION_NONE;
    session->is_open_due = 0; /* nobody would take the session that it opens */
    session->id = 0;
    session->base = c->submit.sent - 1;
    struct errmsg why = c->err;
    leases_session_ended(c, ended, out); /* first: who hears of the operations knows of it */
    c->err = why;
    if (!MUTANT(client_lost_operations_sent_again)) {
        submit_fail_sent(c, code, out);
    }
}

static void send_keepalive(struct client *c, struct effects *out)
{
    uint8_t bytes[BLOCK_HEAD_BYTES];
    const struct block head = {
        .session = c->session.id,
        .client = c->self.id,
        .first_seq = c->submit.next - c->session.base,
        .acked_seq = submit_acked_sequence(c, c->submit.next),
    };
    block_put_head(bytes, &head, 0);
    submit_send(c, slice_borrow(bytes, sizeof bytes), out);
}

/* Only for an idle session: commands keep it alive, too. It gets no answer, which is cheap but
 * proves nothing; a session that something relies on is kept alive by leases.c. */
void session_work(struct client *c, struct effects *out)
{
    struct session *session = &c->session;
    if (!session_is_open(c) || c->submit.next > c->submit.oldest || is_doubtful(c) ||
        c->leases.is_session_used) {
        return; /* of a doubtful one the next command finds out */
    }
    time_ms_t due = session->contact + session->ttl_ms / 3;
    due = session->keepalive_at > due ? session->keepalive_at : due;
    if (c->now >= due) {
        if (target_is_open(c)) {
            send_keepalive(c, out);
        }
        uint32_t pause_ms = session->ttl_ms / 6;
        due = session->keepalive_at = c->now + (pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX);
    }
    effects_wake(out, due);
}
