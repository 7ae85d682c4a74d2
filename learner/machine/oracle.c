/* What the log says of oracles: settings, each change of which names the version that it was made
 * from, and the line of successors. Nothing else in the machine depends on either: it keeps them
 * for the proposers and acceptors, who are told by every learner. */
#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <string.h>

/* Key 'o'. Value: version, count of the line u8, its places, the settings. */
#define ORACLE_HEAD_BYTES 9
#define PLACE_BYTES 28

const struct machine_oracle *machine_oracle(const struct machine *m)
{
    return &m->oracle;
}

static void note_change(struct machine *m)
{
    m->oracle.changes++;
    m->is_oracle_dirty = 1;
}

/* ---- settings */

static void replace_settings(struct machine *m, struct slice bytes)
{
    slice_drop(&m->oracle.settings);
    if (bytes.size > 0) {
        m->oracle.settings = slice_of(blob_copy(bytes.data, bytes.size));
    }
}

void oracle_set(struct machine *m, struct slice payload, struct result_range *result)
{
    struct machine_oracle *oracle = &m->oracle;
    uint64_t from = bytes_get_u64(payload.data);
    if (from != oracle->version && !MUTANT(oracle_settings_overwritten)) {
        result->status = RESULT_CHANGED;
        result->value = oracle->version;
        return;
    }
    struct slice settings = slice_borrow(payload.data + 8, payload.size - 8);
    oracle->version++;
    replace_settings(m, settings);
    note_change(m);
    machine_mix_numbers(m, 's', oracle->version, 0);
    machine_mix(m, settings.data, settings.size);
    result->value = oracle->version;
}

/* ---- the line */

static uint8_t *put_line(uint8_t *p, const struct machine_oracle *oracle)
{
    for (size_t i = 0; i < oracle->line_count; i++, p += PLACE_BYTES) {
        const struct place *place = &oracle->line[i];
        bytes_put_u32(p, place->proposer);
        bytes_put_u64(p + 4, place->incarnation);
        bytes_put_u64(p + 12, place->since);
        bytes_put_u64(p + 20, place->expires_ms);
    }
    return p;
}

static void drop_place(struct machine_oracle *oracle, size_t at)
{
    CHECK(at < oracle->line_count);
    oracle->line_count--;
    memmove(&oracle->line[at], &oracle->line[at + 1],
            (oracle->line_count - at) * sizeof *oracle->line);
}

static void drop_expired(struct machine *m)
{
    for (size_t i = m->oracle.line_count; i > 0; i--) {
        if (m->oracle.line[i - 1].expires_ms < m->stamp_ms && !MUTANT(oracle_line_keeps_the_dead)) {
            drop_place(&m->oracle, i - 1);
        }
    }
}

/* Where a proposer stands, or line_count. */
static size_t find_place(const struct machine_oracle *oracle, node_id_t proposer)
{
    size_t at = 0;
    while (at < oracle->line_count && oracle->line[at].proposer != proposer) {
        at++;
    }
    return at;
}

/* A process that has started anew is another one: it goes to the end, or whoever restarts for ever
 * would be first for ever. */
static void register_one(struct machine_oracle *oracle, const struct place *place)
{
    size_t at = find_place(oracle, place->proposer);
    if (at < oracle->line_count && oracle->line[at].incarnation == place->incarnation) {
        oracle->line[at].expires_ms = place->expires_ms;
        return;
    }
    if (at < oracle->line_count) {
        drop_place(oracle, at);
    }
    if (oracle->line_count < MEMBERS_MAX) {
        oracle->line[oracle->line_count++] = *place;
    }
}

