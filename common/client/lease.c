#include "common/client/lease.h"

#include "common/base/bytes.h"
#include "common/base/memory.h"
#include "common/client/client.h"

#include <stdlib.h>

/* Pause before leases are kept alive again after it failed. */
#define KEEPALIVE_PAUSE_MS 50

#define NUMBER_BYTES 8

/* ---- how long a lease certainly lasts */

static time_ms_t lasts_until(time_ms_t contact, uint64_t ttl_ms)
{
    uint64_t certain_ms = ttl_ms - ttl_ms / 100;
    /* The clock's last millisecond may have been cut off. */
    return contact + (time_ms_t)(certain_ms > 0 ? certain_ms - 1 : 0);
}

static time_ms_t session_lasts_until(const struct synod *s)
{
    return lasts_until(s->leases.session_proved, s->session_ttl_ms);
}

/* One that is bound ends with the session at the latest. */
static time_ms_t known_lasts_until(const struct synod *s, const struct known_lease *lease)
{
    time_ms_t until = lasts_until(lease->contact, lease->ttl_ms);
    time_ms_t session = session_lasts_until(s);
    return lease->is_bound && session < until ? session : until;
}

/* ---- which leases are known */

static struct known_lease *find(const struct synod *s, uint64_t id)
{
    struct known_lease *lease;
    HASH_FIND(hh, s->leases.known, &id, sizeof id, lease);
    return lease;
}

static struct known_lease *find_or_add(struct synod *s, uint64_t id)
{
    struct known_lease *lease = find(s, id);
    if (lease == NULL) {
        lease = memory_calloc(1, sizeof *lease);
        lease->id = id;
        HASH_ADD(hh, s->leases.known, id, sizeof lease->id, lease);
    }
    return lease;
}

static void forget(struct synod *s, struct known_lease *lease)
{
    s->leases.kept_count -= lease->is_kept != 0;
    HASH_DEL(s->leases.known, lease);
    free(lease);
}

static void forget_id(struct synod *s, uint64_t id)
{
    struct known_lease *lease = find(s, id);
    if (lease != NULL && !lease->is_kept) {
        forget(s, lease);
    }
}

void lease_close(struct synod *s)
{
    struct known_lease *next;
    struct known_lease *lease = s->leases.known;
    HASH_CLEAR(hh, s->leases.known);
    for (; lease != NULL; lease = next) {
        next = lease->hh.next;
        free(lease);
    }
}

/* Something with this ttl has been kept alive just now, and is to be again. */
static void keep_from_now(struct synod *s, uint64_t ttl_ms)
{
    struct leases *l = &s->leases;
    time_ms_t at = s->now + (time_ms_t)(ttl_ms / 3);
    l->keepalive_at = l->keepalive_at == 0 || at < l->keepalive_at ? at : l->keepalive_at;
    l->lost_at = 0;
}

/* ---- the session */

void lease_session_proved(struct synod *s, time_ms_t sent_at)
{
    struct leases *l = &s->leases;
    l->session_proved = sent_at > l->session_proved ? sent_at : l->session_proved;
    if (!l->is_session_alive && session_lasts_until(s) > s->now) {
        l->is_session_alive = 1;
        l->lost_at = 0;
    }
}

/* The session, or our certainty about it, is gone: what stood on it is lost for good, even if the
 * session should turn out to live. */
static void lose_session(struct synod *s, uint64_t id)
{
    struct leases *l = &s->leases;
    if (!l->is_session_alive) {
        return;
    }
    l->is_session_alive = 0;
    l->session_epoch++;
    l->lost_at = 0;
    if (l->session_fn != NULL && !s->is_closing) {
        l->session_fn(l->session_arg, id);
    }
}

void lease_session_ended(struct synod *s, uint64_t id)
{
    struct known_lease *next;
    for (struct known_lease *lease = s->leases.known; lease != NULL; lease = next) {
        next = lease->hh.next;
        if (lease->is_bound && lease->is_kept) {
            lease->ttl_ms = 0; /* told by lease_work */
        } else if (lease->is_bound) {
            forget(s, lease);
        }
    }
    s->leases.session_proved = 0;
    s->leases.lost_at = 0;
    lose_session(s, id);
}

