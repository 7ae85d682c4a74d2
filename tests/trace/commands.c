#include "tests/trace/scenario.h"

#include "common/base/memory.h"
#include "tests/trace/inject.h"
#include "tests/trace/trace.h"
#include "tests/trace/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNTIL_MAX_MS 20000
#define DELIVERIES_MAX 20000

typedef int (*command_fn)(struct scenario *s, char **w, size_t n, struct errmsg *err);

/* ---- the cluster and what is shown of it */

static void fill_ids(node_id_t *ids, size_t *count, uint64_t wanted)
{
    *count = wanted < MEMBERS_MAX ? (size_t)wanted : MEMBERS_MAX;
    for (size_t i = 0; i < *count; i++) {
        ids[i] = (node_id_t)(i + 1);
    }
}

static int start_cluster(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    uint8_t puppets[NODES_MAX] = {0};
    uint8_t down[NODES_MAX] = {0};
    const char *names = words_field(w, n, "puppets");
    const char *prefer = words_field(w, n, "prefer");
    const char *anyway = words_field(w, n, "anyway");
    if (names != NULL && scenario_nodes(s, names, puppets, err) != 0) {
        return ERROR_USAGE;
    }
    names = words_field(w, n, "down");
    if (names != NULL && scenario_nodes(s, names, down, err) != 0) {
        return ERROR_USAGE;
    }
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        struct node *node = &s->cluster->nodes[i];
        node->priority = node->priority > 0 ? node->priority : 1;
        if (prefer != NULL && strcmp(prefer, node->name) == 0) {
            node->priority = 200;
        }
        node->leads_anyway = anyway != NULL && strcmp(anyway, node->name) == 0;
        if (puppets[i]) {
            node->mode = NODE_PUPPET;
            node->starts = 1;
            node->incarnation = node_incarnation(node->self, 1);
            s->cluster->checker.lenient = 1;
        }
    }
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        if (s->cluster->nodes[i].mode == NODE_DOWN && !down[i]) {
            cluster_start(s->cluster, &s->cluster->nodes[i]);
        }
    }
    return 0;
}

static int cmd_cluster(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    if (s->cluster != NULL) {
        return errmsg_set(err, ERROR_USAGE, "there is a cluster already");
    }
    struct cluster_options options = {
        .heartbeat_ms = (time_ms_t)words_number(w, n, "heartbeat", 50),
        .election_ms = (time_ms_t)words_number(w, n, "election", 500),
        .latency_ms = (time_ms_t)words_number(w, n, "latency", 1),
        .seed = words_number(w, n, "seed", 1),
    };
    const char *protocol = words_field(w, n, "protocol");
    options.is_raft = protocol != NULL && strcmp(protocol, "raft") == 0;
    struct members *m = &options.members;
    m->number = 1;
    fill_ids(m->acceptors, &m->acceptor_count, words_number(w, n, "acceptors", 3));
    fill_ids(m->proposers, &m->proposer_count, words_number(w, n, "proposers", 2));
    fill_ids(m->learners, &m->learner_count, words_number(w, n, "learners", 1));
    m->q1 = words_number(w, n, "q1", majority_of(m->acceptor_count));
    m->q2 = words_number(w, n, "q2", majority_of(m->acceptor_count));
    struct cluster_observer observer = scenario_observer(s);
    s->cluster = cluster_new(&options, &observer);
    memset(s->shown, 1, sizeof s->shown);
    s->shown[MSG_HEARTBEAT] = 0;
    s->shown[MSG_REPORT] = 0;
    s->shown[MSG_PROGRESS] = 0;
    s->shown[MSG_DIGEST] = 0;
    s->shown[MSG_SETTINGS] = 0;
    int rc = start_cluster(s, w, n, err);
    s->show_notes = 1; /* from here on: that everybody started is no news */
    return rc;
}

/* show|hide KIND|notes|writes|sends|messages ... */
static int cmd_show(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    int on = strcmp(w[0], "show") == 0;
    for (size_t i = 1; i < n; i++) {
        enum message_kind kind;
        if (strcmp(w[i], "notes") == 0) {
            s->show_notes = on;
        } else if (strcmp(w[i], "writes") == 0) {
            s->show_writes = on;
        } else if (strcmp(w[i], "sends") == 0) {
            s->show_sends = on;
        } else if (strcmp(w[i], "messages") == 0) {
            memset(s->shown, on, sizeof s->shown);
        } else if (scenario_kind(w[i], &kind, err) == 0) {
            s->shown[kind] = (uint8_t)on;
        } else {
            return ERROR_USAGE;
        }
    }
    return 0;
}

