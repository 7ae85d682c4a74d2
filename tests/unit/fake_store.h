/* The keys and leases of the scripted cluster: tests/model's reference behind the bytes of
 * commands, queries and watches. It says what etcd would answer, so that tests of the client need
 * neither a learner nor a state machine. */
#ifndef SYNOD_TESTS_UNIT_FAKE_STORE_H
#define SYNOD_TESTS_UNIT_FAKE_STORE_H

#include "common/base/buffer.h"
#include "common/protocol/message.h"
#include "common/protocol/value.h"
#include "learner/machine/machine.h"

struct fake_store;

struct fake_store *fake_store_new(void);
void fake_store_free(struct fake_store *store);

/* A session is a lease with the same id. */
void fake_store_open(struct fake_store *store, uint64_t session, uint64_t ttl_ms);
int fake_store_has_lease(const struct fake_store *store, uint64_t id);
int fake_store_touch(struct fake_store *store, uint64_t session);
void fake_store_close(struct fake_store *store, uint64_t session);

/* The next leases end as soon as they are granted. */
void fake_store_end_grants(struct fake_store *store, size_t count);

/* Cluster time goes on. */
void fake_store_advance(struct fake_store *store, uint64_t ms);

/* Executes a command on keys or leases. The body of out lies in *body. */
void fake_store_execute(struct fake_store *store, uint64_t session, const struct command *command,
                        struct result_range *out, struct buffer *body);

/* Somebody puts a key. Returns the revision. */
uint64_t fake_store_put(struct fake_store *store, const char *key, const char *value);

/* Answers a query; a range gets at most page_kvs keys, unless that is 0. */
void fake_store_query(struct fake_store *store, const struct msg_query *query, size_t page_kvs,
                      struct msg_answer *out, struct buffer *body);

/* A page of at most page_events events, unless that is 0. Returns how many there are. */
size_t fake_store_events(struct fake_store *store, const struct msg_watch *watch,
                         size_t page_events, struct msg_events *out, struct buffer *body);

/* Behind every answer to a question on keys and every page of a watch somebody puts "zzz" and
 * compacts to the present, from now on or not. The sweep waits until it is told to: what is older
 * than the revision is gone for questions that go on, too. */
void fake_store_storm(struct fake_store *store, int is_on);
void fake_store_sweep(struct fake_store *store, uint64_t revision);

/* From now on a state machine answers questions on keys, as it is, and nobody else does; NULL: no
 * more. */
void fake_store_use(struct fake_store *store, struct machine *machine);

uint64_t fake_store_revision(const struct fake_store *store);

#endif
