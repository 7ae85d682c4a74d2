#include "common/client/recipe.h"

#include <string.h>

static const char digits[] = "0123456789ABCDEF";

int recipe_check_name(struct synod *s, const char *what, const char *name)
{
    size_t size = name != NULL ? strlen(name) : 0;
    if (size == 0 || size > RECIPE_NAME_BYTES_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "the name of a %s has 1 to %d bytes, not %zu; try: a shorter one", what,
                          RECIPE_NAME_BYTES_MAX, size);
    }
    return SYNOD_OK;
}

void recipe_put_text(struct buffer *out, const char *text)
{
    buffer_put(out, slice_borrow(text, strlen(text)));
}

void recipe_put_name(struct buffer *out, const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '/' || *p == '%') {
            buffer_put_u8(out, '%');
            buffer_put_u8(out, (uint8_t)digits[(uint8_t)*p >> 4]);
            buffer_put_u8(out, (uint8_t)digits[(uint8_t)*p & 15]);
        } else {
            buffer_put_u8(out, (uint8_t)*p);
        }
    }
}

void recipe_put_prefix(struct buffer *out, const char *kind, const char *name)
{
    recipe_put_text(out, "synod/");
    recipe_put_text(out, kind);
    recipe_put_text(out, "/");
    recipe_put_name(out, name);
    recipe_put_text(out, "/");
}

int recipe_read_name(struct synod_bytes escaped, char *out)
{
    const char *in = escaped.data;
    size_t size = 0;
    for (size_t i = 0; i < escaped.size; i++) {
        char c = in[i];
        if (size == RECIPE_NAME_BYTES_MAX || c == '\0' || c == '/') {
            return -1;
        }
        if (c == '%') {
            if (escaped.size - i < 3 ||
                (memcmp(in + i, "%2F", 3) != 0 && memcmp(in + i, "%25", 3) != 0)) {
                return -1;
            }
            c = in[i + 2] == 'F' ? '/' : '%';
            i += 2;
        }
        out[size++] = c;
    }
    out[size] = '\0';
    return size > 0 ? 0 : -1;
}

struct synod_bytes recipe_bytes(const struct buffer *buffer)
{
    return (struct synod_bytes){buffer->data, buffer->size};
}

struct call_argument recipe_text_argument(const char *text)
{
    return (struct call_argument){text, text != NULL ? strlen(text) : 0};
}

time_ms_t recipe_until(uint32_t timeout_ms)
{
    return time_after(handle_now(), timeout_ms);
}

time_ms_t recipe_step_deadline(const struct synod *s, time_ms_t until)
{
    time_ms_t own = handle_deadline(s, 0);
    return own > until ? own : until;
}

void recipe_lend(struct synod *s, struct synod_result *result)
{
    synod_result_free(s->borrowed);
    s->borrowed = result;
}

/* ---- steps that are done at once */

static struct step *keep(struct synod *s, uint64_t value)
{
    struct step *step = step_next(s);
    if (!step->is_done) {
        step->is_begun = step->is_done = 1;
        step->value = value;
    }
    return step;
}

time_ms_t recipe_deadline(struct synod *s, uint32_t timeout_ms, struct step **step)
{
    *step = keep(s, (uint64_t)recipe_until(timeout_ms));
    return (time_ms_t)(*step)->value;
}

int recipe_is_late(struct synod *s, time_ms_t deadline)
{
    struct step *step = keep(s, handle_now() >= deadline);
    step->is_read = 1;
    return step->value != 0;
}

int recipe_is_first(struct synod *s)
{
    struct step *step = step_next(s);
    int is_first = !step->is_done;
    step->is_begun = step->is_done = 1;
    return is_first;
}
