#include "deploy/reasons_scene.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- sets */

size_t set_count(uint32_t set)
{
    return (size_t)__builtin_popcount(set);
}

uint32_t set_all(size_t count)
{
    return count >= 32 ? UINT32_MAX : set_of(count) - 1;
}

/* ---- the picture */

static uint32_t add_ms(uint32_t a, uint32_t b)
{
    return a > SYNOD_SILENT - b ? SYNOD_SILENT : a + b;
}

/* Takes the report for the acceptor's own state if it is fresher than what was taken before. */
static void take_report(struct scene_acceptor *acceptor,
                        const struct synod_explained_acceptor *report)
{
    if (report->silence_ms >= acceptor->silence_ms) {
        return;
    }
    acceptor->silence_ms = report->silence_ms;
    acceptor->promised = report->promised;
    acceptor->leader = report->leader;
    acceptor->leader_silence_ms = add_ms(report->leader_silence_ms, report->silence_ms);
    acceptor->lease_left_ms =
        report->lease_left_ms > report->silence_ms ? report->lease_left_ms - report->silence_ms : 0;
    acceptor->chosen = report->chosen;
}

static void look_through(struct scene *scene, size_t index)
{
    const struct synod_explained_proposer *p = &scene->e->proposers[index];
    for (size_t i = 0; i < p->acceptor_count; i++) {
        for (size_t k = 0; k < scene->e->acceptor_count; k++) {
            if (scene->e->acceptors[k] != p->acceptors[i].id) {
                continue;
            }
            take_report(&scene->out->acceptors[k], &p->acceptors[i]);
            if (p->acceptors[i].silence_ms < scene->e->election_ms) {
                scene->reach[index] |= set_of(k);
            }
        }
    }
}

static uint32_t find_barred(const struct synod_explanation *e)
{
    uint32_t barred = 0;
    for (size_t i = 0; i < e->oracle.candidate_count; i++) {
        barred |= e->oracle.candidates[i].is_barred ? set_of(i) : 0;
    }
    return barred;
}

void scene_init(struct scene *scene, const struct synod_explanation *e, struct reasons *out)
{
    memset(out, 0, sizeof *out);
    *scene = (struct scene){.e = e, .out = out, .role = e->is_raft ? "acceptor" : "proposer"};
    scene->needed = e->prepare_quorum > e->accept_quorum ? e->prepare_quorum : e->accept_quorum;
    scene->barred = find_barred(e);
    out->acceptor_count = e->acceptor_count;
    for (size_t k = 0; k < e->acceptor_count; k++) {
        out->acceptors[k].id = e->acceptors[k];
        out->acceptors[k].silence_ms = SYNOD_SILENT;
    }
    for (size_t i = 0; i < e->proposer_count; i++) {
        if (e->proposers[i].is_answering) {
            scene->answering |= set_of(i);
            look_through(scene, i);
        }
    }
    for (size_t i = 0; i < e->proposer_count; i++) {
        scene->alive |= scene->reach[i];
        scene->able |= set_count(scene->reach[i]) >= scene->needed ? set_of(i) : 0;
    }
    for (size_t k = 0; k < e->acceptor_count; k++) {
        out->acceptors[k].is_alive = set_has(scene->alive, k);
    }
}

