/* Who leads, and why that one. */
#include "deploy/reasons_scene.h"

#include <string.h>

/* A leader was heard just now within so many heartbeats; one that is dead was not. */
#define FRESH_HEARTBEATS 3

static int is_same(struct synod_ballot a, struct synod_ballot b)
{
    return a.round == b.round && a.proposer == b.proposer;
}

/* ---- who */

/* The acceptors that heard this leader within so many milliseconds. */
static uint32_t heard_within(const struct scene *scene, struct synod_ballot ballot, uint32_t ms)
{
    uint32_t set = 0;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        const struct scene_acceptor *acceptor = &scene->out->acceptors[k];
        if (acceptor->is_alive && is_same(acceptor->leader, ballot) &&
            acceptor->leader_silence_ms < ms) {
            set |= set_of(k);
        }
    }
    return set;
}

/* The proposer that says it leads, of the highest ballot. A leader without a quorum steps down by
 * itself, so its word is good. */
static struct synod_ballot find_by_own_word(const struct scene *scene)
{
    struct synod_ballot best = {0, 0};
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &scene->e->proposers[i];
        if (p->is_answering && strcmp(p->state, "leading") == 0 && p->leader.round > best.round) {
            best = p->leader;
        }
    }
    return best;
}

/* Raft: 1 if there was an election since this term: so many acceptors are above it that it cannot
 * have a quorum, or a proposer knows who won. Who comes back from a pause does not know it yet. */
static int is_deposed(const struct scene *scene, uint64_t term)
{
    size_t above = 0;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        const struct scene_acceptor *acceptor = &scene->out->acceptors[k];
        above += acceptor->is_alive && acceptor->promised.round > term;
    }
    int is_known = 0;
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &scene->e->proposers[i];
        is_known |= p->is_answering && p->leader.round > term;
    }
    return is_known || above + scene->e->accept_quorum > scene->e->acceptor_count;
}

/* Raft: the acceptor that is alive and follows itself. */
static struct synod_ballot find_by_acceptor(const struct scene *scene)
{
    struct synod_ballot best = {0, 0};
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        const struct scene_acceptor *acceptor = &scene->out->acceptors[k];
        int leads = acceptor->is_alive && acceptor->leader.proposer == acceptor->id &&
                    acceptor->lease_left_ms > 0;
        if (leads && acceptor->leader.round > best.round &&
            !is_deposed(scene, acceptor->leader.round)) {
            best = acceptor->leader;
        }
    }
    return best;
}

/* One that does not answer here, but that a quorum of acceptors heard just now. */
static struct synod_ballot find_by_hearsay(const struct scene *scene)
{
    uint32_t fresh_ms = FRESH_HEARTBEATS * scene->e->heartbeat_ms;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        struct synod_ballot ballot = scene->out->acceptors[k].leader;
        int index = scene_proposer(scene, ballot.proposer);
        int is_here = index >= 0 && set_has(scene->answering, (size_t)index);
        if (ballot.round > 0 && !is_here &&
            set_count(heard_within(scene, ballot, fresh_ms)) >= scene->e->accept_quorum) {
            return ballot;
        }
    }
    return (struct synod_ballot){0, 0};
}

/* How long until a quorum of acceptors would promise somebody else: the lease that is the last of
 * those that have to end. */
static uint32_t lease_left(const struct scene *scene)
{
    uint32_t lefts[SYNOD_MEMBERS_MAX];
    size_t count = 0;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        const struct scene_acceptor *acceptor = &scene->out->acceptors[k];
        if (!acceptor->is_alive) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && lefts[at - 1] > acceptor->lease_left_ms; at--) {
            lefts[at] = lefts[at - 1];
        }
        lefts[at] = acceptor->lease_left_ms;
    }
    size_t needed = scene->e->prepare_quorum;
    return needed > 0 && count >= needed ? lefts[needed - 1] : 0;
}

/* ---- why */

