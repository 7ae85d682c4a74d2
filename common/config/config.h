/* cluster.yml, read strictly: an unknown key, a wrong type, a duplicate or a value out of range is
 * refused with file, line and key in the sentence. The same file is on every host. */
#ifndef SYNOD_CONFIG_CONFIG_H
#define SYNOD_CONFIG_CONFIG_H

#include "common/base/error.h"
#include "common/config/address.h"
#include "common/protocol/members.h"
#include "common/protocol/settings.h"

/* With the terminator. Letters, digits and . _ - only, so that a name can stand in a path. */
#define CONFIG_NAME_BYTES_MAX 64

#define CONFIG_FILE_BYTES_MAX (1 * MIB)

#define CONFIG_HEARTBEAT_MS_DEFAULT 50
#define CONFIG_ELECTION_MS_DEFAULT 500

enum config_protocol { CONFIG_PAXOS, CONFIG_RAFT };

struct config_acceptor {
    node_id_t id;
    char address[CONFIG_ADDRESS_BYTES_MAX];
};

/* A proposer or a learner. */
struct config_server {
    node_id_t id;
    char peer[CONFIG_ADDRESS_BYTES_MAX];
    char client[CONFIG_ADDRESS_BYTES_MAX];
};

struct config {
    char cluster[CONFIG_NAME_BYTES_MAX];
    uint64_t id; /* of the cluster, 16 hexadecimal digits in the file */
    enum config_protocol protocol;
    struct members members; /* ids sorted; q1 and q2 from `quorums: { prepare: N, accept: N }`,
                               default majority */
    struct config_acceptor acceptors[MEMBERS_MAX]; /* same order as members.acceptors, and so on */
    struct config_server proposers[MEMBERS_MAX];
    struct config_server learners[MEMBERS_MAX];
    uint32_t heartbeat_ms;    /* 1 to 10,000; default 50 */
    uint32_t election_ms;     /* 4 heartbeats to 60,000; default 500 */
    struct settings settings; /* who should lead, of version 0. Its candidates are all proposers, in
                                 Raft mode all acceptors: priority, zone and `lead: false` of a
                                 member stand there and nowhere else */
};

/* Reads and validates path. ERROR_NOT_FOUND, ERROR_IO, or ERROR_USAGE with "FILE:LINE: key: what
 * (why); try: how". Bytes of *out that no field uses are zero, so that equal configurations compare
 * equal with memcmp. */
int config_load(const char *path, struct config *out, struct errmsg *err) MUST_USE;

/* The same for text in memory; name stands for the file in sentences. */
int config_parse(const char *text, size_t size, const char *name, struct config *out,
                 struct errmsg *err) MUST_USE;

/* Writes cfg as a cluster.yml that config_load reads back equal. The file must not exist; it
 * appears complete or not at all, and it and its directory are synced. ERROR_USAGE (it exists, or
 * cfg is no valid configuration), ERROR_IO. */
int config_write(const char *path, const struct config *cfg, struct errmsg *err) MUST_USE;

/* Every port of config_for_localhost is below port_base + this. */
#define CONFIG_LOCALHOST_PORTS (401 + MEMBERS_MAX)

/* Fills in a configuration for one machine: 127.0.0.1, one port each from port_base upwards
 * (acceptors at +1, +2, ...; proposers at +101, +102 peer, +201 client; learners at +301, +401),
 * with default timing. cluster is a valid name, the counts are 1 to MEMBERS_MAX, and port_base +
 * CONFIG_LOCALHOST_PORTS is at most 65536: the caller has checked that. */
void config_for_localhost(struct config *out, const char *cluster, uint64_t id, size_t acceptors,
                          size_t proposers, size_t learners, uint32_t port_base);

/* Chooses the protocol, and with it who could lead: the candidates of settings become all
 * proposers, or all acceptors, of whom nothing else is said yet. */
void config_set_protocol(struct config *cfg, enum config_protocol protocol);

/* "proposer", in Raft mode "acceptor": what leads. */
const char *config_candidate_role(const struct config *cfg);

/* What the settings of an oracle must keep besides their form (settings_parse): every id in them is
 * a candidate, a topology joins all of them within the diameter given, somebody may lead, and in
 * Raft mode the oracle is one that means something there. 0, or ERROR_USAGE with "what (why); try:
 * how". cluster.yml and who changes settings through the log ask here. */
int config_check_settings(const struct config *cfg, const struct settings *settings,
                          struct errmsg *err) MUST_USE;

/* 1 if name can name a cluster. */
int config_name_valid(const char *name);

/* The protocol of that name into *out, or ERROR_USAGE. */
int config_protocol_parse(const char *name, enum config_protocol *out) MUST_USE;

const char *config_protocol_name(enum config_protocol protocol);

#endif
