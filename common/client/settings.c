/* Who should lead: the settings of oracles as the log has them, and the line of successors. */
#include "common/client/ask.h"

#include "common/base/bytes.h"

#include <string.h>

_Static_assert(SYNOD_MEMBERS_MAX == MEMBERS_MAX, "limits differ");
_Static_assert(SYNOD_EDGES_MAX == EDGES_MAX, "limits differ");
_Static_assert(SYNOD_ZONE_BYTES == ZONE_BYTES_MAX, "limits differ");
_Static_assert((int)SYNOD_ORACLE_CONNECTED == (int)ORACLE_CONNECTED, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_LEASE == (int)ORACLE_LEASE, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_RING == (int)ORACLE_RING, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_FLOODMAX == (int)ORACLE_FLOODMAX, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_GOSSIP == (int)ORACLE_GOSSIP, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_SUCCESSION == (int)ORACLE_SUCCESSION, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_STATIC == (int)ORACLE_STATIC, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_EXTERNAL == (int)ORACLE_EXTERNAL, "kinds differ");
_Static_assert((int)SYNOD_ORACLE_EXTERNAL + 1 == (int)ORACLE_KIND_END, "kinds differ");

const char *synod_oracle_kind_name(enum synod_oracle_kind kind)
{
    return oracle_kind_name((enum oracle_kind)kind);
}

int synod_oracle_kind_parse(const char *name, enum synod_oracle_kind *out)
{
    enum oracle_kind kind;
    if (oracle_kind_parse(name, &kind) != 0) {
        return 0;
    }
    *out = (enum synod_oracle_kind)kind;
    return 1;
}

/* ---- from inside to outside, and back */

void settings_tell(const struct synod *s, const struct settings *settings, struct synod_oracle *out)
{
    const struct settings *own =
        &s->config.settings; /* has a row for each member that could lead */
    memset(out, 0, sizeof *out);
    out->version = settings->version;
    out->kind = (enum synod_oracle_kind)settings->kind;
    out->preempts = settings->preempts;
    memcpy(out->zone, settings->zone, sizeof out->zone);
    out->diameter = settings->diameter;
    out->role = s->config.protocol == CONFIG_RAFT ? SYNOD_ACCEPTOR : SYNOD_PROPOSER;
    out->candidate_count = own->candidate_count;
    for (size_t i = 0; i < own->candidate_count; i++) {
        const struct candidate_settings *row = settings_of(settings, own->candidates[i].id);
        out->candidates[i].id = own->candidates[i].id;
        if (row != NULL) {
            out->candidates[i].priority = row->priority;
            out->candidates[i].is_barred = row->is_barred;
            memcpy(out->candidates[i].zone, row->zone, sizeof row->zone);
        }
    }
    out->order_count = settings->order_count;
    memcpy(out->order, settings->order, sizeof settings->order);
    out->edge_count = settings->edge_count;
    for (size_t i = 0; i < settings->edge_count; i++) {
        out->edges[i] = (struct synod_edge){settings->edges[i].a, settings->edges[i].b};
    }
}

static int take_zone(struct synod *s, const char *zone, char *out)
{
    if (memchr(zone, '\0', ZONE_BYTES_MAX) == NULL || !zone_is_valid(zone)) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "\"%.*s\" is no zone (it has at most %d letters, digits and . _ -); try: "
                          "eu",
                          ZONE_BYTES_MAX - 1, zone, ZONE_BYTES_MAX - 1);
    }
    memcpy(out, zone, strlen(zone));
    return SYNOD_OK;
}

static int take_candidates(struct synod *s, const struct synod_oracle *oracle, struct settings *out)
{
    out->candidate_count = oracle->candidate_count;
    int rc = SYNOD_OK;
    for (size_t i = 0; rc == SYNOD_OK && i < oracle->candidate_count; i++) {
        const struct synod_candidate *candidate = &oracle->candidates[i];
        out->candidates[i].id = candidate->id;
        out->candidates[i].priority = candidate->priority;
        out->candidates[i].is_barred = candidate->is_barred != 0;
        rc = take_zone(s, candidate->zone, out->candidates[i].zone);
    }
    return rc;
}

/* Not yet validated, but for what could not be held. */
static int take(struct synod *s, const struct synod_oracle *oracle, struct settings *out)
{
    settings_init(out);
    if (oracle->candidate_count > MEMBERS_MAX || oracle->order_count > MEMBERS_MAX ||
        oracle->edge_count > EDGES_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "too many candidates, places in the order, or edges; try: each once");
    }
    out->kind = (enum oracle_kind)oracle->kind;
    out->preempts = oracle->preempts != 0;
    out->diameter = oracle->diameter;
    int rc = take_zone(s, oracle->zone, out->zone);
    if (rc == SYNOD_OK) {
        rc = take_candidates(s, oracle, out);
    }
    out->order_count = oracle->order_count;
    memcpy(out->order, oracle->order, sizeof out->order);
    out->edge_count = oracle->edge_count;
    for (size_t i = 0; i < oracle->edge_count; i++) {
        out->edges[i] = (struct edge){oracle->edges[i].a, oracle->edges[i].b};
    }
    return rc;
}

