/* A store that was damaged, or that lost what it had acknowledged, is refused; one that lost only
 * what nobody was told of is not (TRAPS 2). Damage is done to copies of the files of an open store,
 * which is what a kill -9 leaves: all batches are still in the live log. */
#include "common/base/bytes.h"
#include "common/store/engine.h"
#include "common/store/seal.h"
#include "common/store/tail.h"
#include "tests/unit/store_support.h"

#include <dirent.h>

#define LOG_BLOCK 32768 /* LevelDB writes its log in blocks, and drops what is left of one */
#define LOG_HEADER 7    /* checksum, length, type */
#define LOST "store lost acknowledged state"

struct fixture {
    char root[PATH_BYTES];
    char dir[PATH_BYTES];  /* the live store */
    char copy[PATH_BYTES]; /* where damage is done */
    struct store *store;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    support_make_dir(f->root);
    support_path(f->dir, f->root, "live");
    support_path(f->copy, f->root, "copy");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store != NULL) {
        store_close(f->store);
    }
    support_remove_tree(f->root);
    free(f);
    return 0;
}

static void start(struct fixture *f, int guarded)
{
    support_create(f->dir, guarded);
    f->store = support_open(f->dir, guarded);
}

/* Writes numbers [from, to). */
static void write_numbers(struct fixture *f, unsigned from, unsigned to, int sync)
{
    struct errmsg err = {""};
    for (unsigned i = from; i < to; i++) {
        assert_int_equal(support_write_number(f->store, i, sync, &err), 0);
    }
}

/* A fresh copy of the live store's files. */
static void crash(struct fixture *f)
{
    support_remove_tree(f->copy);
    support_copy(f->dir, f->copy);
}

/* The path of the file with the highest number and this ending. */
static const char *newest(char path[PATH_BYTES], const char *dir, const char *ending)
{
    char name[256] = "";
    DIR *names = opendir(dir);
    assert_non_null(names);
    struct dirent *entry;
    while ((entry = readdir(names)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ending) == 0 && strcmp(entry->d_name, name) > 0) {
            snprintf(name, sizeof name, "%s", entry->d_name);
        }
    }
    closedir(names);
    assert_true(name[0] != '\0');
    return support_path(path, dir, name);
}

static off_t file_size(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void overwrite(const char *path, off_t at, const void *bytes, size_t size)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (uint8_t)(byte ^ 0x10);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Offset of the record with this index (from 0) in a log of records that are not fragmented. */
static off_t record_at(const char *log, unsigned index)
{
    uint8_t header[LOG_HEADER];
    off_t at = 0;
    int fd = open(log, O_RDONLY);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < index; i++) {
        assert_int_equal(pread(fd, header, sizeof header, at), (ssize_t)sizeof header);
        at += LOG_HEADER + header[4] + 256 * header[5];
        assert_true(at < LOG_BLOCK);
    }
    close(fd);
    return at;
}

static void refused(struct fixture *f, const char *text)
{
    support_open_fails(f->copy, &support_identity, 1, ERROR_CORRUPT, text);
}

/* The copy opens and holds exactly the numbers below count. */
static void accepted(struct fixture *f, int guarded, unsigned count)
{
    struct store *store = support_open(f->copy, guarded);
    for (unsigned i = 0; i < count; i++) {
        assert_true(support_holds_number(store, i));
    }
    assert_false(support_holds_number(store, count));
    store_close(store);
}

/* ---- damage that LevelDB takes for a torn tail */

/* TRAPS 2: a zeroed header, or one wrong byte of a length, makes LevelDB drop this and every later
 * batch without an error. The guard knows better, whichever batch it hits, and goes on refusing at
 * every later attempt. */
static void test_dropped_batches(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[LOG_HEADER];
    char log[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 20, 1);
    crash(f);
    accepted(f, 1, 20);
    for (unsigned hit = 0; hit < 20; hit += 1 + hit / 4) {
        crash(f);
        newest(log, f->copy, ".log");
        overwrite(log, record_at(log, hit), zeros, sizeof zeros);
        refused(f, LOST);
        refused(f, LOST);
    }
    crash(f);
    newest(log, f->copy, ".log");
    overwrite(log, record_at(log, 19), zeros, sizeof zeros);
    refused(f, LOST); /* the very last one is missed, too */
    crash(f);
    newest(log, f->copy, ".log");
    overwrite(log, record_at(log, 7) + 5, "\x7f", 1);
    refused(f, LOST);
}

/* A log cut off within, or before, acknowledged batches. Without a guard the same passes for a torn
 * tail, which is why acceptors have one. */
