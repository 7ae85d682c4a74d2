#include "common/client/core/state.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"

#include <stdlib.h>

/* Pause before leases are kept alive again after it failed. */
#define KEEPALIVE_PAUSE_MS 50

#define NUMBER_BYTES 8

/* ---- how long a lease certainly lasts */

static time_ms_t lasts_until(time_ms_t contact, uint64_t ttl_ms)
{
    if (ttl_ms > LEASE_TTL_MS_MAX) { /* no lease lasts longer, whatever a learner says */
        ttl_ms = LEASE_TTL_MS_MAX;
    }
    uint64_t certain_ms = ttl_ms - ttl_ms / 100;
    /* The clock's last millisecond may have been cut off. */
    return contact + (time_ms_t)(certain_ms > 0 ? certain_ms - 1 : 0);
}

static time_ms_t session_lasts_until(const struct client *c)
{
    return lasts_until(c->leases.session_proved, c->session.ttl_ms);
}

/* One that is bound ends with the session at the latest. */
static time_ms_t known_lasts_until(const struct client *c, const struct known_lease *lease)
{
    time_ms_t until = lasts_until(lease->contact, lease->ttl_ms);
    time_ms_t session = session_lasts_until(c);
    return lease->is_bound && session < until ? session : until;
}

/* ---- which leases are known */

static struct known_lease *find(const struct client *c, uint64_t id)
{
    struct known_lease *lease;
    HASH_FIND(hh, c->leases.known, &id, sizeof id, lease);
    return lease;
}

static struct known_lease *find_or_add(struct client *c, uint64_t id)
{
    struct known_lease *lease = find(c, id);
    if (lease == NULL) {
        lease = memory_calloc(1, sizeof *lease);
        lease->id = id;
        HASH_ADD(hh, c->leases.known, id, sizeof lease->id, lease);
    }
    return lease;
}

static void forget(struct client *c, struct known_lease *lease)
{
    c->leases.kept_count -= lease->is_kept != 0;
    HASH_DEL(c->leases.known, lease);
    free(lease);
}

/* Something with this ttl has been kept alive just now, and is to be again. */
static void keep_from_now(struct client *c, uint64_t ttl_ms)
{
    struct leases *l = &c->leases;
    time_ms_t at = c->now + (time_ms_t)(ttl_ms / 3);
    l->keepalive_at = l->keepalive_at == 0 || at < l->keepalive_at ? at : l->keepalive_at;
    l->lost_at = 0;
}

void client_note_bound(struct client *c, uint64_t id)
{
    find_or_add(c, id)->is_bound = 1;
}

void client_keep_lease(struct client *c, uint64_t id, uint64_t ttl_ms, time_ms_t sent_at,
                       completion_fn fn, void *arg)
{
    struct known_lease *lease = find_or_add(c, id);
    c->leases.kept_count += !lease->is_kept;
    lease->is_kept = 1;
    lease->contact = sent_at;
    lease->ttl_ms = ttl_ms;
    lease->fn = fn;
    lease->arg = arg;
    keep_from_now(c, ttl_ms);
}

void client_release_lease(struct client *c, uint64_t id)
{
    struct known_lease *lease = find(c, id);
    if (lease == NULL || !lease->is_kept) {
        return;
    }
    if (!lease->is_bound) {
        forget(c, lease);
        return;
    }
    lease->is_kept = 0;
    c->leases.kept_count--;
}

void client_forget_lease(struct client *c, uint64_t id)
{
    struct known_lease *lease = find(c, id);
    if (lease != NULL) {
        forget(c, lease);
    }
}

void client_post_revoke(struct client *c, uint64_t id)
{
    uint8_t payload[NUMBER_BYTES];
    bytes_put_u64(payload, id);
    int rc =
        submit_internal(c, COMMAND_LEASE_REVOKE, slice_borrow(payload, sizeof payload), NULL, NULL);
    (void)rc; /* without room it is not sent: the lease ends by itself */
    struct known_lease *lease = find(c, id);
    if (lease != NULL && !lease->is_kept) {
        forget(c, lease);
    }
}

