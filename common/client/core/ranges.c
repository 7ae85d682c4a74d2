#include "common/client/core/state.h"

#include "common/base/memory.h"
#include "common/base/mutant.h"
#include "common/client/core/sorting.h"
#include "common/protocol/kv_sort.h"

#include <stddef.h>
#include <stdlib.h>

/* What a range that is sorted here may amount to. */
#define RANGE_BYTES_MAX (1024 * MIB)

struct range {
    struct pending pending;
    struct listener hearing;    /* of the question under way */
    struct listener *listener;  /* NULL: the application asked */
    struct client_range wanted; /* key and end are references */
    uint64_t question;          /* id of the one under way */
    int is_told;                /* a page was told: it cannot begin again */
    int is_sorted_here;         /* `sorting` takes the pages; it has `wanted` */
    struct sorting sorting;

    /* How far it has come since it last began. */
    struct kv_range rest; /* what is still to be asked for */
    struct buffer key;    /* where rest.key lies after the first page */
    int is_continued;     /* the next page goes on with an earlier answer */
    int is_begun;         /* there was a page */
    uint64_t revision;    /* of the store when it was read; 0: that of the first page */
    uint64_t count;       /* keys in all, by the first page */
};

/* ---- begin and end */

static void stop_sorting(struct range *r)
{
    if (r->is_sorted_here) {
        sorting_close(&r->sorting);
        r->is_sorted_here = 0;
    }
}

static void free_range(struct client *c, struct range *r)
{
    pending_remove(c, &r->pending);
    stop_sorting(r);
    buffer_close(&r->key);
    slice_drop(&r->wanted.range.key);
    slice_drop(&r->wanted.range.end);
    free(r);
}

void range_cancel(struct client *c, uint64_t id)
{
    struct pending *pending = pending_find(c, id, PENDING_RANGE);
    if (pending != NULL) {
        struct range *r = (struct range *)pending;
        question_cancel(c, r->question);
        free_range(c, r);
    }
}

void ranges_close(struct client *c)
{
    struct pending *next;
    for (struct pending *pending = c->pending; pending != NULL; pending = next) {
        next = pending->hh.next;
        if (pending->kind == PENDING_RANGE) {
            free_range(c, (struct range *)pending); /* its question is closed with all others */
        }
    }
}

static void end(struct client *c, struct range *r, int code, uint64_t revision, struct effects *out)
{
    const struct answer answer = {.kind = COMPLETION_ANSWER, .code = code, .value = revision};
    struct listener *listener = r->listener;
    uint64_t id = r->pending.id;
    free_range(c, r);
    tell_listener(c, listener, id, &answer, out);
}

/* ---- asking */

/* Every page after the first has a time of its own. */
static time_ms_t page_deadline(const struct client *c, const struct range *r)
{
    if (!r->is_begun) {
        return r->wanted.deadline;
    }
    time_ms_t from_now = time_after(c->now, r->wanted.timeout_ms);
    return r->wanted.deadline > from_now ? r->wanted.deadline : from_now;
}

/* What a revision held never changes: to go on any learner that has it will do. */
static void ask_page(struct client *c, struct range *r)
{
    struct buffer body = {0};
    const struct kv_request request = {.op = KV_RANGE, .range = r->rest};
    kv_put_request(&body, &request);
    const struct client_query query = {
        .op = r->is_continued ? QUERY_KV_CONTINUED : QUERY_KV,
        .body = buffer_slice(&body),
        .consistency = r->is_continued ? READ_LOCAL : r->wanted.consistency,
        .is_revision_known = r->is_continued,
        .deadline = page_deadline(c, r),
    };
    r->question = ask_query(c, &query, &r->hearing);
    buffer_close(&body);
}

static void begin(struct client *c, struct range *r)
{
    stop_sorting(r);
    r->rest = r->wanted.range;
    r->is_continued = r->wanted.is_continued;
    r->is_begun = 0;
    r->revision = 0;
    ask_page(c, r);
}

