/* The state machine answers random commands, queries and watches as the reference does, through
 * retries, restarts, sweeping and any split into turns, and two machines are equal at every slot.
 */
#include "common/base/memory.h"
#include "tests/model/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 200
#define OPERATIONS 600
#define SLOTS_MAX 3  /* of a turn */
#define SWEEPS_MAX 3 /* of a turn */

/* Has both machines apply the slot that was made. */
static void apply_slot(struct run *run)
{
    run->slot++;
    struct blob *value = run_encode_slot(run);
    for (size_t i = 0; i < 2; i++) {
        node_forget(&run->nodes[i]);
        node_apply(&run->nodes[i], run->slot, slice_of(value));
    }
    blob_unref(value);
    node_write(&run->nodes[1], 0);
    run_check_outcomes(run);
}

static void run_turn(struct run *run)
{
    run->read_count = 0;
    for (uint64_t slots = 1 + run_pick(run, SLOTS_MAX); slots > 0; slots--) {
        run->stamp_ms += run_pick(run, 40) == 0 ? run_pick(run, 5000) : run_pick(run, 100);
        run_make_slot(run);
        apply_slot(run);
    }
    if (run_pick(run, 4) == 0) { /* else what was compacted lately is not swept yet */
        run->nodes[0].sweep_up_to = machine_compacted(run->nodes[0].machine);
    }
    node_write(&run->nodes[0], run_pick(run, SWEEPS_MAX + 1));
    struct node *node = &run->nodes[run_pick(run, 2)];
    if (run_pick(run, 10) == 0) {
        node_restart(node);
    }
    run_check_numbers(run, node);
    run_check_oracle(run, node);
    run_check_reads(run, node);
    arena_reset(&run->arena);
}

static void run_seed(uint64_t seed, uint64_t operations)
{
    struct run *run = memory_calloc(1, sizeof *run);
    run_open(run, seed);
    while (run->operation_count < operations) {
        run_turn(run);
    }
    run_close(run);
    free(run);
}

/* One operation a turn, and each read where it stands. */
static void run_sequence(uint64_t seed, uint64_t operations)
{
    struct run *run = memory_calloc(1, sizeof *run);
    run_open(run, seed);
    generator_init(&run->generator, seed, 1);
    while (run->operation_count < operations) {
        run->read_count = 0;
        run_make_single(run);
        run_check_reads(run, &run->nodes[0]);
        apply_slot(run);
        run->nodes[0].sweep_up_to = machine_compacted(run->nodes[0].machine);
        node_write(&run->nodes[0], run_pick(run, SWEEPS_MAX));
        run_check_numbers(run, &run->nodes[0]);
        arena_reset(&run->arena);
    }
    run_close(run);
    free(run);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* MODEL_SEED runs that one alone, MODEL_COUNT says how many, MODEL_OPERATIONS how long they are. */
static void test_random_operations(void **state)
{
    (void)state;
    uint64_t operations = setting("MODEL_OPERATIONS", OPERATIONS);
    uint64_t first = setting("MODEL_SEED", 1);
    uint64_t count = setting("MODEL_COUNT", getenv("MODEL_SEED") != NULL ? 1 : SEEDS);
    print_message("# seeds %llu to %llu, %llu operations each\n", (unsigned long long)first,
                  (unsigned long long)(first + count - 1), (unsigned long long)operations);
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_seed(seed, operations);
    }
}

/* The very sequences that run.sh has a real etcd answer. */
static void test_sequences_of_etcd(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        run_sequence(seed, OPERATIONS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences_of_etcd),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests_name("model_machine", tests, NULL, NULL);
}
