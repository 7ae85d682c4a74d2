#include "common/client/ask.h"

_Static_assert(SYNOD_NAME_VALID_MS_MAX == WORD_MS_MAX, "limits differ");

static int check(struct synod *s, uint32_t proposer, uint32_t valid_ms)
{
    const struct members *members = &s->config.members;
    if (s->config.protocol == CONFIG_RAFT) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "nobody can be named (in Raft mode the acceptors elect, and proposers do "
                          "not lead); try: priorities of acceptors");
    }
    if (proposer != 0 && members_proposer_index(members, proposer) < 0) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "there is no proposer %u (cluster.yml lists %zu); try: one of its ids",
                          proposer, members->proposer_count);
    }
    if (valid_ms > SYNOD_NAME_VALID_MS_MAX) {
        return errmsg_set(&s->err, SYNOD_E_USAGE,
                          "a word runs for %u ms at most, not %u; try: to say it again",
                          SYNOD_NAME_VALID_MS_MAX, valid_ms);
    }
    return handle_may_block(s);
}

/* Lies with the caller, who waits. */
struct naming {
    struct awaited awaited;
    struct synod_named named;
    int is_done;
    int code;
    struct errmsg why; /* with a code other than SYNOD_OK */
};

static void on_named(struct synod *s, struct awaited *self, const struct completion *completion)
{
    struct naming *naming = (struct naming *)self;
    const struct inquiry_named *named = completion->detail;
    naming->named = (struct synod_named){named->told, named->taken, named->leader, named->missing};
    naming->code = completion_code(s, completion);
    naming->why = s->err;
    naming->is_done = 1;
}

/* The caller has it. */
static void drop(struct synod *s, struct awaited *self)
{
    (void)s;
    (void)self;
}

int synod_oracle_name(struct synod *s, uint32_t proposer, uint32_t valid_ms,
                      struct synod_named *out)
{
    int rc = check(s, proposer, valid_ms);
    if (rc != SYNOD_OK) {
        return rc;
    }
    struct naming naming = {.awaited.fn = on_named, .awaited.drop = drop};
    naming.named.missing = (uint32_t)s->config.members.proposer_count;
    time_ms_t now = handle_now();
    uint64_t id = client_nominate(s->core, proposer, valid_ms, now, handle_deadline(s, 0));
    awaited_add(s, &naming.awaited, id);
    rc = ask_wait(s, &naming.is_done, id);
    if (rc == SYNOD_OK && naming.code != SYNOD_OK) {
        s->err = naming.why;
        rc = naming.code;
    }
    if (out != NULL) {
        *out = naming.named;
    }
    return rc;
}
