/* A cluster's files on this machine: cluster.yml and the stores, made completely or not at all.
 *
 *     DIR/cluster.yml
 *     DIR/acceptor-1, DIR/acceptor-2, ...   guarded stores
 *     DIR/learner-1, ...                    stores
 */
#ifndef SYNOD_DEPLOY_LOCAL_H
#define SYNOD_DEPLOY_LOCAL_H

#include "common/base/error.h"
#include "common/config/config.h"

#include <limits.h>

/* Port base of a cluster on one machine when none is given. */
#define LOCAL_PORT_BASE_DEFAULT 7400

/* What `synod init` and `synod dev` let a user choose. 0 or NULL: not given. */
struct local_options {
    const char *dir;
    const char *cluster;
    uint32_t acceptors;
    uint32_t proposers;
    uint32_t learners;
    uint32_t port_base;
    int protocol_given;
    enum config_protocol protocol;
    enum oracle_kind oracle;
};

/* Reads the value of one of the options of struct local_options, by its long name, into it. 0, or 3
 * when it was wrong and verb_usage has said so for verb. */
int local_option(const char *verb, const char *name, const char *value,
                 struct local_options *options) MUST_USE;

/* A decimal number from min to max. 0, or 3 when verb_usage has said what is wrong. */
int local_number(const char *verb, const char *name, const char *value, uint32_t min, uint32_t max,
                 uint32_t *out) MUST_USE;

/* A new cluster for this machine from options (default counts 3, 2, 2), with a random id. */
int local_config(const struct local_options *options, uint32_t port_base, struct config *out,
                 struct errmsg *err) MUST_USE;

/* Writes cluster.yml and the stores of cfg into dir, which is made if it is missing; other files in
 * it do not matter. On any failure, and when one of the process's blocked signals has become
 * pending, everything made is removed again. ERROR_USAGE (something of that name exists, it is
 * never touched), ERROR_INTERRUPTED, ERROR_IO. */
int local_init(const char *dir, const struct config *cfg, struct errmsg *err) MUST_USE;

/* Makes the store of one member of an existing cluster in data. ERROR_USAGE (no such member, a
 * proposer, which has no store, or data holds one), ERROR_IO. */
int local_init_store(const struct config *cfg, enum role role, node_id_t id, const char *data,
                     struct errmsg *err) MUST_USE;

/* Removes a directory with all that is in it, as far as it can. */
void local_remove(const char *dir);

/* Joins "DIR/NAME" into out. ERROR_USAGE if it is too long. */
int local_path(char out[PATH_MAX], const char *dir, const char *name, struct errmsg *err) MUST_USE;

#endif
