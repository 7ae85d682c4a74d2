/* synod-learner: the learner's core with its state machine, their store and the loop that drives
 * them. */
#include "common/runtime/log.h"
#include "common/runtime/runtime.h"
#include "learner/learner.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct daemon_arguments arguments;
    int status;
    if (daemon_parse(argc, argv, ROLE_LEARNER, &arguments, &status) != 0) {
        return status;
    }
    const struct config *cfg = &arguments.config;
    const struct peer self = {ROLE_LEARNER, arguments.id};
    struct store_identity identity = {.cluster_id = cfg->id, .node = self};
    snprintf(identity.protocol, sizeof identity.protocol, "%s",
             config_protocol_name(cfg->protocol));
    struct store *store;
    struct errmsg err;
    /* Not guarded: what a learner loses it learns again. */
    int rc = store_open(arguments.data_dir, &identity, 0, &store, &err);
    if (rc != 0) {
        log_error("%s", err.text);
        return error_exit_status(rc);
    }
    const uint64_t incarnation = runtime_draw_incarnation();
    const struct learner_options options = {
        .id = arguments.id,
        .seed = incarnation,
        .members = cfg->members,
        .heartbeat_ms = (time_ms_t)cfg->heartbeat_ms,
        .election_ms = (time_ms_t)cfg->election_ms,
        .reader = store_reader(store),
    };
    struct learner *learner = learner_new(&options);
    rc = runtime_run(&(struct runtime_options){
        .config = cfg,
        .self = self,
        .incarnation = incarnation,
        .core = learner_core(learner),
        .store = store,
    });
    learner_free(learner);
    store_close(store);
    return error_exit_status(rc);
}
