#include "tests/model/reference_oracle.h"

#include "common/base/bytes.h"
#include "tests/model/reference_state.h"

#include <string.h>

/* Ten seconds of cluster time, and 32 places. */
#define LASTS_MS 10000
#define PLACES 32
#define ENTRY_BYTES 12

int reference_set(struct reference *r, uint64_t from, struct slice settings)
{
    if (from != r->oracle.version) {
        return 0;
    }
    uint8_t *copy = arena_alloc(&r->arena, settings.size);
    memcpy(copy, settings.data, settings.size);
    r->oracle.settings = slice_borrow(copy, settings.size);
    r->oracle.version = from + 1;
    return 1;
}

/* The line without those that go: whoever has expired, or, if a proposer is named, its other
 * incarnations. */
static void leave_out(struct reference_oracle *oracle, uint64_t now_ms, node_id_t proposer,
                      uint64_t incarnation)
{
    struct reference_oracle before = *oracle;
    oracle->line_count = 0;
    for (size_t i = 0; i < before.line_count; i++) {
        const struct place *place = &before.line[i];
        int is_expired = proposer == 0 && place->expires_ms < now_ms;
        int is_replaced = place->proposer == proposer && place->incarnation != incarnation;
        if (!is_expired && !is_replaced) {
            oracle->line[oracle->line_count++] = *place;
        }
    }
}

void reference_register(struct reference *r, uint64_t slot, struct slice line)
{
    struct reference_oracle *oracle = &r->oracle;
    uint64_t now_ms = reference_now_ms(r);
    uint64_t expires_ms = now_ms + LASTS_MS > now_ms ? now_ms + LASTS_MS : UINT64_MAX;
    leave_out(oracle, now_ms, 0, 0);
    for (size_t at = 0; at + ENTRY_BYTES <= line.size; at += ENTRY_BYTES) {
        node_id_t proposer = bytes_get_u32(line.data + at);
        uint64_t incarnation = bytes_get_u64(line.data + at + 4);
        leave_out(oracle, now_ms, proposer, incarnation);
        int is_there = 0;
        for (size_t i = 0; i < oracle->line_count; i++) {
            if (oracle->line[i].proposer == proposer) {
                oracle->line[i].expires_ms = expires_ms;
                is_there = 1;
            }
        }
        if (!is_there && oracle->line_count < PLACES) {
            oracle->line[oracle->line_count++] =
                (struct place){proposer, incarnation, slot, expires_ms};
        }
    }
}

const struct reference_oracle *reference_oracle(const struct reference *r)
{
    return &r->oracle;
}
