/* Scenario files: commands that drive a cluster, each group followed by "----" and what it printed.
 *
 *     # Proves that ... (comments and blank lines are kept)
 *     cluster acceptors=3 proposers=2 learners=1
 *     until P1 state = leading
 *     ----
 *     the expected trace, up to the next blank line
 *
 * tests/trace/README.md lists the commands. `expect` lines hold whatever the trace says, so that
 * regenerating a trace cannot make a wrong run look right. */
#ifndef SYNOD_TESTS_TRACE_SCENARIO_H
#define SYNOD_TESTS_TRACE_SCENARIO_H

#include "tests/trace/player.h"
#include "tests/trace/text.h"

#define CLIENTS_MAX 8
#define WORDS_MAX 64
#define KINDS_MAX 64

struct scenario {
    struct cluster *cluster; /* NULL before the command `cluster` */
    struct player clients[CLIENTS_MAX];
    size_t client_count;
    struct text out;          /* what the current group printed */
    uint8_t shown[KINDS_MAX]; /* by message kind */
    int show_notes, show_writes, show_sends;
    /* The last line of out, if it is a delivery that another like it may join. */
    struct {
        size_t at, end; /* where it begins and ends in out; end 0: none */
        struct text senders, receivers, body;
        int sender_count, receiver_count;
        time_ms_t time;
    } line;
    uint32_t seen[NODES_MAX][NODES_MAX][KINDS_MAX]; /* delivered since the last `mark` */
    uint32_t sent[NODES_MAX][NODES_MAX][KINDS_MAX];
};

/* Runs one file. rewrite: replaces what it expects by what it printed. 0, or a negative code with a
 * text that says where and what. */
int scenario_run(const char *path, int rewrite, struct text *problem) MUST_USE;

/* commands.c: executes one line. 0 or ERROR_USAGE, ERROR_INTERNAL with a sentence. */
int scenario_command(struct scenario *scenario, char **words, size_t count,
                     struct errmsg *err) MUST_USE;

/* The observer that prints into scenario->out. */
struct cluster_observer scenario_observer(struct scenario *scenario);

/* condition.c: "NODE FIELD OP VALUE", "seen FROM TO KIND OP VALUE", "agreement". *holds is set
 * unless the words are wrong; actual gets what was found. */
int scenario_condition(struct scenario *scenario, char **words, size_t count, int *holds,
                       struct text *actual, struct errmsg *err) MUST_USE;

/* The node, also "*": NODES_MAX. 0 or ERROR_USAGE. */
int scenario_node(const struct scenario *scenario, const char *name, size_t *index,
                  struct errmsg *err) MUST_USE;

/* Marks all nodes that the pattern names: "A1", "A*", "*", or several with commas. 0 or
 * ERROR_USAGE. */
int scenario_nodes(const struct scenario *scenario, const char *pattern, uint8_t marks[NODES_MAX],
                   struct errmsg *err) MUST_USE;

/* A kind by name; "any" is 0. 0 or ERROR_USAGE. */
int scenario_kind(const char *name, enum message_kind *kind, struct errmsg *err) MUST_USE;

struct player *scenario_client(struct scenario *scenario, const char *name);

#endif
