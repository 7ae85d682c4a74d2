/* What the machine knows, shared by the files of this folder and by nobody else. */
#ifndef SYNOD_LEARNER_MACHINE_STATE_H
#define SYNOD_LEARNER_MACHINE_STATE_H

#include "common/base/check.h"
#include "common/base/tree.h"
#include "common/protocol/kv.h"
#include "common/protocol/limits.h"
#include "common/protocol/value.h"
#include "learner/machine/machine.h"

/* A promise of time: it ends when the cluster's time is beyond seen_ms + ttl_ms, and the keys that
 * are attached to it end with it. */
struct lease {
    RB_ENTRY(lease) by_id;
    RB_ENTRY(lease) by_due;
    uint64_t id; /* from 1 */
    uint64_t ttl_ms;
    uint64_t seen_ms;        /* cluster time of the last sign of life */
    struct session *session; /* its other half, if it is a session's lease; else NULL */
    struct session *owner;   /* it ends with this session; NULL: with none */
    struct lease *next_bound, **bound_at; /* of the same owner, and what points here */
    int is_dirty;                         /* differs from the store; its id is in machine.dirty */
};

RB_HEAD(lease_tree, lease);
RB_HEAD(due_tree, lease);

/* Results that came about in one turn are one record of the store: 'r', id, last sequence. */
struct session {
    RB_ENTRY(session) by_client;
    struct lease *lease; /* has the id, which is never used for another session */
    uint64_t client;     /* nonce it was opened with */
    uint64_t opening;    /* number of the client's opening that it answers: the last one that opened
                             or continued it. No other session has both numbers */
    uint64_t applied_seq; /* every command up to here is executed */
    uint64_t acked_seq;   /* the client has the results up to here; they are forgotten */
    /* Bytes of results that may not be acknowledged: of those up to part_seq, and of those after
     * it. */
    uint64_t part_seq, part_bytes, rest_bytes;
    uint64_t *chunks; /* last sequences of the chunks with results above acked_seq, rising */
    size_t chunk_count, chunk_capacity;
    struct buffer fresh; /* results that are in no chunk yet, the newest */
    size_t fresh_last;   /* where the last of them begins */
    struct lease *bound; /* leases that end with it */
};

RB_HEAD(client_tree, session);

/* The store as the commands of this turn see it: a sorted map of what they changed, on top. */
struct view_entry {
    RB_ENTRY(view_entry) link;
    struct slice key;   /* behind the entry */
    struct blob *value; /* NULL: deleted */
    int is_dirty;       /* not yet among the effects */
};

RB_HEAD(view_tree, view_entry);

/* What an entry was before the command under way changed it. */
struct view_undo {
    struct view_entry *entry;
    struct blob *value;
    int was_absent, was_dirty;
};

struct view {
    struct view_tree entries;
    struct view_undo *undo;
    size_t undo_count, undo_capacity;
    int is_recording;
};

/* The last changes of keys: a ring, oldest first. */
struct recent {
    struct recent_change *changes; /* NULL: none yet */
    size_t first, count, bytes;
    uint64_t known_from; /* every change of this revision and those after it is here */
};

/* A place in the history of the keys. */
struct position {
    uint64_t revision;
    uint32_t sub;
};

struct machine {
    struct store_reader reader;
    slot_t applied;
    uint64_t digest;
    uint64_t changes; /* hash of what the slot under way has changed so far, chained */
    uint64_t last_index;
    uint64_t next_lease; /* lowest id that was never given */
    uint64_t stamp_ms;   /* highest cluster time applied */
    slot_t lead_slot;
    struct ballot lead;

    uint64_t revision;          /* of the keys */
    int is_compacted;           /* at least once, were it at revision 0 */
    uint64_t compacted;         /* what was overwritten or deleted before it is gone; 0: nothing */
    uint32_t sub;               /* changes of the command under way, which have revision + 1 */
    struct position swept;      /* history before it is swept: see sweep.c. Not above compacted */
    uint64_t sweep_target;      /* of the sweep under way, not above compacted; 0: none is */
    struct position sweep_next; /* where it goes on */

