/* The base layer: memory and its bounds, reference counts, big-endian integers, error sentences,
 * the seeded generator and the assertion that ends a process. */
#include "common/base/arena.h"
#include "common/base/blob.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs fn in a child without core file and error output. Returns the signal that ended it, or 0. */
static int signal_of(void (*fn)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL); /* cmocka catches it to go on */
        if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(2);
        }
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- arena */

/* Every piece is aligned for any type and none overlaps another, also beyond one chunk. */
static void test_arena_pieces_are_apart_and_aligned(void **state)
{
    (void)state;
    struct arena arena = {0};
    unsigned char *pieces[200];
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(&arena, 1 + i * 7);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)i, 1 + i * 7);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < 1 + i * 7; k++) {
            assert_int_equal(pieces[i][k], (unsigned char)i);
        }
    }
    arena_close(&arena);
}

/* A piece larger than a chunk is given, too. */
static void test_arena_gives_large_pieces(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_alloc(&arena, 10);
    unsigned char *large = arena_alloc(&arena, 3000000);
    memset(large, 7, 3000000);
    assert_int_equal(large[2999999], 7);
    arena_close(&arena);
}

/* A steady state allocates nothing: after a reset the same chunk is handed out again. */
static void test_arena_reset_keeps_a_chunk(void **state)
{
    (void)state;
    struct arena arena = {0};
    void *first = arena_alloc(&arena, 100);
    arena_reset(&arena);
    assert_non_null(arena.chunks);
    assert_ptr_equal(arena_alloc(&arena, 100), first);
    arena_close(&arena);
    assert_null(arena.chunks);
}

/* ---- blobs and slices */

static int release_count;

static void count_release(struct blob *blob)
{
    (void)blob;
    release_count++;
}

/* The release function runs with the last reference and not before. */
static void test_blob_is_released_with_the_last_reference(void **state)
{
    (void)state;
    struct blob blob = {.data = NULL, .size = 0, .references = 1, .release = count_release};
    release_count = 0;
    assert_ptr_equal(blob_ref(&blob), &blob);
    blob_unref(&blob);
    assert_int_equal(release_count, 0);
    blob_unref(&blob);
    assert_int_equal(release_count, 1);
}

/* NULL stands for "no blob" in both calls. */
static void test_blob_null_is_allowed(void **state)
{
    (void)state;
    assert_null(blob_ref(NULL));
    blob_unref(NULL);
}

static void unref_twice(void)
{
    static struct blob blob = {.references = 1, .release = count_release};
    blob_unref(&blob);
    blob_unref(&blob);
}

/* A reference given back twice is a bug that ends the process. */
static void test_blob_refuses_one_unref_too_many(void **state)
{
    (void)state;
    assert_int_equal(signal_of(unref_twice), SIGABRT);
}

/* blob_copy owns its bytes: changing the source changes nothing. */
static void test_blob_copy_is_independent(void **state)
{
    (void)state;
    char text[] = "value";
    struct blob *blob = blob_copy(text, 5);
    text[0] = 'X';
    assert_int_equal(blob->size, 5);
    assert_memory_equal(blob->data, "value", 5);
    blob_unref(blob);
    blob = blob_copy(NULL, 0);
    assert_int_equal(blob->size, 0);
    blob_unref(blob);
}

/* Keeping a slice of a blob takes a reference and copies nothing. */
static void test_slice_keep_references_an_owner(void **state)
{
    (void)state;
    struct blob *blob = blob_copy("abcdef", 6);
    struct slice part = {blob->data + 2, 3, blob};
    struct slice kept = slice_keep(part);
    assert_ptr_equal(kept.data, blob->data + 2);
    assert_int_equal(blob->references, 2);
    blob_unref(blob);
    assert_memory_equal(kept.data, "cde", 3);
    slice_drop(&kept);
    assert_int_equal(kept.size, 0);
    assert_null(kept.owner);
}

/* Keeping a slice without an owner copies it. */
static void test_slice_keep_copies_borrowed_bytes(void **state)
{
    (void)state;
    char text[] = "abc";
    struct slice kept = slice_keep(slice_borrow(text, 3));
    text[1] = 'X';
    assert_memory_equal(kept.data, "abc", 3);
    assert_non_null(kept.owner);
    slice_drop(&kept);
}

/* Equality is of bytes: length counts, and empty equals empty wherever it points. */
static void test_slice_equal_compares_bytes(void **state)
{
    (void)state;
    assert_true(slice_equal(slice_borrow("ab", 2), slice_borrow("abc", 2)));
    assert_false(slice_equal(slice_borrow("ab", 2), slice_borrow("abc", 3)));
    assert_false(slice_equal(slice_borrow("ab", 2), slice_borrow("ac", 2)));
    assert_true(slice_equal(SLICE_EMPTY, slice_borrow("x", 0)));
}

/* ---- bytes */

