/* Leases and sessions: one space of ids, granted, kept alive, revoked and expired by cluster time
 * alone, and with each lease go its keys, under one revision of its own. */
#include "common/base/bytes.h"
#include "common/protocol/limits.h"
#include "tests/unit/machine_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(actual, expected) assert_string_equal(actual, expected)

static const char *put_leased(struct machine_kit *kit, const char *key, uint64_t lease)
{
    struct kv_request request = a_put(key, "v");
    request.put.lease = lease;
    return machine_kit_do(kit, &request);
}

static const char *all(struct machine_kit *kit)
{
    struct kv_request range = a_range("a", "");
    return machine_kit_query(kit, &range);
}

/* Chosen ids and those that the cluster gives never meet. */
static void test_ids(void **state)
{
    struct machine_kit *kit = *state;
    assert_int_equal(kit->session, 1);
    assert_int_equal(machine_kit_grant(kit, 3, 1000, 0), 3);
    assert_int_equal(machine_kit_grant(kit, 0, 1000, 0), 2);
    assert_int_equal(machine_kit_grant(kit, 0, 1000, 0), 4); /* 3 is taken */
    assert_int_equal(machine_kit_grant(kit, 3, 1000, 0), 0);
    assert_int_equal(kit->status, RESULT_LEASE_EXISTS);
    assert_int_equal(machine_kit_grant(kit, 1, 1000, 0), 0); /* a session has it */
    assert_int_equal(kit->status, RESULT_LEASE_EXISTS);
    assert_int_equal(machine_session_count(kit->machine), 4);
    machine_kit_restart(kit);
    assert_int_equal(machine_kit_grant(kit, 0, 1000, 0), 5);
}

/* A revoked lease takes its keys along, in one revision; one without keys takes none. */
static void test_revoke(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 7, 1000, 0);
    machine_kit_grant(kit, 8, 1000, 0);
    put_leased(kit, "b", 7);
    put_leased(kit, "a", 7);
    put_leased(kit, "c", 0);
    assert_int_equal(machine_kit_revoke(kit, 8), RESULT_OK);
    assert_int_equal(kit->value, 4);
    assert_int_equal(machine_kit_revoke(kit, 7), RESULT_OK);
    assert_int_equal(kit->value, 5);
    assert_text(all(kit), "5: range 1 c=v/4.4.1");
    assert_text(machine_kit_events(kit, "a", "z", 5, 0, 0, 1000), "-a@5.0 -b@5.1 > 6.0");
    assert_int_equal(machine_kit_revoke(kit, 7), RESULT_LEASE_NOT_FOUND);
    assert_text(put_leased(kit, "a", 7), "lease not found");
}

/* A key belongs to the lease of its last put, and to none after its deletion. */
static void test_attachment_moves(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 7, 1000, 0);
    machine_kit_grant(kit, 8, 1000, 0);
    put_leased(kit, "a", 7);
    put_leased(kit, "a", 8);
    put_leased(kit, "b", 7);
    put_leased(kit, "b", 0);
    put_leased(kit, "c", 7);
    struct kv_request doomed = a_delete("c", NULL);
    machine_kit_do(kit, &doomed);
    put_leased(kit, "c", 0);
    machine_kit_revoke(kit, 7);
    assert_text(all(kit), "8: range 3 a=v/2.3.2~8 b=v/4.5.2 c=v/8.8.1");
    machine_kit_revoke(kit, 8);
    assert_text(all(kit), "9: range 2 b=v/4.5.2 c=v/8.8.1");
}

/* Leases end by the stamps of the log, in the order of their ids, each under its own revision. */
static void test_expiry(void **state)
{
    struct machine_kit *kit = *state;
    assert_int_equal(machine_due_ms(kit->machine), MACHINE_KIT_TTL_MS);
    machine_kit_grant(kit, 9, 500, 0);
    machine_kit_grant(kit, 8, 300, 0);
    machine_kit_grant(kit, 10, 900, 0);
    put_leased(kit, "a", 9);
    put_leased(kit, "b", 8);
    put_leased(kit, "d", 10);
    put_leased(kit, "c", 8);
    assert_int_equal(machine_due_ms(kit->machine), 300);
    machine_kit_tick(kit, 300); /* the last moment of 8 */
    assert_int_equal(machine_session_count(kit->machine), 4);
    machine_kit_restart(kit);
    assert_int_equal(machine_due_ms(kit->machine), 300);
    machine_kit_tick(kit, 600);
    assert_text(all(kit), "7: range 1 d=v/4.4.1~10");
    assert_text(machine_kit_events(kit, "a", "z", 6, 0, 0, 1000), "-b@6.0 -c@6.1 -a@7.0 > 8.0");
    assert_int_equal(machine_due_ms(kit->machine), 900);
    assert_int_equal(machine_kit_keep(kit, 9), 0);
}

