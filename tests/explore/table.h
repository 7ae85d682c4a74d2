/* Hash tables that never forget: bytes to dense ids and back, and 64-bit keys to numbers. */
#ifndef SYNOD_TESTS_EXPLORE_TABLE_H
#define SYNOD_TESTS_EXPLORE_TABLE_H

#include "common/base/arena.h"

#include <stddef.h>
#include <stdint.h>

/* A growing string of bytes. Zero-initialise; free data. */
struct bytes {
    uint8_t *data;
    size_t size, capacity;
};

void bytes_append(struct bytes *bytes, const void *data, size_t size);
void bytes_append_u64(struct bytes *bytes, uint64_t v);

/* Takes what was appended off the front of a range. The caller knows that it is there. */
void bytes_take(const uint8_t **p, void *data, size_t size);
uint64_t bytes_take_u64(const uint8_t **p);

/* Distinct strings of bytes, by id from 0 in the order of their first appearance. Equality is that
 * of all bytes, never of a hash alone. Zero-initialise. */
struct intern {
    struct intern_entry {
        const void *data; /* aligned for any type */
        uint32_t size;
        uint32_t hash;
    } * entries;
    size_t count, capacity;
    uint32_t *slots; /* id + 1, 0: empty */
    size_t slot_count;
    struct arena arena;
    size_t bytes; /* of all data */
};

uint32_t intern_add(struct intern *intern, const void *data, size_t size);

/* The data of an id; *size may be NULL. */
const void *intern_get(const struct intern *intern, uint32_t id, size_t *size);
void intern_close(struct intern *intern);

/* Keys to numbers below UINT32_MAX. Zero-initialise. */
struct map {
    struct map_entry {
        uint64_t key;
        uint32_t value; /* + 1; 0: empty */
    } * entries;
    size_t count, capacity;
};

/* 1 and the key's number in *value, or 0. */
int map_find(const struct map *map, uint64_t key, uint32_t *value);
void map_put(struct map *map, uint64_t key, uint32_t value);
void map_close(struct map *map);

uint64_t hash_u64(uint64_t key);

#endif
