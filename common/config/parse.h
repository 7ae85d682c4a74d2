/* What the readers of cluster.yml's sections share. Nothing outside common/config includes it.
 *
 * parse.c   the sections and the members
 * oracle.c  the section `oracle`, what members say of themselves as candidates, and the rules that
 *           settings of oracles keep */
#ifndef SYNOD_CONFIG_PARSE_H
#define SYNOD_CONFIG_PARSE_H

#include "common/config/config.h"
#include "common/config/tree.h"

/* Each acceptor has one address, each proposer and learner two. */
#define ADDRESSES_MAX (5 * MEMBERS_MAX)

struct parser {
    const char *name; /* of the file, for sentences */
    struct errmsg *err;
    struct config *out;
    struct {
        const struct tree *node;
        struct address address;
    } addresses[ADDRESSES_MAX]; /* all seen so far */
    size_t address_count;
};

/* A key that a mapping may have. */
struct field {
    const char *name;
    const char *example; /* of a line for it if it must be there, else NULL */
};

#define FIELDS(array) array, sizeof(array) / sizeof((array)[0])

/* "a mapping", "a list" or "a single value". */
const char *parse_kind_name(const struct tree *node);

/* Checks that node is a mapping that has every required key and no unknown one. */
int parse_fields(struct parser *r, const struct tree *node, const struct field *fields,
                 size_t count) MUST_USE;

/* Checks that node is a single value; wanted says of which kind. */
int parse_scalar(struct parser *r, const struct tree *node, const char *wanted) MUST_USE;

/* A decimal number without sign, quotes or leading zeros. */
int parse_number(struct parser *r, const struct tree *node, uint64_t min, uint64_t max,
                 uint32_t *out) MUST_USE;

/* true or false, without quotes. */
int parse_bool(struct parser *r, const struct tree *node, int *out) MUST_USE;

/* ---- oracle.c */

/* What a member says of itself as a candidate: `priority`, `zone` and `lead`. */
int parse_candidate(struct parser *r, const struct tree *node,
                    struct candidate_settings *out) MUST_USE;

/* The section `oracle`; all members have been read. */
int parse_oracle(struct parser *r, const struct tree *node) MUST_USE;

/* What holds of the whole of it (config_check_settings), said at the line that breaks it. */
int parse_check(struct parser *r, const struct tree *root) MUST_USE;

#endif
