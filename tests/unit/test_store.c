/* The contract of store.h, held against LevelDB and against the store in memory, and what a store
 * on disk demands before it is handed out. */
#include "tests/unit/store_support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

struct fixture {
    char root[PATH_BYTES];
    char dir[PATH_BYTES];
    struct store *store; /* NULL: the test opens it itself */
    int on_disk;
    int guarded;
};

static int setup_dir(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    support_make_dir(f->root);
    support_path(f->dir, f->root, "store");
    *state = f;
    return 0;
}

static int setup_guarded(void **state)
{
    setup_dir(state);
    struct fixture *f = *state;
    f->on_disk = 1;
    f->guarded = 1;
    support_create(f->dir, 1);
    f->store = support_open(f->dir, 1);
    return 0;
}

static int setup_plain(void **state)
{
    setup_dir(state);
    struct fixture *f = *state;
    f->on_disk = 1;
    support_create(f->dir, 0);
    f->store = support_open(f->dir, 0);
    return 0;
}

static int setup_memory(void **state)
{
    setup_dir(state);
    struct fixture *f = *state;
    f->store = store_open_memory();
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

/* On disk: everything asked from here on comes from what was written out. */
static void reopen(struct fixture *f)
{
    if (f->on_disk) {
        store_close(f->store);
        f->store = support_open(f->dir, f->guarded);
    }
}

/* ---- the contract */

/* A value is read back as head and body joined, now and after reopening; what was never written is
 * not found, and deleting it is no error. */
static void test_get(void **state)
{
    struct fixture *f = *state;
    struct record r = support_put("key", "body", 4);
    memcpy(r.head, "head-", 5);
    r.head_size = 5;
    struct record records[] = {r, support_delete("never")};
    struct errmsg err = {""};
    assert_int_equal(store_write(f->store, records, 2, 1, &err), 0);
    for (int pass = 0; pass < 2; pass++) {
        struct blob *value = NULL;
        assert_true(support_holds(f->store, "key", "head-body"));
        assert_int_equal(support_get(f->store, "never", &value), ERROR_NOT_FOUND);
        assert_int_equal(support_get(f->store, "ke", &value), ERROR_NOT_FOUND);
        assert_int_equal(support_get(f->store, "keys", &value), ERROR_NOT_FOUND);
        assert_null(value);
        reopen(f);
    }
}

/* An overwrite shows the last value, also twice in one batch; a deletion removes it, and a put
 * after the deletion in the same batch brings it back. A blob read before stays what it was. */
static void test_overwrite_and_delete(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    assert_int_equal(support_write(f->store, "a", "1", 1, &err), 0);
    struct blob *old = NULL;
    assert_int_equal(support_get(f->store, "a", &old), 0);
    struct record records[] = {
        support_put("a", "2", 1), support_put("a", "3", 1), support_put("b", "x", 1),
        support_delete("b"),      support_put("c", "y", 1), support_delete("c"),
        support_put("c", "z", 1),
    };
    assert_int_equal(store_write(f->store, records, 7, 1, &err), 0);
    for (int pass = 0; pass < 2; pass++) {
        struct blob *value = NULL;
        assert_true(support_holds(f->store, "a", "3"));
        assert_true(support_holds(f->store, "c", "z"));
        assert_int_equal(support_get(f->store, "b", &value), ERROR_NOT_FOUND);
        reopen(f);
    }
    assert_memory_equal(old->data, "1", 1);
    blob_unref(old);
}

/* The empty value exists, is read as empty and is visited. */
static void test_empty_value(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    assert_int_equal(support_write(f->store, "empty", "", 1, &err), 0);
    reopen(f);
    struct blob *value = NULL;
    assert_int_equal(support_get(f->store, "empty", &value), 0);
    assert_int_equal(value->size, 0);
    blob_unref(value);
}

/* The largest values go through unchanged, several in one batch, and binary keys and values do. */
static void test_big_and_binary(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    size_t size = VALUE_BYTES_MAX;
    uint8_t *body = malloc(size);
    assert_non_null(body);
    for (size_t i = 0; i < size; i++) {
        body[i] = (uint8_t)(i * 31 + i / 255);
    }
    struct record records[4];
    static uint8_t keys[4][RECORD_KEY_BYTES_MAX];
    for (size_t i = 0; i < 4; i++) {
        records[i] = support_put("x", body, size - i);
        keys[i][0] = 'x';
        keys[i][RECORD_KEY_BYTES_MAX - 1] = (uint8_t)(0xfc + i);
        records[i].key = keys[i];
        records[i].key_size = RECORD_KEY_BYTES_MAX;
        records[i].head_size = RECORD_HEAD_BYTES_MAX;
    }
    for (int round = 0; round < 3; round++) {
        assert_int_equal(store_write(f->store, records, 4, round == 1, &err), 0);
    }
    reopen(f);
    struct store_reader reader = store_reader(f->store);
    for (size_t i = 0; i < 4; i++) {
        struct blob *value = NULL;
        struct slice key = slice_borrow(records[i].key, RECORD_KEY_BYTES_MAX);
        assert_int_equal(reader.get(reader.self, key, &value), 0);
        assert_int_equal(value->size, RECORD_HEAD_BYTES_MAX + size - i);
        assert_memory_equal(value->data, records[i].head, RECORD_HEAD_BYTES_MAX);
        assert_memory_equal(value->data + RECORD_HEAD_BYTES_MAX, body, size - i);
        blob_unref(value);
    }
    free(body);
}

struct seen {
    char text[256];
    size_t stop_after; /* visits; 0: never */
    size_t count;
};

static int see(void *arg, struct slice key, struct slice value)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%.*s=%.*s ", (int)key.size,
             (const char *)key.data, (int)value.size, (const char *)value.data);
    seen->count++;
    return seen->count == seen->stop_after ? 1 : 0;
}