/* From now on the session is kept alive by commands. */
static void use_session(struct synod *s)
{
    if (!s->leases.is_session_used) {
        s->leases.is_session_used = 1;
        keep_from_now(s, s->session_ttl_ms);
    }
}

static int is_session_certain(const struct synod *s)
{
    return s->session_state == SESSION_OPEN && s->leases.is_session_alive &&
           session_lasts_until(s) > s->now;
}

int lease_session(struct synod *s, time_ms_t deadline, uint64_t *id)
{
    int rc = client_may_block(s);
    if (rc == SYNOD_OK) {
        rc = call_check(s);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    use_session(s);
    while (!is_session_certain(s)) {
        submit_want_session(s);
        if (s->session_state == SESSION_OPEN) {
            s->leases.keepalive_at = s->now; /* it is there, which is still to be proved */
        }
        rc = client_turn(s, deadline);
        if (rc == SYNOD_OK && s->now >= deadline && !is_session_certain(s)) {
            rc = client_unavailable(s, "the session was not opened in time");
        }
        if (rc != SYNOD_OK) {
            return rc;
        }
    }
    if (id != NULL) {
        *id = s->session;
    }
    return SYNOD_OK;
}

int synod_session(struct synod *s, uint64_t *id)
{
    return lease_session(s, client_deadline(client_now(), s->timeout_ms), id);
}

uint64_t synod_session_left_ms(const struct synod *s)
{
    time_ms_t left = session_lasts_until(s) - client_now();
    return s->leases.is_session_alive && left > 0 ? (uint64_t)left : 0;
}

void synod_on_session_lost(struct synod *s, synod_lost_fn fn, void *arg)
{
    s->leases.session_fn = fn;
    s->leases.session_arg = arg;
    if (fn != NULL) {
        use_session(s);
    }
}

/* ---- keeping alive */

/* One command under way. */
struct keepalive {
    struct internal internal;
    struct synod *s;
    time_ms_t sent_at; /* when it was made, which is not later than when it was sent */
    size_t count;
    uint64_t ids[];
};

static void note_alive(struct synod *s, struct known_lease *lease, time_ms_t sent_at,
                       uint64_t ttl_ms)
{
    if (sent_at < lease->contact) {
        return; /* kept anew since */
    }
    lease->contact = sent_at;
    lease->ttl_ms = ttl_ms; /* 0: there is no such lease; lease_work tells */
    s->leases.lost_at = ttl_ms == 0 ? 0 : s->leases.lost_at;
}

static void on_kept_alive(struct internal *internal, int code)
{
    struct keepalive *keepalive = (struct keepalive *)internal;
    struct synod *s = keepalive->s;
    s->leases.keepalive_count--;
    if (code == SYNOD_OK && s->body.size == keepalive->count * NUMBER_BYTES) {
        for (size_t i = 0; i < keepalive->count; i++) {
            struct known_lease *lease = find(s, keepalive->ids[i]);
            if (lease != NULL) {
                note_alive(s, lease, keepalive->sent_at,
                           bytes_get_u64(s->body.data + i * NUMBER_BYTES));
            }
        }
    } else {
        s->leases.keepalive_at = s->now + KEEPALIVE_PAUSE_MS;
    }
    free(keepalive);
}

/* Sends one command for these ids. 0 or SYNOD_E_BUSY. */
static int send_keepalive(struct synod *s, const uint64_t *ids, size_t count)
{
    struct keepalive *keepalive = memory_calloc(1, sizeof *keepalive + count * sizeof *ids);
    keepalive->internal.fn = on_kept_alive;
    keepalive->s = s;
    keepalive->sent_at = s->now;
    keepalive->count = count;
    struct buffer payload = {0};
    for (size_t i = 0; i < count; i++) {
        keepalive->ids[i] = ids[i];
        buffer_put_u64(&payload, ids[i]);
    }
    int rc = submit_add(s, COMMAND_LEASE_KEEPALIVE, payload.data, payload.size, TIME_NEVER,
                        call_internal, keepalive);
    buffer_close(&payload);
    if (rc != SYNOD_OK) {
        free(keepalive);
        return rc;
    }
    s->leases.keepalive_count++;
    return SYNOD_OK;
}

/* All of them in as few commands as possible. The session needs to be in none: every command of it
 * keeps it alive. It is named so that there is a command even if it is alone. */
static void keep_alive(struct synod *s)
{
    uint64_t ids[KEEPALIVE_LEASES_MAX];
    size_t count = 0;
    int rc = SYNOD_OK;
    uint64_t shortest_ms = UINT64_MAX;
    if (s->leases.is_session_used && s->session != 0) {
        ids[count++] = s->session;
        shortest_ms = s->session_ttl_ms;
    }
    for (const struct known_lease *lease = s->leases.known; lease != NULL; lease = lease->hh.next) {
        if (lease->is_kept && rc == SYNOD_OK) {
            ids[count++] = lease->id;
            shortest_ms = lease->ttl_ms < shortest_ms ? lease->ttl_ms : shortest_ms;
        }
        if (count == KEEPALIVE_LEASES_MAX) {
            rc = send_keepalive(s, ids, count);
            count = 0;
        }
    }
    if (count > 0 && rc == SYNOD_OK) {
        rc = send_keepalive(s, ids, count);
    }
    s->leases.keepalive_at =
        s->now + (rc == SYNOD_OK ? (time_ms_t)(shortest_ms / 3) : KEEPALIVE_PAUSE_MS);
}

/* ---- losing */

/* Takes the kept leases that are lost out of the table, and notes when the next one may be. */
static void collect_lost(struct synod *s)
{
    struct leases *l = &s->leases;
    struct known_lease *next;
    time_ms_t earliest = l->is_session_alive ? session_lasts_until(s) : TIME_NEVER;
    for (struct known_lease *lease = l->known; lease != NULL; lease = next) {
        next = lease->hh.next;
        if (!lease->is_kept) {
            continue;
        }
        time_ms_t until = known_lasts_until(s, lease);
        if (until <= s->now) {
            HASH_DEL(l->known, lease);
            l->kept_count--;
            lease->next_lost = l->lost;
            l->lost = lease;
        } else {
            earliest = until < earliest ? until : earliest;
        }
    }
    l->lost_at = earliest;
}

/* Callbacks may keep and release leases, those that are to be told next, too. */
static void tell_lost(struct synod *s)
{
    struct leases *l = &s->leases;
    if (s->now < l->lost_at) {
        return;
    }
    if (l->is_session_alive && session_lasts_until(s) <= s->now) {
        lose_session(s, s->session);
    }
    collect_lost(s);
    while (l->lost != NULL) {
        struct known_lease *lease = l->lost;
        l->lost = lease->next_lost;
        if (lease->fn != NULL) {
            lease->fn(lease->arg, lease->id);
        }
        free(lease);
    }
}

time_ms_t lease_work(struct synod *s)
{
    struct leases *l = &s->leases;
    if (s->is_closing || s->is_broken) {
        return TIME_NEVER;
    }
    tell_lost(s);
    int has_any = l->kept_count > 0 || (l->is_session_used && s->session_state == SESSION_OPEN);
    if (!has_any) {
        return l->lost_at;
    }
    if (s->now >= l->keepalive_at && l->keepalive_count == 0) {
        keep_alive(s);
    }
    return l->keepalive_count == 0 && l->keepalive_at < l->lost_at ? l->keepalive_at : l->lost_at;
}

/* ---- the public calls */

static int run_number(struct synod *s, enum command_op op, uint64_t number, time_ms_t deadline,
                      struct buffer *body)
{
    uint8_t payload[NUMBER_BYTES];
    bytes_put_u64(payload, number);
    return call_run(s, op, slice_borrow(payload, sizeof payload), deadline, NULL, body);
}

int lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, time_ms_t deadline,
                uint64_t *out)
{
    if (ttl_ms == 0 || ttl_ms > LEASE_TTL_MS_MAX || id > INT64_MAX) {
        return errmsg_set(
            &s->err, SYNOD_E_USAGE,
            "a lease lasts from 1 to %llu ms, not %lld, and its id is at most %lld; try: "
            "60,000 ms, and 0 to be given an id",
            (unsigned long long)LEASE_TTL_MS_MAX, (long long)ttl_ms, (long long)INT64_MAX);
    }
    struct buffer payload = {0};
    buffer_put_u64(&payload, id);
    buffer_put_u64(&payload, ttl_ms);
    buffer_put_u8(&payload, is_bound ? LEASE_BOUND : 0);
    uint64_t granted = 0;
    int rc = call_run(s, COMMAND_LEASE_GRANT, buffer_slice(&payload), deadline, &granted, NULL);
    buffer_close(&payload);
    if (rc != SYNOD_OK) {
        return rc;
    }
    if (is_bound) {
        find_or_add(s, granted)->is_bound = 1;
    }
    if (out != NULL) {
        *out = granted;
    }
    return SYNOD_OK;
}

