/* The verbs that make, watch and measure a cluster. */
#include "deploy/verbs.h"

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
    "  --oracle KIND    who should lead: connected (default), lease, ring, floodmax, gossip,\n"
    "                   succession, static or external; see synod oracle --help\n"
    "\n"
    "  synod dev --dir /tmp/demo\n";

static const char init_help[] =
    "Writes cluster.yml and the stores of a new cluster on this machine, or makes the store\n"
    "of one member of an existing cluster. Nothing that exists is overwritten.\n"
    "\n"
    "  --dir D          where: D/cluster.yml, D/acceptor-1, ...\n"
    "  --cluster NAME   name of the cluster\n"
    "  --acceptors N  --proposers N  --learners N\n"
    "  --port-base P  --protocol P  --oracle KIND\n"
    "\n"
    "  --cluster-file F --role acceptor|learner --id N --data DIR\n"
    "                   one store, for a member of F on this host\n"
    "\n"
    "  synod init --dir /srv/synod\n"
    "  synod init --cluster-file cluster.yml --role acceptor --id 1 --data /srv/acceptor\n";

static const char status_help[] =
    "Asks every process how it is: state, ballot, watermarks in slots, lag behind the newest\n"
    "chosen slot, records. What does not answer is shown as unreachable. Ends with 2 if\n"
    "there is no quorum of acceptors, or no leader.\n"
    "\n"
    "  synod status -o json\n";

static const char bench_help[] =
    "Appends records, or puts keys, as fast as the cluster answers, or at a given rate,\n"
    "and prints throughput and latency. The records stay in the log, the keys under bench/.\n"
    "\n"
    "  --outstanding N   closed loop: so many under way at once (default 1000)\n"
    "  --rate R          open loop: R a second, each measured from when it was due\n"
    "  --keys N          puts, under N keys in turn, in place of appends\n"
    "  --size BYTES      of a record or value (default 64)\n"
    "  --duration D      measured time (default 5s)\n"
    "  --warmup D        before it, not measured (default 1s)\n"
    "\n"
    "  synod bench --outstanding 1 --duration 10s\n"
    "  synod bench --rate 20000 -o json\n";

static const struct verb local_rows[] = {
    {"dev", "[OPTION...]", "start a cluster on this machine, in the foreground", dev_help, verb_dev,
     NULL},
    {"init", "--dir DIR [OPTION...]", "write cluster.yml and stores", init_help, verb_init, NULL},
};

static const struct verb rows[] = {
    {"status", "[OPTION...]", "every process: state, ballot, watermarks, lag", status_help,
     verb_status, NULL},
    {"bench", "[OPTION...]", "load, throughput and latency", bench_help, verb_bench, NULL},
};

const struct verb_group verbs_local = {"A cluster on this machine", local_rows,
                                       sizeof local_rows / sizeof local_rows[0], 1};
const struct verb_group verbs_cluster = {"The cluster", rows, sizeof rows / sizeof rows[0], 0};
