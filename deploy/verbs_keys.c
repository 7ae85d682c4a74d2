/* The verbs on keys, transactions, watches and leases. */
#include "deploy/verbs.h"

static const char put_help[] =
    "Sets KEY to VALUE, or to all of standard input, every byte of it, and prints the revision\n"
    "of the store.\n"
    "\n"
    "  --lease ID       the key is deleted when that lease ends\n"
    "  --prev-kv        print what was there before, too\n"
    "  --ignore-value   keep the value, change the lease only; the key must exist\n"
    "  --ignore-lease   keep the lease; the key must exist\n"
    "  --sequential     KEY is a prefix: 24 digits that rise with every put are appended, and\n"
    "                   the whole key is printed instead of the revision\n"
    "\n"
    "A key has 1 to 4096 bytes, a value at most 1048576.\n"
    "-o json: {\"revision\", \"key\" (sequential), \"previous\" (a key as of `get`)}\n"
    "\n"
    "  synod put color green\n"
    "  synod put --lease 7 workers/a < address.txt\n";

#define RANGE_OPTIONS                                                                              \
    "  --prefix         all keys that begin with KEY\n"                                            \
    "  --rev N          as of revision N\n"                                                        \
    "  --limit N        at most N keys\n"                                                          \
    "  --order asc|desc  --sort-by key|version|create|modify|value\n"                              \
    "  --keys-only  --count-only  --print-value-only\n"                                            \
    "  --min-mod N  --max-mod N  --min-create N  --max-create N\n"                                 \
    "                   only keys last changed, or created, at such revisions\n"                   \
    "  --consistency linearizable|local\n"                                                         \
    "                   local: what one learner has, without asking a quorum\n"                    \
    "  --null           end each key and value with a zero byte instead of a newline\n"

#define RANGE_JSON                                                                                 \
    "-o json prints one object: {\"revision\" (of the store), \"count\" (before the limit), "      \
    "\"more\",\n"                                                                                  \
    "\"kvs\": [{\"key\", \"value\", \"create_revision\", \"mod_revision\", \"version\", "          \
    "\"lease\"}]}.\n"                                                                              \
    "What is not UTF-8 is \"key_base64\" or \"value_base64\" instead. Leases are decimal "         \
    "numbers.\n"

static const char get_help[] =
    "Prints the value of KEY; ends with 1 if there is no such key. With END, --prefix or\n"
    "--from-key it prints for each key one line with the key and one with the value, and\n"
    "no key is no failure. The answer may have any size.\n"
    "\n"
    "  END              all keys from KEY on and before END\n"
    "  --from-key       all keys from KEY on\n" RANGE_OPTIONS "\n" RANGE_JSON "\n"
    "  synod get color\n"
    "  synod get --prefix workers/ -o table\n";

static const char range_help[] =
    "Prints keys and values in [FROM, END): a line with the key and one with the value for\n"
    "each. Without END: from FROM on; without both: all. No key is no failure. The answer\n"
    "may have any size.\n"
    "\n" RANGE_OPTIONS "\n" RANGE_JSON "\n"
    "  synod range --keys-only\n"
    "  synod range a f --limit 10 --rev 100 -o json\n";

static const char del_help[] =
    "Deletes a key or a range of keys, and prints how many there were; none is no failure.\n"
    "\n"
    "  END              all keys from KEY on and before END\n"
    "  --prefix         all keys that begin with KEY\n"
    "  --from-key       all keys from KEY on\n"
    "  --prev-kv        print what was deleted, too: at most 2 MiB, else nothing is deleted\n"
    "\n"
    "-o json: {\"revision\", \"deleted\", \"previous\": [keys as of `get`]}\n"
    "\n"
    "  synod del color\n"
    "  synod del --prefix workers/\n";

static const char txn_help[] =
    "Reads a transaction from FILE or standard input, executes it as one, and prints SUCCESS\n"
    "if its compares held or FAILURE if not, then what its requests answered. It ends with 0\n"
    "either way.\n"
    "\n"
    "  --json           the input is JSON, and may nest\n"
    "\n"
    "The text has three parts with an empty line between: compares, requests if all of them\n"
    "hold, requests otherwise. Parts may be empty or, at the end, left out.\n"
    "\n"
    "  mod(\"color\") > \"0\"          version, create, mod, value or lease; =, !=, < or >\n"
    "  value(\"color\") = \"green\"\n"
    "\n"
    "  put color \"dark green\"      put, get, range and del as the verbs of these names\n"
    "  get --prefix co\n"
    "\n"
    "  put color green\n"
    "\n"
    "Words stand bare, in 'single quotes' as they are, or in \"double quotes\" with \\n, \\t, "
    "\\\", \\\\\n"
    "and \\xHH. The same as JSON; what is not UTF-8 is \"key_base64\" and so on:\n"
    "\n"
    "  {\"compare\": [{\"key\": \"color\", \"target\": \"mod\", \"relation\": \">\", \"number\": "
    "0},\n"
    "               {\"key\": \"a\", \"end\": \"b\", \"target\": \"value\", \"relation\": \"=\", "
    "\"value\": \"x\"}],\n"
    "   \"then\": [{\"put\": {\"key\": \"color\", \"value\": \"red\", \"lease\": 7, \"previous\": "
    "true}},\n"
    "            {\"range\": {\"key\": \"a\", \"end\": \"b\", \"limit\": 5}},\n"
    "            {\"delete\": {\"key\": \"w/\", \"prefix\": true, \"previous\": true}},\n"
    "            {\"txn\": {\"compare\": [], \"then\": [], \"else\": []}}],\n"
    "   \"else\": []}\n"
    "\n"
    "What it answers has at most 2 MiB in all, else nothing happens: limit its ranges.\n"
    "-o json: {\"revision\", \"succeeded\", \"responses\": [{\"op\", ...}]}\n"
    "\n"
    "  synod txn move.txt\n";

