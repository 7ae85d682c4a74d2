#include "deploy/verbs.h"

#include <stdio.h>
#include <string.h>

static const char append_help[] =
    "Appends each TEXT as a record; without TEXT, each line of standard input. Prints the\n"
    "index of each record, in order, once it is in the log for ever.\n"
    "\n"
    "  --file F     lines of F instead of standard input\n"
    "  --null       records end with a zero byte instead of a newline\n"
    "  --quiet      print one summary line instead of the indexes\n"
    "\n"
    "A line keeps every byte but its newline; the last one needs none; an empty line is an\n"
    "empty record. A record has at most 1048576 bytes.\n"
    "\n"
    "  synod append hello world\n"
    "  synod append --quiet --file access.log\n";

static const char read_help[] =
    "Prints records of the log, as of now.\n"
    "\n"
    "  --from N     first index (default 1)\n"
    "  --count M    at most so many (default: to the end)\n"
    "  --consistency linearizable|local\n"
    "               local: what one learner has, without asking a quorum\n"
    "  --null       end each record with a zero byte instead of a newline\n"
    "\n"
    "-o json prints one object a line, with base64 for what is not UTF-8.\n"
    "\n"
    "  synod read --from 100 --count 10\n";

static const char tail_help[] =
    "Prints the last 10 records, or those from N on.\n"
    "\n"
    "  --from N     first index\n"
    "  --follow     go on with what is appended, until Ctrl-C\n"
    "  --consistency linearizable|local\n"
    "  --null       end each record with a zero byte instead of a newline\n"
    "\n"
    "  synod tail --follow\n";

static const char status_help[] =
    "Asks every process how it is: state, ballot, watermarks in slots, lag behind the newest\n"
    "chosen slot, records. What does not answer is shown as unreachable. Ends with 2 if\n"
    "there is no quorum of acceptors, or no leader.\n"
    "\n"
    "  synod status -o json\n";

static const char leader_help[] =
    "Prints which proposer leads, under which ballot, and since which slot of the log. Ends\n"
    "with 2 if nobody does.\n";

static const char bench_help[] =
    "Appends records as fast as the cluster answers, or at a given rate, and prints\n"
    "throughput and latency. The records stay in the log.\n"
    "\n"
    "  --outstanding N   closed loop: so many under way at once (default 1000)\n"
    "  --rate R          open loop: R a second, each measured from when it was due\n"
    "  --size BYTES      of a record (default 64)\n"
    "  --duration D      measured time (default 5s)\n"
    "  --warmup D        before it, not measured (default 1s)\n"
    "\n"
    "  synod bench --outstanding 1 --duration 10s\n"
    "  synod bench --rate 20000 -o json\n";

static const char dev_help[] =
    "Starts a cluster on this machine in the foreground: prints each process with its pid,\n"
    "then `ready` and the path of its cluster.yml. Ctrl-C stops all.\n"
    "\n"
    "  --dir D          make the cluster in D, or start the one that is there again (default:\n"
    "                   a new directory under $TMPDIR or /tmp, removed at the end)\n"
    "  --restart        start a process again when it ends by itself\n"
    "  --acceptors N    default 3\n"
    "  --proposers N    default 2\n"
    "  --learners N     default 2\n"
    "  --port-base P    ports from P on (default: the first free range from 7400)\n"
    "  --protocol P     paxos or raft\n"
    "\n"
    "  synod dev --dir /tmp/demo\n";

static const char init_help[] =
    "Writes cluster.yml and the stores of a new cluster on this machine, or makes the store\n"
    "of one member of an existing cluster. Nothing that exists is overwritten.\n"
    "\n"
    "  --dir D          where: D/cluster.yml, D/acceptor-1, ...\n"
    "  --cluster NAME   name of the cluster\n"
    "  --acceptors N  --proposers N  --learners N\n"
    "  --port-base P  --protocol P\n"
    "\n"
    "  --cluster-file F --role acceptor|learner --id N --data DIR\n"
    "                   one store, for a member of F on this host\n"
    "\n"
    "  synod init --dir /srv/synod\n"
    "  synod init --cluster-file cluster.yml --role acceptor --id 1 --data /srv/acceptor\n";

static const struct verb verbs[] = {
    {"dev", "[OPTION...]", "start a cluster on this machine, in the foreground", dev_help,
     verb_dev},
    {"init", "--dir DIR [OPTION...]", "write cluster.yml and stores", init_help, verb_init},
    {"append", "[OPTION...] [TEXT...]", "append records to the log", append_help, verb_append},
    {"read", "[--from N] [--count M] [OPTION...]", "print records of the log", read_help,
     verb_read},
    {"tail", "[--from N] [--follow] [OPTION...]", "print the newest records, and follow", tail_help,
     verb_tail},
    {"status", "[OPTION...]", "every process: state, ballot, watermarks, lag", status_help,
     verb_status},
    {"leader", "[OPTION...]", "who leads, and since when", leader_help, verb_leader},
    {"bench", "[OPTION...]", "load, throughput and latency", bench_help, verb_bench},
};

#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static const char client_options[] =
    "Options of every client verb:\n"
    "  --cluster FILE   cluster.yml (default: the environment variable SYNOD_CLUSTER)\n"
    "  -o plain|table|json\n"
    "  --timeout D      how long to wait for the cluster, like 500ms or 5s (default 10s)\n"
    "  --learner ID     use this learner and no other\n";

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

int verb_usage(const char *name, const char *problem)
{
    fprintf(stderr, "error: %s; try: synod %s --help\n", problem, name);
    return 3;
}

static int is_client_verb(const struct verb *verb)
{
    return verb->run != verb_dev && verb->run != verb_init;
}

int verb_help(const char *name)
{
    const struct verb *verb = verb_find(name);
    if (verb == NULL) {
        return verb_usage(name, "there is no such verb");
    }
    printf("usage: synod %s %s\n\n%s", verb->name, verb->synopsis, verb->help);
    if (is_client_verb(verb)) {
        printf("\n%s", client_options);
    }
    return 0;
}

void verb_list(void)
{
    printf("usage: synod VERB [OPTION...] [ARGUMENT...]\n\nA replicated command log.\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        printf("  %-8s %s\n", verbs[i].name, verbs[i].summary);
    }
    printf("\n%s\n", client_options);
    printf("Exit status: 0 done, 1 failed, 2 no connection or no quorum, 3 bad input, 4 refused,\n"
           "5 interrupted. `synod VERB --help` explains a verb.\n");
}

#define NAME_BYTES_MAX 16

/* Levenshtein's distance; names longer than any verb are as far away as can be. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    size_t row[NAME_BYTES_MAX + 1];
    if (n > NAME_BYTES_MAX || m > NAME_BYTES_MAX) {
        return NAME_BYTES_MAX;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

const char *verb_nearest(const char *name)
{
    const char *nearest = NULL;
    size_t least = strlen(name) / 2 + 1; /* farther away it would be a guess, not a typo */
    for (size_t i = 0; i < VERB_COUNT; i++) {
        size_t d = distance(name, verbs[i].name);
        if (d < least || (d == least && nearest == NULL)) {
            least = d;
            nearest = verbs[i].name;
        }
    }
    return nearest;
}
