/* Requests on keys, leases and watches, and their responses, as commands, results, queries and
 * answers carry them. The model is etcd v3's: one store revision, multi-version keys, transactions.
 *
 * The layout is plain like that of value.h, for the same reasons: fixed big-endian fields, one
 * encoding for one meaning. A key or value that ends a body has no size of its own.
 *
 *   request  = op u8, size u32, then size bytes of body by op:
 *     range  = flags u8, order u8, target u8, limit u64, revision u64, min_mod u64, max_mod u64,
 *              min_create u64, max_create u64, key_size u32, key, end
 *     put    = flags u8, lease u64, key_size u32, key, value
 *     delete = flags u8, key_size u32, key, end
 *     txn    = compares_size u32, then_size u32, compare*, request* (then), request* (else)
 *   compare  = target u8, relation u8, number u64, key_size u32, end_size u32, value_size u32, key,
 *              end, value
 *   response = op u8, size u32, then size bytes of body by op:
 *     range  = count u64, more u8, kv_count u32, kv*
 *     put    = has_previous u8, key_size u32, key (of a sequential put, else empty), [kv]
 *     delete = deleted u64, kv_count u32, kv*
 *     txn    = succeeded u8, response_count u32, response*
 *   kv       = create u64, mod u64, version u64, lease u64, key_size u32, value_size u32, key,
 *              value
 *   event    = kind u8, sub u32, has_previous u8, kv, [kv]
 *
 * A range of keys is [key, end): end empty is the one key; end of one zero byte is everything from
 * key on. A prefix is the range to its successor. */
#ifndef SYNOD_PROTOCOL_KV_H
#define SYNOD_PROTOCOL_KV_H

#include "common/base/blob.h"
#include "common/base/buffer.h"
#include "common/base/error.h"

enum kv_op { KV_RANGE = 1, KV_PUT = 2, KV_DELETE = 3, KV_TXN = 4 };

enum kv_order { KV_ORDER_NONE = 0, KV_ORDER_ASCEND = 1, KV_ORDER_DESCEND = 2 };

enum kv_target {
    KV_TARGET_KEY = 0,
    KV_TARGET_VERSION = 1,
    KV_TARGET_CREATE = 2,
    KV_TARGET_MOD = 3,
    KV_TARGET_VALUE = 4,
    KV_TARGET_LEASE = 5, /* to compare only, not to sort by */
};

enum kv_relation { KV_EQUAL = 0, KV_GREATER = 1, KV_LESS = 2, KV_NOT_EQUAL = 3 };

/* Flags of ranges. */
#define KV_KEYS_ONLY 1U
#define KV_COUNT_ONLY 2U
#define KV_NO_COUNT 4U /* do not look beyond the limit or the page: count is of what was seen */

/* Flags of puts; the first is also one of deletes. */
#define KV_PREVIOUS 1U     /* answer with what was there before */
#define KV_IGNORE_VALUE 2U /* keep the value; the key must exist */
#define KV_IGNORE_LEASE 4U /* keep the lease; the key must exist */
#define KV_SEQUENTIAL 8U   /* the key gets the suffix KV_SUFFIX_BYTES: later puts sort behind */

/* What a sequential put appends to its key: revision in 16 and position within it in 8 hexadecimal
 * digits. */
#define KV_SUFFIX_BYTES 24

struct kv_range {
    uint32_t flags;
    enum kv_order order; /* NONE: by key if that is the target; else the first `limit` keys and one
                            more are taken, and ordered as by ASCEND, as etcd 3.4 does */
    enum kv_target target; /* keys of one rank stand in the order of their bytes */
    uint64_t limit;        /* at most so many keys; 0: no bound */
    uint64_t revision;     /* as of then; 0: now */
    uint64_t min_mod, max_mod, min_create, max_create; /* filters, 0: none */
    struct slice key, end;
};

