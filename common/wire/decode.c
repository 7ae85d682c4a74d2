#include "common/wire/layout.h"
#include "common/wire/wire.h"

#include "common/base/check.h"
#include "common/protocol/value.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

/* What the decoding of one frame needs everywhere. */
struct decoder {
    struct blob *frame;
    struct arena *arena;
    struct errmsg *err;
};

static int malformed(const struct decoder *d, const struct field *field, const char *what)
{
    return errmsg_set(d->err, ERROR_CORRUPT, "%s is %s", field->name, what);
}

/* ---- pieces */

static int read_uint(const msgpack_object *object, uint64_t *out)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        return ERROR_CORRUPT;
    }
    *out = object->via.u64;
    return 0;
}

static int is_array_of(const msgpack_object *object, size_t count)
{
    return object->type == MSGPACK_OBJECT_ARRAY && object->via.array.size == count;
}

/* [role, id]: id as wide as the role's may be. [0, 0] is whole, but nobody. */
static int read_peer(const msgpack_object *object, struct peer *out)
{
    uint64_t role, id;
    if (!is_array_of(object, 2) || read_uint(&object->via.array.ptr[0], &role) != 0 ||
        read_uint(&object->via.array.ptr[1], &id) != 0) {
        return ERROR_CORRUPT;
    }
    if (role > ROLE_CLIENT || (id == 0) != (role == ROLE_NONE) ||
        (role != ROLE_CLIENT && id > UINT32_MAX)) {
        return ERROR_CORRUPT;
    }
    *out = (struct peer){.role = (enum role)role, .id = id};
    return 0;
}

/* [round, proposer, incarnation]: all three, or none of them. */
static int read_ballot(const msgpack_object *object, struct ballot *out)
{
    uint64_t round, proposer, incarnation;
    if (!is_array_of(object, 3) || read_uint(&object->via.array.ptr[0], &round) != 0 ||
        read_uint(&object->via.array.ptr[1], &proposer) != 0 ||
        read_uint(&object->via.array.ptr[2], &incarnation) != 0) {
        return ERROR_CORRUPT;
    }
    if (round > POSITION_MAX || proposer > UINT32_MAX || (round == 0) != (proposer == 0) ||
        (round == 0) != (incarnation == 0)) {
        return ERROR_CORRUPT;
    }
    *out = (struct ballot){
        .round = round, .proposer = (node_id_t)proposer, .incarnation = incarnation};
    return 0;
}

static struct slice slice_of_object(const struct decoder *d, const char *bytes, size_t size)
{
    if (size == 0) {
        return SLICE_EMPTY;
    }
    return (struct slice){(const uint8_t *)bytes, size, d->frame};
}

/* Length of the UTF-8 character at p of at most left bytes ("Unicode 15, table 3-7"), 0 if it is
 * none, or a control character: a text goes to logs and terminals as it is. */
static size_t character_size(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) {
        return p[0] >= 0x20 && p[0] != 0x7f ? 1 : 0;
    }
    size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    int is_overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    int is_surrogate = p[0] == 0xed && p[1] >= 0xa0;
    int is_beyond = p[0] == 0xf4 && p[1] >= 0x90;
    int is_control = p[0] == 0xc2 && p[1] < 0xa0;
    return is_overlong || is_surrogate || is_beyond || is_control ? 0 : size;
}

static int is_plain_text(struct slice text)
{
    for (size_t at = 0; at < text.size;) {
        size_t size = character_size(text.data + at, text.size - at);
        if (size == 0) {
            return 0;
        }
        at += size;
    }
    return 1;
}

/* ---- fields */

static int decode_integer(const struct decoder *d, const struct field *field,
                          const msgpack_object *object, void *at)
{
    uint64_t number;
    if (read_uint(object, &number) != 0) {
        return malformed(d, field, "no integer");
    }
    if (number < field->min || number > field->max) {
        return errmsg_set(d->err, ERROR_CORRUPT, "%s is %" PRIu64 ", not %" PRIu64 " to %" PRIu64,
                          field->name, number, field->min, field->max);
    }
    if (field->type == FIELD_U64) {
        memcpy(at, &number, sizeof number);
    } else {
        uint32_t narrow = (uint32_t)number;
        memcpy(at, &narrow, sizeof narrow);
    }
    return 0;
}

