/* Why nobody leads, and what would help. */
#include "deploy/reasons_scene.h"

#include <string.h>

/* ---- acceptors */

/* "start acceptor 2 or 3", "start acceptors 2 and 3", "start 2 of acceptors 2, 3 and 4". */
static void help_start_acceptors(struct scene *scene, uint32_t silent, size_t wanted)
{
    char names[WORDS_BYTES];
    size_t count = set_count(silent);
    if (wanted == count) {
        say(scene, REASON_HELP, "start %s", words_acceptors(scene, silent, "and", names));
    } else if (wanted == 1) {
        words_acceptors(scene, silent, "or", names);
        say(scene, REASON_HELP, "start acceptor%s", names + strlen("acceptors"));
    } else {
        say(scene, REASON_HELP, "start %zu of %s", wanted,
            words_acceptors(scene, silent, "and", names));
    }
}

/* 1 if too few acceptors answer for anybody to lead. */
static int say_acceptors(struct scene *scene)
{
    char names[WORDS_BYTES];
    const struct synod_explanation *e = scene->e;
    uint32_t silent = set_all(e->acceptor_count) & ~scene->alive;
    size_t alive = set_count(scene->alive);
    if (silent == 0) {
        return 0;
    }
    const char *verb = set_count(silent) == 1 ? "is" : "are";
    words_acceptors(scene, silent, "and", names);
    if (alive < scene->needed) {
        say(scene, REASON_MISSING,
            "%s %s silent: %zu of %zu acceptors answer%s, and %zu are needed.", names, verb, alive,
            e->acceptor_count, alive == 1 ? "s" : "", scene->needed);
        help_start_acceptors(scene, silent, scene->needed - alive);
        return 1;
    }
    if (alive == scene->needed) {
        say(scene, REASON_MISSING, "%s %s silent: the others suffice, but none of them may fail.",
            names, verb);
    } else {
        say(scene, REASON_MISSING, "%s %s silent: the others suffice.", names, verb);
    }
    help_start_acceptors(scene, silent, set_count(silent));
    return 0;
}

/* ---- proposers */

static void say_silent_proposers(struct scene *scene)
{
    char names[WORDS_BYTES];
    uint32_t silent = set_all(scene->e->proposer_count) & ~scene->answering;
    if (silent == 0) {
        return;
    }
    int is_one = set_count(silent) == 1;
    say(scene, REASON_MISSING, "%s %s not answer.", words_proposers(scene, silent, "and", names),
        is_one ? "does" : "do");
}

static void say_reach(struct scene *scene, size_t index)
{
    char names[WORDS_BYTES];
    const struct synod_explained_proposer *p = &scene->e->proposers[index];
    uint32_t reach = scene->reach[index];
    if (reach == 0) {
        say(scene, REASON_MISSING, "proposer %u reaches no acceptor, and %zu are needed.", p->id,
            scene->needed);
    } else {
        say(scene, REASON_MISSING, "proposer %u reaches only %s, and %zu are needed.", p->id,
            words_acceptors(scene, reach, "and", names), scene->needed);
    }
}

/* Proposers that answer, but could not lead, though there are acceptors enough. */
static void say_cut_proposers(struct scene *scene)
{
    char names[WORDS_BYTES];
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        uint32_t missing = scene->alive & ~scene->reach[i];
        if (!set_has(scene->answering, i) || set_has(scene->able, i)) {
            continue;
        }
        say_reach(scene, i);
        if (missing != 0) {
            say(scene, REASON_HELP, "look at the network between proposer %u and %s",
                scene->e->proposers[i].id, words_acceptors(scene, missing, "and", names));
        }
    }
}

void missing_say_silent(struct scene *scene)
{
    char names[WORDS_BYTES];
    int is_short = say_acceptors(scene);
    if (!is_short) {
        say_cut_proposers(scene);
    }
    say_silent_proposers(scene);
    uint32_t silent = set_all(scene->e->proposer_count) & ~scene->answering;
    if (silent != 0) {
        say(scene, REASON_HELP, "start %s", words_proposers(scene, silent, "and", names));
    }
}

/* ---- promises, votes and leases */

