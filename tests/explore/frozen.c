#include "tests/explore/frozen.h"

#include "acceptor/state.h"
#include "common/base/memory.h"
#include "proposer/state.h"
#include "tests/explore/post.h"

#include <stdlib.h>
#include <string.h>

/* Slots that a core can know of: those that exist, and what a leader proposes beyond them, which
 * nobody gets. A ring has the slot at its own number. */
#define SLOTS_KNOWN_MAX 16

/* What lies between two fields is whatever was on the stack before; states that are the same would
 * differ by it. */
#if defined __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define CLEAR_PADDING(object) __builtin_clear_padding(object)
#endif
#endif
#ifdef CLEAR_PADDING
#define IS_EXACT 1
#else
#define IS_EXACT 0
#define CLEAR_PADDING(object) ((void)(object))
#endif

int frozen_is_exact(void)
{
    return IS_EXACT;
}

/* ---- structs, of which most words are 0 */

struct run {
    uint16_t zeros;
    uint16_t words; /* that follow */
};

static void append_sparse(struct bytes *out, const void *object, size_t size)
{
    const uint64_t *words = object;
    size_t count = size / sizeof *words;
    CHECK(size % sizeof *words == 0);
    CHECK(count <= UINT16_MAX);
    size_t at = 0;
    while (at < count) {
        size_t begin = at;
        while (begin < count && words[begin] == 0) {
            begin++;
        }
        size_t end = begin;
        while (end < count && words[end] != 0) {
            end++;
        }
        struct run run = {(uint16_t)(begin - at), (uint16_t)(end - begin)};
        bytes_append(out, &run, sizeof run);
        bytes_append(out, &words[begin], (end - begin) * sizeof *words);
        at = end;
    }
}

static void take_sparse(const uint8_t **p, void *object, size_t size)
{
    memset(object, 0, size);
    size_t count = size / sizeof(uint64_t);
    uint8_t *to = object;
    size_t at = 0;
    while (at < count) {
        struct run run;
        bytes_take(p, &run, sizeof run);
        at += run.zeros;
        bytes_take(p, to + at * sizeof(uint64_t), run.words * sizeof(uint64_t));
        at += run.words;
    }
}

/* ---- values */

/* A slice as its value's number, in the place of its bytes. */
static struct slice number_of(struct slice value)
{
    uintptr_t number = value.size > 0 ? post_value(value) : 0;
    return (struct slice){(const uint8_t *)number, value.size, NULL};
}

static struct slice value_of(struct slice number)
{
    return number.size > 0 ? slice_keep(post_value_slice((uint32_t)(uintptr_t)number.data))
                           : SLICE_EMPTY;
}

/* ---- acceptor */

void freeze_disk(const struct disk *disk, struct bytes *out)
{
    append_sparse(out, disk, sizeof *disk);
}

void thaw_disk(struct disk *disk, const uint8_t **p)
{
    take_sparse(p, disk, sizeof *disk);
}

void freeze_acceptor(const struct acceptor *a, struct bytes *out)
{
    CHECK(a->log.last < SLOTS_KNOWN_MAX);
    static struct acceptor image;
    image = *a;
    image.log.ring = NULL;
    image.log.bytes = 0; /* how much was ever put matters to Raft alone */
    image.log.settled = a->chosen;
    image.log.bytes = 0; /* how much was ever put matters to Raft alone */
    image.log.settled = a->chosen;
    /* Only a lease that runs on over a restart depends on these, and here none runs. */
    image.promised_before_start = 0;
    image.started_at = 0;
    if (!image.ack.is_open) {
        memset(&image.ack, 0, sizeof image.ack);
    }
    CLEAR_PADDING(&image);
    append_sparse(out, &image, sizeof image);
    for (size_t slot = 0; slot < SLOTS_KNOWN_MAX; slot++) {
        struct log_slot entry = a->log.ring[slot];
        entry.value = number_of(entry.value);
        entry.bytes_to = 0;
        CLEAR_PADDING(&entry);
        append_sparse(out, &entry, sizeof entry);
    }
}

void thaw_acceptor(struct acceptor *a, const uint8_t **p)
{
    struct log_slot *ring = a->log.ring;
    take_sparse(p, a, sizeof *a);
    a->log.ring = ring;
    for (size_t slot = 0; slot < SLOTS_KNOWN_MAX; slot++) {
        take_sparse(p, &ring[slot], sizeof ring[slot]);
        ring[slot].value = value_of(ring[slot].value);
    }
}

