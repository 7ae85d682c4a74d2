/* synod-proposer: the proposer's core and the loop that drives it. It keeps nothing on disk. */
#include "common/runtime/runtime.h"
#include "proposer/forward.h"
#include "proposer/proposer.h"

int main(int argc, char **argv)
{
    struct daemon_arguments arguments;
    int status;
    if (daemon_parse(argc, argv, ROLE_PROPOSER, &arguments, &status) != 0) {
        return status;
    }
    const struct config *cfg = &arguments.config;
    const uint64_t incarnation = runtime_draw_incarnation();
    const struct proposer_options options = {
        .id = arguments.id,
        .incarnation = incarnation,
        .seed = incarnation,
        .members = cfg->members,
        .settings = cfg->settings,
        .leads_anyway = arguments.leads_anyway,
        .heartbeat_ms = (time_ms_t)cfg->heartbeat_ms,
        .election_ms = (time_ms_t)cfg->election_ms,
    };
    int is_raft = cfg->protocol == CONFIG_RAFT;
    struct proposer *proposer = is_raft ? NULL : proposer_new(&options);
    struct forward *forward = is_raft ? forward_new(&options) : NULL;
    int rc = runtime_run(&(struct runtime_options){
        .config = cfg,
        .self = {ROLE_PROPOSER, arguments.id},
        .incarnation = incarnation,
        .core = is_raft ? forward_core(forward) : proposer_core(proposer),
    });
    proposer_free(proposer);
    forward_free(forward);
    return error_exit_status(rc);
}