/* ---- the session */

void leases_session_proved(struct client *c, time_ms_t sent_at)
{
    struct leases *l = &c->leases;
    if (sent_at <= l->session_proved) {
        return;
    }
    l->session_proved = sent_at;
    if (!l->is_session_alive && session_lasts_until(c) > c->now) {
        l->is_session_alive = 1;
        l->lost_at = 0;
    }
}

/* The session, or our certainty about it, is gone: what stood on it is lost for good, even if the
 * session should turn out to live. */
static void lose_session(struct client *c, uint64_t id, struct effects *out)
{
    struct leases *l = &c->leases;
    if (!l->is_session_alive) {
        return;
    }
    l->is_session_alive = 0;
    l->session_epoch++;
    l->lost_at = 0;
    if (!c->is_closing) {
        complete(c, out, COMPLETION_SESSION_LOST, 0, 0)->value = id;
    }
}

void leases_session_ended(struct client *c, uint64_t id, struct effects *out)
{
    struct known_lease *next;
    for (struct known_lease *lease = c->leases.known; lease != NULL; lease = next) {
        next = lease->hh.next;
        if (lease->is_bound && lease->is_kept) {
            lease->ttl_ms = 0; /* told by leases_work */
        } else if (lease->is_bound) {
            forget(c, lease);
        }
    }
    c->leases.session_proved = 0;
    c->leases.lost_at = 0;
    lose_session(c, id, out);
}

void client_use_session(struct client *c)
{
    if (!c->leases.is_session_used) {
        c->leases.is_session_used = 1;
        keep_from_now(c, c->session.ttl_ms);
    }
}

int leases_is_session_certain(const struct client *c)
{
    return session_is_open(c) && c->leases.is_session_alive && session_lasts_until(c) > c->now;
}

uint64_t client_session_left_ms(const struct client *c, time_ms_t now)
{
    time_ms_t left = session_lasts_until(c) - now;
    return c->leases.is_session_alive && left > 0 ? (uint64_t)left : 0;
}

uint64_t client_session(const struct client *c)
{
    return session_is_open(c) ? c->session.id : 0;
}

/* ---- wishes for a session that is certain to live */

struct session_wish {
    struct pending pending;
    struct listener *listener; /* NULL: the application waits */
    time_ms_t deadline;
    struct session_wish *prev, *next;
};

uint64_t leases_want_session(struct client *c, time_ms_t deadline, struct listener *listener)
{
    struct session_wish *wish = memory_calloc(1, sizeof *wish);
    wish->listener = listener;
    wish->deadline = deadline;
    DL_APPEND(c->leases.wishes, wish);
    client_use_session(c);
    return pending_add(c, &wish->pending, PENDING_SESSION);
}

uint64_t client_want_session(struct client *c, time_ms_t deadline)
{
    return leases_want_session(c, deadline, NULL);
}

static void free_wish(struct client *c, struct session_wish *wish)
{
    pending_remove(c, &wish->pending);
    DL_DELETE(c->leases.wishes, wish);
    free(wish);
}

void leases_cancel_wish(struct client *c, uint64_t id)
{
    struct pending *pending = pending_find(c, id, PENDING_SESSION);
    if (pending != NULL) {
        free_wish(c, (struct session_wish *)pending);
    }
}

static int is_over(const struct client *c, const struct session_wish *wish)
{
    return c->submit.is_broken || leases_is_session_certain(c) || c->now >= wish->deadline;
}

