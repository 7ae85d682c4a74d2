#include "common/config/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define PATH_BYTES_MAX 160
#define SHOWN_KEY_BYTES_MAX 40

struct builder {
    const char *name;
    struct arena *arena;
    struct errmsg *err;
    struct tree *root;
    struct tree *open; /* the mapping or sequence being filled, or NULL */
    const char *key;   /* read, and waiting for its value */
    size_t key_line;
    size_t depth;
    size_t node_count;
    size_t document_count;
};

static void path_of(const struct tree *node, char *path, size_t size)
{
    const struct tree *chain[TREE_DEPTH_MAX + 1];
    size_t depth = 0;
    for (; node != NULL && node->parent != NULL && depth <= TREE_DEPTH_MAX; node = node->parent) {
        chain[depth++] = node;
    }
    size_t used = 0;
    path[0] = '\0';
    while (depth > 0 && used < size) {
        node = chain[--depth];
        int n = node->key != NULL ? snprintf(path + used, size - used, "%s%.*s",
                                             used > 0 ? "." : "", SHOWN_KEY_BYTES_MAX, node->key)
                                  : snprintf(path + used, size - used, "[%zu]", node->index);
        used += n > 0 ? (size_t)n : 0;
    }
}

int tree_refuse(const struct tree *node, const char *name, struct errmsg *err, const char *fmt, ...)
{
    char path[PATH_BYTES_MAX];
    path_of(node, path, sizeof path);
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
    }
    if (path[0] != '\0') {
        errmsg_wrap(err, "%s:%zu: %s", name, node->line, path);
    } else {
        errmsg_wrap(err, "%s:%zu", name, node->line);
    }
    return ERROR_USAGE;
}

const struct tree *tree_child(const struct tree *map, const char *key)
{
    for (const struct tree *child = map->first; child != NULL; child = child->next) {
        if (child->key != NULL && strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}

/* A complaint about something that is not in the tree yet. */
static int refuse_at(struct builder *b, size_t line, const char *what, const char *how)
{
    struct tree place = {.line = line, .parent = b->open, .key = b->key};
    if (b->open != NULL && b->open->kind == TREE_LIST) {
        place.index = b->open->count;
    }
    int in_map_without_key = b->open != NULL && b->open->kind == TREE_MAP && b->key == NULL;
    if (in_map_without_key) {
        struct tree map = *b->open;
        map.line = line;
        return tree_refuse(&map, b->name, b->err, "%s; try: %s", what, how);
    }
    return tree_refuse(&place, b->name, b->err, "%s; try: %s", what, how);
}

static int refuse_decoration(struct builder *b, size_t line, const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    if (anchor != NULL) {
        return refuse_at(b, line, "anchor (cluster.yml takes none, each value stands for itself)",
                         "write the value out");
    }
    if (tag != NULL) {
        return refuse_at(b, line, "tag (the type of each key is fixed)", "remove the tag");
    }
    return 0;
}

static int take_node(struct builder *b, enum tree_kind kind, size_t line, struct tree **out)
{
    if (++b->node_count > TREE_NODES_MAX) {
        return refuse_at(b, line, "too many values (no cluster needs so many)", "shorten the file");
    }
    struct tree *node = arena_alloc(b->arena, sizeof *node);
    memset(node, 0, sizeof *node);
    node->kind = kind;
    node->line = b->key != NULL ? b->key_line : line;
    node->key = b->key;
    node->parent = b->open;
    b->key = NULL;
    if (b->open == NULL) {
        b->root = node;
    } else {
        node->index = b->open->count++;
        if (b->open->last != NULL) {
            b->open->last->next = node;
        } else {
            b->open->first = node;
        }
        b->open->last = node;
    }
    *out = node;
    return 0;
}

static int take_key(struct builder *b, size_t line, const char *text)
{
    if (b->open->count >= TREE_KEYS_MAX) {
        return refuse_at(b, line, "too many keys (no mapping has so many)", "shorten the file");
    }
    const struct tree *earlier = tree_child(b->open, text);
    b->key = text;
    b->key_line = line;
    if (earlier != NULL) {
        char what[80];
        snprintf(what, sizeof what, "duplicate key (it stands in line %zu already)", earlier->line);
        return refuse_at(b, line, what, "remove one of the two");
    }
    return 0;
}

static int take_scalar(struct builder *b, const yaml_event_t *event, size_t line)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    int rc = refuse_decoration(b, line, event->data.scalar.anchor, event->data.scalar.tag);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f) {
            return refuse_at(b, line, "control character (texts here are printable, on one line)",
                             "remove it");
        }
    }
    char *text = arena_alloc(b->arena, size + 1);
    memcpy(text, value, size);
    text[size] = '\0';
    if (b->open != NULL && b->open->kind == TREE_MAP && b->key == NULL) {
        return take_key(b, line, text);
    }
    struct tree *node = NULL;
    rc = take_node(b, TREE_SCALAR, line, &node);
    if (rc == 0) {
        node->text = text;
        node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    }
    return rc;
}