static void test_cut_log(void **state)
{
    struct fixture *f = *state;
    char log[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 10, 1);
    for (int cut = 0; cut < 3; cut++) {
        crash(f);
        newest(log, f->copy, ".log");
        off_t size = cut == 0 ? file_size(log) - 1 : cut == 1 ? record_at(log, 5) : 0;
        assert_int_equal(truncate(log, size), 0);
        refused(f, LOST);
    }
    store_close(f->store);
    support_remove_tree(f->dir);
    start(f, 0);
    write_numbers(f, 0, 10, 1);
    crash(f);
    newest(log, f->copy, ".log");
    assert_int_equal(truncate(log, record_at(log, 9)), 0);
    accepted(f, 0, 9);
}

/* Writes one value of such a size that the next batch begins a block of the log. */
static void fill_block(struct fixture *f)
{
    static const char filler[LOG_BLOCK];
    char log[PATH_BYTES];
    struct errmsg err = {""};
    newest(log, f->dir, ".log");
    struct record pad = support_put("pad", filler, 1000);
    off_t before = file_size(log);
    assert_int_equal(store_write(f->store, &pad, 1, 0, &err), 0);
    off_t overhead = file_size(log) - before - 1000;
    off_t left = LOG_BLOCK - file_size(log) - overhead;
    assert_in_range(left, 128, 16383); /* as many bytes for the length as with 1000 */
    pad.body.size = (size_t)left;
    assert_int_equal(store_write(f->store, &pad, 1, 0, &err), 0);
    assert_int_equal(file_size(log), LOG_BLOCK);
}

/* A zeroed header costs only the rest of its block: LevelDB keeps the batches of later blocks, so
 * the last count and chain are right and only the middle is missing. The marks show it, with or
 * without a guard, synced batches or not. */
static void test_hole(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[LOG_HEADER];
    char log[PATH_BYTES];
    for (int guarded = 0; guarded < 2; guarded++) {
        start(f, guarded);
        write_numbers(f, 0, 200, 0);
        fill_block(f);
        write_numbers(f, 200, 203, 1);
        crash(f);
        accepted(f, guarded, 203);
        crash(f);
        newest(log, f->copy, ".log");
        overwrite(log, record_at(log, 3), zeros, sizeof zeros);
        support_open_fails(f->copy, &support_identity, guarded, ERROR_CORRUPT, LOST);
        support_open_fails(f->copy, &support_identity, guarded, ERROR_CORRUPT, "is gone");
        store_close(f->store);
        f->store = NULL;
        support_remove_tree(f->dir);
    }
}

/* The log vanished altogether. */
static void test_missing_log(void **state)
{
    struct fixture *f = *state;
    char log[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 5, 1);
    crash(f);
    assert_int_equal(unlink(newest(log, f->copy, ".log")), 0);
    refused(f, LOST);
}

/* ---- what a crash may do */

/* A batch that was under way when the power went: nothing of it, a part of it, or all of it without
 * the guard. Nobody was told, so all three open; and what was then shown must not be lost. */
static void test_torn_tail(void **state)
{
    struct fixture *f = *state;
    char log[PATH_BYTES];
    char guard[PATH_BYTES];
    char command[3 * PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 10, 1);
    crash(f);
    off_t before = file_size(newest(log, f->dir, ".log"));
    snprintf(command, sizeof command, "cp '%s/guard' '%s/guard.old'", f->dir, f->root);
    assert_int_equal(system(command), 0);
    write_numbers(f, 10, 11, 1);
    off_t after = file_size(newest(log, f->dir, ".log"));
    snprintf(command, sizeof command, "cp '%s/guard.old' '%s'", f->root,
             support_path(guard, f->copy, "guard"));
    for (off_t size = before; size <= after; size += 1 + (after - before) / 5) {
        crash(f);
        assert_int_equal(system(command), 0);
        assert_int_equal(truncate(newest(log, f->copy, ".log"), size), 0);
        accepted(f, 1, 10);
    }
    crash(f);
    assert_int_equal(system(command), 0);
    accepted(f, 1, 11);
    /* The guard has caught up with the batch that was found, so its loss is noticed from now on. */
    char saved[PATH_BYTES];
    snprintf(command, sizeof command, "cp '%s' '%s'", guard, support_path(saved, f->root, "new"));
    assert_int_equal(system(command), 0);
    crash(f);
    snprintf(command, sizeof command, "cp '%s' '%s'", saved, guard);
    assert_int_equal(system(command), 0);
    assert_int_equal(truncate(newest(log, f->copy, ".log"), before), 0);
    refused(f, LOST);
}

/* Unsynced batches may be lost, from the newest backwards, and only those; writing goes on from
 * what is left, and is guarded as ever. */
