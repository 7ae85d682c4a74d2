/* synod-acceptor: the acceptor's core, or the Raft node in its place, its guarded store and the
 * loop that drives them. */
#include "acceptor/acceptor.h"
#include "acceptor/raft/raft.h"
#include "common/runtime/log.h"
#include "common/runtime/runtime.h"

#include <stdio.h>

static int run(const struct config *cfg, struct peer self, uint64_t incarnation, struct core core,
               struct store *store)
{
    return runtime_run(&(struct runtime_options){
        .config = cfg, .self = self, .incarnation = incarnation, .core = core, .store = store});
}

static int run_paxos(const struct config *cfg, node_id_t id, struct store *store)
{
    const struct acceptor_options options = {
        .id = id,
        .members = cfg->members,
        .election_ms = (time_ms_t)cfg->election_ms,
        .heartbeat_ms = (time_ms_t)cfg->heartbeat_ms,
        .reader = store_reader(store),
    };
    struct acceptor *acceptor = acceptor_new(&options);
    int rc = run(cfg, (struct peer){ROLE_ACCEPTOR, id}, runtime_draw_incarnation(),
                 acceptor_core(acceptor), store);
    acceptor_free(acceptor);
    return rc;
}

static int run_raft(const struct daemon_arguments *arguments, struct store *store)
{
    const struct config *cfg = &arguments->config;
    const node_id_t id = arguments->id;
    const uint64_t incarnation = runtime_draw_incarnation();
    const struct raft_options options = {
        .id = id,
        .incarnation = incarnation,
        .seed = incarnation,
        .members = cfg->members,
        .election_ms = (time_ms_t)cfg->election_ms,
        .heartbeat_ms = (time_ms_t)cfg->heartbeat_ms,
        .settings = cfg->settings,
        .leads_anyway = arguments->leads_anyway,
        .reader = store_reader(store),
    };
    struct raft *raft = raft_new(&options);
    int rc = run(cfg, (struct peer){ROLE_ACCEPTOR, id}, incarnation, raft_core(raft), store);
    raft_free(raft);
    return rc;
}

int main(int argc, char **argv)
{
    struct daemon_arguments arguments;
    int status;
    if (daemon_parse(argc, argv, ROLE_ACCEPTOR, &arguments, &status) != 0) {
        return status;
    }
    const struct config *cfg = &arguments.config;
    struct store_identity identity = {.cluster_id = cfg->id, .node = {ROLE_ACCEPTOR, arguments.id}};
    snprintf(identity.protocol, sizeof identity.protocol, "%s",
             config_protocol_name(cfg->protocol));
    struct store *store;
    struct errmsg err;
    int rc = store_open(arguments.data_dir, &identity, 1, &store, &err);
    if (rc != 0) {
        log_error("%s", err.text);
        return error_exit_status(rc);
    }
    rc = cfg->protocol == CONFIG_RAFT ? run_raft(&arguments, store)
                                      : run_paxos(cfg, arguments.id, store);
    store_close(store);
    return error_exit_status(rc);
}
