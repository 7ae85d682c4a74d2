/* How it is decided who should lead, as the operator wants it: cluster.yml says so at first, and
 * `synod oracle set` replaces it as a whole through the log, live. Nothing in it touches safety
 * (DESIGN section 5).
 *
 *   settings = kind u8, flags u8, zone, diameter u32,
 *              count u8, (id u32, priority u32, flags u8, zone)*      rising ids
 *              count u8, (id u32)*                                    order, no id twice
 *              count u16, (a u32, b u32)*                             edges, a < b, rising
 *   zone     = size u8, size bytes
 *
 * Fixed big-endian fields, one encoding only, as in value.h. */
#ifndef SYNOD_PROTOCOL_SETTINGS_H
#define SYNOD_PROTOCOL_SETTINGS_H

#include "common/base/blob.h"
#include "common/base/error.h"
#include "common/protocol/limits.h"
#include "common/protocol/members.h"
#include "common/protocol/types.h"

#include <stddef.h>

enum oracle_kind {
    ORACLE_CONNECTED = 1,
    ORACLE_LEASE = 2,
    ORACLE_RING = 3,
    ORACLE_FLOODMAX = 4,
    ORACLE_GOSSIP = 5,
    ORACLE_SUCCESSION = 6,
    ORACLE_STATIC = 7,
    ORACLE_EXTERNAL = 8,
    ORACLE_KIND_END,
};

/* Letters, digits and . _ - only; with the terminator. */
#define ZONE_BYTES_MAX 32

/* Edges of a topology: enough for all pairs of MEMBERS_MAX. */
#define EDGES_MAX ((size_t)MEMBERS_MAX * (MEMBERS_MAX - 1) / 2)

/* An encoding is never longer. */
#define SETTINGS_BYTES_MAX (8 * KIB)

/* One that could lead: a proposer, in Raft mode an acceptor. */
struct candidate_settings {
    node_id_t id;
    uint32_t priority;         /* higher leads first */
    int is_barred;             /* must not lead */
    char zone[ZONE_BYTES_MAX]; /* "": none */
};

struct edge {
    node_id_t a, b; /* a < b */
};

struct settings {
    uint64_t version; /* how many times the log has changed them; 0: those of cluster.yml. Not
                         encoded */
    enum oracle_kind kind;
    int preempts; /* a leader hands over to one that ranks higher, once that has been fit for a
                     while */
    char zone[ZONE_BYTES_MAX]; /* candidates in it rank above all others; "": no zone does */
    uint32_t diameter;         /* floodmax: rounds; 0: the topology's own */
    size_t candidate_count;
    struct candidate_settings candidates[MEMBERS_MAX]; /* rising ids; who is missing has priority
                                                          0, no zone, and may lead */
    size_t order_count;
    node_id_t order[MEMBERS_MAX]; /* static: preferred first; who is missing comes after, by rank */
    size_t edge_count;
    struct edge edges[EDGES_MAX]; /* floodmax: who speaks to whom; none: everybody to everybody */
};

/* One place in the line of successors. */
struct place {
    node_id_t proposer;
    uint64_t incarnation; /* of the process that registered */
    slot_t since;         /* where it did: the line is in the order of these */
    uint64_t expires_ms;  /* cluster time; a later stamp than this in a LINE takes it out */
};

/* "connected", "lease", ...; static storage; "unknown" for a number that is none. */
const char *oracle_kind_name(enum oracle_kind kind);

/* The kind of that name into *out, or ERROR_USAGE. */
int oracle_kind_parse(const char *name, enum oracle_kind *out) MUST_USE;

int zone_is_valid(const char *zone);

/* `connected`, and nothing else said. */
void settings_init(struct settings *settings);

/* Reads and validates all of bytes. Everything but the version. 0, or ERROR_USAGE with a sentence.
 */
int settings_parse(struct slice bytes, struct settings *out, struct errmsg *err) MUST_USE;

/* Writes at most SETTINGS_BYTES_MAX to p and returns how many. Settings must be valid. */
size_t settings_put(uint8_t *p, const struct settings *settings);

/* The row of a candidate, or NULL if nothing is said of it. */
const struct candidate_settings *settings_of(const struct settings *settings, node_id_t id);

int settings_bar(const struct settings *settings, node_id_t id); /* 1: it must not lead */

void settings_allow(struct settings *settings, node_id_t id); /* it may lead, whatever was said */

/* What is compared is (weight, id): under `static` the place in the order above all, then the
 * preferred zone, then the priority. */
uint64_t settings_weight(const struct settings *settings, node_id_t id);

/* -1, 0 or 1. */
int rank_compare(uint64_t weight_a, node_id_t a, uint64_t weight_b, node_id_t b);

#endif