static void test_lost_lazy_tail(void **state)
{
    struct fixture *f = *state;
    char log[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 5, 1);
    off_t durable = file_size(newest(log, f->dir, ".log"));
    write_numbers(f, 5, 9, 0);
    crash(f);
    accepted(f, 1, 9);
    crash(f);
    newest(log, f->copy, ".log");
    assert_int_equal(truncate(log, record_at(log, 7)), 0);
    accepted(f, 1, 7);
    crash(f);
    assert_int_equal(truncate(newest(log, f->copy, ".log"), durable), 0);
    accepted(f, 1, 5);
    struct store *again = support_open(f->copy, 1);
    struct errmsg err = {""};
    for (unsigned i = 5; i < 9; i++) {
        assert_int_equal(support_write_number(again, i, i % 2 == 0, &err), 0);
    }
    store_close(again);
    accepted(f, 1, 9);
    assert_int_equal(truncate(newest(log, f->dir, ".log"), durable), 0);
    crash(f);
    accepted(f, 1, 5);
    crash(f);
    newest(log, f->copy, ".log");
    assert_int_equal(truncate(log, durable - 1), 0);
    refused(f, LOST);
}

/* ---- the guard itself */

/* Without a readable guard nobody can tell, so the store is refused: missing, empty, zeroed. One
 * damaged slot is a torn write and leaves the other. */
static void test_damaged_guard(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[8192];
    char guard[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 6, 1);
    support_path(guard, f->copy, "guard");
    crash(f);
    assert_int_equal(unlink(guard), 0);
    refused(f, LOST);
    crash(f);
    assert_int_equal(truncate(guard, 0), 0);
    refused(f, LOST);
    crash(f);
    overwrite(guard, 0, zeros, sizeof zeros);
    refused(f, "cannot be read in either slot");
    crash(f);
    flip(guard, 20);
    flip(guard, 4096 + 20);
    refused(f, "cannot be read in either slot");
    for (off_t slot = 0; slot < 2; slot++) {
        crash(f);
        flip(guard, slot * 4096 + 20);
        accepted(f, 1, 6);
    }
}

/* A guard that is an old copy, or of another store, proves nothing. */
static void test_wrong_guard(void **state)
{
    struct fixture *f = *state;
    char command[3 * PATH_BYTES];
    char other[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 3, 1);
    snprintf(command, sizeof command, "cp '%s/guard' '%s/guard.old'", f->dir, f->root);
    assert_int_equal(system(command), 0);
    write_numbers(f, 3, 4 + TAIL_GUARD_BEHIND_MAX, 1);
    crash(f);
    snprintf(command, sizeof command, "cp '%s/guard.old' '%s/guard'", f->root, f->copy);
    assert_int_equal(system(command), 0);
    refused(f, "the guard is out of date");
    support_create(support_path(other, f->root, "other"), 1);
    crash(f);
    snprintf(command, sizeof command, "cp '%s/guard' '%s/guard'", other, f->copy);
    assert_int_equal(system(command), 0);
    refused(f, "belongs to another store");
}

/* An old copy of LevelDB's files beside the present guard is amnesia, also when it was written to
 * until the counts agree again: the chain tells the two histories apart. */
static void test_old_copy(void **state)
{
    struct fixture *f = *state;
    char command[3 * PATH_BYTES];
    struct errmsg err = {""};
    start(f, 1);
    write_numbers(f, 0, 5, 1);
    crash(f);
    write_numbers(f, 5, 8, 1);
    snprintf(command, sizeof command, "cp '%s/guard' '%s/guard'", f->dir, f->copy);
    assert_int_equal(system(command), 0);
    refused(f, LOST);
    store_close(f->store);
    support_remove_tree(f->dir);
    start(f, 1);
    write_numbers(f, 0, 5, 1);
    crash(f);
    write_numbers(f, 5, 8, 1);
    struct store *branch = support_open(f->copy, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(support_write_number(branch, 100 + i, 1, &err), 0);
    }
    store_close(branch);
    snprintf(command, sizeof command, "cp '%s/guard' '%s/guard'", f->dir, f->copy);
    assert_int_equal(system(command), 0);
    refused(f, "is not the one the guard recorded");
}

/* ---- damage that LevelDB or the seals notice */

/* A wrong byte inside a batch of the log. */
static void test_flipped_log(void **state)
{
    struct fixture *f = *state;
    char log[PATH_BYTES];
    start(f, 0);
    write_numbers(f, 0, 10, 1);
    crash(f);
    newest(log, f->copy, ".log");
    flip(log, record_at(log, 4) + LOG_HEADER + 20);
    support_open_fails(f->copy, &support_identity, 0, ERROR_CORRUPT, "is damaged");
}

static int count_visit(void *arg, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return 0;
}