static void end_wish(struct client *c, struct session_wish *wish, struct effects *out)
{
    struct answer answer = {.kind = COMPLETION_SESSION};
    struct listener *listener = wish->listener;
    uint64_t id = wish->pending.id;
    if (c->submit.is_broken) {
        answer.code = errmsg_set(&c->err, ERROR_CORRUPT,
                                 "the handle is broken (its commands were called malformed); try: "
                                 "a new handle");
    } else if (leases_is_session_certain(c)) {
        answer.value = c->session.id;
    } else {
        answer.code = unavailable(c, "the session was not opened in time");
    }
    free_wish(c, wish);
    tell_listener(c, listener, id, &answer, out);
}

/* Those that whoever hears of one adds meanwhile have their turn in the next step. */
static struct session_wish *find_over(const struct client *c, uint64_t last_id)
{
    struct session_wish *wish;
    DL_FOREACH(c->leases.wishes, wish)
    {
        if (wish->pending.id <= last_id && is_over(c, wish)) {
            return wish;
        }
    }
    return NULL;
}

static void answer_wishes(struct client *c, struct effects *out)
{
    struct leases *l = &c->leases;
    struct session_wish *wish;
    uint64_t last_id = c->last_id;
    while ((wish = find_over(c, last_id)) != NULL) {
        end_wish(c, wish, out);
    }
    DL_FOREACH(l->wishes, wish)
    {
        effects_wake(out, is_over(c, wish) ? c->now : wish->deadline);
    }
    if (l->wishes != NULL && !c->submit.is_broken && !leases_is_session_certain(c)) {
        session_want(c);
        if (session_is_open(c)) {
            l->keepalive_at = c->now; /* it is there, which is still to be proved */
        }
    }
}

/* ---- keeping alive */

/* One command under way. */
struct keepalive {
    struct internal internal;
    struct keepalive *prev, *next;
    uint64_t number;
    time_ms_t sent_at; /* when it was made, which is not later than when it was sent */
    size_t count;
    uint64_t ids[];
};

static void note_alive(struct client *c, struct known_lease *lease, time_ms_t sent_at,
                       uint64_t ttl_ms)
{
    if (sent_at < lease->contact) {
        return; /* kept anew since */
    }
    lease->contact = sent_at;
    lease->ttl_ms = ttl_ms; /* 0: there is no such lease; leases_work tells */
    c->leases.lost_at = 0;
}

static void on_kept_alive(struct client *c, struct internal *self, int code, uint64_t value,
                          struct slice body, struct effects *out)
{
    struct keepalive *keepalive = (struct keepalive *)self;
    (void)value;
    (void)out;
    DL_DELETE(c->leases.keepalives, keepalive);
    if (code == 0 && body.size == keepalive->count * NUMBER_BYTES) {
        for (size_t i = 0; i < keepalive->count; i++) {
            struct known_lease *lease = find(c, keepalive->ids[i]);
            if (lease != NULL) {
                note_alive(c, lease, keepalive->sent_at,
                           bytes_get_u64(body.data + i * NUMBER_BYTES));
            }
        }
    } else {
        c->leases.keepalive_at = c->now + KEEPALIVE_PAUSE_MS;
    }
    free(keepalive);
}

/* Adds one command for these ids. 0 or ERROR_BUSY. */
static int send_keepalive(struct client *c, const uint64_t *ids, size_t count)
{
    struct keepalive *keepalive = memory_calloc(1, sizeof *keepalive + count * sizeof *ids);
    keepalive->internal.fn = on_kept_alive;
    keepalive->sent_at = c->now;
    keepalive->count = count;
    struct buffer payload = {0};
    for (size_t i = 0; i < count; i++) {
        keepalive->ids[i] = ids[i];
        buffer_put_u64(&payload, ids[i]);
    }
    int rc = submit_internal(c, COMMAND_LEASE_KEEPALIVE, buffer_slice(&payload),
                             &keepalive->internal, &keepalive->number);
    buffer_close(&payload);
    if (rc != 0) {
        free(keepalive);
        return rc;
    }
    DL_APPEND(c->leases.keepalives, keepalive);
    return 0;
}

/* All of them in as few commands as possible. The session needs to be in none: every command of it
 * keeps it alive. It is named so that there is a command even if it is alone. */
