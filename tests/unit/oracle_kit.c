#include "tests/unit/oracle_kit.h"

#include "common/base/check.h"
#include "common/base/memory.h"
#include "tests/unit/core_kit.h"

#include <stdlib.h>
#include <string.h>

#define KIT_ACCEPTORS 3

/* ---- what a node sees */

/* When a change of the leader is seen there. */
static time_ms_t seen_at(const struct oracle_kit *kit, size_t node)
{
    return kit->leader_since + kit->nodes[node].skew_ms;
}

static int is_heard(const struct oracle_kit *kit, size_t node)
{
    const struct kit_node *it = &kit->nodes[node];
    if (it->is_up) {
        return !it->is_unheard;
    }
    return kit->now < it->down_at + kit->options.election_ms;
}

void oracle_kit_view(const struct oracle_kit *kit, size_t node, struct oracle_view *view)
{
    const struct kit_node *self = &kit->nodes[node];
    memset(view, 0, sizeof *view);
    view->now = kit->now;
    view->self = (node_id_t)node + 1;
    view->heartbeat_ms = kit->options.heartbeat_ms;
    view->election_ms = kit->options.election_ms;
    view->members = &kit->members;
    view->settings = &self->settings;
    view->leader = kit->now >= seen_at(kit, node) ? kit->leader : kit->leader_before;
    view->is_open = view->leader == 0 && !self->has_no_quorum && !self->is_unheard;
    view->candidate_count = kit->options.proposers;
    for (size_t i = 0; i < view->candidate_count; i++) {
        node_id_t id = (node_id_t)i + 1;
        view->candidates[i] = (struct oracle_candidate){
            .id = id,
            .weight = settings_weight(&self->settings, id),
            .is_barred = settings_bar(&self->settings, id),
            .is_alive = i == node || (is_heard(kit, i) && !self->has_no_quorum),
            .reaches_quorum = !kit->nodes[i].has_no_quorum && !kit->nodes[i].is_unheard,
        };
    }
    if (kit->adjust != NULL) {
        kit->adjust((struct oracle_kit *)kit, node, view);
    }
}

node_id_t oracle_kit_name(const struct oracle_kit *kit, size_t node)
{
    struct oracle_view view;
    oracle_kit_view(kit, node, &view);
    return oracle_names(&kit->nodes[node].oracle, &view);
}

node_id_t oracle_kit_named(const struct oracle_kit *kit)
{
    node_id_t named = 0;
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (!kit->nodes[i].is_up) {
            continue;
        }
        node_id_t name = oracle_kit_name(kit, i);
        if (name == 0 || (named != 0 && name != named)) {
            return 0;
        }
        named = name;
    }
    return named;
}

const char *oracle_kit_explain(const struct oracle_kit *kit, size_t node)
{
    static char text[401];
    struct oracle_view view;
    oracle_kit_view(kit, node, &view);
    oracle_explain(&kit->nodes[node].oracle, &view, text, sizeof text);
    return text;
}

/* ---- the network */

static void enqueue(struct oracle_kit *kit, size_t from, size_t to, const struct message *msg,
                    time_ms_t at)
{
    kit->packets = memory_grow(kit->packets, &kit->packet_capacity, kit->packet_count + 1,
                               sizeof *kit->packets);
    struct kit_packet *packet = &kit->packets[kit->packet_count++];
    *packet = (struct kit_packet){at, kit->sequence++, from, to, *msg};
    size_t count = msg->kind == MSG_ORACLE ? msg->oracle.rumor_count : 0;
    if (count > 0) {
        packet->msg.oracle.rumors = memory_calloc(count, sizeof *msg->oracle.rumors);
        memcpy(packet->msg.oracle.rumors, msg->oracle.rumors, count * sizeof *msg->oracle.rumors);
    }
}

static time_ms_t draw(struct oracle_kit *kit, time_ms_t min, time_ms_t max)
{
    return min + (time_ms_t)rng_below(&kit->rng, (uint64_t)(max - min) + 1);
}

static int happens(struct oracle_kit *kit, unsigned percent)
{
    return percent > 0 && rng_below(&kit->rng, 100) < percent;
}