int scene_proposer(const struct scene *scene, uint32_t id)
{
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        if (scene->e->proposers[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

const struct synod_candidate *scene_candidate(const struct scene *scene, uint32_t id)
{
    for (size_t i = 0; i < scene->e->oracle.candidate_count; i++) {
        if (scene->e->oracle.candidates[i].id == id) {
            return &scene->e->oracle.candidates[i];
        }
    }
    static const struct synod_candidate unknown;
    return &unknown;
}

static int is_in_zone(const struct scene *scene, const struct synod_candidate *candidate)
{
    const char *zone = scene->e->oracle.zone;
    return zone[0] != '\0' && strcmp(zone, candidate->zone) == 0;
}

size_t scene_place(const struct scene *scene, uint32_t id)
{
    const struct synod_oracle *oracle = &scene->e->oracle;
    for (size_t i = 0; oracle->kind == SYNOD_ORACLE_STATIC && i < oracle->order_count; i++) {
        if (oracle->order[i] == id) {
            return i + 1;
        }
    }
    return 0;
}

uint64_t scene_newest_version(const struct scene *scene)
{
    uint64_t newest = scene->e->is_oracle_known ? scene->e->oracle.version : 0;
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &scene->e->proposers[i];
        newest = p->is_answering && p->version > newest ? p->version : newest;
    }
    return newest;
}

int scene_settings_hold(const struct scene *scene)
{
    return scene->e->oracle.version == scene_newest_version(scene);
}

int scene_ranks_above(const struct scene *scene, uint32_t a, uint32_t b)
{
    size_t place_a = scene_place(scene, a);
    size_t place_b = scene_place(scene, b);
    if (place_a != place_b) {
        return place_a != 0 && (place_b == 0 || place_a < place_b);
    }
    const struct synod_candidate *one = scene_candidate(scene, a);
    const struct synod_candidate *other = scene_candidate(scene, b);
    int zone_a = is_in_zone(scene, one);
    int zone_b = is_in_zone(scene, other);
    return zone_a != zone_b ? zone_a > zone_b : one->priority > other->priority;
}

/* ---- words */

static const char *words_ids(const char *role, const uint32_t ids[SYNOD_MEMBERS_MAX], size_t count,
                             const char *last, char out[WORDS_BYTES])
{
    size_t used = 0;
    int n = snprintf(out, WORDS_BYTES, "%s%s ", role, count == 1 ? "" : "s");
    for (size_t i = 0; i < count && n > 0; i++) {
        used += (size_t)n;
        if (used >= WORDS_BYTES) {
            break;
        }
        const char *gap = i == 0 ? "" : i + 1 == count ? last : ", ";
        n = snprintf(out + used, WORDS_BYTES - used, i > 0 && i + 1 == count ? " %s %u" : "%s%u",
                     gap, ids[i]);
    }
    return out;
}

const char *words_acceptors(const struct scene *scene, uint32_t set, const char *last,
                            char out[WORDS_BYTES])
{
    uint32_t ids[SYNOD_MEMBERS_MAX];
    size_t count = 0;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        if (set_has(set, k)) {
            ids[count++] = scene->e->acceptors[k];
        }
    }
    return words_ids("acceptor", ids, count, last, out);
}

const char *words_proposers(const struct scene *scene, uint32_t set, const char *last,
                            char out[WORDS_BYTES])
{
    uint32_t ids[SYNOD_MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        if (set_has(set, i)) {
            ids[count++] = scene->e->proposers[i].id;
        }
    }
    return words_ids("proposer", ids, count, last, out);
}

const char *words_candidates(const struct scene *scene, uint32_t set, const char *last,
                             char out[WORDS_BYTES])
{
    return scene->e->is_raft ? words_acceptors(scene, set, last, out)
                             : words_proposers(scene, set, last, out);
}

const char *words_time(uint32_t ms, char out[WORDS_BYTES])
{
    if (ms < 1000) {
        snprintf(out, WORDS_BYTES, "%u ms", ms);
    } else if (ms < 120000) {
        snprintf(out, WORDS_BYTES, "%u.%u s", ms / 1000, ms % 1000 / 100);
    } else {
        snprintf(out, WORDS_BYTES, "%u min", ms / 60000);
    }
    return out;
}

const char *words_ballot(const struct scene *scene, struct synod_ballot ballot,
                         char out[WORDS_BYTES])
{
    if (scene->e->is_raft) {
        snprintf(out, WORDS_BYTES, "term %llu", (unsigned long long)ballot.round);
    } else {
        snprintf(out, WORDS_BYTES, "ballot %llu.%u", (unsigned long long)ballot.round,
                 ballot.proposer);
    }
    return out;
}

const char *words_oracle(const struct synod_explained_proposer *p, char out[SYNOD_SENTENCE_BYTES])
{
    size_t size = strlen(p->oracle);
    size -= size > 0 && p->oracle[size - 1] == '.';
    memcpy(out, p->oracle, size);
    out[size] = '\0';
    return out;
}

void say(struct scene *scene, enum reason_part part, const char *fmt, ...)
{
    struct reasons *out = scene->out;
    if (out->count == REASONS_MAX) {
        return;
    }
    struct reason *reason = &out->list[out->count];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason->text, sizeof reason->text, fmt, args);
    va_end(args);
    reason->part = part;
    if (part != REASON_HELP) {
        reason->text[0] = (char)toupper((unsigned char)reason->text[0]);
    }
    for (size_t i = 0; i < out->count; i++) {
        size_t size = strlen(out->list[i].text);
        if (out->list[i].part != part || strncmp(out->list[i].text, reason->text, size) != 0) {
            continue;
        }
        if (reason->text[size] == '\0') {
            return;
        }
        if (reason->text[size] == ',') { /* the same, and more of it */
            out->list[i] = *reason;
            return;
        }
    }
    out->count++;
}
