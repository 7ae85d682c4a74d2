/* synod-acceptor: the acceptor's core, its guarded store and the loop that drives them. */
#include "acceptor/acceptor.h"
#include "common/runtime/log.h"
#include "common/runtime/runtime.h"

int main(int argc, char **argv)
{
    struct daemon_arguments arguments;
    int status;
    if (daemon_parse(argc, argv, ROLE_ACCEPTOR, &arguments, &status) != 0) {
        return status;
    }
    const struct config *cfg = &arguments.config;
    const struct peer self = {ROLE_ACCEPTOR, arguments.id};
    const struct store_identity identity = {cfg->id, self, "paxos"};
    struct store *store;
    struct errmsg err;
    int rc = store_open(arguments.data_dir, &identity, 1, &store, &err);
    if (rc != 0) {
        log_error("%s", err.text);
        return error_exit_status(rc);
    }
    const struct acceptor_options options = {
        .id = arguments.id,
        .members = cfg->members,
        .election_ms = (time_ms_t)cfg->election_ms,
        .heartbeat_ms = (time_ms_t)cfg->heartbeat_ms,
        .reader = store_reader(store),
    };
    struct acceptor *acceptor = acceptor_new(&options);
    rc = runtime_run(&(struct runtime_options){
        .config = cfg,
        .self = self,
        .incarnation = runtime_draw_incarnation(),
        .core = acceptor_core(acceptor),
        .store = store,
    });
    acceptor_free(acceptor);
    store_close(store);
    return error_exit_status(rc);
}
