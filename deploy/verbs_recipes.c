/* The verbs of the recipes: locks, elections, work and queues. */
#include "deploy/verbs.h"

#define HOLD_OPTIONS                                                                               \
    "  --wait D         how long to wait for it (default: for ever; 0: only if it is free now)\n"  \
    "  --ttl D          how long after the last contact others may have it (default 10s)\n"        \
    "  --grace D        how long after SIGTERM comes SIGKILL (default 10s)\n"

#define HOLD_STATUS                                                                                \
    "CMD's exit status is passed on, 128 + N if signal N ended it; 127 and 126: it could not be\n" \
    "started. Otherwise: 1 if somebody else has it for longer than --wait, or it was lost; 2 if\n" \
    "the cluster cannot be reached; 5 if a signal came while it waited.\n"

static const char lock_help[] =
    "Waits for the lock NAME and runs CMD while it is held, with SYNOD_TOKEN and SYNOD_LOCK in\n"
    "its environment; releases it when CMD has ended. When the lock is lost, because the\n"
    "cluster could not be reached for too long or somebody deleted its key or ended its\n"
    "session, CMD and all processes that descend from it are told by SIGTERM, and those that\n"
    "are left after --grace are killed; what they start to clean up with has the same time.\n"
    "When CMD ends by itself while the lock is held, what it leaves behind is let be.\n"
    "\n"
    "SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to CMD. When it ends\n"
    "after one of the first four, what it leaves behind is ended in the same way before the\n"
    "lock is released. Without CMD: prints the token, and holds the lock until one of these\n"
    "signals, and ends with 0 then.\n"
    "\n" HOLD_OPTIONS "\n"
    "If this process itself is killed by SIGKILL, CMD alone is told by SIGTERM, and what it has\n"
    "started goes on. What CMD has somebody else start, as with systemd-run or docker, does not\n"
    "descend from it. Only the token protects then.\n"
    "\n"
    "Tokens rise from holder to holder. What the lock protects should refuse a token below the\n"
    "highest it has seen: a holder that stood still does not know that another one has the\n"
    "lock by now.\n"
    "\n" HOLD_STATUS "\n"
    "  synod lock nightly -- /usr/local/bin/backup\n"
    "  synod lock nightly --wait 0 -- sh -c 'backup --fence \"$SYNOD_TOKEN\"'\n";

static const char elect_help[] =
    "Waits until we lead NAME and runs CMD as long as we do, as `synod lock` does, with\n"
    "SYNOD_TOKEN and SYNOD_ELECTION in its environment. Observers see VALUE, which is what\n"
    "others need to find us, say an address. Without CMD: prints the token and leads until a\n"
    "signal.\n"
    "\n"
    "  --observe        print the token and the value of who leads, and of every new leader\n"
    "                   or value, until Ctrl-C; 0 and nothing else: nobody leads\n" HOLD_OPTIONS
    "\n"
    "-o json: {\"token\", \"value\"}\n"
    "\n" HOLD_STATUS "\n"
    "  synod elect scheduler 10.0.0.1:8080 -- ./scheduler\n"
    "  synod elect scheduler --observe\n";

static const char work_help[] =
    "An item of work is claimed for a time, renewed, and completed by who holds it. When its\n"
    "holder falls silent, somebody else may claim it, and the counter rises; what comes late\n"
    "from the old holder is refused, because its token is of the past. An item begins to\n"
    "exist with its first claim; a completed one stays, with its result.\n"
    "\n"
    "The counter is 1 at first and rises with each take-over: a claim by another owner, or by\n"
    "anybody of an item whose claim expired. It stands when a claim is renewed, and when its\n"
    "owner releases it and claims it again; the token rises with every claim.\n"
    "\n"
    "-o json: {\"item\", \"state\" (free, claimed or done), \"counter\", \"token\", \"owner\", "
    "\"result\"},\n"
    "also of renew, release and complete: the item as they left it.\n";

static const char work_claim_help[] =
    "Claims ITEM and prints the token. Ends with 1 if it is claimed or done, and says by whom.\n"
    "\n"
    "  --owner NAME     who we are, for people to read (default: the name of this host)\n"
    "  --ttl D          how long the claim lasts if it is not renewed (default 60s)\n"
    "\n"
    "  token=$(synod work claim invoice-17 --ttl 5m)\n";

static const char work_renew_help[] =
    "The claim lasts for its whole TTL again. Ends with 1 if TOKEN is of the past.\n";
static const char work_release_help[] =
    "Gives the claim up: others can claim ITEM now. Ends with 1 if TOKEN is of the past.\n";
static const char work_complete_help[] =
    "Says that ITEM is done, with RESULT (default: empty). Ends with 1 if TOKEN is of the past.\n";
