#include "tests/trace/read_watch.h"

/* ---- questions */

/* The oldest question of that client by that number which is remembered, or NULL: of two copies one
 * cannot tell which is answered. */
static struct linearizable *find(struct read_watch *watch, uint64_t client, uint64_t request)
{
    size_t oldest = watch->count > READS_WATCHED ? watch->count - READS_WATCHED : 0;
    for (size_t i = oldest; i < watch->count; i++) {
        struct linearizable *question = &watch->questions[i % READS_WATCHED];
        if (question->client == client && question->request == request) {
            return question;
        }
    }
    return NULL;
}

static void note_question(struct read_watch *watch, const struct message *msg)
{
    uint32_t consistency = msg->kind == MSG_READ ? msg->read.consistency : msg->query.consistency;
    uint64_t request = msg->kind == MSG_READ ? msg->read.request : msg->query.request;
    struct linearizable *former = find(watch, msg->from.id, request);
    if (former != NULL && former->is_linearizable && consistency == READ_LINEARIZABLE) {
        return;
    }
    if (former != NULL) { /* one number, two questions: neither can be judged */
        former->is_linearizable = 0;
        return;
    }
    const struct linearizable *oldest = &watch->questions[watch->count % READS_WATCHED];
    /* Another copy of that one would be taken for the first. */
    watch->has_lost |= watch->count >= READS_WATCHED && !oldest->is_answered;
    watch->questions[watch->count++ % READS_WATCHED] =
        (struct linearizable){.client = msg->from.id,
                              .request = request,
                              .asked_before = watch->round,
                              .is_linearizable = consistency == READ_LINEARIZABLE};
}

/* ---- rounds */

static void note_reply(const struct checker *checker, struct read_watch *watch,
                       const struct message *msg)
{
    int index = members_acceptor_index(checker->members, msg->from.id);
    if (index < 0 || msg->from.role != ROLE_ACCEPTOR ||
        msg->read_index_reply.request != watch->round) {
        return;
    }
    watch->answered |= (acceptor_set_t)1 << index;
    if (is_prepare_quorum(checker->members, watch->answered)) {
        watch->complete = watch->round;
    }
}

static void note_round(struct read_watch *watch, uint64_t round)
{
    if (round != watch->round) {
        watch->round = round;
        watch->answered = 0;
    }
}

/* What was acknowledged before a question came an acceptor of any prepare quorum knows, if it is
 * asked after that (Charapko et al., "Linearizable Quorum Reads in Paxos", 2019): not by a round
 * that was under way already. */
static void check_answer(struct checker *checker, struct read_watch *watch,
                         const struct learner_step *step, uint64_t client, uint64_t request)
{
    struct linearizable *question = find(watch, client, request);
    if (question == NULL) {
        return;
    }
    question->is_answered = 1;
    if (!question->is_linearizable || watch->has_lost) {
        return;
    }
    if (watch->complete <= question->asked_before) {
        checker_violate(checker, "round",
                        "learner %u answers question %llu of client %llu by round %llu, which it "
                        "began before that came",
                        step->id, (unsigned long long)request, (unsigned long long)client,
                        (unsigned long long)watch->complete);
    }
}

void read_watch_on_step(struct checker *checker, const struct learner_step *step)
{
    const struct event *event = step->event;
    struct read_watch *watch = &checker->reads[members_learner_index(checker->members, step->id)];
    if (event->kind == EVENT_START) {
        *watch = (struct read_watch){0};
    }
    if (event->kind == EVENT_MESSAGE && event->msg->kind == MSG_READ_INDEX_REPLY) {
        note_reply(checker, watch, event->msg);
    } else if (event->kind == EVENT_MESSAGE &&
               (event->msg->kind == MSG_READ || event->msg->kind == MSG_QUERY)) {
        note_question(watch, event->msg);
    }
    for (size_t i = step->first_send; i < step->fx->send_count; i++) {
        const struct outgoing *send = &step->fx->sends[i];
        const struct message *msg = &send->msg;
        if (msg->kind == MSG_READ_INDEX) {
            note_round(watch, msg->read_index.request);
        } else if (msg->kind == MSG_RECORDS &&
                   (msg->records.status == READ_OK || msg->records.status == READ_TRIMMED)) {
            check_answer(checker, watch, step, send->to.id, msg->records.request);
        } else if (msg->kind == MSG_ANSWER && msg->answer.status != RESULT_BUSY &&
                   msg->answer.status != RESULT_NO_QUORUM) {
            check_answer(checker, watch, step, send->to.id, msg->answer.request);
        }
    }
}