/* Big-endian, most significant byte first, so that keys sort as their numbers do. */
static void test_bytes_are_big_endian(void **state)
{
    (void)state;
    uint8_t p[8];
    bytes_put_u64(p, 0x0102030405060708U);
    assert_memory_equal(p, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(bytes_get_u64(p) == 0x0102030405060708U);
    bytes_put_u32(p, UINT32_MAX);
    assert_true(bytes_get_u32(p) == UINT32_MAX);
    bytes_put_u64(p, UINT64_MAX);
    assert_true(bytes_get_u64(p) == UINT64_MAX);
}

/* ---- errors */

/* Every code has a name and the exit status that the command line promises. */
static void test_error_codes_have_names_and_statuses(void **state)
{
    (void)state;
    static const struct {
        int code, status;
        const char *name;
    } expected[] = {
        {0, 0, "ok"},
        {ERROR_USAGE, 3, "usage"},
        {ERROR_BUSY, 2, "busy"},
        {ERROR_REDIRECT, 2, "redirect"},
        {ERROR_UNAVAILABLE, 2, "unavailable"},
        {ERROR_REFUSED, 4, "refused"},
        {ERROR_IO, 1, "io"},
        {ERROR_CORRUPT, 1, "corrupt"},
        {ERROR_INTERNAL, 1, "internal"},
        {ERROR_NOT_FOUND, 1, "not_found"},
        {ERROR_INTERRUPTED, 5, "interrupted"},
        {-9999, 1, "unknown"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_string_equal(error_name(expected[i].code), expected[i].name);
        assert_int_equal(error_exit_status(expected[i].code), expected[i].status);
    }
}

/* A sentence is set by who knows it and gains context on the way up. */
static void test_errmsg_is_wrapped_while_unwinding(void **state)
{
    (void)state;
    struct errmsg err;
    assert_int_equal(errmsg_set(&err, ERROR_IO, "no space on %s", "/dev/sda"), ERROR_IO);
    errmsg_wrap(&err, "write slot %d", 7);
    errmsg_wrap(&err, "persist promise");
    assert_string_equal(err.text, "persist promise: write slot 7: no space on /dev/sda");
    assert_int_equal(errmsg_set(NULL, ERROR_BUSY, "nobody reads this"), ERROR_BUSY);
    errmsg_wrap(NULL, "nor this");
}

/* A text too long is cut and still terminated, also when the context alone fills it. */
static void test_errmsg_is_cut_at_its_size(void **state)
{
    (void)state;
    struct errmsg err;
    char text[2 * sizeof err.text];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    errmsg_set(&err, ERROR_IO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    errmsg_wrap(&err, "first");
    assert_int_equal(strncmp(err.text, "first: aaa", 10), 0);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    errmsg_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

/* ---- memory */

/* Growing keeps the contents and doubles, so that n appends cost O(n). */
static void test_memory_grow_doubles_and_keeps(void **state)
{
    (void)state;
    size_t capacity = 0;
    unsigned grown_count = 0;
    uint32_t *array = NULL;
    for (uint32_t i = 0; i < 10000; i++) {
        size_t before = capacity;
        array = memory_grow(array, &capacity, (size_t)i + 1, sizeof *array);
        grown_count += capacity != before;
        array[i] = i;
    }
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(array[i], i);
    }
    assert_true(capacity >= 10000);
    assert_true(grown_count < 16);
    free(array);
}

/* Nothing asked for is still a valid pointer, and calloc zeroes. */
static void test_memory_never_null(void **state)
{
    (void)state;
    void *p = memory_alloc(0);
    assert_non_null(p);
    free(p);
    unsigned char *zeroed = memory_calloc(100, 3);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    free(zeroed);
}

static void grow_beyond_size_max(void)
{
    size_t capacity = 0;
    free(memory_grow(NULL, &capacity, SIZE_MAX / 4, 8));
}

/* A product that overflows ends the process instead of giving too little memory. */
static void test_memory_grow_refuses_overflow(void **state)
{
    (void)state;
    assert_int_equal(signal_of(grow_beyond_size_max), SIGABRT);
}

/* ---- the generator */

/* The same seed gives the same numbers, for ever: a simulator's seed is replayed years later. */
static void test_rng_is_a_function_of_its_seed(void **state)
{
    (void)state;
    struct rng a, b, other;
    rng_init(&a, 42);
    rng_init(&b, 42);
    rng_init(&other, 43);
    unsigned differing_count = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t n = rng_next(&a);
        assert_true(n == rng_next(&b));
        differing_count += n != rng_next(&other);
    }
    assert_true(differing_count > 95);
}

/* Seed 0 works, and every number stays below its bound and takes each value. */
static void test_rng_below_stays_below(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 0);
    assert_true(rng.state != 0);
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t n = rng_below(&rng, 7);
        assert_true(n < 7);
        seen[n]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_true(seen[i] > 700);
    }
    assert_int_equal(rng_below(&rng, 1), 0);
}

/* ---- CHECK */

static void check_true(void)
{
    CHECK(1 + 1 == 2);
}

static void check_false(void)
{
    CHECK(1 + 1 == 3);
}

/* A condition that holds costs nothing; one that does not ends the process by SIGABRT. */
static void test_check_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(signal_of(check_true), 0);
    assert_int_equal(signal_of(check_false), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_pieces_are_apart_and_aligned),
        cmocka_unit_test(test_arena_gives_large_pieces),
        cmocka_unit_test(test_arena_reset_keeps_a_chunk),
        cmocka_unit_test(test_blob_is_released_with_the_last_reference),
        cmocka_unit_test(test_blob_null_is_allowed),
        cmocka_unit_test(test_blob_refuses_one_unref_too_many),
        cmocka_unit_test(test_blob_copy_is_independent),
        cmocka_unit_test(test_slice_keep_references_an_owner),
        cmocka_unit_test(test_slice_keep_copies_borrowed_bytes),
        cmocka_unit_test(test_slice_equal_compares_bytes),
        cmocka_unit_test(test_bytes_are_big_endian),
        cmocka_unit_test(test_error_codes_have_names_and_statuses),
        cmocka_unit_test(test_errmsg_is_wrapped_while_unwinding),
        cmocka_unit_test(test_errmsg_is_cut_at_its_size),
        cmocka_unit_test(test_memory_grow_doubles_and_keeps),
        cmocka_unit_test(test_memory_never_null),
        cmocka_unit_test(test_memory_grow_refuses_overflow),
        cmocka_unit_test(test_rng_is_a_function_of_its_seed),
        cmocka_unit_test(test_rng_below_stays_below),
        cmocka_unit_test(test_check_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