static int decode_bytes(const struct decoder *d, const struct field *field,
                        const msgpack_object *object, struct slice *out)
{
    int is_text = field->type == FIELD_TEXT;
    if (object->type != (is_text ? MSGPACK_OBJECT_STR : MSGPACK_OBJECT_BIN)) {
        return malformed(d, field, is_text ? "no text" : "no bytes");
    }
    struct slice bytes = is_text ? slice_of_object(d, object->via.str.ptr, object->via.str.size)
                                 : slice_of_object(d, object->via.bin.ptr, object->via.bin.size);
    if (bytes.size < field->min || bytes.size > field->max) {
        return errmsg_set(d->err, ERROR_CORRUPT, "%s has %zu bytes, not %" PRIu64 " to %" PRIu64,
                          field->name, bytes.size, field->min, field->max);
    }
    if (is_text && !is_plain_text(bytes)) {
        return malformed(d, field, "not UTF-8, or has control characters");
    }
    struct value value;
    if (field->type == FIELD_VALUE && value_parse(bytes, &value) != 0) {
        return malformed(d, field, "no well-formed value");
    }
    *out = bytes;
    return 0;
}

static int decode_plain(const struct decoder *d, const struct field *field,
                        const msgpack_object *object, void *base)
{
    void *at = (char *)base + field->offset;
    switch (field->type) {
    case FIELD_U32:
    case FIELD_U64:
        return decode_integer(d, field, object, at);
    case FIELD_BALLOT:
    case FIELD_BALLOT_OR_NONE: {
        struct ballot *ballot = at;
        if (read_ballot(object, ballot) != 0) {
            return malformed(d, field, "no ballot");
        }
        if (field->type == FIELD_BALLOT && ballot_is_none(ballot)) {
            return malformed(d, field, "the empty ballot");
        }
        return 0;
    }
    case FIELD_MEMBER:
    case FIELD_MEMBER_OR_NONE: {
        struct peer *peer = at;
        if (read_peer(object, peer) != 0 || peer->role == ROLE_CLIENT) {
            return malformed(d, field, "no member");
        }
        if (field->type == FIELD_MEMBER && peer->role == ROLE_NONE) {
            return malformed(d, field, "nobody");
        }
        return 0;
    }
    default:
        return decode_bytes(d, field, object, at);
    }
}