    struct machine_oracle oracle; /* its settings are a reference */
    int is_oracle_dirty;          /* differs from the store */

    struct lease_tree leases;
    struct due_tree due; /* the same, by the time at which they are up */
    struct client_tree clients;
    size_t lease_count;
    uint64_t *dirty; /* ids of leases that differ from the store, in the order of their change */
    size_t dirty_count, dirty_capacity;
    slot_t stored; /* applied, as the store has it */

    struct view view;
    struct recent recent;
    uint64_t visited;       /* records of the store that were read, since the start */
    size_t page_bytes;      /* of a page of a range that is asked for */
    int is_continued;       /* the query under way may read what is compacted and not swept */
    uint64_t slot_keys;     /* that the slot under way, or the query, has looked at */
    size_t slot_bytes;      /* of the responses of the slot under way */
    size_t unwritten_bytes; /* of responses and of what the view holds, since the last write */
    struct buffer response; /* scratch: the response that is being made */
    int failure;            /* the store could not be read: the first error, else 0 */
};

/* ---- machine.c */

/* Mixes what a command has changed into the digest of the slot. */
void machine_mix(struct machine *m, const void *data, size_t size);
void machine_mix_numbers(struct machine *m, uint8_t kind, uint64_t a, uint64_t b);

/* The store could not be read: the process has to end, which the caller outside is told. */
void machine_fail(struct machine *m, int rc);

/* Makes a failure fatal. */
void machine_report(const struct machine *m, struct effects *out);

/* ---- view.c: a failure to read counts as nothing found, and is in machine.failure */

/* 1 and a new reference, or 0. */
int view_get(struct machine *m, struct slice key, struct blob **value);

/* Visits keys in [from, to) in rising byte order, until visit returns 1. It must change nothing. */
void view_scan(struct machine *m, struct slice from, struct slice to, store_visit_fn visit,
               void *arg);

/* The reference passes to the view. */
void view_put(struct machine *m, struct slice key, struct blob *value);
void view_delete(struct machine *m, struct slice key);

/* The same for what belongs to the replicated state: mixed into the digest. */
void view_put_mixed(struct machine *m, struct slice key, struct blob *value);
void view_delete_mixed(struct machine *m, struct slice key);

/* Between begin and either of the others, what is changed can be taken back. */
void view_begin(struct machine *m);
void view_commit(struct machine *m);
void view_rollback(struct machine *m);

/* Puts what changed since the last flush among the effects. */
void view_flush(struct machine *m, struct effects *out);

/* Forgets what was flushed. */
void view_written(struct machine *m);
void view_close(struct machine *m);

/* ---- lease.c */

struct lease *lease_find(struct machine *m, uint64_t id);

/* The lease with the lowest id from `first` on, and the next one; or NULL. */
struct lease *lease_from(struct machine *m, uint64_t first);
struct lease *lease_after(const struct lease *lease);

/* id 0: the lowest one that was never given. NULL if SESSIONS_MAX are there or the id is taken. */
struct lease *lease_add(struct machine *m, uint64_t id, uint64_t ttl_ms, struct session *owner);

/* A sign of life. */
void lease_renew(struct machine *m, struct lease *lease);

/* The lease will be in the next batch for the store. */
void lease_touch(struct machine *m, struct lease *lease);

/* Ends a lease and what ends with it. */
void lease_end(struct machine *m, struct lease *lease);

/* Ends every lease whose time is up, in the order of their ids. Returns how many. */
size_t lease_expire(struct machine *m);

uint64_t lease_due_ms(const struct lease *lease);

/* As it was before a restart. NULL if it cannot be. */
struct lease *lease_restore(struct machine *m, uint64_t id, uint64_t ttl_ms, uint64_t seen_ms);

void lease_store(struct machine *m);
int lease_load(struct machine *m);
void lease_free_all(struct machine *m);

/* ---- session.c */

struct session *session_find(struct machine *m, uint64_t id);
struct session *session_find_opening(struct machine *m, uint64_t client, uint64_t opening);