static int cmd_state(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    uint8_t marks[NODES_MAX];
    if (scenario_nodes(s, n > 1 ? w[1] : "A*,P*,L*", marks, err) != 0) {
        return ERROR_USAGE;
    }
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        if (marks[i]) {
            trace_node(&s->out, &s->cluster->nodes[i]);
        }
    }
    return 0;
}

static int cmd_queue(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    (void)w;
    (void)n;
    (void)err;
    for (const struct packet *p = s->cluster->network.first; p != NULL; p = p->next) {
        if (s->shown[p->msg.kind]) {
            text_addf(&s->out, "       queued %s>%s ", s->cluster->nodes[p->from].name,
                      s->cluster->nodes[p->to].name);
            trace_message(&s->out, &p->msg);
            text_addf(&s->out, "\n");
        }
    }
    return 0;
}

static int cmd_mark(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    (void)w;
    (void)n;
    (void)err;
    memset(s->seen, 0, sizeof s->seen);
    memset(s->sent, 0, sizeof s->sent);
    for (size_t i = 0; i < s->client_count; i++) {
        struct player *c = &s->clients[i];
        c->results = c->gaps = c->unknown = c->forgotten = c->rejects = c->records = 0;
        c->last_read[0] = '\0';
        c->last_reject[0] = '\0';
    }
    return 0;
}

static int cmd_expect(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    struct text actual = {0};
    int holds = 0;
    int rc = scenario_condition(s, w + 1, n - 1, &holds, &actual, err);
    if (rc == 0 && !holds) {
        rc = errmsg_set(err, ERROR_INTERNAL, "does not hold at %lld ms: %s",
                        (long long)(s->cluster->now - CLUSTER_EPOCH_MS),
                        actual.data != NULL ? actual.data : "");
    }
    text_close(&actual);
    return rc;
}

/* ---- time and deliveries */

static int cmd_run(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    if (n != 2) {
        return errmsg_set(err, ERROR_USAGE, "run MS");
    }
    cluster_run(s->cluster, s->cluster->now + (time_ms_t)strtoll(w[1], NULL, 10));
    return 0;
}

/* until CONDITION [max=MS] */
static int cmd_until(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    time_ms_t end = s->cluster->now + (time_ms_t)words_number(w, n, "max", UNTIL_MAX_MS);
    size_t count = words_field(w, n, "max") != NULL ? n - 2 : n - 1;
    for (;;) {
        struct text actual = {0};
        int holds = 0;
        int rc = scenario_condition(s, w + 1, count, &holds, &actual, err);
        if (rc == 0 && !holds && s->cluster->now >= end) {
            rc = errmsg_set(err, ERROR_INTERNAL, "not reached in time: %s",
                            actual.data != NULL ? actual.data : "");
        }
        text_close(&actual);
        if (rc != 0 || holds || s->cluster->checker.violation[0] != '\0') {
            return rc;
        }
        (void)cluster_run_step(s->cluster, end);
    }
}

/* elect P1, in Raft mode elect A1: runs in silence until it leads, and lets its first slot
 * settle. */
static int cmd_elect(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    if (n != 2) {
        return errmsg_set(err, ERROR_USAGE, "elect NODE");
    }
    char field_role[] = "role";
    char leader[] = "leader";
    char words[4][16] = {"until", "", "state", "="};
    snprintf(words[1], sizeof words[1], "%s", w[1]);
    char leading[] = "leading";
    char *until[] = {words[0], words[1], words[2], words[3], leading};
    if (s->cluster->options.is_raft) {
        until[2] = field_role;
        until[4] = leader;
    }
    struct text silent = s->out;
    s->out = (struct text){0};
    s->line.end = 0;
    int rc = cmd_until(s, until, 5, err);
    if (rc == 0) {
        cluster_run(s->cluster, s->cluster->now + 3 * s->cluster->options.heartbeat_ms);
    }
    text_close(&s->out);
    s->out = silent;
    s->line.end = 0;
    return rc == 0 ? cmd_state(s, w, 2, err) : rc;
}

