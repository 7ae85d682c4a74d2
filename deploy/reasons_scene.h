/* What the files of reasons.h share. */
#ifndef SYNOD_DEPLOY_REASONS_SCENE_H
#define SYNOD_DEPLOY_REASONS_SCENE_H

#include "deploy/reasons.h"

/* Sets are of indexes: acceptors and proposers as the explanation lists them. */
struct scene {
    const struct synod_explanation *e;
    struct reasons *out;
    uint32_t alive;                    /* acceptors */
    uint32_t answering;                /* proposers */
    uint32_t reach[SYNOD_MEMBERS_MAX]; /* of each proposer: the acceptors that answer it */
    uint32_t able;                     /* proposers that answer and reach enough acceptors */
    uint32_t barred;                   /* candidates: proposers, in Raft mode acceptors */
    size_t needed;                     /* acceptors to win and to serve */
    const char *role;                  /* of who leads: "proposer", in Raft mode "acceptor" */
};

void scene_init(struct scene *scene, const struct synod_explanation *e, struct reasons *out);

size_t set_count(uint32_t set);

static inline int set_has(uint32_t set, size_t index)
{
    return (set >> index & 1) != 0;
}

static inline uint32_t set_of(size_t index)
{
    return UINT32_C(1) << index;
}

/* The first count indexes. */
uint32_t set_all(size_t count);

/* The proposer of that id by its place, or -1. */
int scene_proposer(const struct scene *scene, uint32_t id);

/* What the settings say of a candidate; never NULL for a member. */
const struct synod_candidate *scene_candidate(const struct scene *scene, uint32_t id);

/* 1 if a ranks above b by the order of `static`, zone and priority; an id alone is no reason to
 * change. */
int scene_ranks_above(const struct scene *scene, uint32_t a, uint32_t b);

/* The place in the order of `static`, from 1; 0: it has none, or another oracle goes. */
size_t scene_place(const struct scene *scene, uint32_t id);

/* The newest version of the settings that anybody told of. */
uint64_t scene_newest_version(const struct scene *scene);

/* 1 if the settings we have are those that proposers go by. */
int scene_settings_hold(const struct scene *scene);

/* ---- words; each writes into the caller's buffer and returns it */

#define WORDS_BYTES 256

/* "acceptor 1", "acceptors 1, 2 and 3", or with another last word than "and". */
const char *words_acceptors(const struct scene *scene, uint32_t set, const char *last,
                            char out[WORDS_BYTES]);
const char *words_proposers(const struct scene *scene, uint32_t set, const char *last,
                            char out[WORDS_BYTES]);

/* The same of candidates. */
const char *words_candidates(const struct scene *scene, uint32_t set, const char *last,
                             char out[WORDS_BYTES]);

/* "12 ms", "3.4 s", "5 min". */
const char *words_time(uint32_t ms, char out[WORDS_BYTES]);

/* "ballot 4.1", in Raft mode "term 4". */
const char *words_ballot(const struct scene *scene, struct synod_ballot ballot,
                         char out[WORDS_BYTES]);

/* The sentence of a proposer's oracle, without its full stop. */
const char *words_oracle(const struct synod_explained_proposer *p, char out[SYNOD_SENTENCE_BYTES]);

/* Adds a sentence, which begins with a capital letter whatever word it begins with; the same is
 * said once, and what says the same and more takes its place. */
void say(struct scene *scene, enum reason_part part, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- reasons_missing.c */

/* Why nobody leads. */
void missing_say(struct scene *scene);

/* Acceptors and proposers that are silent; also worth saying while somebody leads. */
void missing_say_silent(struct scene *scene);

#endif