/* NULL if SESSIONS_MAX leases and sessions are there. */
struct session *session_open(struct machine *m, uint64_t client, uint64_t opening, uint64_t ttl_ms);

/* From now on the session is what this opening of its client is answered with. */
void session_continue(struct machine *m, struct session *session, uint64_t opening);

/* Removes a session, for lease_end. */
void session_remove(struct machine *m, struct session *session);
void session_free(struct session *session);

/* Forgets the results up to acked_seq. */
void session_acknowledge(struct machine *m, struct session *session, uint64_t acked_seq);

/* 1 if its client owes so many acknowledgements that it gets no more responses. */
int session_is_full(const struct session *session);

/* Remembers the results of the next commands; sequence is filled in. */
void session_remember(struct machine *m, struct session *session, struct result_range *range);

/* Visits the results of the executed commands first to last, what is forgotten as such. Bodies live
 * as long as out. */
typedef void (*session_result_fn)(void *arg, const struct result_range *range);
void session_recall(struct machine *m, struct session *session, uint64_t first, uint64_t last,
                    session_result_fn fn, void *arg, struct effects *out);

/* Its record and a chunk of its fresh results. */
void session_store(struct machine *m, struct session *session);

/* Reads one record back: 's' or 'r'. */
int session_load(struct machine *m, struct slice key, struct slice value);
int session_load_chunk(struct machine *m, struct slice key);

/* ---- log.c */

/* Appends the commands of one run of appends, count of them, under the next indexes. */
void log_append(struct machine *m, struct slice commands, uint32_t count, struct effects *out);

/* ---- records.c: keys and values of the tables that hold users' keys */

/* 'k' + key -> the kv now. 'h' + key, escaped + its versions, newest first -> whether it is a
 * tombstone. 'e' + revision + sub -> what changed, and the version that it replaced. 'g' + lease +
 * key -> nothing. */
#define TABLE_NOW 'k'
#define TABLE_VERSIONS 'h'
#define TABLE_EVENTS 'e'
#define TABLE_ATTACHED 'g'

struct record_key {
    uint8_t bytes[RECORD_KEY_BYTES_MAX];
    size_t size;
};

struct slice record_now(struct record_key *out, struct slice key);
struct slice record_attached(struct record_key *out, uint64_t lease, struct slice key);
struct slice record_event(struct record_key *out, struct position at);

/* The record of the newest version of key at or before `at`, or the next older one. */
struct slice record_version(struct record_key *out, struct slice key, struct position at);

/* First record of a table, and the end of it. */
struct slice record_table(struct record_key *out, char table);
struct slice record_table_end(struct record_key *out, char table);

/* Where [key, end) ends in a table of plain keys, or of versions. */
struct slice record_now_end(struct record_key *out, struct slice key, struct slice end);
struct slice record_version_end(struct record_key *out, struct slice key, struct slice end);

/* What 'k' holds: a kv, and where in its revision it was put. */
struct present {
    struct kv kv;
    uint32_t sub;
};

struct blob *present_encode(const struct present *present);
int present_decode(struct slice key, struct slice value, struct present *out);

/* What 'e' holds. A delete has key and mod only. */
struct change {
    enum kv_event_kind kind;
    struct position previous; /* the version it replaced; revision 0: the key was not there */
    struct kv kv;
};

struct blob *change_encode(const struct change *change);
int change_decode(struct slice value, struct change *out);

/* Reads the version that a record of 'h' stands for; key is written to *out, unescaped. */
int version_decode(struct slice record, struct record_key *out, struct position *at);

/* ---- keys.c */

/* The revision that a command sees: its own changes count. */
uint64_t keys_revision(const struct machine *m);

/* The key as it is now: 1 and a reference on the bytes of out, or 0. */
int keys_get(struct machine *m, struct slice key, struct present *out, struct blob **blob);

/* Puts a key; old is what keys_get found, or NULL. */
void keys_put(struct machine *m, struct slice key, struct slice value, uint64_t lease,
              const struct present *old);

