/* Reads the golden vectors: entries of three lines ("name:", "text:", "hex:"), apart by an empty
 * line. The hex may go on in lines that begin with a space. Lines that begin with '#' say something
 * to people. Paths are relative to the top of the tree, from where tests run. */
#ifndef SYNOD_TESTS_VECTORS_H
#define SYNOD_TESTS_VECTORS_H

#include "common/base/memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS_MAX 128
#define VECTOR_MESSAGES "tests/vectors/messages.txt"
#define VECTOR_VALUES "tests/vectors/values.txt"

struct vector {
    char name[48];
    char text[256];
    uint8_t *bytes;
    size_t size;
};

struct vectors {
    struct vector list[VECTORS_MAX];
    size_t count;
};

/* A whole file as a string, or NULL. Free it. */
static inline char *vectors_read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t size = 0;
    size_t capacity = 0;
    size_t got;
    do {
        text = memory_grow(text, &capacity, size + 65536, 1);
        got = fread(text + size, 1, 65535, file);
        size += got;
    } while (got > 0);
    text[size] = '\0';
    fclose(file);
    return text;
}

/* Appends the bytes that hex spells (white space is skipped) to *bytes, up to `end`. 0, or -1 if it
 * is no hex. */
static inline int vectors_parse_hex(const char *hex, const char *end, uint8_t **bytes, size_t *size)
{
    size_t capacity = *size + (size_t)(end - hex) / 2 + 1;
    uint8_t *grown = realloc(*bytes, capacity);
    if (grown == NULL) {
        return -1;
    }
    *bytes = grown;
    int high = -1;
    for (; hex < end; hex++) {
        if (*hex == ' ' || *hex == '\n') {
            continue;
        }
        const char *digits = "0123456789abcdef";
        const char *digit = *hex != '\0' ? strchr(digits, *hex) : NULL;
        if (digit == NULL) {
            return -1;
        }
        int number = (int)(digit - digits);
        if (high < 0) {
            high = number;
        } else {
            grown[(*size)++] = (uint8_t)(high * 16 + number);
            high = -1;
        }
    }
    return high < 0 ? 0 : -1;
}

/* Takes one line into the entry it belongs to. 0, or -1 if it is none of the format. */
static inline int vectors_take_line(struct vectors *v, const char *line, const char *end)
{
    size_t size = (size_t)(end - line);
    if (size == 0 || line[0] == '#') {
        return 0;
    }
    if (size > 6 && strncmp(line, "name: ", 6) == 0) {
        if (v->count == VECTORS_MAX) {
            return -1;
        }
        struct vector *next = &v->list[v->count++];
        snprintf(next->name, sizeof next->name, "%.*s", (int)(size - 6), line + 6);
        return 0;
    }
    if (v->count == 0) {
        return -1;
    }
    struct vector *vector = &v->list[v->count - 1];
    if (size > 6 && strncmp(line, "text: ", 6) == 0) {
        snprintf(vector->text, sizeof vector->text, "%.*s", (int)(size - 6), line + 6);
        return 0;
    }
    size_t skip = strncmp(line, "hex: ", 5) == 0 ? 5 : line[0] == ' ' ? 1 : 0;
    return skip > 0 ? vectors_parse_hex(line + skip, end, &vector->bytes, &vector->size) : -1;
}

/* Reads a file of vectors. 0, or -1 if there is none or a line of it is not understood. Give it
 * back with vectors_close in both cases. */
static inline int vectors_load(const char *path, struct vectors *v)
{
    *v = (struct vectors){.count = 0};
    char *text = vectors_read_file(path);
    if (text == NULL) {
        return -1;
    }
    int rc = 0;
    for (const char *line = text; *line != '\0' && rc == 0;) {
        const char *end = line + strcspn(line, "\n");
        rc = vectors_take_line(v, line, end);
        line = *end == '\n' ? end + 1 : end;
    }
    free(text);
    return rc;
}

static inline void vectors_close(struct vectors *v)
{
    for (size_t i = 0; i < v->count; i++) {
        free(v->list[i].bytes);
    }
    v->count = 0;
}

static inline const struct vector *vectors_find(const struct vectors *v, const char *name)
{
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->list[i].name, name) == 0) {
            return &v->list[i];
        }
    }
    return NULL;
}

/* Appends one entry to an open file, 32 bytes of hex a line. */
static inline void vectors_write(FILE *file, const char *name, const char *text,
                                 const uint8_t *bytes, size_t size)
{
    fprintf(file, "\nname: %s\ntext: %s\nhex:", name, text);
    for (size_t i = 0; i < size; i++) {
        fprintf(file, "%s%02x", i > 0 && i % 32 == 0 ? "\n " : i % 4 == 0 ? " " : "", bytes[i]);
    }
    fprintf(file, "\n");
}

#endif
