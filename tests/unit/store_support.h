/* What the tests of the store share: a directory of their own, short writes and reads, and copies
 * of a store's files as a crash would leave them. */
#ifndef SYNOD_TESTS_UNIT_STORE_SUPPORT_H
#define SYNOD_TESTS_UNIT_STORE_SUPPORT_H

#include "common/store/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH_BYTES 512

static const struct store_identity support_identity = {
    .cluster_id = 0x6b1f0c9e2a7d4e55, .node = {ROLE_ACCEPTOR, 1}, .protocol = "paxos"};

static inline void support_make_dir(char root[PATH_BYTES])
{
    const char *base = getenv("TMPDIR");
    snprintf(root, PATH_BYTES, "%s/synod-store-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(root));
}

static inline int support_remove_one(const char *path, const struct stat *st, int type,
                                     struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void support_remove_tree(const char *root)
{
    nftw(root, support_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* root/name in a buffer of the caller's. */
static inline const char *support_path(char path[PATH_BYTES], const char *root, const char *name)
{
    int n = snprintf(path, PATH_BYTES, "%s/%s", root, name);
    assert_in_range(n, 1, PATH_BYTES - 1);
    return path;
}

/* The key is borrowed. */
static inline struct record support_put(const char *key, const void *body, size_t size)
{
    return (struct record){.key = (const uint8_t *)key,
                           .key_size = (uint32_t)strlen(key),
                           .body = slice_borrow(body, size)};
}

static inline struct record support_delete(const char *key)
{
    struct record r = support_put(key, NULL, 0);
    r.is_delete = 1;
    return r;
}

/* Writes one text under one key. */
static inline int support_write(struct store *store, const char *key, const char *text, int sync,
                                struct errmsg *err)
{
    struct record r = support_put(key, text, strlen(text));
    return store_write(store, &r, 1, sync, err);
}

/* Writes key "kNNNNN" with value "vNNNNN". */
static inline int support_write_number(struct store *store, unsigned number, int sync,
                                       struct errmsg *err)
{
    char key[16];
    char text[16];
    snprintf(key, sizeof key, "k%05u", number);
    snprintf(text, sizeof text, "v%05u", number);
    return support_write(store, key, text, sync, err);
}

static inline int support_get(struct store *store, const char *key, struct blob **value)
{
    struct store_reader reader = store_reader(store);
    return reader.get(reader.self, slice_borrow(key, strlen(key)), value);
}

/* 1 if the key holds the text. */
static inline int support_holds(struct store *store, const char *key, const char *text)
{
    struct blob *value = NULL;
    if (support_get(store, key, &value) != 0) {
        return 0;
    }
    int same = slice_equal(slice_of(value), slice_borrow(text, strlen(text)));
    blob_unref(value);
    return same;
}

static inline int support_holds_number(struct store *store, unsigned number)
{
    char key[16];
    char text[16];
    snprintf(key, sizeof key, "k%05u", number);
    snprintf(text, sizeof text, "v%05u", number);
    return support_holds(store, key, text);
}

static inline void support_create(const char *dir, int guarded)
{
    struct errmsg err = {""};
    int rc = store_create(dir, &support_identity, guarded, &err);
    if (rc != 0) {
        fail_msg("store_create: %s", err.text);
    }
}

static inline struct store *support_open(const char *dir, int guarded)
{
    struct errmsg err = {""};
    struct store *store = NULL;
    if (store_open(dir, &support_identity, guarded, &store, &err) != 0) {
        fail_msg("store_open: %s", err.text);
    }
    return store;
}

/* Opening must fail with this code, and the sentence must contain the text. */
static inline void support_open_fails(const char *dir, const struct store_identity *identity,
                                      int guarded, int code, const char *text)
{
    struct errmsg err = {""};
    struct store *store = NULL;
    int rc = store_open(dir, identity, guarded, &store, &err);
    if (rc == 0) {
        store_close(store);
    }
    if (rc != code || strstr(err.text, text) == NULL) {
        fail_msg("wanted %s with '%s', got %s: %s", error_name(code), text, error_name(rc),
                 err.text);
    }
}

/* Copies files of a store that may be open: what a kill -9 at this moment would leave. */
static inline void support_copy(const char *from, const char *to)
{
    char command[3 * PATH_BYTES + 32];
    snprintf(command, sizeof command, "mkdir -p '%s' && cp -a '%s/.' '%s/'", to, from, to);
    assert_int_equal(system(command), 0);
}

#endif
