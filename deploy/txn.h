/* A transaction as a person writes it: etcdctl's text, or JSON, which may nest. */
#ifndef SYNOD_DEPLOY_TXN_H
#define SYNOD_DEPLOY_TXN_H

#include "common/client/synod.h"

#include <stddef.h>

/* Longer input cannot be a transaction that the cluster takes: 1 MiB of values, six bytes of text
 * for one of them at worst. */
#define TXN_INPUT_BYTES_MAX ((size_t)8 * 1024 * 1024)

/* Compares and operations of one list. The cluster takes fewer (SYNOD_TXN_OPS_MAX) and says so;
 * this only bounds the memory. */
#define TXN_LIST_MAX 1024

/* Transactions within transactions; that of the cluster. */
#define TXN_NESTING_MAX 8

/* Zero-initialise; close with txn_close, whatever happened. Everything that the request points to
 * lives in it. */
struct txn {
    struct synod_request request;
    void **blocks;
    size_t block_count, block_capacity;
};

/* size zeroed bytes that live as long as the transaction. */
void *txn_alloc(struct txn *txn, size_t size);
void txn_close(struct txn *txn);

/* Reads a transaction; source is what the input is called in sentences, as in "FILE". The text need
 * not be terminated, and is not changed. 0, or 3 after saying which line is wrong, and how. */
int txn_parse_text(struct txn *txn, const char *source, const char *text, size_t size);
int txn_parse_json(struct txn *txn, const char *source, const char *text, size_t size);

/* "=", "!=", "<" or ">": 1, or 0 if it is none. */
int txn_relation(const char *text, enum synod_relation *out);

/* "version", "create", "mod", "value" or "lease", or a short form of etcdctl: 1, or 0 if none. */
int txn_target(const char *text, enum synod_target *out);

#endif