static void say_heard(struct scene *scene)
{
    char names[WORDS_BYTES];
    char time[WORDS_BYTES];
    const struct synod_explanation *e = scene->e;
    uint32_t heard_by = scene->out->heard_by;
    if (heard_by == 0) {
        say(scene, REASON_WHY, "no acceptor has said yet that it heard it; %zu of %zu are needed.",
            e->accept_quorum, e->acceptor_count);
        return;
    }
    words_acceptors(scene, heard_by, "and", names);
    if (e->is_raft) {
        say(scene, REASON_WHY, "%s %s for it; %zu of %zu are needed.", names,
            set_count(heard_by) == 1 ? "is" : "are", e->accept_quorum, e->acceptor_count);
    } else {
        say(scene, REASON_WHY, "it is heard by %s; %zu of %zu are needed.", names, e->accept_quorum,
            e->acceptor_count);
    }
    if (scene->out->lease_left_ms > 0) {
        say(scene, REASON_WHY, "%s nobody else for another %s, and each heartbeat renews that.",
            set_count(heard_by) == 1 ? e->is_raft ? "it votes for" : "it promises"
            : e->is_raft             ? "they vote for"
                                     : "they promise",
            words_time(scene->out->lease_left_ms, time));
    }
}

/* Why the oracle of the leader wants it; without its answer, why that of another one does. */
static void say_oracle(struct scene *scene, struct synod_ballot leader)
{
    int index = scene_proposer(scene, leader.proposer);
    if (scene->e->is_raft) {
        say(scene, REASON_WHY,
            "the acceptors elected it: voters insist on the longer log, and on "
            "nothing else.");
        return;
    }
    if (index < 0 || !set_has(scene->answering, (size_t)index)) {
        return;
    }
    const struct synod_explained_proposer *p = &scene->e->proposers[index];
    if (p->oracle[0] != '\0') {
        char why[SYNOD_SENTENCE_BYTES];
        say(scene, REASON_WHY, "its oracle, %s: %s.", synod_oracle_kind_name(p->kind),
            words_oracle(p, why));
    }
}

/* Candidates that could lead now, as far as is known. */
static uint32_t fit_candidates(const struct scene *scene)
{
    return (scene->e->is_raft ? scene->alive : scene->able) & ~scene->barred;
}

/* One that ranks above the leader, and why it does not lead. */
static void say_better(struct scene *scene, struct synod_ballot leader)
{
    const struct synod_oracle *oracle = &scene->e->oracle;
    uint32_t fit = fit_candidates(scene);
    uint32_t best = leader.proposer;
    for (size_t i = 0; i < oracle->candidate_count; i++) {
        if (set_has(fit, i) && scene_ranks_above(scene, oracle->candidates[i].id, best)) {
            best = oracle->candidates[i].id;
        }
    }
    if (best == leader.proposer) {
        return;
    }
    const struct synod_candidate *better = scene_candidate(scene, best);
    const char *rank = scene_place(scene, best) != 0 ? "the fixed order"
                       : strcmp(better->zone, oracle->zone) == 0 && oracle->zone[0] != '\0'
                           ? "zone and priority"
                           : "priority";
    if (oracle->preempts) {
        say(scene, REASON_WHY,
            "%s %u ranks higher by %s: it takes over when it has been fit for two election "
            "timeouts.",
            scene->role, best, rank);
    } else {
        say(scene, REASON_WHY,
            "%s %u ranks higher by %s, but a leader that serves is not replaced: preempt is off.",
            scene->role, best, rank);
        say(scene, REASON_HELP, "synod transfer --to %u, if that one should lead", best);
    }
}

static void say_barred_leader(struct scene *scene, struct synod_ballot leader)
{
    if (scene_candidate(scene, leader.proposer)->is_barred) {
        say(scene, REASON_WHY, "it is barred, but leads until another one is fit to.");
    }
}