/* A wrong byte anywhere in a table is met at the open or at the latest by the read. */
static void test_flipped_table(void **state)
{
    struct fixture *f = *state;
    static char filler[3000];
    char path[PATH_BYTES];
    struct errmsg err = {""};
    start(f, 0);
    for (unsigned i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%05u", i);
        struct record r = support_put(key, filler, sizeof filler);
        assert_int_equal(store_write(f->store, &r, 1, 0, &err), 0);
    }
    store_close(f->store);
    f->store = support_open(f->dir, 0);
    off_t size = file_size(newest(path, f->dir, ".ldb"));
    for (off_t at = size / 3; at < size; at += size / 3) {
        crash(f);
        flip(newest(path, f->copy, ".ldb"), at);
        struct store *store = NULL;
        int rc = store_open(f->copy, &support_identity, 0, &store, &err);
        if (rc == 0) {
            unsigned count = 0;
            struct store_reader reader = store_reader(store);
            rc = reader.scan(reader.self, slice_borrow("k", 1), slice_borrow("l", 1), count_visit,
                             &count);
            store_close(store);
        }
        assert_int_equal(rc, ERROR_CORRUPT);
    }
}

/* Files that LevelDB cannot do without: CURRENT missing, empty or pointing nowhere, no manifest, no
 * table. Nothing is made anew in their place. */
static void test_missing_files(void **state)
{
    struct fixture *f = *state;
    char path[PATH_BYTES];
    start(f, 1);
    write_numbers(f, 0, 5, 1);
    store_close(f->store);
    f->store = support_open(f->dir, 1);
    support_path(path, f->copy, "CURRENT");
    crash(f);
    assert_int_equal(unlink(path), 0);
    refused(f, "CURRENT is missing");
    assert_int_equal(access(path, F_OK), -1);
    crash(f);
    assert_int_equal(truncate(path, 0), 0);
    refused(f, "is damaged");
    crash(f);
    overwrite(path, 0, "MANIFEST-999999\n", 16);
    refused(f, "is damaged");
    crash(f);
    assert_int_equal(unlink(newest(path, f->copy, ".ldb")), 0);
    refused(f, "is damaged");
}

/* Puts a sealed value under a key behind the store's back. seal_key: whose seal it gets. */
static void plant(const char *dir, struct slice key, struct slice seal_key, struct slice value)
{
    struct engine engine;
    struct errmsg err = {""};
    uint8_t sealed[128];
    char *text = NULL;
    assert_true(value.size + SEAL_BYTES <= sizeof sealed);
    memcpy(sealed, value.data, value.size);
    bytes_put_u64(sealed + value.size, seal_hash(seal_key, value));
    assert_int_equal(engine_open(&engine, dir, ENGINE_LOG, 0, &err), 0);
    leveldb_put(engine.db, engine.sync_options, (const char *)key.data, key.size,
                (const char *)sealed, value.size + SEAL_BYTES, &text);
    assert_null(text);
    engine_close(&engine);
}

/* A value under another key than its own, or one too short for a seal, is never read as a value. */
static void test_seals(void **state)
{
    struct fixture *f = *state;
    struct blob *value = NULL;
    unsigned count = 0;
    support_create(f->dir, 0);
    plant(f->dir, slice_borrow("a", 1), slice_borrow("a", 1), slice_borrow("fine", 4));
    plant(f->dir, slice_borrow("b", 1), slice_borrow("a", 1), slice_borrow("fine", 4));
    f->store = support_open(f->dir, 0);
    assert_true(support_holds(f->store, "a", "fine"));
    assert_int_equal(support_get(f->store, "b", &value), ERROR_CORRUPT);
    struct store_reader reader = store_reader(f->store);
    assert_int_equal(
        reader.scan(reader.self, slice_borrow("a", 1), slice_borrow("c", 1), count_visit, &count),
        ERROR_CORRUPT);
    assert_int_equal(count, 1);
}

/* A store of another format is refused by its number, whatever else it says. */
static void test_format(void **state)
{
    struct fixture *f = *state;
    static const uint8_t key[2] = {0, 'i'};
    static const uint8_t later[5] = {0, 0, 0, STORE_FORMAT + 1, 99};
    support_create(f->dir, 1);
    plant(f->dir, slice_borrow(key, 2), slice_borrow(key, 2), slice_borrow(later, 5));
    support_open_fails(f->dir, &support_identity, 1, ERROR_REFUSED, "format 3");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dropped_batches), TEST(test_cut_log),       TEST(test_hole),
        TEST(test_missing_log),     TEST(test_torn_tail),     TEST(test_lost_lazy_tail),
        TEST(test_damaged_guard),   TEST(test_wrong_guard),   TEST(test_old_copy),
        TEST(test_flipped_log),     TEST(test_flipped_table), TEST(test_missing_files),
        TEST(test_seals),           TEST(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