static const char *scan(struct store *store, const char *from, const char *to, size_t stop_after,
                        struct seen *seen)
{
    struct store_reader reader = store_reader(store);
    *seen = (struct seen){.stop_after = stop_after};
    assert_int_equal(reader.scan(reader.self, slice_borrow(from, strlen(from)),
                                 slice_borrow(to, strlen(to)), see, seen),
                     0);
    return seen->text;
}

/* A scan visits [from, to) in byte order whatever the order of writing, ends when told, skips what
 * is deleted, shows none of the store's own keys, and an empty or reversed range is empty. */
static void test_scan(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    struct record records[] = {
        support_put("b", "2", 1),    support_put("a", "1", 1), support_put("ba", "3", 1),
        support_put("\xff", "9", 1), support_put("c", "4", 1), support_put("bz", "x", 1),
    };
    assert_int_equal(store_write(f->store, records, 6, 0, &err), 0);
    records[0] = support_delete("bz");
    assert_int_equal(store_write(f->store, records, 1, 1, &err), 0);
    struct seen seen;
    for (int pass = 0; pass < 2; pass++) {
        assert_string_equal(scan(f->store, "a", "c", 0, &seen), "a=1 b=2 ba=3 ");
        assert_string_equal(scan(f->store, "aa", "ba", 0, &seen), "b=2 ");
        assert_string_equal(scan(f->store, "b", "d", 2, &seen), "b=2 ba=3 ");
        assert_string_equal(scan(f->store, "", "\xff\xff", 0, &seen), "a=1 b=2 ba=3 c=4 \xff=9 ");
        assert_string_equal(scan(f->store, "b", "b", 0, &seen), "");
        assert_string_equal(scan(f->store, "c", "a", 0, &seen), "");
        assert_string_equal(scan(f->store, "a", "", 0, &seen), "");
        reopen(f);
    }
}

/* The store's own keys are nobody's to read. */
static void test_own_keys_hidden(void **state)
{
    struct fixture *f = *state;
    struct store_reader reader = store_reader(f->store);
    struct blob *value = NULL;
    const uint8_t own[2] = {0, 'i'};
    assert_int_equal(reader.get(reader.self, slice_borrow(own, 2), &value), ERROR_NOT_FOUND);
    assert_int_equal(reader.get(reader.self, SLICE_EMPTY, &value), ERROR_NOT_FOUND);
}

/* A batch without records is allowed, synced or not; there is room on a disk. */
static void test_empty_batch(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    assert_int_equal(support_write(f->store, "a", "1", 0, &err), 0);
    assert_int_equal(store_write(f->store, NULL, 0, 0, &err), 0);
    assert_int_equal(store_write(f->store, NULL, 0, 1, &err), 0);
    reopen(f);
    assert_true(support_holds(f->store, "a", "1"));
    assert_true(store_free_bytes(f->store) > 0);
    if (!f->on_disk) {
        assert_true(store_free_bytes(f->store) == UINT64_MAX);
    }
}

/* Many batches, synced and not, over several of LevelDB's logs and openings: all there. */
static void test_many_batches(void **state)
{
    struct fixture *f = *state;
    static char filler[2000];
    struct errmsg err = {""};
    unsigned written = 0;
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2500; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%05u", written);
            struct record r = support_put(key, filler, sizeof filler);
            assert_int_equal(store_write(f->store, &r, 1, written % 100 == 0, &err), 0);
            written++;
        }
        reopen(f);
    }
    struct seen seen;
    scan(f->store, "k", "l", 0, &seen);
    assert_int_equal(seen.count, written);
}

/* ---- making and opening */

/* A store is made once; what is there is never replaced, nor are its remains. */
static void test_create_twice(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    assert_int_equal(store_exists(f->dir), 0);
    support_create(f->dir, 1);
    assert_int_equal(store_exists(f->dir), 1);
    assert_int_equal(store_create(f->dir, &support_identity, 1, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "already"));
    char path[PATH_BYTES];
    assert_int_equal(unlink(support_path(path, f->dir, "CURRENT")), 0);
    assert_int_equal(store_exists(f->dir), 1);
    assert_int_equal(store_create(f->dir, &support_identity, 1, &err), ERROR_USAGE);
}

