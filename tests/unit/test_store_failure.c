/* Writes that fail and power that goes: the first failure ends the store for good, and everything
 * that was acknowledged before is there afterwards (TRAPS 1, 9). */
#include "tests/unit/store_support.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct fixture {
    char root[PATH_BYTES];
    char mount[PATH_BYTES]; /* empty: nothing is mounted */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    support_make_dir(f->root);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->mount[0] != '\0') {
        umount2(f->mount, MNT_DETACH);
    }
    support_remove_tree(f->root);
    free(f);
    return 0;
}

static int run(const char *command)
{
    int status = system(command);
    return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Writes numbers of 4000 bytes, each synced, until one fails. Returns how many succeeded. */
static unsigned write_until_failure(struct store *store, struct errmsg *err)
{
    static char filler[4000];
    for (unsigned i = 0; i < 100000; i++) {
        char key[16];
        snprintf(key, sizeof key, "f%05u", i);
        struct record r = support_put(key, filler, sizeof filler);
        int rc = store_write(store, &r, 1, 1, err);
        if (rc != 0) {
            assert_int_equal(rc, ERROR_IO);
            return i;
        }
    }
    fail_msg("no write failed");
    return 0;
}

static int count_visit(void *arg, struct slice key, struct slice value)
{
    (void)key;
    assert_int_equal(value.size, 4000);
    ++*(unsigned *)arg;
    return 0;
}

static unsigned count_numbers(struct store *store)
{
    unsigned count = 0;
    struct store_reader reader = store_reader(store);
    assert_int_equal(
        reader.scan(reader.self, slice_borrow("f", 1), slice_borrow("g", 1), count_visit, &count),
        0);
    return count;
}

/* The store takes nothing more, lazily or synced, and says which failure was the first. */
static void assert_poisoned(struct store *store, const char *reason)
{
    struct errmsg err = {""};
    assert_int_equal(support_write(store, "late", "x", 1, &err), ERROR_IO);
    assert_non_null(strstr(err.text, "takes nothing more"));
    assert_non_null(strstr(err.text, reason));
    assert_int_equal(support_write(store, "late", "x", 0, &err), ERROR_IO);
    assert_int_equal(store_write(store, NULL, 0, 1, &err), ERROR_IO);
    assert_false(support_holds(store, "late", "x"));
}

/* A write beyond the file size limit poisons the store although later writes could succeed again;
 * what was acknowledged is there after reopening, and nothing that came later. */
static void test_file_limit(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    struct rlimit before;
    char dir[PATH_BYTES];
    support_path(dir, f->root, "store");
    for (int guarded = 0; guarded < 2; guarded++) {
        support_create(dir, guarded);
        struct store *store = support_open(dir, guarded);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        struct rlimit small = before;
        small.rlim_cur = 200000;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        unsigned acknowledged = write_until_failure(store, &err);
        assert_non_null(strstr(err.text, "File too large"));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_poisoned(store, "File too large");
        store_close(store);
        assert_in_range(acknowledged, 20, 60);
        store = support_open(dir, guarded);
        assert_in_range(count_numbers(store), acknowledged, acknowledged + 1);
        assert_false(support_holds(store, "late", "x"));
        assert_int_equal(support_write(store, "late", "x", 1, &err), 0);
        store_close(store);
        support_remove_tree(dir);
    }
}

/* A full disk: as above, with room made afterwards. Needs root for a small tmpfs. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    char dir[PATH_BYTES];
    char ballast[PATH_BYTES];
    static char filler[1 << 20];
    support_path(f->mount, f->root, "small");
    assert_int_equal(mkdir(f->mount, 0700), 0);
    if (mount("tmpfs", f->mount, "tmpfs", 0, "size=4m") != 0) {
        printf("skipped: test_full_disk needs root to mount a small tmpfs (%s)\n", strerror(errno));
        f->mount[0] = '\0';
        skip();
    }
    FILE *file = fopen(support_path(ballast, f->mount, "ballast"), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(filler, sizeof filler, 1, file), 1);
    fclose(file);
    support_create(support_path(dir, f->mount, "store"), 1);
    struct store *store = support_open(dir, 1);
    uint64_t room = store_free_bytes(store);
    assert_in_range(room, 1 << 20, 3 << 20);
    unsigned acknowledged = write_until_failure(store, &err);
    assert_true(store_free_bytes(store) < room);
    assert_non_null(strstr(err.text, "No space left"));
    assert_int_equal(unlink(ballast), 0);
    assert_poisoned(store, "No space left");
    store_close(store);
    assert_true(acknowledged > 100);
    /* LevelDB writes the log out as a table when it opens, so it needs as much room again. */
    assert_int_equal(mount("tmpfs", f->mount, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    store = support_open(dir, 1);
    assert_in_range(count_numbers(store), acknowledged, acknowledged + 1);
    store_close(store);
}

/* ---- power cuts */

#define LAZY_EVERY 3 /* of the writer's batches, one in so many is not synced */

/* The process whose power is cut: writes numbers for ever and tells of each synced one. Values
 * alternate between a few bytes and many, so that LevelDB rolls its log now and then. */
static void writer(const char *dir, int guarded, int told)
{
    static char filler[30000];
    struct store *store = NULL;
    if (store_open(dir, &support_identity, guarded, &store, NULL) != 0) {
        _exit(1);
    }
    for (unsigned i = 0;; i++) {
        char key[16];
        char text[16];
        snprintf(key, sizeof key, "k%05u", i);
        snprintf(text, sizeof text, "v%05u", i);
        struct record records[2] = {support_put(key, text, strlen(text)),
                                    support_put("filler", filler, i % 4 == 0 ? sizeof filler : 10)};
        int sync = i % LAZY_EVERY != 0;
        if (store_write(store, records, 2, sync, NULL) != 0 ||
            (sync && write(told, &i, sizeof i) != (ssize_t)sizeof i)) {
            _exit(1);
        }
    }
}

/* Starts a writer, and copies the image of its file system while it runs, after it has told of some
 * numbers: the copy is what the disk holds when the power goes. Returns the last number that was
 * told of before. */
static unsigned cut_power(const char *root, const char *dir, int guarded, unsigned rounds)
{
    int told[2];
    unsigned last = 0;
    char command[3 * PATH_BYTES];
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(told[0]);
        writer(dir, guarded, told[1]);
    }
    close(told[1]);
    for (unsigned i = 0; i < rounds; i++) {
        assert_int_equal(read(told[0], &last, sizeof last), (ssize_t)sizeof last);
    }
    /* Stopped, or the copy would show its beginning at one time and its end at another. */
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    snprintf(command, sizeof command, "cp --sparse=always '%s/image' '%s/cut'", root, root);
    assert_int_equal(run(command), 0);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    unsigned more;
    while (read(told[0], &more, sizeof more) == (ssize_t)sizeof more) {
        last = more; /* told between the last read and the stop */
    }
    close(told[0]);
    return last;
}

/* After a power cut an unguarded store opens, holds every batch that was told of, and what it holds
 * is a prefix of what was written. */
static void test_power_cut(void **state)
{
    struct fixture *f = *state;
    char command[4 * PATH_BYTES];
    char dir[PATH_BYTES];
    static const unsigned rounds[] = {1, 40, 333, 1200};
    support_path(f->mount, f->root, "disk");
    assert_int_equal(mkdir(f->mount, 0700), 0);
    support_path(dir, f->mount, "store");
    for (unsigned round = 0; round < sizeof rounds / sizeof rounds[0]; round++) {
        int guarded = round % 2 == 1;
        snprintf(command, sizeof command,
                 "cd '%s' && rm -f image cut && truncate -s 128M image && "
                 "mkfs.ext4 -q -F image && mount -o loop image disk",
                 f->root);
        if (run(command) != 0) {
            printf("skipped: test_power_cut needs root, mkfs.ext4 and a loop device\n");
            f->mount[0] = '\0';
            skip();
        }
        support_create(dir, guarded);
        unsigned last = cut_power(f->root, dir, guarded, rounds[round]);
        assert_int_equal(umount(f->mount), 0);
        snprintf(command, sizeof command, "cd '%s' && mount -o loop cut disk", f->root);
        assert_int_equal(run(command), 0);
        struct store *store = support_open(dir, guarded);
        unsigned held = 0;
        while (support_holds_number(store, held)) {
            held++;
        }
        assert_true(held > last);
        assert_in_range(held, last + 1, last + 3);
        store_close(store);
        assert_int_equal(umount(f->mount), 0);
    }
}

/* kill -9 at any moment, many times over one store: it opens every time (a guarded store that would
 * refuse here would turn every crash into a lost member) and has everything that was told. */
static void test_kill(void **state)
{
    struct fixture *f = *state;
    char dir[PATH_BYTES];
    support_path(dir, f->root, "store");
    support_create(dir, 1);
    for (unsigned round = 0; round < 40; round++) {
        int told[2];
        unsigned last = 0;
        assert_int_equal(pipe(told), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(told[0]);
            writer(dir, 1, told[1]);
        }
        close(told[1]);
        for (unsigned i = 0; i <= round; i++) {
            assert_int_equal(read(told[0], &last, sizeof last), (ssize_t)sizeof last);
        }
        /* The time from the last word to the kill varies with the machine, a little on purpose. */
        for (volatile unsigned spin = 0; spin < round * 5000; spin++) {
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        unsigned more;
        while (read(told[0], &more, sizeof more) == (ssize_t)sizeof more) {
            last = more;
        }
        close(told[0]);
        struct store *store = support_open(dir, 1);
        for (unsigned i = 0; i <= last; i++) {
            assert_true(support_holds_number(store, i));
        }
        store_close(store);
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_limit),
        TEST(test_full_disk),
        TEST(test_power_cut),
        TEST(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
