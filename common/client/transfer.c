#include "common/client/ask.h"

#include "common/base/memory.h"

static const char *role_text(const struct synod *s)
{
    return config_candidate_role(&s->config);
}

static int check_member(struct synod *s, node_id_t to)
{
    if (to == 0 || settings_of(&s->config.settings, to) != NULL) {
        return SYNOD_OK;
    }
    return errmsg_set(&s->err, SYNOD_E_USAGE,
                      "there is no %s %u (cluster.yml lists who could lead); try: one of its ids",
                      role_text(s), (unsigned)to);
}

static void keep_transfer(struct step *step, const struct completion *completion)
{
    struct inquiry_transfer *kept = memory_alloc(sizeof *kept);
    *kept = *(const struct inquiry_transfer *)completion->detail;
    step->kept = kept;
}

int synod_transfer(struct synod *s, uint32_t to, struct synod_transfer *out)
{
    const struct call_argument argument = {&to, sizeof to};
    int rc = check_member(s, to);
    if (rc == SYNOD_OK) {
        rc = call_begin(s, "synod_transfer", &argument, 1);
    }
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct step *step = step_next(s);
    if (!step->is_begun) {
        step_await(s, step, client_ask_transfer(s->core, to, handle_deadline(s, 0)), keep_transfer);
    }
    rc = step_wait(s, step);
    if (rc == SYNOD_OK && out != NULL) {
        const struct inquiry_transfer *transfer = step->kept;
        *out = (struct synod_transfer){
            .role = s->config.protocol == CONFIG_RAFT ? SYNOD_ACCEPTOR : SYNOD_PROPOSER,
            .from = transfer->from,
            .to = transfer->leader,
            .round = transfer->round,
        };
    }
    return call_end(s, rc);
}
