#include "tests/trace/scenario.h"
#include "tests/trace/trace.h"

#include <string.h>

static void begin_line(struct scenario *s)
{
    text_addf(&s->out, "%6lld ", (long long)(s->cluster->now - CLUSTER_EPOCH_MS));
}

/* Prints the line anew: "time senders>receivers message". */
static void print_delivery(struct scenario *s)
{
    s->out.size = s->line.at;
    begin_line(s);
    text_addf(&s->out, "%s>%s %s\n", s->line.senders.data, s->line.receivers.data,
              s->line.body.data);
    s->line.end = s->out.size;
}

/* The same message to several nodes, or from several to one, becomes one line. 1 if it did. */
static int join_delivery(struct scenario *s, const struct node *from, const struct node *to,
                         const struct text *body)
{
    if (s->line.end == 0 || s->line.end != s->out.size || s->line.time != s->cluster->now ||
        strcmp(s->line.body.data, body->data) != 0) {
        return 0;
    }
    if (s->line.sender_count == 1 && strcmp(s->line.senders.data, from->name) == 0) {
        text_addf(&s->line.receivers, ",%s", to->name);
        s->line.receiver_count++;
    } else if (s->line.receiver_count == 1 && strcmp(s->line.receivers.data, to->name) == 0) {
        text_addf(&s->line.senders, ",%s", from->name);
        s->line.sender_count++;
    } else {
        return 0;
    }
    print_delivery(s);
    return 1;
}

static void show_delivery(struct scenario *s, const struct node *from, const struct node *to,
                          const struct message *msg, const char *fate)
{
    struct text body = {0};
    trace_message(&body, msg);
    text_addf(&body, "%s%s", fate != NULL ? " dropped: " : "", fate != NULL ? fate : "");
    if (!join_delivery(s, from, to, &body)) {
        text_clear(&s->line.senders);
        text_clear(&s->line.receivers);
        text_clear(&s->line.body);
        text_addf(&s->line.senders, "%s", from->name);
        text_addf(&s->line.receivers, "%s", to->name);
        text_addf(&s->line.body, "%s", body.data);
        s->line.sender_count = 1;
        s->line.receiver_count = 1;
        s->line.time = s->cluster->now;
        s->line.at = s->out.size;
        print_delivery(s);
    }
    text_close(&body);
}

/* A commit that tells its learner nothing new, as every heartbeat brings one. */
static int is_repetition(const struct node *to, const struct message *msg)
{
    return msg->kind == MSG_COMMIT && to->learner != NULL &&
           msg->commit.commit <= learner_applied(to->learner);
}

static void on_delivered(void *self, const struct node *from, const struct node *to,
                         const struct message *msg, const char *fate)
{
    struct scenario *s = self;
    if (fate == NULL) {
        s->seen[cluster_index(s->cluster, from)][cluster_index(s->cluster, to)][msg->kind]++;
    }
    int is_stale = fate != NULL && strcmp(fate, "stale") == 0;
    if (is_stale || (s->shown[msg->kind] && fate == NULL && !is_repetition(to, msg))) {
        show_delivery(s, from, to, msg, fate);
    }
    struct player *client = scenario_client(s, to->name);
    if (client != NULL) {
        player_receive(s->cluster, client, msg);
    }
}

static void on_sent(void *self, const struct node *from, const struct node *to,
                    const struct message *msg, int lost)
{
    struct scenario *s = self;
    s->sent[cluster_index(s->cluster, from)][cluster_index(s->cluster, to)][msg->kind]++;
    if (s->show_sends && s->shown[msg->kind]) {
        begin_line(s);
        text_addf(&s->out, "  %s sends to %s ", from->name, to->name);
        trace_message(&s->out, msg);
        text_addf(&s->out, "%s\n", lost ? " (lost)" : "");
    }
}

static void on_noted(void *self, const struct node *node, const struct note *note)
{
    struct scenario *s = self;
    if (s->show_notes && note->level != NOTE_DEBUG) {
        begin_line(s);
        text_addf(&s->out, "  %s %s\n", node->name, note->text);
    }
}

static void on_writes(void *self, const struct node *node, const struct effects *fx)
{
    struct scenario *s = self;
    if (s->show_writes) {
        begin_line(s);
        text_addf(&s->out, "  ");
        trace_writes(&s->out, node, fx);
        text_addf(&s->out, "\n");
    }
}

static void on_ended(void *self, const struct node *node, const char *reason)
{
    struct scenario *s = self;
    begin_line(s);
    text_addf(&s->out, "  %s ends: %s\n", node->name, reason);
}

struct cluster_observer scenario_observer(struct scenario *scenario)
{
    return (struct cluster_observer){.self = scenario,
                                     .delivered = on_delivered,
                                     .sent = on_sent,
                                     .noted = on_noted,
                                     .writes = on_writes,
                                     .ended = on_ended};
}