void empty_acceptor(struct acceptor *a)
{
    for (size_t slot = 0; slot < SLOTS_KNOWN_MAX; slot++) {
        slice_drop(&a->log.ring[slot].value);
    }
}

/* ---- proposer */

/* Besides the struct: what former leaders left, clients, and blocks that wait. */
static void freeze_lists(const struct proposer *p, struct bytes *out)
{
    for (size_t slot = 0; p->recovery != NULL && slot < SLOTS_KNOWN_MAX; slot++) {
        struct recovered entry = p->recovery[slot];
        entry.value = number_of(entry.value);
        CLEAR_PADDING(&entry);
        append_sparse(out, &entry, sizeof entry);
    }
    for (size_t i = 0; i < p->clients.known_count; i++) {
        bytes_append(out, &p->clients.known[i], sizeof p->clients.known[i]);
    }
    for (size_t i = 0; i < p->clients.waiting_count; i++) {
        struct waiting_block block =
            p->clients.waiting[(p->clients.waiting_head + i) % p->clients.waiting_capacity];
        block.bytes = number_of(block.bytes);
        CLEAR_PADDING(&block);
        append_sparse(out, &block, sizeof block);
    }
}

void freeze_proposer(const struct proposer *p, struct bytes *out)
{
    CHECK(p->next_slot < SLOTS_KNOWN_MAX);
    static struct proposer image;
    image = *p;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        image.acceptors[i].report.proposers = NULL; /* they point into the struct itself */
    }
    for (size_t i = 0; i < WINDOW_SLOTS_MAX; i++) {
        CHECK(i < SLOTS_KNOWN_MAX || image.flights[i].slot == 0);
        image.flights[i].value = number_of(image.flights[i].value);
    }
    /* Whether there is a recovery is a part of the state; where it lies, and how much memory was
     * asked for the lists, is not. */
    image.recovery = p->recovery != NULL ? (struct recovered *)(uintptr_t)8 : NULL;
    image.clients.known = NULL;
    image.clients.known_capacity = 0;
    image.clients.waiting = NULL;
    image.clients.waiting_head = 0;
    image.clients.waiting_capacity = 0;
    CLEAR_PADDING(&image);
    append_sparse(out, &image, sizeof image);
    freeze_lists(p, out);
}

static void thaw_lists(struct proposer *p, const uint8_t **in)
{
    if (p->recovery != NULL) {
        p->recovery = memory_calloc(RECOVERY_RING_SLOTS, sizeof *p->recovery);
        for (size_t slot = 0; slot < SLOTS_KNOWN_MAX; slot++) {
            take_sparse(in, &p->recovery[slot], sizeof p->recovery[slot]);
            p->recovery[slot].value = value_of(p->recovery[slot].value);
        }
    }
    p->clients.known = memory_grow(NULL, &p->clients.known_capacity, p->clients.known_count,
                                   sizeof *p->clients.known);
    if (p->clients.known_count > 0) {
        bytes_take(in, p->clients.known, p->clients.known_count * sizeof *p->clients.known);
    }
    if (p->clients.waiting_count > 0) {
        p->clients.waiting_capacity = p->clients.waiting_count;
        p->clients.waiting = memory_calloc(p->clients.waiting_capacity, sizeof *p->clients.waiting);
        for (size_t i = 0; i < p->clients.waiting_count; i++) {
            take_sparse(in, &p->clients.waiting[i], sizeof p->clients.waiting[i]);
            p->clients.waiting[i].bytes = value_of(p->clients.waiting[i].bytes);
        }
    }
}

void thaw_proposer(struct proposer *p, const uint8_t **in)
{
    take_sparse(in, p, sizeof *p);
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        if (p->acceptors[i].is_heard) {
            p->acceptors[i].report.proposers = p->acceptors[i].proposers;
        }
    }
    for (size_t i = 0; i < SLOTS_KNOWN_MAX; i++) {
        p->flights[i].value = value_of(p->flights[i].value);
    }
    thaw_lists(p, in);
}

void empty_proposer(struct proposer *p)
{
    for (size_t i = 0; i < SLOTS_KNOWN_MAX; i++) {
        slice_drop(&p->flights[i].value);
        if (p->recovery != NULL) {
            slice_drop(&p->recovery[i].value);
        }
    }
    for (size_t i = 0; i < p->clients.waiting_count; i++) {
        slice_drop(
            &p->clients.waiting[(p->clients.waiting_head + i) % p->clients.waiting_capacity].bytes);
    }
    free(p->recovery);
    free(p->clients.waiting);
    free(p->clients.known);
    memset(p, 0, sizeof *p);
}