/* Places that can not hold a store are refused with the reason: a file, a missing parent, a file
 * system that is not known to sync. */
static void test_create_in_a_bad_place(void **state)
{
    struct fixture *f = *state;
    struct errmsg err = {""};
    char path[PATH_BYTES];
    FILE *file = fopen(f->dir, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(store_create(f->dir, &support_identity, 0, &err), ERROR_USAGE);
    support_path(path, f->root, "none/store");
    assert_int_equal(store_create(path, &support_identity, 0, &err), ERROR_USAGE);
    assert_int_equal(store_create("/proc/self", &support_identity, 0, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "proc"));
    assert_non_null(strstr(err.text, "ext4 or xfs"));
    support_open_fails("/proc/self", &support_identity, 0, ERROR_USAGE, "proc");
}

/* Opening makes nothing: a missing directory and one without a store are "not found", with what to
 * do, and stay as they were. A store that holds votes is not to be made anew. */
static void test_open_missing(void **state)
{
    struct fixture *f = *state;
    support_open_fails(f->dir, &support_identity, 0, ERROR_NOT_FOUND, "try: synod init");
    assert_int_equal(mkdir(f->dir, 0700), 0);
    support_open_fails(f->dir, &support_identity, 0, ERROR_NOT_FOUND, "try: synod init");
    support_open_fails(f->dir, &support_identity, 1, ERROR_NOT_FOUND, "loses acknowledged writes");
    support_open_fails(f->dir, &support_identity, 1, ERROR_NOT_FOUND, "the directory is empty");
    assert_int_equal(rmdir(f->dir), 0);
    support_open_fails(f->dir, &support_identity, 1, ERROR_NOT_FOUND, "mount its disk");
}

/* A store of another cluster, node, role, protocol or guarding is refused, and both sides named. */
static void test_open_of_another(void **state)
{
    struct fixture *f = *state;
    support_create(f->dir, 1);
    struct store_identity other = support_identity;
    other.cluster_id = 0x1234;
    support_open_fails(f->dir, &other, 1, ERROR_REFUSED,
                       "6b1f0c9e2a7d4e55, not to 0000000000001234");
    other = support_identity;
    other.node.id = 2;
    support_open_fails(f->dir, &other, 1, ERROR_REFUSED, "acceptor 1, not to acceptor 2");
    other = support_identity;
    other.node.role = ROLE_LEARNER;
    support_open_fails(f->dir, &other, 1, ERROR_REFUSED, "acceptor 1, not to learner 1");
    other = support_identity;
    memcpy(other.protocol, "raft", sizeof "raft");
    support_open_fails(f->dir, &other, 1, ERROR_REFUSED, "protocol paxos, not raft");
    support_open_fails(f->dir, &support_identity, 0, ERROR_REFUSED, "guard");
    store_close(support_open(f->dir, 1));
}

/* A store that a process has open is refused to others, by name, and to the same process; it is
 * free again when that process is killed. */
static void test_locked(void **state)
{
    struct fixture *f = *state;
    int ready[2];
    char byte;
    support_create(f->dir, 0);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *held = NULL;
        int rc = store_open(f->dir, &support_identity, 0, &held, NULL);
        _exit(rc != 0 || write(ready[1], "r", 1) != 1 ? 1 : pause());
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    char holder[64];
    snprintf(holder, sizeof holder, "process %d holds it", (int)child);
    support_open_fails(f->dir, &support_identity, 0, ERROR_REFUSED, holder);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct store *own = support_open(f->dir, 0);
    support_open_fails(f->dir, &support_identity, 0, ERROR_REFUSED, "in use");
    store_close(own);
    close(ready[0]);
    close(ready[1]);
}

/* Too few descriptors are refused at the start, not met as a failed write later. */
static void test_descriptors(void **state)
{
    struct fixture *f = *state;
    struct rlimit before;
    support_create(f->dir, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = before;
    few.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    support_open_fails(f->dir, &support_identity, 0, ERROR_INTERNAL, "ulimit -n");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    store_close(support_open(f->dir, 0));
}

#define CONTRACT(test)                                                                             \
    {#test " on disk, guarded", test, setup_guarded, teardown, NULL},                              \
        {#test " on disk", test, setup_plain, teardown, NULL},                                     \
    {                                                                                              \
#test " in memory", test, setup_memory, teardown, NULL                                     \
    }
#define OPENING(test) cmocka_unit_test_setup_teardown(test, setup_dir, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(test_get),         CONTRACT(test_overwrite_and_delete),
        CONTRACT(test_empty_value), CONTRACT(test_big_and_binary),
        CONTRACT(test_scan),        CONTRACT(test_own_keys_hidden),
        CONTRACT(test_empty_batch), CONTRACT(test_many_batches),
        OPENING(test_create_twice), OPENING(test_create_in_a_bad_place),
        OPENING(test_open_missing), OPENING(test_open_of_another),
        OPENING(test_locked),       OPENING(test_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
