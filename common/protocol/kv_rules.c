/* What a request must keep before it may enter the log. The rules are those of etcd's server. */
#include "common/protocol/kv.h"
#include "common/protocol/limits.h"

static int check_key(struct slice key, struct slice end, struct errmsg *err)
{
    if (key.size == 0) {
        return errmsg_set(err, ERROR_USAGE, "a key is empty; try: a key of 1 to %zu bytes",
                          KEY_BYTES_MAX);
    }
    if (key.size > KEY_BYTES_MAX || end.size > KEY_BYTES_MAX + 1) {
        return errmsg_set(err, ERROR_USAGE, "a key of %zu bytes exceeds the limit of %zu",
                          key.size > end.size ? key.size : end.size, KEY_BYTES_MAX);
    }
    return 0;
}

static int check_put(const struct kv_put *put, struct errmsg *err)
{
    int rc = check_key(put->key, SLICE_EMPTY, err);
    if (rc != 0) {
        return rc;
    }
    if (put->value.size > KV_VALUE_BYTES_MAX) {
        return errmsg_set(err, ERROR_USAGE, "a value of %zu bytes exceeds the limit of %zu",
                          put->value.size, KV_VALUE_BYTES_MAX);
    }
    if ((put->flags & KV_IGNORE_VALUE) != 0 && put->value.size > 0) {
        return errmsg_set(err, ERROR_USAGE, "a value is given and is to be ignored");
    }
    if ((put->flags & KV_IGNORE_LEASE) != 0 && put->lease != 0) {
        return errmsg_set(err, ERROR_USAGE, "a lease is given and is to be ignored");
    }
    if ((put->flags & KV_SEQUENTIAL) != 0 &&
        (put->key.size + KV_SUFFIX_BYTES > KEY_BYTES_MAX ||
         (put->flags & (KV_IGNORE_VALUE | KV_IGNORE_LEASE)) != 0)) {
        return errmsg_set(err, ERROR_USAGE,
                          "a sequential put makes a new key of at most %zu bytes, suffix included",
                          KEY_BYTES_MAX);
    }
    return 0;
}

static int check_simple(const struct kv_request *request, struct errmsg *err)
{
    switch (request->op) {
    case KV_RANGE:
        return check_key(request->range.key, request->range.end, err);
    case KV_PUT:
        return check_put(&request->put, err);
    case KV_DELETE:
        return check_key(request->delete_.key, request->delete_.end, err);
    case KV_TXN:
        return 0;
    }
    return ERROR_USAGE;
}

int kv_request_parse(struct slice bytes, struct kv_request *out, struct errmsg *err)
{
    if (bytes.size > KV_REQUEST_BYTES_MAX) {
        return errmsg_set(err, ERROR_USAGE, "a request of %zu bytes exceeds the limit of %zu",
                          bytes.size, KV_REQUEST_BYTES_MAX);
    }
    struct slice rest = bytes;
    if (kv_next_request(&rest, out) != 1 || rest.size != 0) {
        return errmsg_set(err, ERROR_USAGE, "a request on keys is malformed");
    }
    return check_simple(out, err);
}

int kv_request_is_read_only(const struct kv_request *request)
{
    return request->op == KV_RANGE;
}