struct kv_put {
    uint32_t flags;
    uint64_t lease; /* 0: none */
    struct slice key, value;
};

struct kv_delete {
    uint32_t flags;
    struct slice key, end;
};

struct kv_compare {
    enum kv_target target;
    enum kv_relation relation;
    uint64_t number; /* to compare with, as a signed number; unless target is VALUE */
    struct slice key, end;
    struct slice value;
};

struct kv_txn {
    struct slice compares;     /* all must hold; for kv_next_compare */
    struct slice then_, else_; /* for kv_next_request */
};

struct kv_request {
    enum kv_op op;
    union {
        struct kv_range range;
        struct kv_put put;
        struct kv_delete delete_;
        struct kv_txn txn;
    };
};

/* One key as of a revision. */
struct kv {
    uint64_t create, mod; /* revisions of its creation and of its last change */
    uint64_t version;     /* changes since its creation, from 1; 0: deleted */
    uint64_t lease;       /* 0: none */
    struct slice key, value;
};

enum kv_event_kind { KV_EVENT_PUT = 0, KV_EVENT_DELETE = 1 };

/* One change. A delete has key and mod only. */
struct kv_event {
    enum kv_event_kind kind;
    uint32_t sub; /* position within its revision, from 0; kv.mod is the revision */
    int has_previous;
    struct kv kv;
    struct kv previous;
};

/* ---- reading; slices point into what was read */

/* Takes the next request off *rest, not looking into the parts of a transaction. 1, 0 at the end,
 * ERROR_USAGE if the bytes are none. */
int kv_next_request(struct slice *rest, struct kv_request *out);
int kv_next_compare(struct slice *rest, struct kv_compare *out);

/* Reads all of bytes as one request and validates it whole, with the rules and limits of etcd's
 * server and of limits.h: no empty key, at most TXN_OPS_MAX operations along each path, no key put
 * twice or put and deleted in one transaction; what cannot happen together, since it stands in the
 * two branches of one transaction, is no conflict, and neither is a put before a nested transaction
 * that deletes. 0, or ERROR_USAGE with a sentence that names the limit. */
int kv_request_parse(struct slice bytes, struct kv_request *out, struct errmsg *err) MUST_USE;

/* 1 if it changes nothing, whatever its compares say: it may be asked as a query. */
int kv_request_is_read_only(const struct kv_request *request);

/* Takes the next response, kv or event off *rest. 1, 0 at the end, ERROR_CORRUPT. */
struct kv_response {
    enum kv_op op;
    uint64_t count;      /* range: keys in all, before the limit; delete: deleted */
    int more;            /* range: the limit left some out */
    int succeeded;       /* txn */
    int has_previous;    /* put */
    struct slice key;    /* sequential put: the key that was put */
    uint32_t item_count; /* kvs, or responses of a txn */
    struct slice items;  /* for kv_next, or kv_next_response */
};
int kv_next_response(struct slice *rest, struct kv_response *out);
int kv_next(struct slice *rest, struct kv *out);
int kv_next_event(struct slice *rest, struct kv_event *out);

/* ---- writing */

void kv_put_request(struct buffer *out, const struct kv_request *request);
void kv_put_compare(struct buffer *out, const struct kv_compare *compare);
void kv_put_kv(struct buffer *out, const struct kv *kv);
void kv_put_event(struct buffer *out, const struct kv_event *event);

/* A response is written between these two: begin returns a mark for end, which fills in the size.
 */
size_t kv_begin_response(struct buffer *out, enum kv_op op);
void kv_end_response(struct buffer *out, size_t mark);

/* ---- ranges of keys */

/* 1 if the key lies in [key, end). */
int kv_in_range(struct slice candidate, struct slice key, struct slice end);

/* 1 if no key lies in [key, end), as in [a, a). */
int kv_range_is_empty(struct slice key, struct slice end);

/* Order of bytes, a prefix first. */
int kv_compare_keys(struct slice a, struct slice b);

#endif
