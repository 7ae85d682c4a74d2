/* A state machine on a store in memory, commands as text is easy to read, and what came of them as
 * text that is easy to compare. */
#ifndef SYNOD_TESTS_UNIT_MACHINE_KIT_H
#define SYNOD_TESTS_UNIT_MACHINE_KIT_H

#include "common/protocol/kv.h"
#include "common/protocol/value.h"
#include "common/store/store.h"
#include "learner/machine/machine.h"

#define MACHINE_KIT_CLIENT 100
#define MACHINE_KIT_TTL_MS 1000000

struct machine_kit {
    struct store *store;
    struct store_reader reader;
    struct machine *machine;
    struct effects fx;
    slot_t slot;
    uint64_t now_ms;
    int is_turn_open; /* commands are not written one by one */
    uint64_t session, next_seq, acked_seq;
    /* Of the last command. */
    enum result_status status;
    uint64_t value;
    struct buffer body;
    uint32_t outcome_count;
    struct buffer text; /* what the functions below return */
};

/* With a session open. */
void machine_kit_open(struct machine_kit *kit);
void machine_kit_close(struct machine_kit *kit);

/* cmocka's. */
int machine_kit_setup(void **state);
int machine_kit_teardown(void **state);

/* Ends the turn: what was put goes to the store, and the view is cleared. */
void machine_kit_write(struct machine_kit *kit);

/* Another machine reads everything back from the store. */
void machine_kit_restart(struct machine_kit *kit);

/* Applies a no-op with the stamp now_ms. */
void machine_kit_tick(struct machine_kit *kit, uint64_t now_ms);

/* Sweeps to the end. Returns how many pieces that took. */
int machine_kit_sweep(struct machine_kit *kit);

/* Applies a value in a slot of its own. The reference passes to the kit. */
void machine_kit_apply_value(struct machine_kit *kit, struct blob *value);

/* Applies one encoded block in a slot of its own. */
void machine_kit_apply(struct machine_kit *kit, struct slice block);

/* Executes one command in a slot of its own. */
void machine_kit_command(struct machine_kit *kit, enum command_op op, struct slice payload);

/* The same command once more, under its old sequence. */
void machine_kit_repeat(struct machine_kit *kit, enum command_op op, struct slice payload);

/* "2: put", "3: del 1", "compacted 5": the status or the revision, and the response; see render. */
const char *machine_kit_do(struct machine_kit *kit, const struct kv_request *request);
const char *machine_kit_query(struct machine_kit *kit, const struct kv_request *request);

/* The same as a question that goes on. */
const char *machine_kit_query_on(struct machine_kit *kit, const struct kv_request *request);
const char *machine_kit_compact(struct machine_kit *kit, uint64_t revision);

/* 600 puts, at revisions 2 to 601, one deletion of them all at 602, which a sweep passes in more
 * than one piece, and a put at 603. */
void machine_kit_large_revision(struct machine_kit *kit);

/* The id that the grant came to, or 0; the status is in the kit. */
uint64_t machine_kit_grant(struct machine_kit *kit, uint64_t id, uint64_t ttl_ms, uint8_t flags);
enum result_status machine_kit_revoke(struct machine_kit *kit, uint64_t id);

/* What the keepalive of one lease came to, in ms. */
uint64_t machine_kit_keep(struct machine_kit *kit, uint64_t id);

/* "+a=1 -b", with places "@2.0" if the flag WATCH_PREVIOUS brings "(a=0)", then "> 3.0": where the
 * next page begins. */
const char *machine_kit_events(struct machine_kit *kit, const char *key, const char *end,
                               uint64_t revision, uint32_t sub, uint32_t flags, uint32_t bytes_max);

/* Requests. Strings are borrowed. */
struct slice text_slice(const char *text);
struct kv_request a_put(const char *key, const char *value);
struct kv_request a_range(const char *key, const char *end);
struct kv_request a_delete(const char *key, const char *end);

/* A transaction; the lists end with NULL. Owned by the kit of the test until it is closed. */
struct kv_request a_txn(const struct kv_compare *compares, size_t compare_count,
                        const struct kv_request *then_, size_t then_count,
                        const struct kv_request *else_, size_t else_count, struct buffer *keep);
struct kv_compare a_compare(const char *key, enum kv_target target, enum kv_relation relation,
                            uint64_t number);
struct kv_compare a_value_compare(const char *key, enum kv_relation relation, const char *value);

#endif
