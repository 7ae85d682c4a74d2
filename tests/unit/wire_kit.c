#include "tests/unit/wire_kit.h"

#include "tests/unit/wire_samples.h"
#include "tests/vectors/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void wire_kit_decode(struct outcome *o, const uint8_t *bytes, size_t size)
{
    *o = (struct outcome){.frame = blob_copy(bytes, size)};
    o->rc = wire_decode(&sample_context, o->frame, &o->arena, &o->msg, &o->refusal, &o->err);
}

void wire_kit_decode_hex(struct outcome *o, const char *hex)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(vectors_parse_hex(hex, hex + strlen(hex), &bytes, &size), 0);
    wire_kit_decode(o, bytes, size);
    free(bytes);
}

void wire_kit_forget(struct outcome *o)
{
    arena_close(&o->arena);
    blob_unref(o->frame);
}

void wire_kit_assert_refused(const struct outcome *o, enum refusal refusal, const char *part)
{
    if (o->rc != ERROR_REFUSED || o->refusal != refusal || strstr(o->err.text, part) == NULL) {
        fail_msg("wanted refusal %d with \"%s\", got %d, %d, \"%s\"", (int)refusal, part, o->rc,
                 (int)o->refusal, o->rc != 0 ? o->err.text : "");
    }
    assert_true(strlen(o->err.text) <= TEXT_BYTES_MAX);
}

struct blob *wire_kit_encode(const struct message *msg)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(wire_encode(&sample_context, msg, &bytes, &size), 0);
    struct blob *blob = blob_copy(bytes, size);
    free(bytes);
    return blob;
}

struct message wire_kit_sample(const char *name)
{
    size_t count;
    const struct wire_sample *samples = wire_samples(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(samples[i].name, name) == 0) {
            return samples[i].msg;
        }
    }
    fail_msg("no sample %s", name);
    return (struct message){0};
}

void wire_kit_assert_round_trip(const struct message *msg, const char *part)
{
    struct blob *blob = wire_kit_encode(msg);
    struct outcome o;
    wire_kit_decode(&o, blob->data, blob->size);
    if (part == NULL) {
        assert_int_equal(o.rc, 0);
        assert_true(wire_same(&o.msg, msg));
    } else {
        wire_kit_assert_refused(&o, REFUSED_MALFORMED, part);
    }
    wire_kit_forget(&o);
    blob_unref(blob);
}