static int is_alike(const struct scene_acceptor *a, const struct scene_acceptor *b)
{
    return a->promised.round == b->promised.round && a->promised.proposer == b->promised.proposer;
}

static void say_promise(struct scene *scene, uint32_t group, const struct scene_acceptor *one)
{
    char names[WORDS_BYTES];
    char ballot[WORDS_BYTES];
    words_acceptors(scene, group, "and", names);
    words_ballot(scene, one->promised, ballot);
    if (one->promised.round == 0) {
        say(scene, REASON_MISSING, "%s ha%s %s so far.", names, set_count(group) == 1 ? "s" : "ve",
            scene->e->is_raft ? "voted for nobody" : "promised nothing");
    } else if (scene->e->is_raft && set_count(group) == 1 && one->promised.proposer == one->id) {
        say(scene, REASON_MISSING, "%s stood for election in %s.", names, ballot);
    } else if (scene->e->is_raft) {
        say(scene, REASON_MISSING, "%s voted for acceptor %u in %s, or followed it there.", names,
            one->promised.proposer, ballot);
    } else {
        say(scene, REASON_MISSING, "%s promised %s to proposer %u.", names, ballot,
            one->promised.proposer);
    }
}

/* Who promised what to whom: one sentence for those that promised the same. */
static void say_promises(struct scene *scene)
{
    const struct scene_acceptor *acceptors = scene->out->acceptors;
    uint32_t rest = scene->alive;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        if (!set_has(rest, k)) {
            continue;
        }
        uint32_t group = 0;
        for (size_t j = k; j < scene->e->acceptor_count; j++) {
            group |= set_has(rest, j) && is_alike(&acceptors[k], &acceptors[j]) ? set_of(j) : 0;
        }
        rest &= ~group;
        say_promise(scene, group, &acceptors[k]);
    }
}

static int is_waiting_after_restart(const struct scene_acceptor *acceptor)
{
    return acceptor->lease_left_ms > 0 && acceptor->leader.round == 0;
}

static void say_lease(struct scene *scene, uint32_t group, const struct scene_acceptor *one)
{
    char names[WORDS_BYTES];
    char ballot[WORDS_BYTES];
    char left[WORDS_BYTES];
    char silence[WORDS_BYTES];
    int is_one = set_count(group) == 1;
    words_acceptors(scene, group, "and", names);
    words_time(one->lease_left_ms, left);
    if (is_waiting_after_restart(one)) {
        say(scene, REASON_MISSING,
            "%s %s restarted, and promise%s nothing for another %s, in case a leader still holds "
            "its lease.",
            names, is_one ? "was" : "were", is_one ? "s" : "", left);
        return;
    }
    words_ballot(scene, one->leader, ballot);
    words_time(one->leader_silence_ms, silence);
    if (scene->e->is_raft) {
        say(scene, REASON_MISSING,
            "%s heard acceptor %u, the leader in %s, %s ago, and vote%s for nobody else for "
            "another "
            "%s.",
            names, one->leader.proposer, ballot, silence, is_one ? "s" : "", left);
    } else {
        say(scene, REASON_MISSING,
            "%s heard proposer %u, the leader under %s, %s ago, and keep%s its lease for another "
            "%s.",
            names, one->leader.proposer, ballot, silence, is_one ? "s" : "", left);
    }
}

static int is_held_alike(const struct scene_acceptor *a, const struct scene_acceptor *b)
{
    return a->leader.round == b->leader.round && a->leader.proposer == b->leader.proposer;
}

/* Which lease, or wait after a restart, runs until when; for those that hold the same, the one that
 * runs longest. */
static void say_leases(struct scene *scene)
{
    const struct scene_acceptor *acceptors = scene->out->acceptors;
    uint32_t rest = 0;
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        rest |= acceptors[k].is_alive && acceptors[k].lease_left_ms > 0 ? set_of(k) : 0;
    }
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        if (!set_has(rest, k)) {
            continue;
        }
        uint32_t group = 0;
        size_t longest = k;
        for (size_t j = k; j < scene->e->acceptor_count; j++) {
            if (set_has(rest, j) && is_held_alike(&acceptors[k], &acceptors[j])) {
                group |= set_of(j);
                longest =
                    acceptors[j].lease_left_ms > acceptors[longest].lease_left_ms ? j : longest;
            }
        }
        rest &= ~group;
        say_lease(scene, group, &acceptors[longest]);
    }
}

