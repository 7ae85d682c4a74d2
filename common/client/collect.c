#include "common/client/handle.h"
#include "common/client/keys.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/memory.h"

/* What a range may amount to in this process. */
#define RANGE_BYTES_MAX ((size_t)1024 * MIB)

/* Of the response that is written as the pages come, into the body of the step; the numbers in
 * front of the keys are known at the end. */
#define NUMBERS_BYTES (8 + 1 + 4)

struct collecting {
    time_ms_t deadline; /* of the whole range, to begin it again */
    int is_begun;
    int may_begin_again; /* it ended because what it was at was compacted in the middle */
    size_t mark, numbers;
    uint64_t count;
    uint32_t kv_count;
    int more;
};

/* ---- pages */

static void begin_response(struct step *step, struct collecting *c)
{
    c->is_begun = 1;
    c->mark = kv_begin_response(&step->body, KV_RANGE);
    c->numbers = step->body.size;
    (void)buffer_extend(&step->body, NUMBERS_BYTES);
}

static void end_response(struct step *step, const struct collecting *c)
{
    uint8_t *numbers = step->body.data + c->numbers;
    bytes_put_u64(numbers, c->count);
    numbers[8] = c->more ? 1 : 0;
    bytes_put_u32(numbers + 9, c->kv_count);
    kv_end_response(&step->body, c->mark);
}

static void give_up(struct step *step)
{
    struct synod *s = step->s;
    client_cancel(s->core, step->awaited.id);
    awaited_remove(s, &step->awaited);
    buffer_close(&step->body);
    step->is_done = 1;
    step->code = errmsg_set(&step->why, SYNOD_E_TOO_LARGE,
                            "the response would be too large; try: a limit, or a smaller range");
}

static void take_page(struct step *step, struct collecting *c, const struct range_page *page)
{
    if (!c->is_begun) {
        begin_response(step, c);
    }
    buffer_put(&step->body, page->kvs);
    c->count = page->count;
    c->kv_count += page->kv_count;
    c->more = page->more;
    if (step->body.size > RANGE_BYTES_MAX) {
        give_up(step);
    }
}

static void keep(struct step *step, const struct completion *completion)
{
    struct collecting *c = step->kept;
    if (completion->kind == COMPLETION_RANGE) {
        take_page(step, c, completion->detail);
    } else if (completion->code == 0) {
        CHECK(c->is_begun);
        end_response(step, c);
    } else {
        c->may_begin_again =
            completion->code == ERROR_COMPACTED && c->is_begun && step->s->now < c->deadline;
        buffer_close(&step->body);
    }
}

/* ---- the step */

static int collect_once(struct synod *s, const struct client_range *range, struct step *step)
{
    step->is_read = 1;
    if (!step->is_begun) {
        struct collecting *c = memory_calloc(1, sizeof *c);
        c->deadline = range->deadline;
        step->kept = c;
        step_await(s, step, client_range(s->core, range), keep);
    }
    return step_wait(s, step);
}

int collect_range(struct synod *s, const struct synod_range_op *op,
                  enum synod_consistency consistency, int is_continued, time_ms_t deadline,
                  struct synod_result **out)
{
    const struct client_range range = {
        .range = keys_range(op),
        .consistency = keys_consistency(consistency),
        .is_continued = is_continued,
        .deadline = deadline,
        .timeout_ms = s->timeout_ms,
    };
    const struct step *compacted = NULL; /* the attempt before */
    struct step *step;
    int rc, is_again;
    do {
        step = step_next(s);
        rc = collect_once(s, &range, step);
        if (rc == SYNOD_E_UNAVAILABLE && compacted != NULL) {
            s->err = compacted->why; /* that is what the time was lost by */
            return compacted->code;
        }
        /* Whoever asks for the keys as they are now must not hear of compactions in between, were
         * they so old already that their history was swept. */
        const struct collecting *c = step->kept;
        is_again = rc == SYNOD_E_COMPACTED && op->revision == 0 && c->may_begin_again;
        compacted = step;
    } while (is_again);
    return rc == SYNOD_OK ? keys_take(s, buffer_slice(&step->body), step->value, out) : rc;
}