static int decode_element(const struct decoder *d, const struct list_layout *list,
                          const msgpack_object *object, void *element)
{
    if (list->is_bare) {
        return decode_plain(d, &list->fields[0], object, element);
    }
    if (!is_array_of(object, list->field_count)) {
        return errmsg_set(d->err, ERROR_CORRUPT, "no array of %zu elements", list->field_count);
    }
    for (size_t k = 0; k < list->field_count; k++) {
        int rc = decode_plain(d, &list->fields[k], &object->via.array.ptr[k], element);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int decode_list(const struct decoder *d, const struct field *field,
                       const msgpack_object *object, void *base)
{
    const struct list_layout *list = field->list;
    if (object->type != MSGPACK_OBJECT_ARRAY) {
        return malformed(d, field, "no array");
    }
    uint32_t count = object->via.array.size;
    if (count < field->min || count > field->max) {
        return errmsg_set(d->err, ERROR_CORRUPT, "%s has %u elements, not %" PRIu64 " to %" PRIu64,
                          field->name, (unsigned)count, field->min, field->max);
    }
    char *elements = count > 0 ? arena_alloc(d->arena, count * list->element_size) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        int rc =
            decode_element(d, list, &object->via.array.ptr[i], elements + i * list->element_size);
        if (rc != 0) {
            errmsg_wrap(d->err, "%s[%u]", field->name, (unsigned)i);
            return rc;
        }
    }
    memcpy((char *)base + field->offset, &elements, sizeof elements);
    memcpy((char *)base + list->count_offset, &count, sizeof count);
    return 0;
}

static int decode_body(const struct decoder *d, const struct layout *layout,
                       const msgpack_object *object, void *body)
{
    if (!is_array_of(object, layout->field_count)) {
        return errmsg_set(d->err, ERROR_CORRUPT, "the body is no array of %zu elements",
                          layout->field_count);
    }
    for (size_t k = 0; k < layout->field_count; k++) {
        const struct field *field = &layout->fields[k];
        const msgpack_object *element = &object->via.array.ptr[k];
        int rc = field->type == FIELD_LIST ? decode_list(d, field, element, body)
                                           : decode_plain(d, field, element, body);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- the frame */

struct envelope {
    uint64_t version, cluster_id, config_number, kind;
    const msgpack_object *body;
};

/* Reads what every version of the protocol puts at the same place. What can be read of the sender
 * is in *out even when the rest is damaged, so that the refusal finds its way. */
static int read_envelope(const struct decoder *d, const msgpack_object *object,
                         struct envelope *envelope, struct message *out)
{
    if (!is_array_of(object, ENVELOPE_FIELDS)) {
        return errmsg_set(d->err, ERROR_CORRUPT, "the frame is no array of %d elements",
                          ENVELOPE_FIELDS);
    }
    const msgpack_object *at = object->via.array.ptr;
    int has_sender = read_peer(&at[4], &out->from) == 0 && out->from.role != ROLE_NONE;
    int has_incarnation = read_uint(&at[5], &out->incarnation) == 0 && out->incarnation != 0;
    if (read_uint(&at[0], &envelope->version) != 0 ||
        read_uint(&at[1], &envelope->cluster_id) != 0 ||
        read_uint(&at[2], &envelope->config_number) != 0 ||
        read_uint(&at[3], &envelope->kind) != 0 || read_uint(&at[6], &out->echo) != 0) {
        return errmsg_set(d->err, ERROR_CORRUPT, "the envelope holds something but integers");
    }
    if (envelope->kind <= INT32_MAX) {
        out->kind = (enum message_kind)envelope->kind;
    }
    if (!has_sender || !has_incarnation || envelope->config_number == 0) {
        return errmsg_set(d->err, ERROR_CORRUPT, "the envelope has no %s",
                          !has_sender        ? "sender"
                          : !has_incarnation ? "incarnation"
                                             : "configuration number");
    }
    envelope->body = &at[7];
    return 0;
}

static int refuse(enum refusal *refusal, enum refusal reason)
{
    *refusal = reason;
    return ERROR_REFUSED;
}

/* Version before cluster before kind: the first that differs makes the others meaningless. A
 * refusal is taken from any cluster, else who dialled the wrong one would never learn why. */
static int check_envelope(const struct wire_context *context, const struct envelope *envelope,
                          enum refusal *refusal, struct errmsg *err)
{
    if (envelope->version < PROTOCOL_VERSION_OLDEST || envelope->version > PROTOCOL_VERSION) {
        errmsg_set(err, 0,
                   "a frame of protocol version %" PRIu64
                   " (this process speaks %d to %d); try: the same release on both sides",
                   envelope->version, PROTOCOL_VERSION_OLDEST, PROTOCOL_VERSION);
        return refuse(refusal, REFUSED_VERSION);
    }
    if (envelope->cluster_id != context->cluster_id && envelope->kind != MSG_REFUSED) {
        errmsg_set(err, 0,
                   "a frame of cluster %016" PRIx64 " (this process belongs to %016" PRIx64
                   "); try: compare id and addresses in both cluster.yml",
                   envelope->cluster_id, context->cluster_id);
        return refuse(refusal, REFUSED_CLUSTER);
    }
    if (layout_of(envelope->kind) == NULL) {
        errmsg_set(err, 0,
                   "a message of kind %" PRIu64
                   " (protocol version %d has no such kind); try: the same release on both sides",
                   envelope->kind, PROTOCOL_VERSION);
        return refuse(refusal, REFUSED_KIND);
    }
    return 0;
}

static int decode_object(const struct wire_context *context, const struct decoder *d,
                         const msgpack_object *object, struct message *out, enum refusal *refusal)
{
    struct envelope envelope = {0};
    if (read_envelope(d, object, &envelope, out) != 0) {
        return refuse(refusal, REFUSED_MALFORMED);
    }
    int rc = check_envelope(context, &envelope, refusal, d->err);
    if (rc != 0) {
        return rc;
    }
    const struct layout *layout = layout_of(envelope.kind);
    if ((layout->senders & ROLE_BIT(out->from.role)) == 0) {
        errmsg_set(d->err, 0, "a malformed %s (no %s sends it)", layout->name,
                   role_name(out->from.role));
        return refuse(refusal, REFUSED_MALFORMED);
    }
    if (decode_body(d, layout, envelope.body, &out->hello) != 0 || rules_check(out, d->err) != 0) {
        errmsg_wrap(d->err, "a malformed %s", layout->name);
        return refuse(refusal, REFUSED_MALFORMED);
    }
    return 0;
}

int wire_decode(const struct wire_context *context, struct blob *frame, struct arena *arena,
                struct message *out, enum refusal *refusal, struct errmsg *err)
{
    *out = (struct message){0};
    size_t elements = 0;
    if (scan_frame(slice_of(frame), &elements, err) != 0) {
        errmsg_wrap(err, "a malformed frame");
        return refuse(refusal, REFUSED_MALFORMED);
    }
    msgpack_zone zone;
    msgpack_object object;
    size_t at = 0;
    CHECK(msgpack_zone_init(&zone, elements * sizeof object));
    /* The scan takes nothing that msgpack-c would not. */
    CHECK(msgpack_unpack((const char *)frame->data, frame->size, &at, &zone, &object) ==
          MSGPACK_UNPACK_SUCCESS);
    struct decoder d = {.frame = frame, .arena = arena, .err = err};
    int rc = decode_object(context, &d, &object, out, refusal);
    msgpack_zone_destroy(&zone);
    return rc;
}
