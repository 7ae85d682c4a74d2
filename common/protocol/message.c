#include "common/protocol/message.h"

#include "common/base/mutant.h"

const char *message_kind_name(enum message_kind kind)
{
    switch (kind) {
    case MSG_HELLO:
        return "hello";
    case MSG_WELCOME:
        return "welcome";
    case MSG_REFUSED:
        return "refused";
    case MSG_PREPARE:
        return "prepare";
    case MSG_PROMISE:
        return "promise";
    case MSG_ACCEPT:
        return "accept";
    case MSG_ACCEPTED:
        return "accepted";
    case MSG_NACK:
        return "nack";
    case MSG_COMMIT:
        return "commit";
    case MSG_HEARTBEAT:
        return "heartbeat";
    case MSG_REPORT:
        return "report";
    case MSG_RELEASE:
        return "release";
    case MSG_REPAIR:
        return "repair";
    case MSG_FETCH:
        return "fetch";
    case MSG_CHOSEN:
        return "chosen";
    case MSG_READ_INDEX:
        return "read_index";
    case MSG_READ_INDEX_REPLY:
        return "read_index_reply";
    case MSG_SUBMIT:
        return "submit";
    case MSG_REJECT:
        return "reject";
    case MSG_LEADING:
        return "leading";
    case MSG_RESULT:
        return "result";
    case MSG_READ:
        return "read";
    case MSG_RECORDS:
        return "records";
    case MSG_STATUS:
        return "status";
    case MSG_STATUS_REPLY:
        return "status_reply";
    case MSG_PROGRESS:
        return "progress";
    case MSG_DIGEST:
        return "digest";
    case MSG_REQUEST_VOTE:
        return "request_vote";
    case MSG_VOTE:
        return "vote";
    case MSG_APPEND:
        return "append";
    case MSG_APPENDED:
        return "appended";
    case MSG_TIMEOUT_NOW:
        return "timeout_now";
    case MSG_PROPOSE:
        return "propose";
    case MSG_PROPOSED:
        return "proposed";
    case MSG_QUERY:
        return "query";
    case MSG_ANSWER:
        return "answer";
    case MSG_WATCH:
        return "watch";
    case MSG_EVENTS:
        return "events";
    }
    return "unknown";
}

int message_is_stale(const struct message *msg, uint64_t own_incarnation)
{
    return msg->echo != 0 && msg->echo != own_incarnation && !MUTANT(stale_echo_taken);
}