static const char work_show_help[] =
    "Prints state, counter, token and owner of ITEM, and then its result. Ends with 1 if it was\n"
    "never claimed.\n";
static const char work_list_help[] =
    "Prints state, counter, token, owner and name of every item; -o json: one object a line.\n";

static const char queue_help[] =
    "Messages in the order of their arrival. A message is claimed for a time in which nobody\n"
    "else sees it, and acknowledged when it is dealt with; a claim that ends without that puts\n"
    "it back to where it was. So each is seen at least once.\n"
    "\n"
    "-o json of extend, ack and release: {\"queue\", \"id\", \"token\"}\n";

static const char queue_push_help[] =
    "Puts DATA, or all of standard input, at the end of QUEUE, and prints the message's id.\n"
    "\n"
    "-o json: {\"id\"}\n"
    "\n"
    "  synod queue push payments '{\"order\": 17, \"cents\": 995}'\n";

static const char queue_claim_help[] =
    "Claims the first message that nobody has. Prints one line with its id and the token, then\n"
    "its data. Ends with 1 if there is none.\n"
    "\n"
    "  --visibility D   how long nobody else sees it (default 60s)\n"
    "  --wait D         how long to wait for one (default: 0, not at all)\n"
    "\n"
    "-o json: {\"id\", \"token\", \"data\" or \"data_base64\"}\n"
    "\n"
    "  synod queue claim payments --wait 1m | { read -r id token; charge \"$token\" &&\n"
    "      synod queue ack payments \"$id\" \"$token\"; }\n";

static const char queue_extend_help[] =
    "Nobody else sees the message for the whole time of its claim again. Ends with 1 if the\n"
    "claim has ended.\n";
static const char queue_ack_help[] =
    "Removes a message that is dealt with. Ends with 1 if the claim has ended: then somebody\n"
    "else deals with it, or did.\n";
static const char queue_release_help[] =
    "Gives the claim up: the message is the first for others. Ends with 1 if the claim has\n"
    "ended.\n";
static const char queue_show_help[] =
    "Prints how many messages QUEUE has, and how many of these are claimed.\n"
    "\n"
    "-o json: {\"queue\", \"length\", \"claimed\"}\n";

static const struct verb work_rows[] = {
    {"work claim", "ITEM [--owner NAME] [--ttl D]", "take it", work_claim_help, verb_work_claim,
     NULL},
    {"work renew", "ITEM TOKEN", "keep it for longer", work_renew_help, verb_work_renew, NULL},
    {"work release", "ITEM TOKEN", "give it up", work_release_help, verb_work_release, NULL},
    {"work complete", "ITEM TOKEN [RESULT]", "it is done", work_complete_help, verb_work_complete,
     NULL},
    {"work show", "ITEM", "who has it, and how often it was taken over", work_show_help,
     verb_work_show, NULL},
    {"work list", "[OPTION...]", "all items", work_list_help, verb_work_list, NULL},
};

static const struct verb queue_rows[] = {
    {"queue push", "QUEUE [DATA]", "add a message", queue_push_help, verb_queue_push, NULL},
    {"queue claim", "QUEUE [--visibility D] [--wait D]", "take the first message", queue_claim_help,
     verb_queue_claim, NULL},
    {"queue extend", "QUEUE ID TOKEN", "keep it for longer", queue_extend_help, verb_queue_extend,
     NULL},
    {"queue ack", "QUEUE ID TOKEN", "it is dealt with", queue_ack_help, verb_queue_ack, NULL},
    {"queue release", "QUEUE ID TOKEN", "put it back", queue_release_help, verb_queue_release,
     NULL},
    {"queue show", "QUEUE", "how long it is", queue_show_help, verb_queue_show, NULL},
};

static const struct verb_group work_group = {"Work", work_rows,
                                             sizeof work_rows / sizeof work_rows[0], 0};
static const struct verb_group queue_group = {"Queues", queue_rows,
                                              sizeof queue_rows / sizeof queue_rows[0], 0};

static const struct verb rows[] = {
    {"lock", "NAME [OPTION...] [-- CMD...]", "hold a lock, while CMD runs", lock_help, verb_lock,
     NULL},
    {"elect", "NAME VALUE [OPTION...] [-- CMD...] | NAME --observe",
     "lead, while CMD runs; or see who leads", elect_help, verb_elect, NULL},
    {"work", "claim|renew|release|complete|show|list ...",
     "items of work: who does what, and is it done", work_help, NULL, &work_group},
    {"queue", "push|claim|extend|ack|release|show ...", "queues of messages, seen at least once",
     queue_help, NULL, &queue_group},
};

const struct verb_group verbs_recipes = {"Recipes", rows, sizeof rows / sizeof rows[0], 0};
