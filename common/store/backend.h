/* What a kind of store provides. store.c checks what holds for every kind and calls through this
 * table; each kind embeds struct store as its first member. */
#ifndef SYNOD_STORE_BACKEND_H
#define SYNOD_STORE_BACKEND_H

#include "common/store/store.h"

struct store_backend {
    int (*write)(struct store *store, const struct record *records, size_t count, int sync,
                 struct errmsg *err);
    int (*get)(void *self, struct slice key, struct blob **value);
    int (*scan)(void *self, struct slice from, struct slice to, store_visit_fn visit, void *arg);
    uint64_t (*free_bytes)(const struct store *store);
    void (*close)(struct store *store);
};

struct store {
    const struct store_backend *backend;
};

/* 1 if the key is one of the store's own: no caller may write it, and no reader sees it. The empty
 * key belongs to nobody and counts as reserved. */
static inline int key_is_reserved(struct slice key)
{
    return key.size == 0 || key.data[0] == 0;
}

#endif
