/* The text form of transactions: compares, an empty line, requests, an empty line, requests. */
#include "common/base/memory.h"
#include "deploy/request.h"
#include "deploy/txn.h"
#include "deploy/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64 /* of one line */
#define PARTS 3

/* ---- what both forms share */

void *txn_alloc(struct txn *txn, size_t size)
{
    txn->blocks =
        memory_grow(txn->blocks, &txn->block_capacity, txn->block_count + 1, sizeof *txn->blocks);
    void *block = memory_calloc(1, size > 0 ? size : 1);
    txn->blocks[txn->block_count++] = block;
    return block;
}

void txn_close(struct txn *txn)
{
    for (size_t i = 0; i < txn->block_count; i++) {
        free(txn->blocks[i]);
    }
    free(txn->blocks);
    memset(txn, 0, sizeof *txn);
}

int txn_relation(const char *text, enum synod_relation *out)
{
    static const struct {
        const char *text;
        enum synod_relation relation;
    } names[] = {{"=", SYNOD_EQUAL},
                 {"==", SYNOD_EQUAL},
                 {"!=", SYNOD_NOT_EQUAL},
                 {"<", SYNOD_LESS},
                 {">", SYNOD_GREATER}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].text, text) == 0) {
            *out = names[i].relation;
            return 1;
        }
    }
    return 0;
}

int txn_target(const char *text, enum synod_target *out)
{
    static const struct {
        const char *text;
        enum synod_target target;
    } names[] = {
        {"version", SYNOD_BY_VERSION}, {"ver", SYNOD_BY_VERSION}, {"create", SYNOD_BY_CREATE},
        {"c", SYNOD_BY_CREATE},        {"mod", SYNOD_BY_MOD},     {"m", SYNOD_BY_MOD},
        {"value", SYNOD_BY_VALUE},     {"val", SYNOD_BY_VALUE},   {"lease", SYNOD_BY_LEASE}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].text, text) == 0) {
            *out = names[i].target;
            return 1;
        }
    }
    return 0;
}

/* ---- words */

/* The rest of a line while it is taken apart. */
struct line {
    struct txn *txn;
    const char *next, *end;
};

static void skip_blanks(struct line *line)
{
    while (line->next < line->end && isspace((unsigned char)*line->next)) {
        line->next++;
    }
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* The byte that an escape stands for, after its backslash; NULL, or what is wrong with it. */
static const char *take_escape(struct line *line, char *out)
{
    static const char from[] = "nrt\"'\\";
    static const char to[] = "\n\r\t\"'\\";
    const char *known = line->next < line->end ? strchr(from, *line->next) : NULL;
    if (known != NULL && *known != '\0') {
        line->next++;
        *out = to[known - from];
        return NULL;
    }
    if (line->end - line->next < 3 || *line->next != 'x' || hex_digit(line->next[1]) < 0 ||
        hex_digit(line->next[2]) < 0) {
        return "an escape that is none of \\n, \\r, \\t, \\\", \\', \\\\ and \\xHH";
    }
    unsigned byte = (unsigned)hex_digit(line->next[1]) << 4 | (unsigned)hex_digit(line->next[2]);
    *out = (char)(uint8_t)byte;
    line->next += 3;
    return *out == '\0' ? "a zero byte, which only --json can have" : NULL;
}

/* Takes a word off the line: bare, up to a blank or a byte of `stops`, or in quotes. 1 with *word
 * (terminated), 0 at the end; -1 with what is wrong. */
static int take_word(struct line *line, const char *stops, char **word, const char **problem)
{
    skip_blanks(line);
    if (line->next == line->end) {
        return 0;
    }
    char *out = txn_alloc(line->txn, (size_t)(line->end - line->next) + 1);
    *word = out;
    char quote = '\0';
    if (*line->next == '"' || *line->next == '\'') {
        quote = *line->next++;
    }
    while (line->next < line->end) {
        char c = *line->next;
        if (quote == '\0' ? isspace((unsigned char)c) || strchr(stops, c) != NULL : c == quote) {
            break;
        }
        line->next++;
        if (quote == '"' && c == '\\') {
            *problem = take_escape(line, &c);
            if (*problem != NULL) {
                return -1;
            }
        }
        *out++ = c;
    }
    if (quote != '\0' && line->next == line->end) {
        *problem = "a quote that is not closed";
        return -1;
    }
    line->next += quote != '\0';
    return 1;
}

/* Takes the byte c, or says that it is missing. */
static int take_byte(struct line *line, char c)
{
    skip_blanks(line);
    if (line->next == line->end || *line->next != c) {
        return 0;
    }
    line->next++;
    return 1;
}

/* ---- compares */

static const char compare_form[] =
    "this is no compare (which is like mod(\"KEY\") > \"0\" or value(\"KEY\") = \"TEXT\")";

/* A signed number, as etcdctl takes it: that a revision is above -1 always holds. */
static int take_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    const char *digits = text + (text[0] == '-');
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (digits[0] < '0' || digits[0] > '9' || *end != '\0' || errno != 0) {
        return 0;
    }
    *out = (uint64_t)value;
    return 1;
}

