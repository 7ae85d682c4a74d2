#include "tests/unit/lease_kit.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdlib.h>

static time_ms_t local(const struct net *net, int rate)
{
    return 1000000 + net->now * rate / 1000;
}

static int chance(struct net *net, uint32_t in_thousand)
{
    return rng_below(&net->rng, 1000) < in_thousand;
}

void net_view(const struct net *net, size_t proposer, struct oracle_view *view)
{
    *view = (struct oracle_view){.now = local(net, net->proposers[proposer].rate),
                                 .self = (node_id_t)proposer + 1,
                                 .heartbeat_ms = NET_HEARTBEAT_MS,
                                 .election_ms = NET_ELECTION_MS,
                                 .members = &net->members,
                                 .settings = &net->settings,
                                 .leader = net->leader,
                                 .is_open = net->leader == 0 && net->proposers[proposer].is_fit,
                                 .candidate_count = net->members.proposer_count};
    for (size_t i = 0; i < view->candidate_count; i++) {
        struct oracle_candidate *candidate = &view->candidates[i];
        candidate->id = (node_id_t)i + 1;
        candidate->weight = settings_weight(&net->settings, candidate->id);
        candidate->is_barred = settings_bar(&net->settings, candidate->id);
        candidate->is_alive = 1;
        candidate->reaches_quorum = net->proposers[i].is_fit;
    }
}

/* ---- the network */

static void post(struct net *net, struct peer to, const struct message *msg, time_ms_t delay_ms)
{
    if (net->letter_count == net->letter_capacity) {
        net->letter_capacity = net->letter_capacity * 2 + 64;
        net->letters = realloc(net->letters, net->letter_capacity * sizeof *net->letters);
        CHECK(net->letters != NULL);
    }
    net->letters[net->letter_count++] =
        (struct net_letter){.at = net->now + delay_ms, .to = to, .msg = *msg};
}

static void post_with_faults(struct net *net, struct peer to, const struct message *msg)
{
    net->sent++;
    if (chance(net, net->drop)) {
        return;
    }
    uint64_t spread = (uint64_t)(net->delay_max - net->delay_min) + 1;
    time_ms_t delay_ms = net->delay_min + (time_ms_t)rng_below(&net->rng, spread);
    post(net, to, msg, delay_ms);
    if (chance(net, net->duplicate)) {
        time_ms_t late_ms = (time_ms_t)rng_below(&net->rng, (uint64_t)net->late_max + 1);
        post(net, to, msg, delay_ms + late_ms);
    }
}

static void post_all(struct net *net, struct peer from, uint64_t incarnation, struct effects *fx)
{
    for (size_t i = 0; i < fx->send_count; i++) {
        struct message msg = fx->sends[i].msg;
        struct peer to = fx->sends[i].to;
        msg.from = from;
        msg.incarnation = incarnation;
        size_t first = to.id != 0 ? to.id : 1; /* 0: all */
        size_t last = to.id != 0 ? to.id : net->members.acceptor_count;
        for (to.id = first; to.id <= last; to.id++) {
            post_with_faults(net, to, &msg);
        }
    }
    effects_clear(fx);
}

static void deliver(struct net *net, const struct net_letter *letter)
{
    size_t index = (size_t)letter->to.id - 1;
    const struct message *msg = &letter->msg;
    if (letter->to.role == ROLE_ACCEPTOR) {
        struct net_acceptor *a = &net->acceptors[index];
        a->kit.now = local(net, a->rate);
        kit_message(&a->kit, msg);
        kit_flush(&a->kit);
        post_all(net, letter->to, 1, &a->kit.fx);
        kit_end(&a->kit);
        return;
    }
    struct net_proposer *p = &net->proposers[index];
    if (!p->is_up || message_is_stale(msg, p->incarnation)) {
        return;
    }
    struct oracle_view view;
    net_view(net, index, &view);
    oracle_on_message(&p->oracle, &view, msg, &p->fx);
    post_all(net, letter->to, p->incarnation, &p->fx);
}

static int is_asleep(const struct net *net, struct peer peer)
{
    return peer.role == ROLE_PROPOSER && net->now < net->proposers[peer.id - 1].asleep_until;
}