void oracle_register(struct machine *m, slot_t slot, struct slice line)
{
    uint64_t expires_ms =
        m->stamp_ms > UINT64_MAX - LINE_TTL_MS ? UINT64_MAX : m->stamp_ms + LINE_TTL_MS;
    struct place place;
    drop_expired(m);
    while (value_next_place(&line, &place)) {
        place.since = slot;
        place.expires_ms = expires_ms;
        register_one(&m->oracle, &place);
    }
    note_change(m);
    uint8_t bytes[MEMBERS_MAX * PLACE_BYTES];
    const uint8_t *end = put_line(bytes, &m->oracle);
    machine_mix(m, bytes, (size_t)(end - bytes));
}

void oracle_describe(const struct machine *m, uint64_t idle_ms, struct buffer *out)
{
    const struct machine_oracle *oracle = &m->oracle;
    buffer_put_u64(out, oracle->version);
    buffer_put_u32(out, (uint32_t)oracle->settings.size);
    buffer_put(out, oracle->settings);
    for (size_t i = 0; i < oracle->line_count; i++) {
        const struct place *place = &oracle->line[i];
        buffer_put_u32(out, place->proposer);
        buffer_put_u64(out, place->incarnation);
        buffer_put_u64(out, place->since);
        buffer_put_u64(out, query_left_ms(m, place->expires_ms, idle_ms));
    }
}

/* ---- store */

void oracle_store(struct machine *m)
{
    const struct machine_oracle *oracle = &m->oracle;
    if (!m->is_oracle_dirty) {
        return;
    }
    m->is_oracle_dirty = 0;
    uint8_t *p;
    struct blob *blob =
        blob_new(ORACLE_HEAD_BYTES + oracle->line_count * PLACE_BYTES + oracle->settings.size, &p);
    bytes_put_u64(p, oracle->version);
    p[8] = (uint8_t)oracle->line_count;
    p = put_line(p + ORACLE_HEAD_BYTES, oracle);
    if (oracle->settings.size > 0) {
        memcpy(p, oracle->settings.data, oracle->settings.size);
    }
    view_put(m, slice_borrow("o", 1), blob);
}

static int load_place(struct machine *m, struct reader *reader)
{
    struct machine_oracle *oracle = &m->oracle;
    struct place place = {.proposer = reader_u32(reader)};
    place.incarnation = reader_u64(reader);
    place.since = reader_u64(reader);
    place.expires_ms = reader_u64(reader);
    slot_t last = oracle->line_count > 0 ? oracle->line[oracle->line_count - 1].since : 1;
    if (reader->is_short || place.proposer == 0 || place.incarnation == 0 || place.since < last ||
        place.since > m->applied || find_place(oracle, place.proposer) < oracle->line_count) {
        return ERROR_CORRUPT;
    }
    oracle->line[oracle->line_count++] = place;
    return 0;
}

static int load_record(struct machine *m, struct slice bytes)
{
    struct reader reader = {bytes, 0};
    struct settings settings;
    m->oracle.version = reader_u64(&reader);
    size_t count = reader_u8(&reader);
    if (reader.is_short || count > MEMBERS_MAX) {
        return ERROR_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        if (load_place(m, &reader) != 0) {
            return ERROR_CORRUPT;
        }
    }
    int is_well_formed = m->oracle.version == 0 ? reader.rest.size == 0
                                                : settings_parse(reader.rest, &settings, NULL) == 0;
    if (!is_well_formed) {
        return ERROR_CORRUPT;
    }
    replace_settings(m, reader.rest);
    return 0;
}

int oracle_load(struct machine *m)
{
    struct blob *blob;
    int rc = m->reader.get(m->reader.self, slice_borrow("o", 1), &blob);
    if (rc == ERROR_NOT_FOUND || (rc == 0 && MUTANT(oracle_settings_lost_at_restart))) {
        if (rc == 0) {
            blob_unref(blob);
        }
        return 0; /* neither was ever changed */
    }
    if (rc == 0) {
        rc = load_record(m, slice_of(blob));
        blob_unref(blob);
    }
    return rc;
}

void oracle_free(struct machine *m)
{
    slice_drop(&m->oracle.settings);
}