/* ---- what each proposer waits for */

static void say_not_named(struct scene *scene, const struct synod_explained_proposer *p)
{
    const char *oracle = synod_oracle_kind_name(p->kind);
    char buffer[SYNOD_SENTENCE_BYTES];
    const char *why = p->oracle[0] != '\0' ? words_oracle(p, buffer) : "it gives no reason";
    if (p->named == 0) {
        say(scene, REASON_MISSING, "the oracle of proposer %u (%s) names nobody: %s.", p->id,
            oracle, why);
        say(scene, REASON_HELP, "wait until the oracle %s has named somebody", oracle);
        return;
    }
    int index = scene_proposer(scene, p->named);
    int is_here = index >= 0 && set_has(scene->answering, (size_t)index);
    say(scene, REASON_MISSING, "the oracle of proposer %u (%s) names proposer %u%s: %s.", p->id,
        oracle, p->named, is_here ? "" : ", which does not answer", why);
    if (!is_here) {
        say(scene, REASON_HELP,
            "start proposer %u, or wait until the oracle %s has noticed that it is gone", p->named,
            oracle);
    }
}

static void say_pause(struct scene *scene, const struct synod_explained_proposer *p)
{
    char left[WORDS_BYTES];
    words_time(p->pause_ms, left);
    if (p->attempts == 0) {
        say(scene, REASON_MISSING,
            "proposer %u lets the successor of the last leader go first, for another %s.", p->id,
            left);
    } else {
        say(scene, REASON_MISSING, "proposer %u pauses for another %s after %u failed attempt%s.",
            p->id, left, p->attempts, p->attempts == 1 ? "" : "s");
    }
    say(scene, REASON_HELP, "wait %s", left);
}

static void say_campaign(struct scene *scene, const struct synod_explained_proposer *p)
{
    char ballot[WORDS_BYTES];
    char higher[WORDS_BYTES];
    say(scene, REASON_MISSING, "proposer %u asks for promises under %s.", p->id,
        words_ballot(scene, p->ballot, ballot));
    for (size_t k = 0; k < scene->e->acceptor_count; k++) {
        const struct scene_acceptor *acceptor = &scene->out->acceptors[k];
        if (acceptor->is_alive && acceptor->promised.round > p->ballot.round) {
            say(scene, REASON_MISSING,
                "acceptor %u promised %s, which is higher: the attempt of "
                "proposer %u will fail.",
                acceptor->id, words_ballot(scene, acceptor->promised, higher), p->id);
        }
    }
    say(scene, REASON_HELP, "wait a moment");
}

static void say_serving(struct scene *scene, const struct synod_explained_proposer *p)
{
    char ballot[WORDS_BYTES];
    words_ballot(scene, p->ballot, ballot);
    if (strcmp(p->state, "draining") == 0) {
        say(scene, REASON_MISSING,
            "proposer %u hands over: it leads under %s no more than a moment "
            "longer.",
            p->id, ballot);
    } else {
        say(scene, REASON_MISSING,
            "proposer %u has won %s, and first closes the slots that former leaders left.", p->id,
            ballot);
    }
    say(scene, REASON_HELP, "wait a moment");
}

static void say_gate(struct scene *scene, size_t index)
{
    const struct synod_explained_proposer *p = &scene->e->proposers[index];
    char time[WORDS_BYTES];
    switch (p->gate) {
    case SYNOD_GATE_SERVES:
        say_serving(scene, p);
        break;
    case SYNOD_GATE_CAMPAIGNS:
        say_campaign(scene, p);
        break;
    case SYNOD_GATE_LEADER_HEARD:
        if (scene->out->lease_left_ms > 0) {
            say(scene, REASON_HELP, "wait %s", words_time(scene->out->lease_left_ms, time));
        } else {
            say(scene, REASON_MISSING,
                "proposer %u waits until a quorum of acceptors has told it that nobody leads.",
                p->id);
            say(scene, REASON_HELP, "wait a moment");
        }
        break;
    case SYNOD_GATE_NOT_NAMED:
        say_not_named(scene, p);
        break;
    case SYNOD_GATE_PAUSES:
        say_pause(scene, p);
        break;
    case SYNOD_GATE_OPEN:
        say(scene, REASON_MISSING, "proposer %u is about to ask for promises.", p->id);
        say(scene, REASON_HELP, "wait a moment");
        break;
    case SYNOD_GATE_NO_QUORUM: /* said by who reaches whom */
    case SYNOD_GATE_BARRED:    /* said of all that are */
    case SYNOD_GATE_FORWARDS:
        break;
    }
}