/* Deletes [key, end), telling of each key first; visit may be NULL. Returns how many. */
typedef int (*keys_visit_fn)(void *arg, const struct kv *kv);
uint64_t keys_delete(struct machine *m, struct slice key, struct slice end, keys_visit_fn visit,
                     void *arg);

/* Deletes what is attached to a lease, under one revision. */
void keys_delete_attached(struct machine *m, uint64_t lease);

/* A command begins; it ends well, and if it changed something the revision rises; or as if it had
 * not been. */
void keys_begin(struct machine *m);
void keys_commit(struct machine *m);
void keys_rollback(struct machine *m);

enum result_status keys_compact(struct machine *m, uint64_t revision);

/* The change at a position: 1 and a reference on the bytes of out, or 0. */
int keys_change_at(struct machine *m, struct position at, struct change *out, struct blob **blob);

/* ---- range.c */

/* A key that a walk has found; its version and value come with found_load. */
struct found {
    struct slice key;
    struct position at; /* of its last change */
    int is_loaded;
    struct kv kv;
    struct blob *blob; /* what kv points into, or NULL */
};

int found_load(struct machine *m, struct found *found);

/* Visits the keys in [key, end) as of a revision (0: now), in order, until visit returns 1. */
typedef int (*found_fn)(void *arg, struct found *found);
void range_walk(struct machine *m, struct slice key, struct slice end, uint64_t revision,
                found_fn visit, void *arg);

/* OK, FUTURE or COMPACTED. */
enum result_status range_check(const struct machine *m, uint64_t revision);

/* Appends the response of a range, which was checked, to out. is_page: it may end early. */
enum result_status range_respond(struct machine *m, const struct kv_range *range, int is_page,
                                 struct buffer *out);

/* ---- events.c */

/* 1 if a watch wants a change of that kind of that key. */
int events_are_wanted(const struct msg_watch *watch, enum kv_event_kind kind, struct slice key);

/* ---- recent.c */

void recent_note(struct machine *m, uint64_t revision, enum kv_event_kind kind, struct slice key);

/* Forgets what was noted above the present revision: the command has failed. */
void recent_take_back(struct machine *m);

/* 1 if it is certain that nothing from watch->revision on is wanted. */
int recent_has_none(const struct machine *m, const struct msg_watch *watch);
void recent_close(struct machine *m);

/* ---- txn.c */

/* Executes a request, or refuses it without a trace. The response is appended to out. is_query: it
 * changes nothing, and a range may be answered by a page. */
enum result_status txn_execute(struct machine *m, const struct kv_request *request, int is_query,
                               struct buffer *out);

/* What value names beside a status: the compacted revision or the present one. */
uint64_t txn_status_revision(const struct machine *m, enum result_status status);

/* ---- commands.c */

/* Executes one command of a session but for appends. The body of the result is valid until the next
 * one. What it does may be the end of the session. */
void command_execute(struct machine *m, struct session *session, const struct command *command,
                     struct result_range *result);

/* ---- oracle.c */

/* Replaces the settings if they are those of the version that the payload was made from. */
void oracle_set(struct machine *m, struct slice payload, struct result_range *result);

/* Registers the places of a line, in the slot under way. */
void oracle_register(struct machine *m, slot_t slot, struct slice line);

/* What a query is told. */
void oracle_describe(const struct machine *m, uint64_t idle_ms, struct buffer *out);

void oracle_store(struct machine *m);
int oracle_load(struct machine *m);
void oracle_free(struct machine *m);

/* ---- query.c */

/* What is left until a cluster time, idle_ms after the last stamp. */
uint64_t query_left_ms(const struct machine *m, uint64_t due_ms, uint64_t idle_ms);

/* ---- sweep.c */

/* 1 if what is asked for was not swept: the keys as of a revision; all events from a position on;
 * what the events of a revision have replaced. */
int sweep_has_keys(const struct machine *m, uint64_t revision);
int sweep_has_events(const struct machine *m, struct position from);
int sweep_has_previous(const struct machine *m, uint64_t revision);

int sweep_load(struct machine *m);

#endif