/* ---- asking */

static int malformed(struct synod *s)
{
    return errmsg_set(&s->err, SYNOD_E_CORRUPT, "an answer on settings is malformed (a bug)");
}

int settings_read(struct synod *s, struct slice answer, struct settings *out, struct reader *rest)
{
    *rest = (struct reader){answer, 0};
    uint64_t version = reader_u64(rest);
    struct slice bytes = reader_bytes(rest, reader_u32(rest));
    if (rest->is_short) {
        return malformed(s);
    }
    *out = s->config.settings;
    if (version == 0) {
        return SYNOD_OK;
    }
    if (settings_parse(bytes, out, NULL) != 0) {
        return malformed(s);
    }
    out->version = version;
    return SYNOD_OK;
}

/* Asks a learner, as a call of that name. *answer has the answer, and *rest what follows the
 * settings in it. */
static int ask(struct synod *s, const char *call, enum synod_consistency consistency,
               struct settings *out, struct buffer *answer, struct reader *rest)
{
    const struct call_argument argument = {&consistency, sizeof consistency};
    int rc = call_begin(s, call, &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    const struct client_query query = {
        .op = QUERY_SETTINGS,
        .consistency = consistency == SYNOD_LOCAL ? READ_LOCAL : READ_LINEARIZABLE,
        .deadline = handle_deadline(s, 0),
    };
    rc = step_query(s, &query, NULL, answer);
    if (rc == SYNOD_OK) {
        rc = settings_read(s, buffer_slice(answer), out, rest);
    }
    return call_end(s, rc);
}

int synod_oracle_get(struct synod *s, enum synod_consistency consistency, struct synod_oracle *out)
{
    struct settings settings;
    struct buffer answer = {0};
    struct reader rest;
    int rc = ask(s, "synod_oracle_get", consistency, &settings, &answer, &rest);
    buffer_close(&answer);
    if (rc == SYNOD_OK) {
        settings_tell(s, &settings, out);
    }
    return rc;
}

int synod_oracle_line(struct synod *s, struct synod_place *places, size_t capacity, size_t *count)
{
    struct settings settings;
    struct buffer answer = {0};
    struct reader rest;
    size_t found = 0;
    int rc = ask(s, "synod_oracle_line", SYNOD_LINEARIZABLE, &settings, &answer, &rest);
    while (rc == SYNOD_OK && rest.rest.size > 0) {
        struct synod_place place = {.proposer = reader_u32(&rest)};
        place.incarnation = reader_u64(&rest);
        place.since = reader_u64(&rest);
        place.left_ms = reader_u64(&rest);
        if (rest.is_short) {
            rc = malformed(s);
        } else if (found < capacity) {
            places[found] = place;
        }
        found++;
    }
    buffer_close(&answer);
    if (rc == SYNOD_OK) {
        *count = found;
    }
    return rc;
}

/* ---- changing */

/* Checks what would be refused, or would leave a gap in the session for ever because the proposer
 * cannot read it; then writes it. */
static int encode(struct synod *s, const struct synod_oracle *oracle, uint8_t *bytes, size_t *size)
{
    struct settings settings;
    struct settings same;
    int rc = take(s, oracle, &settings);
    if (rc != SYNOD_OK) {
        return rc;
    }
    *size = settings_put(bytes, &settings);
    rc = settings_parse(slice_borrow(bytes, *size), &same, &s->err);
    return rc != 0 ? rc : config_check_settings(&s->config, &same, &s->err);
}

int synod_oracle_set(struct synod *s, const struct synod_oracle *oracle, uint64_t *version)
{
    uint8_t payload[8 + SETTINGS_BYTES_MAX];
    size_t size = 0;
    int rc = handle_may_block(s);
    if (rc == SYNOD_OK) {
        rc = encode(s, oracle, payload + 8, &size);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    bytes_put_u64(payload, oracle->version);
    const struct call_argument argument = {payload, 8 + size};
    rc = call_begin(s, "synod_oracle_set", &argument, 1);
    if (rc != SYNOD_OK) {
        return rc;
    }
    rc = step_command(s, COMMAND_SETTINGS, slice_borrow(payload, 8 + size), handle_deadline(s, 0),
                      NULL, NULL);
    if (rc == SYNOD_OK && version != NULL) {
        *version = oracle->version + 1;
    }
    return call_end(s, rc);
}
