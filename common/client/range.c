/* Ranges of any size. A learner answers a range in the order of its keys in pages, each of which
 * goes on behind the last key of the one before, at the revision of the first. A range in another
 * order it answers whole, or says that it is too large: then it is read in the order of its keys
 * and sorted here. */
#include "common/base/memory.h"
#include "common/client/client.h"
#include "common/client/keys.h"
#include "common/protocol/kv_sort.h"

#include <stdlib.h>

/* What a range may amount to in this process. */
#define RANGE_BYTES_MAX ((size_t)1024 * MIB)

/* Keys that a sort with a limit holds at a time, beyond twice its limit; and their bytes. */
#define SORT_SLACK 1024
#define SORT_BYTES_MIN ((size_t)64 * MIB)

/* Keys that are being sorted. With a limit only the best are kept. */
struct sorting {
    const struct kv_range *wanted;
    struct kv *kvs; /* with references of their own */
    size_t size, capacity;
    size_t bytes, bytes_max; /* where the rest is dropped */
    uint64_t matches;        /* all that were seen */
};

/* A range that is being read in the order of its keys. */
struct paging {
    struct kv_range range; /* what is still to be asked for */
    struct buffer key;     /* where range.key lies */
    int is_continued;      /* the next page goes on with an earlier answer */
    int is_begun;          /* there was a page */
    uint64_t revision;     /* of the store when it was read; 0: that of the first page */
    uint64_t count;
    uint64_t kv_count;
    int more;
    struct buffer kvs;       /* of all pages */
    struct sorting *sorting; /* takes them in place of kvs; or NULL */
};

/* ---- sorting */

static size_t kv_bytes(const struct kv *kv)
{
    return sizeof *kv + kv->key.size + kv->value.size;
}

static void drop_kvs(struct sorting *sorting, size_t from)
{
    for (size_t i = from; i < sorting->size; i++) {
        sorting->bytes -= kv_bytes(&sorting->kvs[i]);
        slice_drop(&sorting->kvs[i].key);
        slice_drop(&sorting->kvs[i].value);
    }
    sorting->size = from < sorting->size ? from : sorting->size;
}

/* What comes later is behind those of the same rank that are kept: they come by rising keys. */
static void keep_best(struct sorting *sorting)
{
    uint64_t limit = sorting->wanted->limit;
    kv_sort(sorting->wanted, sorting->kvs, sorting->size);
    if (limit > 0 && limit < sorting->size) {
        drop_kvs(sorting, (size_t)limit);
    }
}

static void add_kv(struct sorting *sorting, const struct kv *kv)
{
    uint64_t limit = sorting->wanted->limit;
    struct kv kept = *kv;
    kept.key = slice_keep(kv->key);
    kept.value = slice_keep(kv->value);
    sorting->kvs =
        memory_grow(sorting->kvs, &sorting->capacity, sorting->size + 1, sizeof *sorting->kvs);
    sorting->kvs[sorting->size++] = kept;
    sorting->bytes += kv_bytes(&kept);
    sorting->matches++;
    int is_long = limit < SIZE_MAX / 4 && sorting->size >= 2 * limit + SORT_SLACK;
    if (limit > 0 && (is_long || sorting->bytes > sorting->bytes_max)) {
        keep_best(sorting);
        sorting->bytes_max =
            2 * sorting->bytes > SORT_BYTES_MIN ? 2 * sorting->bytes : SORT_BYTES_MIN;
    }
}

/* ---- pages */

static int ask(struct synod *s, const struct kv_range *range, enum synod_consistency consistency,
               int is_continued, time_ms_t deadline, uint64_t *revision, struct buffer *answer)
{
    struct buffer body = {0};
    const struct kv_request request = {.op = KV_RANGE, .range = *range};
    kv_put_request(&body, &request);
    const struct question question =
        is_continued ? query_continued(buffer_slice(&body))
                     : (struct question){QUERY_KV, buffer_slice(&body), consistency, 0};
    int rc = query_run(s, &question, deadline, revision, answer);
    buffer_close(&body);
    return rc;
}

