#include "tests/trace/proposer_watch.h"

struct proposer_before proposer_watch_before(const struct proposer *proposer,
                                             const struct effects *fx)
{
    return (struct proposer_before){proposer_state(proposer), fx->send_count};
}

static int serves(enum node_state state)
{
    return state == NODE_RECOVERING || state == NODE_LEADING;
}

static void note_heartbeats(struct proposer_watch *watch, const struct proposer_step *step)
{
    for (size_t i = step->before.send_count; i < step->fx->send_count; i++) {
        const struct message *msg = &step->fx->sends[i].msg;
        if (msg->kind == MSG_HEARTBEAT) {
            watch->asked[msg->heartbeat.sequence % WATCHED_HEARTBEATS] =
                (struct asked){msg->heartbeat.sequence, step->event->now};
        }
    }
}

/* Whom the acceptor follows, as it said itself, and of what time that is at least: of that at which
 * it was asked. */
static void note_report(const struct checker *checker, struct proposer_watch *watch,
                        const struct message *msg)
{
    const struct msg_report *report = &msg->report;
    const struct asked *asked = &watch->asked[report->sequence % WATCHED_HEARTBEATS];
    int index = members_acceptor_index(checker->members, msg->from.id);
    if (index < 0 || msg->from.role != ROLE_ACCEPTOR) {
        return;
    }
    int is_follower = ballot_equal(&report->promised, &report->leader);
    int is_known = asked->sequence == report->sequence;
    watch->followers[index] = (struct follower){
        .ballot = is_follower && is_known ? report->leader : BALLOT_NONE, .asked_at = asked->at};
}

/* The other acceptors that said of the last election timeout that they follow this ballot: their
 * leases keep everybody else from leading. */
static acceptor_set_t followers_but(const struct checker *checker,
                                    const struct proposer_watch *watch,
                                    const struct proposer_step *step, int refusing)
{
    struct ballot ballot = proposer_ballot(step->proposer);
    acceptor_set_t set = 0;
    for (size_t i = 0; i < checker->members->acceptor_count; i++) {
        const struct follower *follower = &watch->followers[i];
        if ((int)i != refusing && ballot_equal(&follower->ballot, &ballot) &&
            step->event->now - follower->asked_at < step->election_ms) {
            set |= (acceptor_set_t)1 << i;
        }
    }
    return set;
}

/* A leader that one acceptor refuses, while a quorum follows it, prepares a higher ballot at once:
 * nobody else can, and all would wait until the leases are over (DESIGN 5). But for one that must
 * not lead, and one whose clock stands still, by which leases would never end. */
static void check_renewal(struct checker *checker, const struct proposer_watch *watch,
                          const struct proposer_step *step)
{
    const struct message *msg = step->event->msg;
    const struct members *members = checker->members;
    int refusing = members_acceptor_index(members, msg->from.id);
    acceptor_set_t following = followers_but(checker, watch, step, refusing);
    int has_clock = step->event->now - watch->since >= step->heartbeat_ms;
    int may_lead = !settings_bar(proposer_settings(step->proposer), step->id);
    if (has_clock && may_lead && is_prepare_quorum(members, following) &&
        is_accept_quorum(members, following)) {
        checker_violate(checker, "renewal",
                        "proposer %u is refused by acceptor %llu and waits, while %zu others "
                        "follow it and nobody else can lead",
                        step->id, (unsigned long long)msg->from.id, acceptor_set_count(following));
    }
}

void proposer_watch_on_step(struct checker *checker, const struct proposer_step *step)
{
    int index = members_proposer_index(checker->members, step->id);
    struct proposer_watch *watch = &checker->proposers[index];
    const struct event *event = step->event;
    enum node_state state = proposer_state(step->proposer);
    if (event->kind == EVENT_START) {
        *watch = (struct proposer_watch){0};
    }
    if (serves(state) && !serves(step->before.state)) {
        watch->since = event->now;
    }
    if (event->kind == EVENT_MESSAGE && event->msg->kind == MSG_REPORT) {
        note_report(checker, watch, event->msg);
    }
    if (event->kind == EVENT_MESSAGE && serves(step->before.state) && state == NODE_STANDBY &&
        (event->msg->kind == MSG_REPORT || event->msg->kind == MSG_NACK)) {
        check_renewal(checker, watch, step);
    }
    note_heartbeats(watch, step);
}