int synod_lease_grant(struct synod *s, uint64_t id, uint64_t ttl_ms, int is_bound, uint64_t *out)
{
    return lease_grant(s, id, ttl_ms, is_bound, client_deadline(client_now(), s->timeout_ms), out);
}

int synod_lease_revoke(struct synod *s, uint64_t id)
{
    int rc =
        run_number(s, COMMAND_LEASE_REVOKE, id, client_deadline(client_now(), s->timeout_ms), NULL);
    if (rc == SYNOD_OK) {
        synod_lease_release(s, id);
        forget_id(s, id);
    }
    return rc;
}

void lease_post_revoke(struct synod *s, uint64_t id)
{
    uint8_t payload[NUMBER_BYTES];
    bytes_put_u64(payload, id);
    call_post(s, COMMAND_LEASE_REVOKE, slice_borrow(payload, sizeof payload));
    forget_id(s, id);
}

int lease_keepalive(struct synod *s, uint64_t id, time_ms_t deadline, uint64_t *left_ms)
{
    struct buffer body = {0};
    uint64_t left = 0;
    int rc = run_number(s, COMMAND_LEASE_KEEPALIVE, id, deadline, &body);
    if (rc == SYNOD_OK && body.size != NUMBER_BYTES) {
        rc = errmsg_set(&s->err, SYNOD_E_CORRUPT, "the result of a keepalive is malformed (a bug)");
    }
    if (rc == SYNOD_OK) {
        left = bytes_get_u64(body.data);
        rc = left == 0 ? answers_code(s, RESULT_LEASE_NOT_FOUND, id) : SYNOD_OK;
    }
    buffer_close(&body);
    if (rc == SYNOD_OK && left_ms != NULL) {
        *left_ms = left;
    }
    return rc;
}

