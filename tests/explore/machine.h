/* One process with its disk, alone, and what becomes of it with one choice.
 *
 * This is where the cores run: the turn of a runner (common/protocol/core.h) on a deep copy. Since
 * a core is a function of its state and the event, each pair is computed once and remembered; some
 * are computed again, in order to show that this is so. Rules that one process can break alone are
 * checked here: nothing leaves before what it rests on is durable, promises never fall, no core
 * ends itself. */
#ifndef SYNOD_TESTS_EXPLORE_MACHINE_H
#define SYNOD_TESTS_EXPLORE_MACHINE_H

#include "tests/explore/scope.h"

/* What may be asked about a state without running it. */
struct machine_head {
    uint8_t process;
    uint8_t starts;
    uint8_t campaigns, submits, beats, repairs, crashes; /* so far */
    uint8_t state;                                       /* enum node_state, of a proposer */
    uint8_t wants_repair;                                /* an acceptor's timer is set */
    uint8_t lazy_count;                                  /* batches that are not synced */
    uint8_t unused[6];
    int64_t now; /* each process has a clock of its own */
    uint64_t incarnation;
    struct ballot promised; /* of an acceptor: durable */
    struct ballot ballot;   /* of a proposer: of its last attempt */
    uint64_t round_max;     /* of a proposer: the highest it has seen */
    slot_t chosen;          /* as the core holds */
};

/* What a turn said is chosen. */
struct claim {
    uint64_t watermark;         /* every slot up to here */
    uint64_t values[SLOTS + 1]; /* by slot, the number of the value; 0: nothing was said */
};

struct outcome {
    uint32_t from;
    uint32_t machine;    /* the state after it */
    uint32_t first_send; /* messages that go to explored processes: machine_list */
    uint32_t send_count;
    uint32_t first_vote; /* proposals for which a vote is durable now: machine_list */
    uint32_t vote_count;
    uint32_t claim;      /* machine_claim */
    uint32_t violation;  /* machine_violation; 0: none */
    uint32_t is_leaking; /* something left before the turn's records were synced */
};

void machines_open(const struct scope *scope);
void machines_close(void);

/* The state in which a process begins. */
uint32_t machine_first(unsigned process);

const struct machine_head *machine_head(uint32_t machine);

/* Borrowed until the next call. */
const struct outcome *machine_step(uint32_t machine, choice_t choice);

/* Numbers of messages or proposals, from `first` on; borrowed until the next machine_step. */
const uint32_t *machine_list(uint32_t first);
const struct claim *machine_claim(uint32_t claim);
const char *machine_violation(uint32_t violation);

/* States are 0 to machine_count() - 1. All turns that were run, by number: from which state to
 * which. */
size_t machine_count(void);
size_t machine_turn_count(void);
void machine_turn(size_t number, uint32_t *from, uint32_t *to);

struct machine_counts {
    size_t states[PROCESSES];
    size_t turns;    /* pairs of state and choice that a core ran */
    size_t repeated; /* of which so many once more, with the same result */
    size_t bytes;    /* of all states */
};
struct machine_counts machine_counts(void);

#endif
