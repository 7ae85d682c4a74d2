/* The inside of inquiries: what inquiries.c and the files inquiry_*.c share. Nobody else includes
 * it. */
#ifndef SYNOD_CLIENT_CORE_INQUIRY_H
#define SYNOD_CLIENT_CORE_INQUIRY_H

#include "common/client/core/state.h"

struct inquiry_type {
    /* Sends what can be sent; then ends the inquiry, or asks to be woken. */
    void (*work)(struct client *c, struct inquiry *inquiry, struct effects *out);
    /* Takes note of a message, which may be meant for another inquiry. */
    void (*take)(struct client *c, struct inquiry *inquiry, const struct message *msg);
    /* Gives back what the inquiry refers to; NULL: nothing. */
    void (*close)(struct client *c, struct inquiry *inquiry);
};

/* The beginning of each of them. In `wanted`, `asked` and `answered` contacts are bits: proposers
 * from 0, learners from MEMBERS_MAX on, by their index in contacts. */
struct inquiry {
    struct pending pending;
    const struct inquiry_type *type;
    struct inquiry *prev, *next;
    int is_begun;
    time_ms_t began_at; /* first work; of a nomination the time of the call */
    time_ms_t deadline;
    uint64_t request;  /* of the present round of questions */
    uint64_t wanted;   /* whose answers count in it */
    uint64_t asked;    /* to whom the question was sent on the present connection */
    uint64_t answered; /* part of wanted */
};

/* Adds a zeroed inquiry from the heap, which belongs to the list from now on. Returns its id. */
uint64_t inquiry_add(struct client *c, struct inquiry *inquiry, const struct inquiry_type *type,
                     time_ms_t deadline);

/* Ends it with a completion. detail may lie in the inquiry, which lives until the next flush. */
void inquiry_end(struct client *c, struct inquiry *inquiry, enum completion_kind kind, int code,
                 const void *detail, struct effects *out);

/* All proposers; all learners; one proposer by its index. */
uint64_t inquiry_proposers(const struct client *c);
uint64_t inquiry_learners(const struct client *c);
uint64_t inquiry_proposer(size_t index);

/* A new round of questions, under a number that no other question of this client has. */
void inquiry_ask(struct client *c, struct inquiry *inquiry, uint64_t wanted);

/* The next contact that can be asked and was not; it counts as asked. NULL: none. */
const struct contact *inquiry_next(struct client *c, struct inquiry *inquiry);

/* 1 if this answers the present round and is the sender's first answer to it, which is noted. */
int inquiry_take(struct client *c, struct inquiry *inquiry, struct peer from, uint64_t request);

/* How many still owe an answer. */
size_t inquiry_missing_count(const struct inquiry *inquiry);

/* The earlier of INQUIRY_SILENCE_MS after the beginning, and the deadline. */
time_ms_t inquiry_patience(const struct inquiry *inquiry);

#endif