int synod_lease_keepalive(struct synod *s, uint64_t id, uint64_t *left_ms)
{
    return lease_keepalive(s, id, client_deadline(client_now(), s->timeout_ms), left_ms);
}

int synod_lease_keep(struct synod *s, uint64_t id, synod_lost_fn fn, void *arg)
{
    uint64_t ttl_ms = 0;
    time_ms_t before = client_now();
    int rc = synod_lease_keepalive(s, id, &ttl_ms);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct known_lease *lease = find_or_add(s, id);
    s->leases.kept_count += !lease->is_kept;
    lease->is_kept = 1;
    lease->contact = before;
    lease->ttl_ms = ttl_ms;
    lease->fn = fn;
    lease->arg = arg;
    keep_from_now(s, ttl_ms);
    return SYNOD_OK;
}

void synod_lease_release(struct synod *s, uint64_t id)
{
    struct known_lease *lease = find(s, id);
    for (struct known_lease *lost = s->leases.lost; lost != NULL; lost = lost->next_lost) {
        lost->fn = lost->id == id ? NULL : lost->fn; /* a callback releases one told next */
    }
    if (lease == NULL || !lease->is_kept) {
        return;
    }
    if (!lease->is_bound) {
        forget(s, lease);
        return;
    }
    lease->is_kept = 0;
    s->leases.kept_count--;
}
