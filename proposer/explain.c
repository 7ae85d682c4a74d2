/* Why this proposer leads, or does not: for `synod explain`. */
#include "proposer/state.h"

#include <string.h>

#define SENTENCE_BYTES_MAX 401 /* with the terminator */

static enum gate judge_gate(const struct proposer *p, time_ms_t now, node_id_t named)
{
    if (proposer_is_serving(p)) {
        return GATE_SERVES;
    }
    if (p->state == NODE_PREPARING) {
        return GATE_CAMPAIGNS;
    }
    if (!proposer_reaches_quorum(p, now)) {
        return GATE_NO_QUORUM;
    }
    if (!proposer_gate_is_open(p, now)) {
        return GATE_LEADER_HEARD;
    }
    if (settings_bar(&p->settings, p->options.id)) {
        return GATE_BARRED;
    }
    if (named != p->options.id) {
        return GATE_NOT_NAMED;
    }
    return now < p->pause_until ? GATE_PAUSES : GATE_OPEN;
}

static void describe_acceptors(const struct proposer *p, time_ms_t now,
                               struct msg_explanation *reply, struct effects *out)
{
    const struct members *members = &p->options.members;
    size_t links_max = 0; /* an acceptor may go by another list of members */
    for (size_t i = 0; i < members->acceptor_count; i++) {
        links_max += p->acceptors[i].report.proposer_count;
    }
    reply->acceptors = effects_alloc(out, members->acceptor_count * sizeof *reply->acceptors);
    reply->links = effects_alloc(out, links_max * sizeof *reply->links);
    for (size_t i = 0; i < members->acceptor_count; i++) {
        const struct acceptor_view *view = &p->acceptors[i];
        reply->acceptors[reply->acceptor_count++] = (struct explained_acceptor){
            .acceptor = members->acceptors[i],
            .silence_ms = view->is_heard ? saturate_ms(now - view->heard_at) : UINT32_MAX,
            .promised = view->report.promised,
            .leader = view->report.leader,
            .leader_silence_ms = view->report.leader_silence_ms,
            .lease_left_ms = view->report.lease_left_ms,
            .chosen = view->report.chosen,
        };
        for (size_t k = 0; view->is_heard && k < view->report.proposer_count; k++) {
            const struct proposer_report *heard = &view->proposers[k];
            reply->links[reply->link_count++] =
                (struct explained_link){members->acceptors[i], heard->proposer, heard->silence_ms,
                                        heard->reaches_quorum, heard->version};
        }
    }
}

void proposer_on_explain(struct proposer *p, const struct event *event, struct effects *out)
{
    struct oracle_view view;
    proposer_view(p, event->now, &view);
    node_id_t named = oracle_names(&p->oracle, &view);
    char *sentence = effects_alloc(out, SENTENCE_BYTES_MAX);
    oracle_explain(&p->oracle, &view, sentence, SENTENCE_BYTES_MAX);
    int is_serving = proposer_is_serving(p);
    struct msg_explanation reply = {
        .request = event->msg->explain.request,
        .state = p->state,
        .gate = judge_gate(p, event->now, named),
        .ballot = p->ballot,
        .leader = is_serving ? p->ballot : p->leader_ballot,
        .kind = p->settings.kind,
        .version = p->settings.version,
        .named = named,
        .pause_ms = saturate_ms(p->pause_until - event->now),
        .attempts = p->attempts,
        .oracle = {(const uint8_t *)sentence, strlen(sentence), NULL},
    };
    describe_acceptors(p, event->now, &reply, out);
    effects_reply(out, SEND_NOW, event->msg, MSG_EXPLANATION)->explanation = reply;
}