/* Reads the keys that are to be sorted: all, or the first ones if only these count. revision: of
 * the store when the learner refused to sort; that it had, and any other has. */
static void begin_sorting(struct client *c, struct range *r, uint64_t revision)
{
    const struct kv_range *wanted = &r->wanted.range;
    sorting_init(&r->sorting, wanted);
    r->is_sorted_here = 1;
    r->rest = *wanted;
    r->rest.order = KV_ORDER_NONE;
    r->rest.target = KV_TARGET_KEY;
    r->rest.limit = kv_range_presort_limit(wanted);
    r->rest.revision = wanted->revision != 0 ? wanted->revision : revision;
    if (wanted->target == KV_TARGET_VALUE) {
        r->rest.flags &= ~KV_KEYS_ONLY; /* the order needs them */
    }
    r->is_continued = 1;
    r->revision = revision;
    ask_page(c, r);
}

/* ---- pages */

static int malformed(struct client *c)
{
    return errmsg_set(&c->err, ERROR_CORRUPT, "a page of keys is malformed (a bug)");
}

/* Reads a page and checks it to the end. 0 or -1. */
static int read_page(struct slice page, struct kv_response *response, struct kv *last)
{
    if (kv_next_response(&page, response) != 1 || page.size != 0 || response->op != KV_RANGE) {
        return -1;
    }
    struct slice rest = response->items;
    uint32_t found = 0;
    int rc;
    while ((rc = kv_next(&rest, last)) == 1) {
        found++;
    }
    return rc == 0 && found == response->item_count ? 0 : -1;
}

/* Goes on behind a key. 0 if there can be none. */
static int go_on_behind(struct range *r, struct slice last)
{
    r->key.size = 0;
    if (last.size < KEY_BYTES_MAX) {
        buffer_put(&r->key, last);
        if (!MUTANT(client_range_repeats_key)) {
            buffer_put_u8(&r->key, 0);
        }
    } else { /* nothing longer is a key, so that the next one differs within its length */
        while (last.size > 0 && last.data[last.size - 1] == 0xff) {
            last.size--;
        }
        if (last.size == 0) { /* no byte of the last key could be raised */
            return 0;
        }
        buffer_put(&r->key, last);
        r->key.data[last.size - 1]++;
    }
    r->rest.key = buffer_slice(&r->key);
    return 1;
}

/* Takes note of a page. 1 if there is more to ask for. */
static int advance(struct range *r, const struct kv_response *page, struct slice last,
                   uint64_t revision)
{
    if (!r->is_begun) {
        r->revision = r->revision != 0 ? r->revision : revision;
        r->count = page->count;
        r->is_begun = 1;
    }
    uint64_t limit = r->rest.limit;
    if (!page->more || page->item_count == 0 || (limit != 0 && page->item_count >= limit) ||
        !go_on_behind(r, last)) {
        return 0;
    }
    r->rest.limit -= limit != 0 ? page->item_count : 0;
    if (r->rest.revision == 0 && !MUTANT(client_range_of_many_revisions)) {
        r->rest.revision = revision;
    }
    r->rest.flags |= KV_NO_COUNT; /* the first page has counted them all */
    r->is_continued = 1;
    return 1;
}

/* Tells a page. 0 if whoever heard it has cancelled the range. */
static int tell_page(struct client *c, struct range *r, uint32_t kv_count, struct slice kvs,
                     int more, int is_last, struct effects *out)
{
    struct range_page *page = effects_alloc(out, sizeof *page);
    *page = (struct range_page){.revision = r->revision,
                                .count = r->count,
                                .kv_count = kv_count,
                                .kvs = kvs,
                                .more = is_last && more,
                                .is_last = is_last};
    const struct answer answer = {.kind = COMPLETION_RANGE, .value = r->revision, .detail = page};
    uint64_t id = r->pending.id;
    r->is_told = 1;
    tell_listener(c, r->listener, id, &answer, out);
    return pending_find(c, id, PENDING_RANGE) != NULL;
}

