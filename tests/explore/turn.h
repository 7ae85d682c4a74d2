/* The runner: one turn of a core, with the rule "persist before send" and the checks of it. */
#ifndef SYNOD_TESTS_EXPLORE_TURN_H
#define SYNOD_TESTS_EXPLORE_TURN_H

#include "common/protocol/core.h"
#include "tests/explore/image.h"
#include "tests/explore/machine.h"

/* A growing list of numbers. */
struct list {
    uint32_t *items;
    size_t count, capacity;
};

void list_add(struct list *list, uint32_t item);

/* A core that runs, and what its turns have done since the list was emptied. */
struct turn {
    const struct scope *scope;
    unsigned process;
    uint64_t incarnation;
    struct core core;
    struct disk *disk; /* of an acceptor, else NULL */
    struct effects fx;
    time_ms_t wake_at;
    struct list sends, votes;
    struct claim claim;
    int is_leaking;
    char violation[400]; /* the first rule that was broken */
};

void turn_violate(struct turn *turn, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Steps the events and ends the turn. With die the machine stops before it writes. */
void turn_run(struct turn *turn, const struct event *events, size_t count, int die);

/* Every vote that is durable. */
void turn_note_votes(struct turn *turn);

/* Somebody holds that the slots up to the watermark are chosen, or one slot with this value. */
void turn_claim(struct turn *turn, slot_t watermark);
void turn_claim_value(struct turn *turn, slot_t slot, struct slice value);

#endif
