/* The clients of a proposer: whatever the order in which they come, submit, go and come again, what
 * of them waits is counted once, and who has nothing waiting has the whole budget. */
#include "common/base/rng.h"
#include "proposer/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CLIENTS 4
#define QUEUE_MAX 4096

/* The same, kept plainly. */
struct plain {
    int is_up[CLIENTS + 1]; /* by nonce, from 1 */
    size_t bytes[CLIENTS + 1];
    size_t total;
    struct {
        uint64_t nonce;
        size_t size;
    } queue[QUEUE_MAX];
    size_t head, tail;
};

struct fixture {
    struct clients clients;
    struct plain plain;
    struct blob *blob; /* blocks are parts of it */
    struct effects fx;
};

static int setup(void **state)
{
    static struct fixture f;
    uint8_t *bytes;
    memset(&f, 0, sizeof f);
    f.blob = blob_new(MIB, &bytes);
    memset(bytes, 'b', MIB);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    clients_close(&f->clients);
    blob_unref(f->blob);
    effects_close(&f->fx);
    return 0;
}

static void up(struct fixture *f, uint64_t nonce)
{
    assert_int_equal(clients_up(&f->clients, nonce), 1);
    f->plain.is_up[nonce] = 1;
}

static void down(struct fixture *f, uint64_t nonce)
{
    clients_down(&f->clients, nonce);
    f->plain.is_up[nonce] = 0;
}

static int push(struct fixture *f, uint64_t nonce, size_t size)
{
    struct slice bytes = slice_of(f->blob);
    bytes.size = size;
    struct block block = {.client = nonce, .session = nonce};
    return clients_push(&f->clients, bytes, (struct peer){ROLE_CLIENT, nonce}, &block);
}

/* Submits, and is told busy if and only if a budget says so. */
static void submit(struct fixture *f, uint64_t nonce, size_t size)
{
    struct plain *plain = &f->plain;
    int fits = plain->bytes[nonce] + size <= CLIENT_PENDING_BYTES_MAX &&
               plain->total + size <= CLIENTS_PENDING_BYTES_MAX;
    assert_int_equal(push(f, nonce, size), fits ? 0 : ERROR_BUSY);
    if (fits) {
        assert_true(plain->tail < QUEUE_MAX);
        plain->queue[plain->tail].nonce = nonce;
        plain->queue[plain->tail++].size = size;
        plain->bytes[nonce] += size;
        plain->total += size;
    }
}

static void note_taken(struct fixture *f)
{
    struct plain *plain = &f->plain;
    while (plain->tail - plain->head > f->clients.waiting_count) {
        plain->bytes[plain->queue[plain->head].nonce] -= plain->queue[plain->head].size;
        plain->total -= plain->queue[plain->head++].size;
    }
}

static void take(struct fixture *f)
{
    if (f->clients.waiting_count > 0) {
        blob_unref(clients_take_batch(&f->clients, 1, &f->fx));
        note_taken(f);
    }
}

static void drop(struct fixture *f)
{
    clients_drop_waiting(&f->clients, 0, &f->fx);
    note_taken(f);
}

/* Known are those that are connected, and those of whom something waits. */
static void assert_same(const struct fixture *f)
{
    size_t known = 0;
    for (uint64_t nonce = 1; nonce <= CLIENTS; nonce++) {
        known += f->plain.is_up[nonce] || f->plain.bytes[nonce] > 0;
    }
    assert_int_equal(f->clients.known_count, known);
    assert_int_equal(f->clients.waiting_bytes, f->plain.total);
    for (size_t i = 0; i < f->clients.known_count; i++) {
        const struct client *client = &f->clients.known[i];
        assert_int_equal(client->waiting_bytes, f->plain.bytes[client->nonce]);
    }
}

/* One that comes again while something of it waits has that on its account, and no more and no less
 * when it was taken. */
static void test_reconnect_while_waiting(void **state)
{
    struct fixture *f = *state;
    up(f, 1);
    while (f->plain.bytes[1] < CLIENT_PENDING_BYTES_MAX) {
        submit(f, 1, MIB);
    }
    down(f, 1);
    assert_same(f);
    up(f, 1);
    submit(f, 1, 1); /* busy */
    while (f->clients.waiting_count > 0) {
        take(f);
        assert_same(f);
    }
    submit(f, 1, MIB / 2);
    drop(f);
    down(f, 1);
    assert_int_equal(f->clients.known_count, 0);
}

/* Any order of all that can happen. */
static void test_any_order(void **state)
{
    struct fixture *f = *state;
    struct rng rng;
    rng_init(&rng, 5);
    print_message("seed 5\n");
    for (int i = 0; i < 2000; i++) {
        uint64_t nonce = 1 + rng_below(&rng, CLIENTS);
        uint64_t what = rng_below(&rng, 20);
        if (what < 2) {
            up(f, nonce); /* also if it is: on another connection */
        } else if (what < 4) {
            down(f, nonce);
        } else if (what < 5) {
            take(f);
        } else if (what < 6 && i % 8 == 0) {
            drop(f);
        } else if (f->plain.is_up[nonce]) {
            submit(f, nonce, 1 + (size_t)rng_below(&rng, MIB));
        }
        assert_same(f);
        effects_clear(&f->fx);
    }
    for (uint64_t nonce = 1; nonce <= CLIENTS; nonce++) {
        down(f, nonce);
    }
    while (f->clients.waiting_count > 0) {
        take(f);
    }
    assert_int_equal(f->clients.known_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reconnect_while_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
    };
    return cmocka_run_group_tests_name("proposer_clients", tests, NULL, NULL);
}