static int malformed(struct synod *s)
{
    return errmsg_set(&s->err, SYNOD_E_CORRUPT, "a page of keys is malformed (a bug)");
}

/* Goes on behind a key. 0 if there can be none. */
static int go_on_behind(struct paging *p, struct slice last)
{
    uint8_t next[KEY_BYTES_MAX];
    p->key.size = 0;
    if (last.size < KEY_BYTES_MAX) {
        buffer_put(&p->key, last);
        buffer_put_u8(&p->key, 0);
    } else { /* nothing longer is a key, so that the next one differs within its length */
        struct synod_bytes end = synod_prefix_end(keys_bytes(last), next);
        buffer_put(&p->key, slice_borrow(end.data, end.size));
        if (end.size == 1 && next[0] == 0) { /* no byte of the last key could be raised */
            return 0;
        }
    }
    p->range.key = buffer_slice(&p->key);
    return 1;
}

/* Takes the page in. 1 if there is more to ask for, 0 if not, or a negative code. */
static int take_page(struct synod *s, struct paging *p, struct slice page, uint64_t revision)
{
    struct kv_response response;
    struct kv kv = {0};
    if (kv_next_response(&page, &response) != 1 || page.size != 0 || response.op != KV_RANGE ||
        keys_check_kvs(response.items, response.item_count, &kv) != 0) {
        return malformed(s);
    }
    if (!p->is_begun) {
        p->revision = p->revision != 0 ? p->revision : revision;
        p->count = response.count;
        p->is_begun = 1;
    }
    p->more = response.more;
    p->kv_count += response.item_count;
    struct slice rest = response.items;
    if (p->sorting == NULL) {
        buffer_put(&p->kvs, rest);
    }
    while (p->sorting != NULL && kv_next(&rest, &kv) == 1) {
        add_kv(p->sorting, &kv);
    }
    if (p->kvs.size + (p->sorting != NULL ? p->sorting->bytes : 0) > RANGE_BYTES_MAX) {
        return answers_code(s, RESULT_TOO_LARGE, 0);
    }
    uint64_t limit = p->range.limit;
    if (!response.more || response.item_count == 0 ||
        (limit != 0 && response.item_count >= limit) || !go_on_behind(p, kv.key)) {
        return 0;
    }
    p->range.limit -= limit != 0 ? response.item_count : 0;
    p->range.revision = p->range.revision != 0 ? p->range.revision : revision;
    p->range.flags |= KV_NO_COUNT; /* the first page has counted them all */
    p->is_continued = 1;
    return 1;
}

/* The deadline starts again with every page. */
static int read_pages(struct synod *s, struct paging *p, enum synod_consistency consistency,
                      time_ms_t deadline)
{
    int rc;
    do {
        struct buffer page = {0};
        uint64_t revision = 0;
        time_ms_t from_now = client_deadline(client_now(), s->timeout_ms);
        rc = ask(s, &p->range, consistency, p->is_continued,
                 !p->is_begun || deadline > from_now ? deadline : from_now, &revision, &page);
        if (rc == SYNOD_OK) {
            rc = take_page(s, p, buffer_slice(&page), revision);
        }
        buffer_close(&page);
    } while (rc == 1);
    buffer_close(&p->key);
    return rc;
}

/* Makes one response of what was read. */
static int finish(struct synod *s, struct paging *p, struct synod_result **out)
{
    struct buffer response = {0};
    size_t mark = kv_begin_response(&response, KV_RANGE);
    buffer_put_u64(&response, p->count);
    buffer_put_u8(&response, p->more ? 1 : 0);
    buffer_put_u32(&response, (uint32_t)p->kv_count);
    buffer_put(&response, buffer_slice(&p->kvs));
    kv_end_response(&response, mark);
    int rc = keys_take(s, buffer_slice(&response), p->revision, out);
    buffer_close(&response);
    return rc;
}