static void keep_alive(struct client *c)
{
    uint64_t ids[KEEPALIVE_LEASES_MAX];
    size_t count = 0;
    int rc = 0;
    uint64_t shortest_ms = UINT64_MAX;
    if (c->leases.is_session_used && c->session.id != 0) {
        ids[count++] = c->session.id;
        shortest_ms = c->session.ttl_ms;
    }
    for (const struct known_lease *lease = c->leases.known; lease != NULL; lease = lease->hh.next) {
        if (lease->is_kept && rc == 0) {
            ids[count++] = lease->id;
            shortest_ms = lease->ttl_ms < shortest_ms ? lease->ttl_ms : shortest_ms;
        }
        if (count == KEEPALIVE_LEASES_MAX) {
            rc = send_keepalive(c, ids, count);
            count = 0;
        }
    }
    if (count > 0 && rc == 0) {
        rc = send_keepalive(c, ids, count);
    }
    c->leases.keepalive_at = c->now + (rc == 0 ? (time_ms_t)(shortest_ms / 3) : KEEPALIVE_PAUSE_MS);
}

static void keep_alive_if_due(struct client *c, struct effects *out)
{
    struct leases *l = &c->leases;
    int has_any = l->kept_count > 0 || (l->is_session_used && session_is_open(c));
    if (!has_any || c->submit.is_broken) {
        return;
    }
    if (c->now >= l->keepalive_at && l->keepalives == NULL) {
        keep_alive(c);
    }
    if (l->keepalives == NULL) {
        effects_wake(out, l->keepalive_at);
    }
}

/* ---- losing */

/* Tells of the kept leases that are lost, and notes when the next one may be. */
static void tell_lost_leases(struct client *c, struct effects *out)
{
    struct leases *l = &c->leases;
    struct known_lease *next;
    time_ms_t earliest = l->is_session_alive ? session_lasts_until(c) : TIME_NEVER;
    for (struct known_lease *lease = l->known; lease != NULL; lease = next) {
        next = lease->hh.next;
        if (!lease->is_kept) {
            continue;
        }
        time_ms_t until = known_lasts_until(c, lease);
        if (until <= c->now) {
            struct completion *completion = complete(c, out, COMPLETION_LEASE_LOST, 0, 0);
            completion->value = lease->id;
            completion->fn = lease->fn;
            completion->arg = lease->arg;
            forget(c, lease);
        } else {
            earliest = until < earliest ? until : earliest;
        }
    }
    l->lost_at = earliest;
}

static void tell_lost(struct client *c, struct effects *out)
{
    struct leases *l = &c->leases;
    if (c->now < l->lost_at) {
        return;
    }
    if (l->is_session_alive && session_lasts_until(c) <= c->now) {
        lose_session(c, c->session.id, out);
    }
    tell_lost_leases(c, out);
}

/* ---- for the step */

void leases_init(struct client *c)
{
    c->leases.lost_at = TIME_NEVER;
}

/* A broken client keeps nothing alive, which is all the more reason to tell what it loses. */
void leases_work(struct client *c, struct effects *out)
{
    if (c->is_closing) {
        return;
    }
    tell_lost(c, out);
    answer_wishes(c, out);
    keep_alive_if_due(c, out);
    effects_wake(out, c->leases.lost_at);
}

void leases_close(struct client *c)
{
    struct leases *l = &c->leases;
    struct known_lease *next;
    while (l->wishes != NULL) {
        free_wish(c, l->wishes);
    }
    while (l->keepalives != NULL) {
        struct keepalive *keepalive = l->keepalives;
        submit_forget(c, keepalive->number);
        DL_DELETE(l->keepalives, keepalive);
        free(keepalive);
    }
    struct known_lease *lease = l->known;
    HASH_CLEAR(hh, l->known);
    for (; lease != NULL; lease = next) {
        next = lease->hh.next;
        free(lease);
    }
}