/* quiet COMMAND ...: does it without printing. */
static int cmd_quiet(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    struct text kept = s->out;
    s->out = (struct text){0};
    s->line.end = 0;
    int rc = n > 1 ? scenario_command(s, w + 1, n - 1, err) : ERROR_USAGE;
    text_close(&s->out);
    s->out = kept;
    s->line.end = 0;
    return rc;
}

static int parse_filter(const struct scenario *s, char **w, size_t n, struct packet_filter *filter,
                        struct errmsg *err)
{
    if (n < 3) {
        return errmsg_set(err, ERROR_USAGE, "%s FROM TO [KIND]", w[0]);
    }
    filter->kind = 0;
    if (scenario_node(s, w[1], &filter->from, err) != 0 ||
        scenario_node(s, w[2], &filter->to, err) != 0) {
        return ERROR_USAGE;
    }
    return n > 3 ? scenario_kind(w[3], &filter->kind, err) : 0;
}

/* deliver all | deliver FROM TO [KIND]: whatever the clock says. */
static int cmd_deliver(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    struct packet_filter filter = {NODES_MAX, NODES_MAX, 0};
    int all = n == 2 && strcmp(w[1], "all") == 0;
    if (!all && parse_filter(s, w, n, &filter, err) != 0) {
        return ERROR_USAGE;
    }
    for (int i = 0; i < (all ? DELIVERIES_MAX : 1); i++) {
        struct packet *packet = network_find(&s->cluster->network, &filter, !all);
        while (packet != NULL && s->cluster->nodes[packet->to].write_waits) {
            if (!all) {
                return errmsg_set(err, ERROR_INTERNAL, "the receiver hangs in a write");
            }
            packet = packet->next;
        }
        if (packet == NULL) {
            return all ? 0 : errmsg_set(err, ERROR_INTERNAL, "no such message is queued");
        }
        cluster_deliver(s->cluster, packet);
    }
    return all ? errmsg_set(err, ERROR_INTERNAL, "it never becomes quiet") : 0;
}

/* ---- the network */

/* drop|dup|postpone|delay FROM TO KIND [ms=N]: the first such message in flight. */
static int cmd_meddle(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    struct packet_filter filter;
    if (parse_filter(s, w, n, &filter, err) != 0) {
        return ERROR_USAGE;
    }
    struct network *network = &s->cluster->network;
    struct packet *packet = network_find(network, &filter, 1);
    if (packet == NULL) {
        return errmsg_set(err, ERROR_INTERNAL, "no such message is queued");
    }
    if (strcmp(w[0], "dup") == 0) {
        network_duplicate(network, packet);
        return 0;
    }
    if (strcmp(w[0], "delay") == 0) {
        packet->due_at += (time_ms_t)words_number(w, n, "ms", 100);
        return 0;
    }
    network_take(network, packet);
    if (strcmp(w[0], "postpone") == 0) {
        network_put(network, packet, 0);
    } else {
        packet_free(packet);
    }
    return 0;
}

/* cut|heal|hold|release|lose|find FROM TO [oneway|KIND] */
static int cmd_link(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    uint8_t from[NODES_MAX];
    uint8_t to[NODES_MAX];
    enum message_kind kind = 0;
    int is_heal = strcmp(w[0], "heal") == 0;
    char any[] = "*";
    char *all[] = {w[0], any, any};
    if (is_heal && n == 1) {
        w = all;
        n = 3;
    }
    if (n < 3 || scenario_nodes(s, w[1], from, err) != 0 || scenario_nodes(s, w[2], to, err) != 0) {
        return err->text[0] != '\0' ? ERROR_USAGE
                                    : errmsg_set(err, ERROR_USAGE, "%s FROM TO", w[0]);
    }
    int is_lose = strcmp(w[0], "lose") == 0;
    if (is_lose && scenario_kind(n > 3 ? w[3] : "any", &kind, err) != 0) {
        return ERROR_USAGE;
    }
    int both_ways =
        (strcmp(w[0], "cut") == 0 || is_heal) && !(n > 3 && strcmp(w[3], "oneway") == 0);
    struct network *network = &s->cluster->network;
    for (size_t i = 0; i < NODES_MAX; i++) {
        for (size_t j = 0; j < NODES_MAX; j++) {
            if (!(from[i] && to[j]) && !(both_ways && from[j] && to[i])) {
                continue;
            }
            if (strcmp(w[0], "hold") == 0 || strcmp(w[0], "release") == 0) {
                network->hold[i][j] = w[0][0] == 'h';
            } else if (is_lose && kind != 0) {
                network->lose[i][j] |= LOSE_KIND(kind);
            } else {
                network->lose[i][j] = is_heal ? 0 : LOSE_ALL;
            }
        }
    }
    return 0;
}

