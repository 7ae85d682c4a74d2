/* The verbs on who leads. */
#include "deploy/verbs.h"

static const char leader_help[] =
    "Prints which proposer leads, under which ballot, and since which slot of the log, if a\n"
    "learner knows it (-o json: else null). Ends with 2 if nobody leads.\n";

static const char explain_help[] =
    "Says in sentences who leads, under which ballot, by which acceptors it is heard, until\n"
    "when its lease runs, and why that one; or, if nobody leads, what is missing: which\n"
    "acceptor promised what to whom, who reaches whom, which lease runs until when, what the\n"
    "oracle says on each proposer, and what would help. Works without leader and quorum.\n"
    "Ends with 0 if somebody leads, else with 2.\n"
    "\n"
    "  synod explain\n"
    "  synod explain -o json\n";

static const char transfer_help[] =
    "Asks the leader to hand over, and waits until the other one leads: a round trip, not a\n"
    "timeout. With protocol: raft the ids are those of acceptors.\n"
    "\n"
    "  --to ID          to this one (default: whom the oracle names next)\n"
    "\n"
    "  synod transfer --to 2\n";

static const char show_help[] =
    "Prints which oracle says who should lead, how often it was changed (version; 0: it is\n"
    "that of cluster.yml), and of each candidate priority, zone, and whether it is barred.\n"
    "\n"
    "  synod oracle show -o json\n";

static const char set_help[] =
    "Changes the oracle for the whole cluster, live, through the log. What no option names\n"
    "stays as it is. With protocol: raft only connected and static mean something.\n"
    "\n"
    "  connected     the live proposer of highest rank that reaches a quorum (default)\n"
    "  lease         who holds a lease of a majority of acceptors\n"
    "  ring          an election on a ring (Chang and Roberts)\n"
    "  floodmax      the highest rank is flooded over a topology\n"
    "  gossip        the highest rank of those that gossip says are alive (SWIM)\n"
    "  succession    a line of successors, kept in the log\n"
    "  static        a fixed order\n"
    "  external      a program outside names the leader\n"
    "\n"
    "  --preempt --no-preempt   whether a leader hands over to one that ranks higher (under\n"
    "                   static: by the order)\n"
    "  --zone Z         candidates in zone Z rank above all others; none: no zone does.\n"
    "                   Somebody has to be in it already: synod oracle zone\n"
    "  --diameter N     floodmax: rounds, 0: the topology's own\n"
    "  --order IDS      static: like 2,1,3; none: by rank\n"
    "  --topology T     floodmax: pairs like 1-2,2-3; none: everybody to everybody\n"
    "\n"
    "  synod oracle set ring\n"
    "  synod oracle set static --order 2,1 --preempt\n";

static const char priority_help[] =
    "Gives candidates priorities, live. The higher leads first; whether it also replaces a\n"
    "leader that serves is said by: synod oracle set KIND --preempt\n"
    "\n"
    "  synod oracle priority 1=10 2=5\n";

static const char zone_help[] = "Says in which zones candidates are, live; 1=none takes it back.\n"
                                "\n"
                                "  synod oracle zone 1=eu 2=us\n";

static const char bar_help[] =
    "Says of candidates that they must not lead, live. One that leads hands over. Somebody\n"
    "must be left that may lead.\n"
    "\n"
    "  synod oracle bar 2\n";

static const char allow_help[] = "Takes back that candidates must not lead, live.\n"
                                 "\n"
                                 "  synod oracle allow 2\n";

static const char line_help[] =
    "Prints the line of successors that the oracle succession keeps in the log: who leads\n"
    "next comes first.\n"
    "\n"
    "  synod oracle line\n";

static const char oracle_help[] =
    "Who should lead: an oracle names, the acceptors decide. Changes go through the log, at\n"
    "any time, and nothing stands still meanwhile.\n";

static const struct verb oracle_rows[] = {
    {"oracle show", "", "the oracle, and who could lead", show_help, verb_oracle_show, NULL},
    {"oracle set", "KIND [OPTION...]", "another oracle, or other options of it", set_help,
     verb_oracle_set, NULL},
    {"oracle priority", "ID=N...", "who leads first", priority_help, verb_oracle_priority, NULL},
    {"oracle zone", "ID=ZONE...", "who is where", zone_help, verb_oracle_zone, NULL},
    {"oracle bar", "ID...", "who must not lead", bar_help, verb_oracle_bar, NULL},
    {"oracle allow", "ID...", "who may lead again", allow_help, verb_oracle_allow, NULL},
    {"oracle line", "", "the line of successors", line_help, verb_oracle_line, NULL},
};

static const struct verb_group oracle_group = {"Who should lead", oracle_rows,
                                               sizeof oracle_rows / sizeof oracle_rows[0], 0};

static const struct verb rows[] = {
    {"leader", "[OPTION...]", "who leads, and since when", leader_help, verb_leader, NULL},
    {"explain", "[OPTION...]", "why somebody leads, or what is missing", explain_help, verb_explain,
     NULL},
    {"transfer", "[--to ID]", "hand leadership over", transfer_help, verb_transfer, NULL},
    {"oracle", "show|set|priority|zone|bar|allow|line", "who should lead", oracle_help, NULL,
     &oracle_group},
};

const struct verb_group verbs_leading = {"Who leads", rows, sizeof rows / sizeof rows[0], 0};