/* A keepalive moves the end; a session's id is kept alive by it, too. What is told is the ttl, or 0
 * for what is not there. */
static void test_keepalive(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 7, 500, 0);
    machine_kit_tick(kit, 400);
    assert_int_equal(machine_kit_keep(kit, 7), 500);
    assert_int_equal(machine_due_ms(kit->machine), 900);
    machine_kit_tick(kit, 900);
    assert_int_equal(machine_kit_keep(kit, 7), 500);
    uint8_t ids[24];
    bytes_put_u64(ids, 99);
    bytes_put_u64(ids + 8, 7);
    bytes_put_u64(ids + 16, kit->session);
    machine_kit_command(kit, COMMAND_LEASE_KEEPALIVE, slice_borrow(ids, sizeof ids));
    assert_int_equal(bytes_get_u64(kit->body.data), 0);
    assert_int_equal(bytes_get_u64(kit->body.data + 8), 500);
    assert_int_equal(bytes_get_u64(kit->body.data + 16), MACHINE_KIT_TTL_MS);
    machine_kit_tick(kit, 1401);
    assert_int_equal(machine_kit_keep(kit, 7), 0);
}

/* Keys can be put under a session; a bound lease ends with the session that asked for it. */
static void test_sessions_take_keys_and_bound_leases_along(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 70, 5000, LEASE_BOUND);
    machine_kit_grant(kit, 60, 5000, LEASE_BOUND);
    machine_kit_grant(kit, 50, 5000, 0);
    put_leased(kit, "a", 70);
    put_leased(kit, "b", kit->session);
    put_leased(kit, "c", 60);
    put_leased(kit, "d", 50);
    machine_kit_restart(kit);
    machine_kit_command(kit, COMMAND_CLOSE_SESSION, SLICE_EMPTY);
    assert_int_equal(kit->status, RESULT_OK);
    assert_text(all(kit), "8: range 1 d=v/5.5.1~50");
    assert_text(machine_kit_events(kit, "a", "z", 6, 0, 0, 1000), "-b@6.0 -c@7.0 -a@8.0 > 9.0");
    assert_int_equal(machine_session_count(kit->machine), 1);
    machine_kit_restart(kit);
    assert_int_equal(machine_session_count(kit->machine), 1);
}

/* The same when the session expires, and when its lease is revoked: by itself, in which case the
 * rest of the block is told that there is no session. */
static void test_revoked_session(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 70, 5000, LEASE_BOUND);
    put_leased(kit, "a", 70);
    assert_int_equal(machine_kit_revoke(kit, kit->session), RESULT_OK);
    assert_int_equal(kit->outcome_count, 1);
    assert_int_equal(kit->value, 3);
    assert_int_equal(machine_session_count(kit->machine), 0);
    assert_text(put_leased(kit, "a", 0), "unknown session");
    machine_kit_restart(kit);
    assert_int_equal(machine_session_count(kit->machine), 0);
}

static void test_revoked_session_in_the_middle_of_a_block(void **state)
{
    struct machine_kit *kit = *state;
    struct buffer bytes = {0};
    struct block block = {
        .session = kit->session, .client = MACHINE_KIT_CLIENT, .first_seq = 1, .count = 3};
    buffer_extend(&bytes, BLOCK_HEAD_BYTES);
    command_put_head(buffer_extend(&bytes, COMMAND_HEAD_BYTES), COMMAND_APPEND, 1);
    buffer_put_u8(&bytes, 'x');
    command_put_head(buffer_extend(&bytes, COMMAND_HEAD_BYTES), COMMAND_LEASE_REVOKE, 8);
    buffer_put_u64(&bytes, kit->session);
    command_put_head(buffer_extend(&bytes, COMMAND_HEAD_BYTES), COMMAND_APPEND, 1);
    buffer_put_u8(&bytes, 'y');
    block_put_head(bytes.data, &block, (uint32_t)(bytes.size - BLOCK_HEAD_BYTES));
    machine_kit_apply(kit, buffer_slice(&bytes));
    buffer_close(&bytes);
    assert_int_equal(kit->outcome_count, 3);
    assert_int_equal(kit->status, RESULT_UNKNOWN_SESSION);
    assert_int_equal(machine_last_index(kit->machine), 1);
}

