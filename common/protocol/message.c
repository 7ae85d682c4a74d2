#include "common/protocol/message.h"

#include "common/base/mutant.h"

#include <stddef.h>

/* By number; a kind that is none has no name here. */
static const char *const names[] = {
    [MSG_HELLO] = "hello",
    [MSG_WELCOME] = "welcome",
    [MSG_REFUSED] = "refused",
    [MSG_PREPARE] = "prepare",
    [MSG_PROMISE] = "promise",
    [MSG_ACCEPT] = "accept",
    [MSG_ACCEPTED] = "accepted",
    [MSG_NACK] = "nack",
    [MSG_COMMIT] = "commit",
    [MSG_HEARTBEAT] = "heartbeat",
    [MSG_REPORT] = "report",
    [MSG_RELEASE] = "release",
    [MSG_REPAIR] = "repair",
    [MSG_FETCH] = "fetch",
    [MSG_CHOSEN] = "chosen",
    [MSG_READ_INDEX] = "read_index",
    [MSG_READ_INDEX_REPLY] = "read_index_reply",
    [MSG_SUBMIT] = "submit",
    [MSG_REJECT] = "reject",
    [MSG_LEADING] = "leading",
    [MSG_RESULT] = "result",
    [MSG_READ] = "read",
    [MSG_RECORDS] = "records",
    [MSG_STATUS] = "status",
    [MSG_STATUS_REPLY] = "status_reply",
    [MSG_PROGRESS] = "progress",
    [MSG_DIGEST] = "digest",
    [MSG_REQUEST_VOTE] = "request_vote",
    [MSG_VOTE] = "vote",
    [MSG_APPEND] = "append",
    [MSG_APPENDED] = "appended",
    [MSG_TIMEOUT_NOW] = "timeout_now",
    [MSG_PROPOSE] = "propose",
    [MSG_PROPOSED] = "proposed",
    [MSG_ORACLE] = "oracle",
    [MSG_LEASE] = "lease",
    [MSG_LEASED] = "leased",
    [MSG_SETTINGS] = "settings",
    [MSG_QUERY] = "query",
    [MSG_ANSWER] = "answer",
    [MSG_WATCH] = "watch",
    [MSG_EVENTS] = "events",
    [MSG_NAME] = "name",
    [MSG_NAMED] = "named",
    [MSG_TRANSFER] = "transfer",
    [MSG_TRANSFERRED] = "transferred",
    [MSG_EXPLAIN] = "explain",
    [MSG_EXPLANATION] = "explanation",
};

const char *message_kind_name(enum message_kind kind)
{
    size_t i = (size_t)kind;
    return i < sizeof names / sizeof names[0] && names[i] != NULL ? names[i] : "unknown";
}

int message_is_stale(const struct message *msg, uint64_t own_incarnation)
{
    return msg->echo != 0 && msg->echo != own_incarnation && !MUTANT(stale_echo_taken);
}

int message_tells_settings(const struct message *msg, const struct members *members,
                           uint64_t version, struct settings *out)
{
    const struct msg_settings *told = &msg->settings;
    int is_newer = told->version > version || MUTANT(oracle_older_settings_taken);
    if (msg->from.role != ROLE_LEARNER || !members_contain(members, msg->from) || !is_newer ||
        settings_parse(told->settings, out, NULL) != 0) {
        return 0;
    }
    out->version = told->version;
    return 1;
}