static void tell_sorted(struct client *c, struct range *r, struct effects *out)
{
    int more = sorting_finish(&r->sorting);
    int is_last;
    do {
        struct buffer page = {0};
        uint32_t kv_count = sorting_take_page(&r->sorting, &page);
        struct blob *blob = blob_adopt(page.data, page.size);
        struct slice kvs = effects_hold(out, slice_of(blob));
        blob_unref(blob);
        is_last = sorting_is_empty(&r->sorting);
        if (!tell_page(c, r, kv_count, kvs, more, is_last, out)) {
            return;
        }
    } while (!is_last);
    end(c, r, 0, r->revision, out);
}

static void sort_page(struct client *c, struct range *r, struct slice kvs, int goes_on,
                      struct effects *out)
{
    struct kv kv;
    while (kv_next(&kvs, &kv) == 1) {
        sorting_add(&r->sorting, &kv);
    }
    if (r->sorting.bytes > RANGE_BYTES_MAX) {
        end(c, r, results_code(c, RESULT_TOO_LARGE, 0), r->revision, out);
    } else if (goes_on) {
        ask_page(c, r);
    } else {
        tell_sorted(c, r, out);
    }
}

static void take_page(struct client *c, struct range *r, const struct answer *answer,
                      struct effects *out)
{
    struct kv_response page;
    struct kv last = {0};
    int is_in_order = r->is_sorted_here || !kv_range_is_sorted(&r->wanted.range);
    /* One that does not move forward would be followed by others like it for ever. */
    if (read_page(answer->body, &page, &last) != 0 ||
        (is_in_order && page.item_count > 0 && !kv_in_range(last.key, r->rest.key, r->rest.end))) {
        end(c, r, malformed(c), answer->value, out);
        return;
    }
    int goes_on = advance(r, &page, last.key, answer->value) && is_in_order;
    if (r->is_sorted_here) {
        sort_page(c, r, page.items, goes_on, out);
        return;
    }
    if (!tell_page(c, r, page.item_count, page.items, page.more, !goes_on, out)) {
        return;
    }
    if (goes_on) {
        ask_page(c, r);
    } else {
        end(c, r, 0, r->revision, out);
    }
}

static void take_refusal(struct client *c, struct range *r, const struct answer *answer,
                         struct effects *out)
{
    int may_sort = kv_range_is_sorted(&r->wanted.range) && !r->is_sorted_here;
    int may_begin = r->wanted.range.revision == 0 && !r->is_told && c->now < r->wanted.deadline;
    if (answer->code == ERROR_TOO_LARGE && may_sort) {
        begin_sorting(c, r, answer->value);
    } else if (answer->code == ERROR_COMPACTED && may_begin) {
        begin(c, r);
    } else {
        end(c, r, answer->code, answer->value, out);
    }
}

static void on_answer(struct client *c, struct listener *self, uint64_t id,
                      const struct answer *answer, struct effects *out)
{
    struct range *r = (struct range *)(void *)((char *)self - offsetof(struct range, hearing));
    (void)id;
    r->question = 0;
    if (answer->code == 0) {
        take_page(c, r, answer, out);
    } else {
        take_refusal(c, r, answer, out);
    }
}

/* ---- the calls */

uint64_t ask_range(struct client *c, const struct client_range *range, struct listener *listener)
{
    struct range *r = memory_calloc(1, sizeof *r);
    r->hearing.fn = on_answer;
    r->listener = listener;
    r->wanted = *range;
    r->wanted.range.key = slice_keep(range->range.key);
    r->wanted.range.end = slice_keep(range->range.end);
    (void)pending_add(c, &r->pending, PENDING_RANGE);
    begin(c, r);
    return r->pending.id;
}

uint64_t client_range(struct client *c, const struct client_range *range)
{
    return ask_range(c, range, NULL);
}