static int run_in_order(struct synod *s, const struct kv_range *range,
                        enum synod_consistency consistency, int is_continued, time_ms_t deadline,
                        struct synod_result **out)
{
    struct paging p = {.range = *range, .is_continued = is_continued};
    int rc = read_pages(s, &p, consistency, deadline);
    if (rc == SYNOD_OK) {
        rc = finish(s, &p, out);
    }
    buffer_close(&p.kvs);
    return rc;
}

/* ---- another order */

/* The range whose keys are sorted: all of it, or the first keys if only these count. */
static struct kv_range range_to_sort(const struct kv_range *wanted, uint64_t revision)
{
    struct kv_range range = *wanted;
    range.order = KV_ORDER_NONE;
    range.target = KV_TARGET_KEY;
    range.limit = kv_range_presort_limit(wanted);
    range.revision = wanted->revision != 0 ? wanted->revision : revision;
    if (wanted->target == KV_TARGET_VALUE) {
        range.flags &= ~KV_KEYS_ONLY; /* the order needs them */
    }
    return range;
}

static void finish_sorting(struct paging *p)
{
    struct sorting *sorting = p->sorting;
    keep_best(sorting);
    p->more = sorting->size < sorting->matches;
    p->kv_count = sorting->size;
    for (size_t i = 0; i < sorting->size; i++) {
        struct kv *kv = &sorting->kvs[i];
        if ((sorting->wanted->flags & KV_KEYS_ONLY) != 0) {
            sorting->bytes -= kv->value.size;
            slice_drop(&kv->value);
        }
        kv_put_kv(&p->kvs, kv);
    }
}

/* revision: of the store when the learner refused to sort; that it had, and any other has. */
static int run_and_sort(struct synod *s, const struct kv_range *range, uint64_t revision,
                        time_ms_t deadline, struct synod_result **out)
{
    struct sorting sorting = {.wanted = range, .bytes_max = SORT_BYTES_MIN};
    struct paging p = {.range = range_to_sort(range, revision),
                       .is_continued = 1,
                       .revision = revision,
                       .sorting = &sorting};
    int rc = read_pages(s, &p, SYNOD_LOCAL, deadline);
    if (rc == SYNOD_OK) {
        finish_sorting(&p);
    }
    drop_kvs(&sorting, 0);
    free(sorting.kvs);
    if (rc == SYNOD_OK) {
        rc = finish(s, &p, out);
    }
    buffer_close(&p.kvs);
    return rc;
}

/* The learner sorts, if it is not too much. */
static int run_sorted(struct synod *s, const struct kv_range *range,
                      enum synod_consistency consistency, int is_continued, time_ms_t deadline,
                      struct synod_result **out)
{
    struct buffer answer = {0};
    uint64_t revision = 0;
    int rc = ask(s, range, consistency, is_continued, deadline, &revision, &answer);
    if (rc == SYNOD_OK) {
        rc = keys_take(s, buffer_slice(&answer), revision, out);
    } else if (rc == SYNOD_E_TOO_LARGE) {
        rc = run_and_sort(s, range, revision, deadline, out);
    }
    buffer_close(&answer);
    return rc;
}

/* ---- for keys.c */

static int run(struct synod *s, const struct kv_range *range, enum synod_consistency consistency,
               int is_continued, time_ms_t deadline, struct synod_result **out)
{
    return kv_range_is_sorted(range)
               ? run_sorted(s, range, consistency, is_continued, deadline, out)
               : run_in_order(s, range, consistency, is_continued, deadline, out);
}

int range_run(struct synod *s, const struct synod_range_op *op, enum synod_consistency consistency,
              time_ms_t deadline, struct synod_result **out)
{
    const struct kv_range range = keys_range(op);
    int rc;
    do {
        rc = run(s, &range, consistency, 0, deadline, out);
        /* Whoever asks for the keys as they are now must not hear of compactions in between, were
         * they so old already that their history was swept. */
    } while (rc == SYNOD_E_COMPACTED && op->revision == 0 && client_now() < deadline);
    return rc;
}

int range_continue(struct synod *s, const struct synod_range_op *op, time_ms_t deadline,
                   struct synod_result **out)
{
    const struct kv_range range = keys_range(op);
    return run(s, &range, SYNOD_LOCAL, 1, deadline, out);
}
