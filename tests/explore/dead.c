#include "tests/explore/dead.h"

#include "tests/explore/post.h"

#include <stdio.h>

/* A proposer's ballot never comes back once it has gone on to another one, and it does not go back
 * from a later state to an earlier one under the same ballot. Its watermark does fall, but only
 * when it begins to serve at a ballot. */
static int is_dead_to_proposer(const struct machine_head *p, const struct message *msg)
{
    const struct ballot *ballot;
    switch (msg->kind) {
    case MSG_PROMISE:
        ballot = &msg->promise.ballot;
        return ballot_compare(ballot, &p->ballot) < 0 ||
               (ballot_equal(ballot, &p->ballot) && p->state != NODE_PREPARING);
    case MSG_ACCEPTED:
        ballot = &msg->accepted.ballot;
        return ballot_compare(ballot, &p->ballot) < 0 ||
               (ballot_equal(ballot, &p->ballot) &&
                (p->state == NODE_STANDBY ||
                 (p->state != NODE_PREPARING && msg->accepted.last <= p->chosen)));
    case MSG_NACK:
        ballot = &msg->nack.ballot;
        return msg->nack.promised.round <= p->round_max &&
               (ballot_compare(ballot, &p->ballot) < 0 ||
                (ballot_equal(ballot, &p->ballot) && p->state == NODE_STANDBY));
    default:
        return 0;
    }
}

/* A promise never falls. */
static int is_dead_to_acceptor(const struct machine_head *a, const struct message *msg)
{
    (void)a;
    (void)msg;
    return 0;
}

int is_dead(const struct machine_head *receiver, uint32_t message)
{
    const struct message *msg = &post_letter(message)->msg;
    if (msg->echo != 0 && msg->echo < receiver->incarnation) {
        return 1; /* an answer to a former process */
    }
    return receiver->process < ACCEPTORS ? is_dead_to_acceptor(receiver, msg)
                                         : is_dead_to_proposer(receiver, msg);
}

static char text[600];

static const char *complain(uint32_t machine, uint32_t message, const char *what)
{
    char described[480];
    post_describe(message, described, sizeof described);
    snprintf(text, sizeof text, "%s: %s (state %u) is dead by the rules, but %s",
             process_name(machine_head(machine)->process), described, machine, what);
    return text;
}

const char *dead_verify(size_t *checked)
{
    *checked = 0;
    size_t machines = machine_count();
    for (uint32_t x = 0; x < machines; x++) {
        for (uint32_t i = 0; i < post_message_count(); i++) {
            if (post_letter(i)->to != machine_head(x)->process || !is_dead(machine_head(x), i)) {
                continue;
            }
            ++*checked;
            const struct outcome *outcome = machine_step(x, choice_of(CHOICE_DELIVER, i, 0));
            if (outcome->machine != x || outcome->send_count > 0 || outcome->violation != 0) {
                return complain(x, i, "it is taken");
            }
        }
    }
    for (size_t k = 0; k < machine_turn_count(); k++) {
        uint32_t from;
        uint32_t to;
        machine_turn(k, &from, &to);
        for (uint32_t i = 0; from != to && i < post_message_count(); i++) {
            if (post_letter(i)->to == machine_head(from)->process &&
                is_dead(machine_head(from), i) && !is_dead(machine_head(to), i)) {
                return complain(to, i, "it was dead before and is no more");
            }
        }
    }
    return NULL;
}