static const char watch_help[] =
    "Prints what changes KEY, or a range of keys, until Ctrl-C: every change once, in order,\n"
    "through failures of learners and leaders. For each: a line PUT or DELETE, one with the\n"
    "key and one with the value.\n"
    "\n"
    "  END              all keys from KEY on and before END\n"
    "  --prefix         all keys that begin with KEY\n"
    "  --from-key       all keys from KEY on\n"
    "  --rev N          from revision N on (default: what comes after now)\n"
    "  --prev-kv        print key and value as they were before, too, ahead of the new ones\n"
    "  --no-put  --no-delete\n"
    "  --progress       also print PROGRESS N: everything up to revision N has been told\n"
    "\n"
    "With CMD, each change runs it instead, with the value as its standard input and\n"
    "SYNOD_EVENT (put or delete), SYNOD_KEY, SYNOD_KEY_BASE64, SYNOD_REVISION and SYNOD_VERSION "
    "in\n"
    "its environment; when it fails, the watch ends with its status, and says from where to go\n"
    "on. A key that holds a zero byte is in SYNOD_KEY_BASE64 only, since no variable can have it:\n"
    "SYNOD_KEY is not set then.\n"
    "\n"
    "-o json: for each revision {\"revision\", \"continued\", \"events\": [{\"event\", \"key\", "
    "\"value\",\n"
    "..., \"previous\"}]}; progress has no events.\n"
    "Ends with 1 if revisions that it should have told were compacted.\n"
    "\n"
    "  synod watch --prefix config/ -- ./reload.sh\n";

static const char compact_help[] =
    "Forgets what was overwritten or deleted before revision REV or at it. Such revisions can\n"
    "neither be read nor watched any more. Ends with 1 if that is done already.\n"
    "\n"
    "  synod compact 1000\n";

static const char lease_help[] =
    "A lease lives as long as it is kept alive; the keys that were put under it are deleted\n"
    "when it ends. Its time is the cluster's, and stands while nobody leads. Ids are decimal.\n";

static const char grant_help[] =
    "Grants a lease that ends when it is not kept alive for TTL, and prints its id.\n"
    "\n"
    "  --id ID          this id; 0, the default: one that the cluster chooses\n"
    "\n"
    "-o json: {\"lease\", \"ttl_ms\"}\n"
    "\n"
    "  synod lease grant 30s\n";

static const char revoke_help[] = "Ends a lease now, and deletes its keys. Ends with 1 if there is "
                                  "no such lease.\n";

static const char keepalive_help[] =
    "Keeps a lease alive until Ctrl-C; the lease lives on for its TTL then. Prints what was\n"
    "left of it at first. Ends with 1 if there is no such lease, or when it is lost.\n"
    "\n"
    "  --once           only once\n"
    "\n"
    "-o json: {\"lease\", \"left_ms\"}\n";

static const char ttl_help[] =
    "Prints how long a lease is granted for, and what is left of that.\n"
    "\n"
    "  --keys           and the keys under it\n"
    "\n"
    "-o json: {\"lease\", \"ttl_ms\", \"left_ms\", \"keys\": [{\"key\"}]}\n";

static const char list_help[] =
    "Prints all leases: id, TTL and what is left of it. Sessions of clients are leases, too.\n"
    "\n"
    "-o json prints one object a line: {\"lease\", \"ttl_ms\", \"left_ms\"}\n";

static const struct verb lease_rows[] = {
    {"lease grant", "TTL [--id ID]", "a new lease", grant_help, verb_lease_grant, NULL},
    {"lease revoke", "ID", "end it, and delete its keys", revoke_help, verb_lease_revoke, NULL},
    {"lease keepalive", "ID [--once]", "keep it alive", keepalive_help, verb_lease_keepalive, NULL},
    {"lease ttl", "ID [--keys]", "what is left of it", ttl_help, verb_lease_ttl, NULL},
    {"lease list", "[OPTION...]", "all leases", list_help, verb_lease_list, NULL},
};

static const struct verb_group lease_group = {"Leases", lease_rows,
                                              sizeof lease_rows / sizeof lease_rows[0], 0};

static const struct verb rows[] = {
    {"put", "KEY [VALUE] [OPTION...]", "set a key", put_help, verb_put, NULL},
    {"get", "KEY [END] [OPTION...]", "print a key's value, or those of a range", get_help, verb_get,
     NULL},
    {"range", "[FROM [END]] [OPTION...]", "print keys and values", range_help, verb_get, NULL},
    {"del", "KEY [END] [OPTION...]", "delete keys", del_help, verb_del, NULL},
    {"txn", "[FILE] [--json] [OPTION...]", "compare, and change several keys as one", txn_help,
     verb_txn, NULL},
    {"watch", "KEY [END] [OPTION...] [-- CMD...]", "print changes as they happen, or run CMD",
     watch_help, verb_watch, NULL},
    {"compact", "REV", "forget old revisions", compact_help, verb_compact, NULL},
    {"lease", "grant|revoke|keepalive|ttl|list ...", "leases: keys that end with their owner",
     lease_help, NULL, &lease_group},
};

const struct verb_group verbs_keys = {"Keys", rows, sizeof rows / sizeof rows[0], 0};
