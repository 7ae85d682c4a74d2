/* One YAML document as a tree of nodes that know their line and their path, so that every later
 * complaint can name both.
 *
 * Built from libyaml's events. Its document interface resolves anchors and aliases before anybody
 * can refuse them and does not keep the line of a key; libcyaml reports a path but neither the line
 * of a value nor duplicate keys. The tree takes the smallest useful part of YAML: mappings with
 * scalar keys, sequences, scalars. Anchors, aliases, tags, directives, a second document, duplicate
 * keys and control characters are refused here. */
#ifndef SYNOD_CONFIG_TREE_H
#define SYNOD_CONFIG_TREE_H

#include "common/base/arena.h"
#include "common/base/error.h"

#include <stddef.h>

/* What a file may hold before it is refused unread: many times what the largest legal one needs. */
#define TREE_DEPTH_MAX 8
#define TREE_NODES_MAX 16384
#define TREE_KEYS_MAX 64 /* of one mapping */

enum tree_kind { TREE_SCALAR, TREE_MAP, TREE_LIST };

struct tree {
    enum tree_kind kind;
    size_t line;      /* from 1; of the key, if it has one, else of its own start */
    const char *key;  /* under which the mapping above has it; NULL elsewhere */
    size_t index;     /* within the node above, from 0 */
    const char *text; /* of a scalar, terminated, no control characters in it */
    int is_plain;     /* the scalar was written without quotes */
    size_t count;     /* of children */
    struct tree *parent;
    struct tree *first; /* child */
    struct tree *last;
    struct tree *next; /* sibling */
};

/* Reads text. name stands for the file in sentences. The tree lives in arena. ERROR_USAGE with
 * "NAME:LINE: ...", ERROR_INTERNAL (no memory). */
int tree_read(const char *text, size_t size, const char *name, struct arena *arena,
              struct tree **root, struct errmsg *err) MUST_USE;

/* The child of a mapping under key, or NULL. */
const struct tree *tree_child(const struct tree *map, const char *key);

/* Sets err to "NAME:LINE: path.of.node: TEXT" and returns ERROR_USAGE. */
int tree_refuse(const struct tree *node, const char *name, struct errmsg *err, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#endif