static void transmit(struct oracle_kit *kit, size_t from, size_t to, const struct message *sent)
{
    const struct oracle_kit_options *options = &kit->options;
    struct message msg = *sent;
    msg.from = (struct peer){ROLE_PROPOSER, from + 1};
    msg.incarnation = (from + 1) * 1000 + kit->nodes[from].lives;
    if (msg.kind == MSG_ORACLE) {
        CHECK(msg.oracle.type <= ORACLE_REGISTER);
        kit->sent[msg.oracle.type]++;
        kit->round_max = msg.oracle.round > kit->round_max ? msg.oracle.round : kit->round_max;
    }
    if (kit->loses != NULL && kit->loses(kit, from, to, &msg)) {
        return;
    }
    int is_lost = happens(kit, options->lost_percent) || kit->is_cut[from][to];
    time_ms_t delay_ms = draw(kit, options->delay_min_ms, options->delay_max_ms);
    if (!is_lost) {
        enqueue(kit, from, to, &msg, kit->now + delay_ms);
    }
    if (happens(kit, options->doubled_percent)) {
        time_ms_t late_ms = draw(kit, 0, options->doubled_late_ms);
        enqueue(kit, from, to, &msg, kit->now + delay_ms + late_ms);
    }
}

static void send_effects(struct oracle_kit *kit, size_t from)
{
    struct effects *fx = &kit->nodes[from].fx;
    for (size_t i = 0; i < fx->send_count; i++) {
        const struct outgoing *outgoing = &fx->sends[i];
        if (outgoing->to.role != ROLE_PROPOSER) {
            if (kit->on_other != NULL) {
                kit->on_other(kit, from, outgoing);
            }
            continue;
        }
        for (size_t to = 0; to < kit->options.proposers; to++) {
            int is_meant = outgoing->to.id == 0 || outgoing->to.id == to + 1;
            if (is_meant && to != from) {
                transmit(kit, from, to, &outgoing->msg);
            }
        }
    }
    effects_clear(fx);
}

/* ---- a node's turn */

static void tick(struct oracle_kit *kit, size_t node)
{
    struct kit_node *it = &kit->nodes[node];
    struct oracle_view view;
    oracle_kit_view(kit, node, &view);
    oracle_tick(&it->oracle, &view, &it->fx);
    CHECK(it->oracle.due_at > kit->now); /* or it would never end */
    send_effects(kit, node);
    int is_named = view.is_open && oracle_names(&it->oracle, &view) == view.self;
    if (!is_named) {
        kit->named_self_at[node] = TIME_NEVER;
    } else if (kit->named_self_at[node] == TIME_NEVER) {
        kit->named_self_at[node] = kit->now;
    }
}

static void tick_all(struct oracle_kit *kit)
{
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (kit->nodes[i].is_up) {
            tick(kit, i);
        }
    }
}

static void begin(struct oracle_kit *kit, size_t node)
{
    struct kit_node *it = &kit->nodes[node];
    struct oracle_view view;
    oracle_kit_view(kit, node, &view);
    uint64_t seed = kit->options.seed * 1000 + node * 10 + it->lives;
    oracle_begin(&it->oracle, &view, seed, &it->fx);
    tick(kit, node);
}

static void take(struct oracle_kit *kit, struct kit_packet *packet)
{
    struct kit_node *to = &kit->nodes[packet->to];
    if (to->is_up) {
        struct oracle_view view;
        oracle_kit_view(kit, packet->to, &view);
        oracle_on_message(&to->oracle, &view, &packet->msg, &to->fx);
        tick(kit, packet->to);
    }
    if (packet->msg.kind == MSG_ORACLE) {
        free(packet->msg.oracle.rumors);
    }
}

/* ---- time */

static size_t next_packet(const struct oracle_kit *kit)
{
    size_t best = kit->packet_count;
    for (size_t i = 0; i < kit->packet_count; i++) {
        const struct kit_packet *it = &kit->packets[i];
        if (best == kit->packet_count || it->at < kit->packets[best].at ||
            (it->at == kit->packets[best].at && it->sequence < kit->packets[best].sequence)) {
            best = i;
        }
    }
    return best;
}

