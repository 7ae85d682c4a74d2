#include "common/protocol/settings.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/check.h"

#include <string.h>

#define FLAG_PREEMPTS 1U
#define FLAG_BARRED 1U

static const char *const kind_names[ORACLE_KIND_END] = {
    [ORACLE_CONNECTED] = "connected", [ORACLE_LEASE] = "lease",
    [ORACLE_RING] = "ring",           [ORACLE_FLOODMAX] = "floodmax",
    [ORACLE_GOSSIP] = "gossip",       [ORACLE_SUCCESSION] = "succession",
    [ORACLE_STATIC] = "static",       [ORACLE_EXTERNAL] = "external",
};

const char *oracle_kind_name(enum oracle_kind kind)
{
    return kind > 0 && kind < ORACLE_KIND_END ? kind_names[kind] : "unknown";
}

int oracle_kind_parse(const char *name, enum oracle_kind *out)
{
    for (int kind = 1; kind < ORACLE_KIND_END; kind++) {
        if (strcmp(kind_names[kind], name) == 0) {
            *out = (enum oracle_kind)kind;
            return 0;
        }
    }
    return ERROR_USAGE;
}

static int is_zone_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

int zone_is_valid(const char *zone)
{
    size_t size = strlen(zone);
    for (size_t i = 0; i < size; i++) {
        if (!is_zone_char(zone[i])) {
            return 0;
        }
    }
    return size < ZONE_BYTES_MAX;
}

void settings_init(struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    settings->kind = ORACLE_CONNECTED;
}

/* ---- reading */

static int read_zone(struct reader *reader, char *zone)
{
    size_t size = reader_u8(reader);
    if (size >= ZONE_BYTES_MAX) {
        return ERROR_USAGE;
    }
    struct slice bytes = reader_bytes(reader, size);
    if (reader->is_short) {
        return ERROR_USAGE;
    }
    if (size > 0) {
        memcpy(zone, bytes.data, size);
    }
    zone[size] = '\0';
    /* A zero within would be a second encoding of a shorter name. */
    return strlen(zone) == size && zone_is_valid(zone) ? 0 : ERROR_USAGE;
}

static int read_candidates(struct reader *reader, struct settings *out)
{
    out->candidate_count = reader_u8(reader);
    if (out->candidate_count > MEMBERS_MAX) {
        return ERROR_USAGE;
    }
    node_id_t last = 0;
    for (size_t i = 0; i < out->candidate_count; i++) {
        struct candidate_settings *candidate = &out->candidates[i];
        candidate->id = reader_u32(reader);
        candidate->priority = reader_u32(reader);
        uint8_t flags = reader_u8(reader);
        candidate->is_barred = flags == FLAG_BARRED;
        if (candidate->id <= last || flags > FLAG_BARRED ||
            read_zone(reader, candidate->zone) != 0) {
            return ERROR_USAGE;
        }
        last = candidate->id;
    }
    return 0;
}

static int read_order(struct reader *reader, struct settings *out)
{
    out->order_count = reader_u8(reader);
    if (out->order_count > MEMBERS_MAX) {
        return ERROR_USAGE;
    }
    for (size_t i = 0; i < out->order_count; i++) {
        out->order[i] = reader_u32(reader);
        if (out->order[i] == 0) {
            return ERROR_USAGE;
        }
        for (size_t k = 0; k < i; k++) {
            if (out->order[k] == out->order[i]) {
                return ERROR_USAGE;
            }
        }
    }
    return 0;
}

static int read_edges(struct reader *reader, struct settings *out)
{
    size_t high = reader_u8(reader);
    out->edge_count = high << 8 | reader_u8(reader);
    if (out->edge_count > EDGES_MAX) {
        return ERROR_USAGE;
    }
    struct edge last = {0, 0};
    for (size_t i = 0; i < out->edge_count; i++) {
        struct edge edge = {reader_u32(reader), 0};
        edge.b = reader_u32(reader);
        int is_rising = edge.a > last.a || (edge.a == last.a && edge.b > last.b);
        if (edge.a == 0 || edge.a >= edge.b || !is_rising) {
            return ERROR_USAGE;
        }
        out->edges[i] = last = edge;
    }
    return 0;
}