static void deliver_what_is_due(struct net *net)
{
    for (size_t i = 0; i < net->letter_count;) {
        if (net->letters[i].at > net->now || is_asleep(net, net->letters[i].to)) {
            i++;
            continue;
        }
        struct net_letter letter = net->letters[i];
        net->letters[i] = net->letters[--net->letter_count];
        deliver(net, &letter);
    }
}

void net_step(struct net *net)
{
    net->now++;
    deliver_what_is_due(net);
    for (size_t i = 0; i < net->members.proposer_count; i++) {
        struct net_proposer *p = &net->proposers[i];
        struct peer self = {ROLE_PROPOSER, i + 1};
        if (p->is_up && !is_asleep(net, self)) {
            struct oracle_view view;
            net_view(net, i, &view);
            oracle_tick(&p->oracle, &view, &p->fx);
            post_all(net, self, p->incarnation, &p->fx);
        }
    }
}

void net_run(struct net *net, time_ms_t ms)
{
    for (time_ms_t i = 0; i < ms; i++) {
        net_step(net);
    }
}

/* ---- processes */

void net_stop(struct net *net, size_t proposer)
{
    net->proposers[proposer].is_up = 0;
    oracle_close(&net->proposers[proposer].oracle);
}

void net_start(struct net *net, size_t proposer)
{
    struct net_proposer *p = &net->proposers[proposer];
    struct oracle_view view;
    CHECK(!p->is_up);
    p->is_up = 1;
    p->incarnation = ++net->incarnations;
    net_view(net, proposer, &view);
    oracle_begin(&p->oracle, &view, rng_next(&net->rng), &p->fx);
    post_all(net, (struct peer){ROLE_PROPOSER, proposer + 1}, p->incarnation, &p->fx);
}

static void start_acceptor(struct net *net, size_t index)
{
    struct net_acceptor *a = &net->acceptors[index];
    struct acceptor_options options = {.id = (node_id_t)index + 1,
                                       .members = net->members,
                                       .election_ms = NET_ELECTION_MS,
                                       .heartbeat_ms = NET_HEARTBEAT_MS,
                                       .reader = store_reader(a->kit.store)};
    a->acceptor = acceptor_new(&options);
    a->kit.core = acceptor_core(a->acceptor);
    a->kit.now = local(net, a->rate);
    kit_event(&a->kit, EVENT_START);
    kit_end(&a->kit);
}

void net_restart_acceptor(struct net *net, size_t acceptor)
{
    acceptor_free(net->acceptors[acceptor].acceptor);
    start_acceptor(net, acceptor);
}

struct net *net_new(size_t acceptors, size_t proposers, uint64_t seed)
{
    struct net *net = memory_calloc(1, sizeof *net);
    net->members = kit_members(acceptors, proposers, 1);
    settings_init(&net->settings);
    net->settings.kind = ORACLE_LEASE;
    net->delay_min = 1;
    net->delay_max = 5;
    rng_init(&net->rng, seed);
    for (size_t i = 0; i < acceptors; i++) {
        kit_open(&net->acceptors[i].kit);
        net->acceptors[i].rate = 1000;
        start_acceptor(net, i);
    }
    for (size_t i = 0; i < proposers; i++) {
        net->proposers[i].rate = 1000;
        net->proposers[i].is_fit = 1;
        net->proposers[i].oracle.due_at = TIME_NEVER;
        effects_init(&net->proposers[i].fx);
    }
    for (size_t i = 0; i < proposers; i++) {
        net_start(net, i);
    }
    return net;
}

void net_free(struct net *net)
{
    for (size_t i = 0; i < net->members.acceptor_count; i++) {
        acceptor_free(net->acceptors[i].acceptor);
        kit_close(&net->acceptors[i].kit);
    }
    for (size_t i = 0; i < net->members.proposer_count; i++) {
        oracle_close(&net->proposers[i].oracle);
        effects_close(&net->proposers[i].fx);
    }
    free(net->letters);
    free(net);
}

/* ---- what they name */

node_id_t net_names(const struct net *net, size_t proposer)
{
    struct oracle_view view;
    net_view(net, proposer, &view);
    view.leader = 0;
    return oracle_names(&net->proposers[proposer].oracle, &view);
}

size_t net_named_by(const struct net *net, node_id_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < net->members.proposer_count; i++) {
        count += net->proposers[i].is_up && net_names(net, i) == id;
    }
    return count;
}