/* Proposers step at each heartbeat, whatever their oracles want: what they see may have changed. */
static time_ms_t next_turn(const struct oracle_kit *kit, size_t node)
{
    time_ms_t at = (kit->now / kit->options.heartbeat_ms + 1) * kit->options.heartbeat_ms;
    time_ms_t due_at = kit->nodes[node].oracle.due_at;
    at = due_at < at ? due_at : at;
    time_ms_t change_at = seen_at(kit, node);
    return change_at > kit->now && change_at < at ? change_at : at;
}

static void maybe_lead(struct oracle_kit *kit)
{
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (kit->leads_after_ms != TIME_NEVER && kit->named_self_at[i] != TIME_NEVER &&
            kit->now >= kit->named_self_at[i] + kit->leads_after_ms) {
            oracle_kit_lead(kit, (node_id_t)i + 1);
            return;
        }
    }
}

static void step(struct oracle_kit *kit, time_ms_t until)
{
    time_ms_t at = until;
    size_t next = next_packet(kit);
    if (next < kit->packet_count && kit->packets[next].at < at) {
        at = kit->packets[next].at;
    }
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (kit->nodes[i].is_up && next_turn(kit, i) < at) {
            at = next_turn(kit, i);
        }
    }
    kit->now = at > kit->now ? at : kit->now;
    tick_all(kit);
    for (next = next_packet(kit); next < kit->packet_count && kit->packets[next].at <= kit->now;
         next = next_packet(kit)) {
        struct kit_packet packet = kit->packets[next];
        kit->packets[next] = kit->packets[--kit->packet_count];
        take(kit, &packet);
    }
    if (kit->leader == 0) {
        maybe_lead(kit);
    }
}

void oracle_kit_run(struct oracle_kit *kit, time_ms_t for_ms)
{
    time_ms_t until = kit->now + for_ms;
    while (kit->now < until) {
        step(kit, until);
    }
}

time_ms_t oracle_kit_run_until_named(struct oracle_kit *kit, time_ms_t for_ms)
{
    time_ms_t began_at = kit->now;
    while (oracle_kit_named(kit) == 0) {
        if (kit->now >= began_at + for_ms) {
            return -1;
        }
        step(kit, began_at + for_ms);
    }
    return kit->now - began_at;
}

/* ---- what happens to them */

static void change_leader(struct oracle_kit *kit, node_id_t leader, time_ms_t at)
{
    kit->leader_before = kit->leader;
    kit->leader = leader;
    kit->leader_since = at;
    for (size_t i = 0; i < kit->options.proposers; i++) {
        kit->nodes[i].skew_ms = draw(kit, 0, kit->options.skew_ms);
    }
}

void oracle_kit_open_gate(struct oracle_kit *kit)
{
    change_leader(kit, 0, kit->now);
    tick_all(kit);
}

void oracle_kit_lead(struct oracle_kit *kit, node_id_t leader)
{
    change_leader(kit, leader, kit->now);
    kit->changes++;
    tick_all(kit);
}

void oracle_kit_kill(struct oracle_kit *kit, size_t node)
{
    struct kit_node *it = &kit->nodes[node];
    it->is_up = 0;
    it->down_at = kit->now;
    kit->named_self_at[node] = TIME_NEVER;
    oracle_close(&it->oracle);
    effects_clear(&it->fx);
    if (kit->leader == node + 1) {
        change_leader(kit, 0, kit->now + kit->options.election_ms);
    }
}

void oracle_kit_start(struct oracle_kit *kit, size_t node)
{
    struct kit_node *it = &kit->nodes[node];
    CHECK(!it->is_up);
    it->is_up = 1;
    it->lives++;
    begin(kit, node);
}

void oracle_kit_cut(struct oracle_kit *kit, size_t a, size_t b, int is_cut)
{
    kit->is_cut[a][b] = is_cut != 0;
    kit->is_cut[b][a] = is_cut != 0;
}

void oracle_kit_set(struct oracle_kit *kit, size_t node, const struct settings *settings)
{
    kit->nodes[node].settings = *settings;
    if (kit->nodes[node].is_up) {
        begin(kit, node);
    }
}

