#include "tests/explore/table.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    bytes->data = memory_grow(bytes->data, &bytes->capacity, bytes->size + size, 1);
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void bytes_append_u64(struct bytes *bytes, uint64_t v)
{
    bytes_append(bytes, &v, sizeof v);
}

void bytes_take(const uint8_t **p, void *data, size_t size)
{
    memcpy(data, *p, size);
    *p += size;
}

uint64_t bytes_take_u64(const uint8_t **p)
{
    uint64_t v;
    bytes_take(p, &v, sizeof v);
    return v;
}

/* ---- intern */

static void intern_place(struct intern *intern, uint32_t id)
{
    size_t at = intern->entries[id].hash & (intern->slot_count - 1);
    while (intern->slots[at] != 0) {
        at = (at + 1) & (intern->slot_count - 1);
    }
    intern->slots[at] = id + 1;
}

static void intern_grow(struct intern *intern)
{
    free(intern->slots);
    intern->slot_count = intern->slot_count == 0 ? 1024 : intern->slot_count * 2;
    intern->slots = memory_calloc(intern->slot_count, sizeof *intern->slots);
    for (size_t id = 0; id < intern->count; id++) {
        intern_place(intern, (uint32_t)id);
    }
}

uint32_t intern_add(struct intern *intern, const void *data, size_t size)
{
    if (intern->count * 2 >= intern->slot_count) {
        intern_grow(intern);
    }
    uint32_t hash = (uint32_t)XXH3_64bits(data, size);
    size_t at = hash & (intern->slot_count - 1);
    while (intern->slots[at] != 0) {
        const struct intern_entry *entry = &intern->entries[intern->slots[at] - 1];
        if (entry->hash == hash && entry->size == size && memcmp(entry->data, data, size) == 0) {
            return intern->slots[at] - 1;
        }
        at = (at + 1) & (intern->slot_count - 1);
    }
    CHECK(intern->count < UINT32_MAX - 1);
    intern->entries =
        memory_grow(intern->entries, &intern->capacity, intern->count + 1, sizeof *intern->entries);
    void *copy = arena_alloc(&intern->arena, size);
    memcpy(copy, data, size);
    uint32_t id = (uint32_t)intern->count++;
    intern->entries[id] = (struct intern_entry){.data = copy, .size = (uint32_t)size, .hash = hash};
    intern->slots[at] = id + 1;
    intern->bytes += size;
    return id;
}

const void *intern_get(const struct intern *intern, uint32_t id, size_t *size)
{
    CHECK(id < intern->count);
    if (size != NULL) {
        *size = intern->entries[id].size;
    }
    return intern->entries[id].data;
}

void intern_close(struct intern *intern)
{
    free(intern->entries);
    free(intern->slots);
    arena_close(&intern->arena);
    memset(intern, 0, sizeof *intern);
}

/* ---- map */

uint64_t hash_u64(uint64_t key)
{
    key = (key ^ (key >> 31)) * 0x9e3779b97f4a7c15U; /* as splitmix64 mixes */
    key = (key ^ (key >> 29)) * 0xbf58476d1ce4e5b9U;
    return key ^ (key >> 32);
}

static struct map_entry *map_place(const struct map *map, uint64_t key)
{
    size_t at = hash_u64(key) & (map->capacity - 1);
    while (map->entries[at].value != 0 && map->entries[at].key != key) {
        at = (at + 1) & (map->capacity - 1);
    }
    return &map->entries[at];
}

int map_find(const struct map *map, uint64_t key, uint32_t *value)
{
    if (map->count == 0) {
        return 0;
    }
    const struct map_entry *entry = map_place(map, key);
    if (entry->value == 0) {
        return 0;
    }
    *value = entry->value - 1;
    return 1;
}

void map_put(struct map *map, uint64_t key, uint32_t value)
{
    if (map->count * 2 >= map->capacity) {
        struct map old = *map;
        map->capacity = old.capacity == 0 ? 1024 : old.capacity * 2;
        map->entries = memory_calloc(map->capacity, sizeof *map->entries);
        for (size_t i = 0; i < old.capacity; i++) {
            if (old.entries[i].value != 0) {
                *map_place(map, old.entries[i].key) = old.entries[i];
            }
        }
        free(old.entries);
    }
    struct map_entry *entry = map_place(map, key);
    map->count += entry->value == 0;
    *entry = (struct map_entry){key, value + 1};
}

void map_close(struct map *map)
{
    free(map->entries);
    memset(map, 0, sizeof *map);
}