static void test_expired_session(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 70, 2 * MACHINE_KIT_TTL_MS, LEASE_BOUND);
    put_leased(kit, "a", 70);
    put_leased(kit, "b", kit->session);
    machine_kit_tick(kit, MACHINE_KIT_TTL_MS + 1);
    assert_text(all(kit), "5: range 0");
    assert_int_equal(machine_session_count(kit->machine), 0);
    assert_int_equal(machine_due_ms(kit->machine), 0);
}

/* What is left of a lease, which keys it has, and all leases in pages. */
static void test_queries(void **state)
{
    struct machine_kit *kit = *state;
    machine_kit_grant(kit, 7, 500, 0);
    put_leased(kit, "b", 7);
    put_leased(kit, "a", 7);
    machine_kit_tick(kit, 100);
    uint8_t body[9];
    bytes_put_u64(body, 7);
    body[8] = 1;
    struct query_answer answer;
    machine_query(kit->machine, QUERY_LEASE, slice_borrow(body, 9), 50, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_OK);
    assert_int_equal(answer.body.size, 20 + 5 + 5);
    assert_int_equal(bytes_get_u64(answer.body.data), 500);
    assert_int_equal(bytes_get_u64(answer.body.data + 8), 350);
    assert_int_equal(bytes_get_u32(answer.body.data + 16), 2);
    assert_memory_equal(answer.body.data + 20, "\0\0\0\1a\0\0\0\1b", 10);
    body[8] = 0;
    machine_query(kit->machine, QUERY_LEASE, slice_borrow(body, 9), 600, &answer, &kit->fx);
    assert_int_equal(bytes_get_u64(answer.body.data + 8), 0);
    assert_int_equal(bytes_get_u32(answer.body.data + 16), 0);
    bytes_put_u64(body, 8);
    machine_query(kit->machine, QUERY_LEASE, slice_borrow(body, 9), 0, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_LEASE_NOT_FOUND);
    for (uint64_t first = 2; first <= 7; first += 5) { /* before it, and at it */
        bytes_put_u64(body, first);
        machine_query(kit->machine, QUERY_LEASES, slice_borrow(body, 8), 0, &answer, &kit->fx);
        assert_int_equal(answer.body.size, 24);
        assert_int_equal(bytes_get_u64(answer.body.data), 7);
    }
    bytes_put_u64(body, 8);
    machine_query(kit->machine, QUERY_LEASES, slice_borrow(body, 8), 0, &answer, &kit->fx);
    assert_int_equal(answer.body.size, 0);
    struct kv_request put = a_put("a", "1");
    struct buffer payload = {0};
    kv_put_request(&payload, &put);
    machine_query(kit->machine, QUERY_KV, buffer_slice(&payload), 0, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_MALFORMED);
    machine_query(kit->machine, QUERY_LEASE, slice_borrow(body, 7), 0, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_MALFORMED);
    machine_query(kit->machine, (enum query_op)9, slice_borrow(body, 8), 0, &answer, &kit->fx);
    assert_int_equal(answer.status, RESULT_MALFORMED);
    buffer_close(&payload);
    effects_clear(&kit->fx);
}

/* Leases and sessions are SESSIONS_MAX together. */
static void test_leases_full(void **state)
{
    struct machine_kit *kit = *state;
    kit->is_turn_open = 1;
    for (uint64_t i = 1; i < SESSIONS_MAX; i++) {
        kit->acked_seq = kit->next_seq - 1;
        assert_int_not_equal(machine_kit_grant(kit, 0, 1000 + i, 0), 0);
        effects_clear(&kit->fx);
    }
    assert_int_equal(machine_kit_grant(kit, 0, 1000, 0), 0);
    assert_int_equal(kit->status, RESULT_LEASES_FULL);
    machine_kit_tick(kit, 1002);
    assert_int_equal(machine_session_count(kit->machine), SESSIONS_MAX - 1);
    assert_int_not_equal(machine_kit_grant(kit, 0, 1000, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_kit_setup, machine_kit_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ids),
        TEST(test_revoke),
        TEST(test_attachment_moves),
        TEST(test_expiry),
        TEST(test_keepalive),
        TEST(test_sessions_take_keys_and_bound_leases_along),
        TEST(test_revoked_session),
        TEST(test_revoked_session_in_the_middle_of_a_block),
        TEST(test_expired_session),
        TEST(test_queries),
        TEST(test_leases_full),
    };
    return cmocka_run_group_tests_name("machine_leases", tests, NULL, NULL);
}