static void say_leader(struct scene *scene, struct synod_ballot leader)
{
    char ballot[WORDS_BYTES];
    char names[WORDS_BYTES];
    char time[WORDS_BYTES];
    int index = scene_proposer(scene, leader.proposer);
    const char *under = scene->e->is_raft ? "in" : "under";
    words_ballot(scene, leader, ballot);
    if (!scene->e->is_raft && (index < 0 || !set_has(scene->answering, (size_t)index))) {
        say(scene, REASON_WHO, "%s %u leads %s %s by the word of %s; it does not answer here.",
            scene->role, leader.proposer, under, ballot,
            words_acceptors(scene, scene->out->heard_by, "and", names));
        say(scene, REASON_HELP, "look again in %s: until then its lease keeps others away",
            words_time(scene->out->lease_left_ms, time));
    } else {
        say(scene, REASON_WHO, "%s %u leads %s %s.", scene->role, leader.proposer, under, ballot);
    }
    say_heard(scene);
    say_oracle(scene, leader);
    if (scene_settings_hold(scene)) {
        say_barred_leader(scene, leader);
        say_better(scene, leader);
    }
}

/* ---- who sees it differently */

static void say_beliefs(struct scene *scene)
{
    char ballot[WORDS_BYTES];
    struct synod_ballot leader = scene->out->leader;
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &scene->e->proposers[i];
        if (!p->is_answering || is_same(p->leader, leader) || p->leader.proposer == p->id) {
            continue;
        }
        if (p->leader.round == 0) {
            say(scene, REASON_MISSING, "proposer %u knows of no leader.", p->id);
        } else {
            say(scene, REASON_MISSING, "proposer %u takes %s %u for the leader (%s).", p->id,
                scene->role, p->leader.proposer, words_ballot(scene, p->leader, ballot));
        }
    }
}

static void say_no_learner(struct scene *scene)
{
    if (!scene->e->is_oracle_known) {
        say(scene, REASON_MISSING,
            "no learner answers: what the log says of ranks and bars is not known here, and "
            "clients "
            "get no results.");
        say(scene, REASON_HELP, "start a learner, or look whether one is reachable from here");
    }
}

static void say_versions(struct scene *scene)
{
    const struct synod_explanation *e = scene->e;
    uint64_t newest = scene_newest_version(scene);
    int is_behind = 0;
    for (size_t i = 0; i < e->proposer_count; i++) {
        const struct synod_explained_proposer *p = &e->proposers[i];
        if (p->is_answering && p->version < newest) {
            is_behind = 1;
            say(scene, REASON_MISSING,
                "proposer %u goes by version %llu of the settings (oracle %s), the newest is %llu.",
                p->id, (unsigned long long)p->version, synod_oracle_kind_name(p->kind),
                (unsigned long long)newest);
        }
    }
    if (is_behind) {
        say(scene, REASON_HELP,
            "wait a moment: learners tell the settings; if it stays so, look whether a learner "
            "reaches that proposer");
    }
    if (e->is_oracle_known && e->oracle.version < newest) {
        say(scene, REASON_MISSING,
            "the learner that answered has version %llu of the settings: it is behind.",
            (unsigned long long)e->oracle.version);
    }
}

void reasons_find(const struct synod_explanation *explanation, struct reasons *out)
{
    struct scene scene;
    scene_init(&scene, explanation, out);
    out->leader = explanation->is_raft ? find_by_acceptor(&scene) : find_by_own_word(&scene);
    if (out->leader.round == 0 && !explanation->is_raft) {
        out->leader = find_by_hearsay(&scene);
    }
    out->lease_left_ms = lease_left(&scene);
    if (out->leader.round != 0) {
        out->heard_by = heard_within(&scene, out->leader, explanation->election_ms);
        say_leader(&scene, out->leader);
        missing_say_silent(&scene);
        say_beliefs(&scene);
    } else {
        missing_say(&scene);
        say_beliefs(&scene);
    }
    say_versions(&scene);
    say_no_learner(&scene);
}