/* ---- barred */

/* could: candidates that could lead if they were allowed to. */
static void say_barred(struct scene *scene, uint32_t could)
{
    char names[WORDS_BYTES];
    char others[WORDS_BYTES];
    uint32_t barred = scene->barred;
    uint32_t all = set_all(scene->e->oracle.candidate_count);
    for (size_t i = 0; !scene->e->is_raft && i < scene->e->proposer_count; i++) {
        int says_so =
            set_has(scene->answering, i) && scene->e->proposers[i].gate == SYNOD_GATE_BARRED;
        barred |= says_so ? set_of(i) : 0;
    }
    if (barred == 0) {
        return;
    }
    words_candidates(scene, barred, "and", names);
    say(scene, REASON_MISSING, "%s must not lead (barred).", names);
    uint32_t allowed = all & ~barred;
    if (could == 0 || (could & ~barred) != 0) {
        return;
    }
    if (allowed != 0) {
        say(scene, REASON_HELP, "start %s, which may lead",
            words_candidates(scene, allowed, "or", others));
    }
    /* Settings change through the log, for which somebody has to lead. */
    size_t first = (size_t)__builtin_ctz(could);
    uint32_t id = scene->e->oracle.candidates[first].id;
    say(scene, REASON_HELP,
        "else start %s %u again with --lead-anyway, and then: synod oracle allow "
        "%u",
        scene->role, id, id);
}

/* ---- all of it */

static void say_nobody_answers(struct scene *scene)
{
    char names[WORDS_BYTES];
    uint32_t all = set_all(scene->e->proposer_count);
    say(scene, REASON_WHO, "nobody can say who leads: no proposer answers.");
    say(scene, REASON_MISSING, "%s %s silent.", words_proposers(scene, all, "and", names),
        set_count(all) == 1 ? "is" : "are");
    words_proposers(scene, all, "or", names);
    say(scene, REASON_HELP, "start proposer%s, or look whether %s reachable from here",
        names + strlen(set_count(all) == 1 ? "proposer" : "proposers"),
        set_count(all) == 1 ? "it is" : "they are");
}

/* Raft: acceptors enough, and still no leader. */
static void say_election(struct scene *scene)
{
    char time[WORDS_BYTES];
    if ((scene->alive & ~scene->barred) == 0) {
        return; /* no time will help */
    }
    uint32_t wait_ms = scene->out->lease_left_ms + 2 * scene->e->election_ms;
    say(scene, REASON_HELP, "wait: an election takes up to %s", words_time(wait_ms, time));
}

void missing_say(struct scene *scene)
{
    if (scene->answering == 0) {
        say_nobody_answers(scene);
        return;
    }
    say(scene, REASON_WHO, scene->e->is_raft ? "No acceptor leads." : "Nobody leads.");
    int is_short = say_acceptors(scene);
    if (!is_short) {
        say_cut_proposers(scene);
    }
    say_promises(scene);
    say_leases(scene);
    for (size_t i = 0; i < scene->e->proposer_count; i++) {
        if (set_has(scene->answering, i) && (set_has(scene->able, i) || !is_short)) {
            say_gate(scene, i);
        }
    }
    if (scene->e->is_raft && !is_short) {
        say_election(scene);
    }
    say_silent_proposers(scene);
    say_barred(scene, is_short ? 0 : scene->e->is_raft ? scene->alive : scene->able);
    if (!is_short && scene->able == 0) {
        char names[WORDS_BYTES];
        uint32_t silent = set_all(scene->e->proposer_count) & ~scene->answering;
        if (silent != 0) {
            say(scene, REASON_HELP, "start %s", words_proposers(scene, silent, "or", names));
        }
    }
}
