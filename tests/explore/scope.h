/* What is explored: the processes, the bounds, and the choices that the environment has. */
#ifndef SYNOD_TESTS_EXPLORE_SCOPE_H
#define SYNOD_TESTS_EXPLORE_SCOPE_H

#include "common/protocol/members.h"
#include "common/protocol/types.h"

#include <stddef.h>
#include <stdint.h>

/* Processes are numbers: the acceptors, then the proposers. */
#define ACCEPTORS 3
#define PROPOSERS 2
#define PROCESSES (ACCEPTORS + PROPOSERS)

/* Slots from 1 that exist. A leader's accept for a slot beyond them is never delivered. */
#define SLOTS 2

/* The budgets of one run. Each process counts what happened to it; a sum is over its role. */
struct scope {
    const char *name;
    unsigned campaigns[PROPOSERS]; /* attempts at leadership, each */
    unsigned submits[PROPOSERS];   /* client commands that a serving proposer takes, each */
    unsigned beats;                /* heartbeats of a serving proposer, with retransmission, each */
    unsigned repairs;              /* times that an acceptor's repair timer fires, each */
    int acceptors_crash;           /* 1: any acceptor at any time, as often as you like */
    unsigned proposer_crashes;     /* sum */
    unsigned turn_messages;        /* 2: an acceptor may take two messages in one turn */
    int heartbeats;                /* 1: heartbeats of leaders reach acceptors */
};

/* The kinds of choice. */
enum event_type {
    CHOICE_DELIVER = 0,   /* a message, alone in its turn */
    CHOICE_DELIVER_TWO,   /* two messages in one turn */
    CHOICE_DELIVER_CRASH, /* a message; the machine dies before the turn's records are synced, what
                             need not wait for them has left */
    /* From here on the second argument is the process. */
    CHOICE_CAMPAIGN, /* whatever timers and oracle want: it campaigns, now */
    CHOICE_SUBMIT,
    CHOICE_BEAT,
    CHOICE_REPAIR,
    CHOICE_CRASH, /* and restart; argument: how many unsynced batches survive. All of them: only the
                     process died */
};

/* Type in the 4 highest bits, then two arguments of 14 bits. */
typedef uint32_t choice_t;

#define CHOICE_ARGUMENT_MAX 0x3fffU

static inline choice_t choice_of(enum event_type type, uint32_t first, uint32_t second)
{
    return (uint32_t)type << 28 | first << 14 | second;
}

static inline enum event_type choice_type(choice_t choice)
{
    return (enum event_type)(choice >> 28);
}

static inline uint32_t choice_first(choice_t choice)
{
    return choice >> 14 & CHOICE_ARGUMENT_MAX;
}

static inline uint32_t choice_second(choice_t choice)
{
    return choice & CHOICE_ARGUMENT_MAX;
}

/* The cluster of every scope. Static storage. */
const struct members *scope_members(void);

/* "A1", "P2". */
const char *process_name(unsigned process);

/* The process of a server's identity, or PROCESSES if it is none that is explored. */
unsigned process_of(struct peer peer);
struct peer process_peer(unsigned process);

#endif
