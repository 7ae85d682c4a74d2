/* The verbs on the log of records. */
#include "deploy/verbs.h"

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

static const struct verb rows[] = {
    {"append", "[OPTION...] [TEXT...]", "append records to the log", append_help, verb_append,
     NULL},
    {"read", "[--from N] [--count M] [OPTION...]", "print records of the log", read_help, verb_read,
     NULL},
    {"tail", "[--from N] [--follow] [OPTION...]", "print the newest records, and follow", tail_help,
     verb_tail, NULL},
};

const struct verb_group verbs_log = {"The log", rows, sizeof rows / sizeof rows[0], 0};