void oracle_kit_inject(struct oracle_kit *kit, size_t from, size_t to, const struct msg_oracle *msg,
                       time_ms_t after_ms)
{
    struct message message = {.kind = MSG_ORACLE, .from = {ROLE_PROPOSER, from + 1}};
    message.oracle = *msg;
    enqueue(kit, from, to, &message, kit->now + after_ms);
}

void oracle_kit_forget_counts(struct oracle_kit *kit)
{
    memset(kit->sent, 0, sizeof kit->sent);
    kit->round_max = 0;
    kit->changes = 0;
}

/* ---- begin and end */

struct oracle_kit *oracle_kit_new(const struct oracle_kit_options *options)
{
    CHECK(options->proposers > 0 && options->proposers <= MEMBERS_MAX);
    struct oracle_kit *kit = memory_calloc(1, sizeof *kit);
    kit->options = *options;
    struct oracle_kit_options *own = &kit->options;
    own->heartbeat_ms = own->heartbeat_ms > 0 ? own->heartbeat_ms : 50;
    own->election_ms = own->election_ms > 0 ? own->election_ms : 500;
    if (own->delay_max_ms == 0) {
        own->delay_min_ms = own->delay_max_ms = 5;
    }
    kit->members = kit_members(KIT_ACCEPTORS, own->proposers, 1);
    kit->leads_after_ms = TIME_NEVER;
    kit->now = 1000000;
    kit->leader = kit->leader_before = 1;
    kit->leader_since = kit->now;
    rng_init(&kit->rng, own->seed);
    for (size_t i = 0; i < own->proposers; i++) {
        effects_init(&kit->nodes[i].fx);
        kit->nodes[i].oracle.due_at = TIME_NEVER;
        kit->nodes[i].settings = own->settings;
        kit->named_self_at[i] = TIME_NEVER;
        kit->nodes[i].is_up = 1;
    }
    for (size_t i = 0; i < own->proposers; i++) {
        begin(kit, i);
    }
    return kit;
}

void oracle_kit_free(struct oracle_kit *kit)
{
    for (size_t i = 0; i < kit->options.proposers; i++) {
        oracle_close(&kit->nodes[i].oracle);
        effects_close(&kit->nodes[i].fx);
    }
    for (size_t i = 0; i < kit->packet_count; i++) {
        if (kit->packets[i].msg.kind == MSG_ORACLE) {
            free(kit->packets[i].msg.oracle.rumors);
        }
    }
    free(kit->packets);
    free(kit);
}

struct settings oracle_kit_settings(enum oracle_kind kind, size_t proposers,
                                    const uint32_t *priorities)
{
    struct settings settings;
    settings_init(&settings);
    settings.kind = kind;
    for (size_t i = 0; priorities != NULL && i < proposers; i++) {
        settings.candidates[settings.candidate_count++] =
            (struct candidate_settings){.id = (node_id_t)i + 1, .priority = priorities[i]};
    }
    return settings;
}

/* ---- storms */

void oracle_kit_rage(struct oracle_kit *kit, struct rng *rng, time_ms_t for_ms)
{
    for (time_ms_t at = 0; at < for_ms; at += 200) {
        size_t node = rng_below(rng, kit->options.proposers);
        if (!kit->nodes[node].is_up) {
            oracle_kit_start(kit, node);
        } else if (rng_below(rng, 5) == 0) {
            oracle_kit_kill(kit, node);
        }
        oracle_kit_run(kit, 200);
    }
}

time_ms_t oracle_kit_heal(struct oracle_kit *kit, time_ms_t bound_ms)
{
    for (size_t i = 0; i < kit->options.proposers; i++) {
        if (!kit->nodes[i].is_up) {
            oracle_kit_start(kit, i);
        }
    }
    kit->options.lost_percent = 0;
    kit->options.doubled_percent = 0;
    kit->options.delay_max_ms = 30;
    kit->leads_after_ms = 30;
    time_ms_t healed_at = kit->now;
    while (kit->leader == 0 && kit->now < healed_at + bound_ms) {
        oracle_kit_run(kit, 10);
    }
    return kit->now - healed_at;
}