/* NULL, or what is wrong. */
static const char *parse_compare(struct line *line, struct synod_compare *out)
{
    const char *problem = compare_form;
    char *target = NULL;
    char *key = NULL;
    char *value = NULL;
    char relation[3] = "";
    if (take_word(line, "(", &target, &problem) != 1 || !take_byte(line, '(') ||
        take_word(line, ")", &key, &problem) != 1 || !take_byte(line, ')')) {
        return problem;
    }
    skip_blanks(line);
    for (size_t n = 0; n < 2 && line->next < line->end && strchr("=!<>", *line->next) != NULL;) {
        relation[n++] = *line->next++;
    }
    if (take_word(line, "", &value, &problem) != 1) {
        return problem;
    }
    skip_blanks(line);
    if (line->next != line->end || !txn_relation(relation, &out->relation)) {
        return compare_form;
    }
    if (!txn_target(target, &out->target)) {
        return "a compare is of version, create, mod, value or lease";
    }
    out->key = synod_text(key);
    if (out->key.size == 0) {
        return "a key has at least one byte";
    }
    if (out->target == SYNOD_BY_VALUE) {
        out->value = synod_text(value);
        return NULL;
    }
    return take_number(value, &out->number)
               ? NULL
               : "it is compared with a number (from -9223372036854775808 to 9223372036854775807)";
}

/* ---- requests */

static int parse_request(struct line *line, struct synod_request *out)
{
    char *words[WORDS_MAX + 1];
    int count = 0;
    int rc = 1;
    const char *problem = "a request has at most 64 words";
    while (count < WORDS_MAX && (rc = take_word(line, "", &words[count], &problem)) == 1) {
        count++;
    }
    if (rc != 0) {
        return verb_usage("txn", problem);
    }
    words[count] = NULL;
    const struct verb *verb = verb_find(words[0]);
    if (verb == NULL || (verb->run != verb_put && verb->run != verb_get && verb->run != verb_del)) {
        return verb_usage("txn", "a request is one of put, get, range and del");
    }
    struct request_args *args = txn_alloc(line->txn, sizeof *args);
    int status = 0;
    if (request_parse(count, words, NULL, args, &status)) {
        return status;
    }
    if (args->is_without_value) {
        return verb_usage("txn", "this put has no value");
    }
    *out = args->request;
    return 0;
}

/* ---- the whole */

struct lists {
    struct synod_compare *compares;
    struct synod_request *requests[PARTS]; /* [0] stays empty */
    size_t counts[PARTS];
};

static int take_line(struct lists *lists, int part, struct line *line)
{
    size_t n = lists->counts[part];
    if (n == TXN_LIST_MAX) {
        return verb_usage("txn", "this is more than any transaction may have");
    }
    lists->counts[part]++;
    if (part == 0) {
        const char *problem = parse_compare(line, &lists->compares[n]);
        return problem != NULL ? verb_usage("txn", problem) : 0;
    }
    return parse_request(line, &lists->requests[part][n]);
}

static int is_blank(struct line line)
{
    skip_blanks(&line);
    return line.next == line.end;
}

static int take_lines(struct txn *txn, const char *source, const char *text, size_t size,
                      struct lists *lists)
{
    const char *end = text + size;
    int part = 0;
    unsigned number = 0;
    int status = 0;
    while (status == 0 && text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        struct line line = {txn, text, newline != NULL ? newline : end};
        char place[160];
        snprintf(place, sizeof place, "%.120s:%u", source, ++number);
        verb_set_place(place);
        if (memchr(line.next, '\0', (size_t)(line.end - line.next)) != NULL) {
            status = verb_usage("txn", "a zero byte, which only --json can have");
        } else if (is_blank(line)) {
            part++; /* the last part ends at an empty line as well; more of them do not matter */
        } else if (part >= PARTS) {
            status = verb_usage("txn", "there is a fourth part");
        } else {
            status = take_line(lists, part, &line);
        }
        verb_set_place(NULL);
        text = newline != NULL ? newline + 1 : end;
    }
    return status;
}

int txn_parse_text(struct txn *txn, const char *source, const char *text, size_t size)
{
    struct lists lists = {.compares = txn_alloc(txn, TXN_LIST_MAX * sizeof *lists.compares)};
    for (int part = 1; part < PARTS; part++) {
        lists.requests[part] = txn_alloc(txn, TXN_LIST_MAX * sizeof *lists.requests[part]);
    }
    int status = take_lines(txn, source, text, size, &lists);
    txn->request.op = SYNOD_TXN;
    txn->request.as.txn = (struct synod_txn_op){
        .compares = lists.compares,
        .compare_count = lists.counts[0],
        .then = lists.requests[1],
        .then_count = lists.counts[1],
        .otherwise = lists.requests[2],
        .otherwise_count = lists.counts[2],
    };
    return status;
}