int settings_parse(struct slice bytes, struct settings *out, struct errmsg *err)
{
    struct settings settings = {0};
    struct reader reader = {.rest = bytes};
    settings.kind = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    settings.preempts = flags == FLAG_PREEMPTS;
    if (settings.kind < 1 || settings.kind >= ORACLE_KIND_END) {
        return errmsg_set(err, ERROR_USAGE, "the oracle is of unknown kind %u",
                          (unsigned)settings.kind);
    }
    if (flags > FLAG_PREEMPTS || read_zone(&reader, settings.zone) != 0) {
        return errmsg_set(err, ERROR_USAGE, "the settings of the oracle have a malformed head");
    }
    settings.diameter = reader_u32(&reader);
    if (settings.diameter >= MEMBERS_MAX) {
        return errmsg_set(err, ERROR_USAGE, "a diameter of %u is out of range (0 to %d)",
                          settings.diameter, MEMBERS_MAX - 1);
    }
    if (read_candidates(&reader, &settings) != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "the candidates of the oracle are malformed or not in order");
    }
    if (read_order(&reader, &settings) != 0) {
        return errmsg_set(err, ERROR_USAGE, "the order of the oracle names nobody, or one twice");
    }
    if (read_edges(&reader, &settings) != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "the topology of the oracle is malformed or not in order");
    }
    if (reader.is_short || reader.rest.size != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "the settings of the oracle are cut off or have bytes after their end");
    }
    *out = settings;
    return 0;
}

/* ---- writing */

static uint8_t *put_u8(uint8_t *p, size_t v)
{
    *p = (uint8_t)v;
    return p + 1;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    bytes_put_u32(p, v);
    return p + 4;
}

static uint8_t *put_zone(uint8_t *p, const char *zone)
{
    size_t size = strlen(zone);
    CHECK(size < ZONE_BYTES_MAX);
    p = put_u8(p, size);
    memcpy(p, zone, size);
    return p + size;
}

size_t settings_put(uint8_t *p, const struct settings *settings)
{
    const uint8_t *start = p;
    p = put_u8(p, (size_t)settings->kind);
    p = put_u8(p, settings->preempts ? FLAG_PREEMPTS : 0);
    p = put_zone(p, settings->zone);
    p = put_u32(p, settings->diameter);
    p = put_u8(p, settings->candidate_count);
    for (size_t i = 0; i < settings->candidate_count; i++) {
        const struct candidate_settings *candidate = &settings->candidates[i];
        p = put_u32(p, candidate->id);
        p = put_u32(p, candidate->priority);
        p = put_u8(p, candidate->is_barred ? FLAG_BARRED : 0);
        p = put_zone(p, candidate->zone);
    }
    p = put_u8(p, settings->order_count);
    for (size_t i = 0; i < settings->order_count; i++) {
        p = put_u32(p, settings->order[i]);
    }
    p = put_u8(p, settings->edge_count >> 8);
    p = put_u8(p, settings->edge_count & 0xff);
    for (size_t i = 0; i < settings->edge_count; i++) {
        p = put_u32(p, settings->edges[i].a);
        p = put_u32(p, settings->edges[i].b);
    }
    CHECK((size_t)(p - start) <= SETTINGS_BYTES_MAX);
    return (size_t)(p - start);
}

/* ---- what they say */

const struct candidate_settings *settings_of(const struct settings *settings, node_id_t id)
{
    for (size_t i = 0; i < settings->candidate_count; i++) {
        if (settings->candidates[i].id == id) {
            return &settings->candidates[i];
        }
    }
    return NULL;
}

int settings_bar(const struct settings *settings, node_id_t id)
{
    const struct candidate_settings *candidate = settings_of(settings, id);
    return candidate != NULL && candidate->is_barred;
}

void settings_allow(struct settings *settings, node_id_t id)
{
    for (size_t i = 0; i < settings->candidate_count; i++) {
        if (settings->candidates[i].id == id) {
            settings->candidates[i].is_barred = 0;
        }
    }
}

/* The higher the earlier in the order of `static`; 0: not in it, or another oracle goes. */
static uint64_t place_in_order(const struct settings *settings, node_id_t id)
{
    for (size_t i = 0; settings->kind == ORACLE_STATIC && i < settings->order_count; i++) {
        if (settings->order[i] == id) {
            return settings->order_count - i;
        }
    }
    return 0;
}

uint64_t settings_weight(const struct settings *settings, node_id_t id)
{
    uint64_t place = place_in_order(settings, id) << 33;
    const struct candidate_settings *candidate = settings_of(settings, id);
    if (candidate == NULL) {
        return place;
    }
    int is_in_zone = settings->zone[0] != '\0' && strcmp(settings->zone, candidate->zone) == 0;
    return place | (uint64_t)is_in_zone << 32 | candidate->priority;
}

int rank_compare(uint64_t weight_a, node_id_t a, uint64_t weight_b, node_id_t b)
{
    if (weight_a != weight_b) {
        return weight_a < weight_b ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}