static int take_container(struct builder *b, enum tree_kind kind, size_t line,
                          const yaml_char_t *anchor, const yaml_char_t *tag)
{
    int rc = refuse_decoration(b, line, anchor, tag);
    if (rc != 0) {
        return rc;
    }
    if (b->open != NULL && b->open->kind == TREE_MAP && b->key == NULL) {
        return refuse_at(b, line, "a key must be a plain word", "correct the brackets");
    }
    if (b->depth == TREE_DEPTH_MAX) {
        return refuse_at(b, line, "nested too deep", "correct the brackets");
    }
    struct tree *node = NULL;
    rc = take_node(b, kind, line, &node);
    if (rc == 0) {
        b->open = node;
        b->depth++;
    }
    return rc;
}

static int take_document(struct builder *b, const yaml_event_t *event, size_t line)
{
    if (b->document_count++ > 0) {
        b->open = NULL;
        return refuse_at(b, line, "a second document (one file describes one cluster)",
                         "remove it and the line ---");
    }
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end) {
        return refuse_at(b, line, "directive (cluster.yml takes none)", "remove the line with %");
    }
    return 0;
}

static int take_event(struct builder *b, const yaml_event_t *event)
{
    size_t line = event->start_mark.line + 1;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return take_document(b, event, line);
    case YAML_ALIAS_EVENT:
        return refuse_at(b, line, "alias (cluster.yml takes none, each value stands for itself)",
                         "write the value out, in quotes if it begins with *");
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event, line);
    case YAML_SEQUENCE_START_EVENT:
        return take_container(b, TREE_LIST, line, event->data.sequence_start.anchor,
                              event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return take_container(b, TREE_MAP, line, event->data.mapping_start.anchor,
                              event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->open = b->open->parent;
        b->depth--;
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return 0;
}

static int refuse_syntax(const struct builder *b, const yaml_parser_t *parser, const char *text,
                         size_t size)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return errmsg_set(b->err, ERROR_INTERNAL, "%s: out of memory", b->name);
    }
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) { /* it gives an offset instead of a mark */
        line = 1;
        for (size_t i = 0; i < size && i < parser->problem_offset; i++) {
            line += text[i] == '\n';
        }
    }
    return errmsg_set(
        b->err, ERROR_USAGE,
        "%s:%zu: not YAML (%s%s%s); try: check indentation, quotes and brackets there", b->name,
        line, parser->problem != NULL ? parser->problem : "unreadable",
        parser->context != NULL ? ", " : "", parser->context != NULL ? parser->context : "");
}

int tree_read(const char *text, size_t size, const char *name, struct arena *arena,
              struct tree **root, struct errmsg *err)
{
    struct builder b = {.name = name, .arena = arena, .err = err};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return errmsg_set(err, ERROR_INTERNAL, "%s: out of memory", name);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    int rc = 0;
    int at_end = 0;
    while (rc == 0 && !at_end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rc = refuse_syntax(&b, &parser, text, size);
            break;
        }
        at_end = event.type == YAML_STREAM_END_EVENT;
        rc = take_event(&b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (rc == 0 && b.root == NULL) {
        rc = errmsg_set(err, ERROR_USAGE, "%s:1: the file is empty; try: synod init --help", name);
    }
    if (rc == 0) {
        *root = b.root;
    }
    return rc;
}