/* ---- processes */

/* crash|restart|wipe|shutdown|tick NODES [lose-lazy], disk NODES hold|release */
static int cmd_process(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    uint8_t marks[NODES_MAX];
    if (n < 2 || scenario_nodes(s, w[1], marks, err) != 0) {
        return ERROR_USAGE;
    }
    const char *option = n > 2 ? w[2] : "";
    for (size_t i = 0; i < s->cluster->node_count; i++) {
        struct node *node = &s->cluster->nodes[i];
        if (!marks[i]) {
            continue;
        }
        if (strcmp(w[0], "crash") == 0) {
            cluster_crash(s->cluster, node, strcmp(option, "lose-lazy") == 0);
        } else if (strcmp(w[0], "restart") == 0) {
            cluster_crash(s->cluster, node, 0);
            cluster_start(s->cluster, node);
        } else if (strcmp(w[0], "wipe") == 0) {
            cluster_crash(s->cluster, node, 0);
            disk_wipe(node->disk);
            if (node->self.role == ROLE_ACCEPTOR) {
                checker_on_wipe(&s->cluster->checker, (node_id_t)node->self.id);
            }
        } else if (strcmp(w[0], "shutdown") == 0) {
            cluster_shutdown(s->cluster, node);
        } else if (strcmp(option, "hold") == 0) {
            cluster_hold_disk(s->cluster, node);
        } else {
            cluster_release_disk(s->cluster, node);
        }
    }
    return 0;
}

/* inject FROM TO KIND key=value ...: a message that a puppet sends; it is delivered at once. */
static int cmd_inject(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    size_t from;
    size_t to;
    struct message msg;
    if (n < 4 || scenario_node(s, w[1], &from, err) != 0 || scenario_node(s, w[2], &to, err) != 0 ||
        inject_parse(w + 3, n - 3, &msg, err) != 0) {
        return err->text[0] != '\0' ? ERROR_USAGE
                                    : errmsg_set(err, ERROR_USAGE, "inject FROM TO KIND ...");
    }
    struct packet_filter filter = {from, to, msg.kind};
    cluster_send(s->cluster, &s->cluster->nodes[from], &s->cluster->nodes[to], &msg);
    inject_release(&msg);
    struct packet *last = NULL;
    for (struct packet *p = s->cluster->network.first; p != NULL; p = p->next) {
        last = packet_matches(p, &filter) ? p : last;
    }
    if (last == NULL) {
        return errmsg_set(err, ERROR_INTERNAL, "the link is cut");
    }
    cluster_deliver(s->cluster, last);
    return 0;
}

static const struct {
    const char *name;
    command_fn run;
} commands[] = {
    {"cluster", cmd_cluster},   {"show", cmd_show},       {"hide", cmd_show},
    {"state", cmd_state},       {"queue", cmd_queue},     {"mark", cmd_mark},
    {"expect", cmd_expect},     {"run", cmd_run},         {"until", cmd_until},
    {"elect", cmd_elect},       {"quiet", cmd_quiet},     {"deliver", cmd_deliver},
    {"drop", cmd_meddle},       {"dup", cmd_meddle},      {"postpone", cmd_meddle},
    {"delay", cmd_meddle},      {"cut", cmd_link},        {"heal", cmd_link},
    {"hold", cmd_link},         {"release", cmd_link},    {"lose", cmd_link},
    {"crash", cmd_process},     {"restart", cmd_process}, {"wipe", cmd_process},
    {"shutdown", cmd_process},  {"disk", cmd_process},    {"inject", cmd_inject},
    {"client", command_client},
};

int scenario_command(struct scenario *scenario, char **words, size_t count, struct errmsg *err)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, words[0]) != 0) {
            continue;
        }
        if (scenario->cluster == NULL && commands[i].run != cmd_cluster) {
            return errmsg_set(err, ERROR_USAGE, "there is no cluster yet");
        }
        return commands[i].run(scenario, words, count, err);
    }
    return errmsg_set(err, ERROR_USAGE, "'%s' is no command", words[0]);
}
