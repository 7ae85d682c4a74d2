/* The dialling side of the handshake, for daemons and for libsynod: the state of one link that this
 * process dialled, and a verdict on everything that happens to it. It sends and steps nothing: the
 * caller does what the verdict says. */
#ifndef SYNOD_PROTOCOL_HANDSHAKE_H
#define SYNOD_PROTOCOL_HANDSHAKE_H

#include "common/protocol/message.h"
#include "common/protocol/types.h"

/* A hello without an answer is repeated after this, and one that was refused as a duplicate. */
#define HANDSHAKE_RETRY_MS 100

/* The same after any other refusal: most of these only a person can remove. */
#define HANDSHAKE_REFUSED_RETRY_MS 1000

/* What the caller has to do. */
enum verdict {
    VERDICT_NOTHING = 0,
    VERDICT_SAY_HELLO,           /* send what dialled_link_hello gives on this link */
    VERDICT_PEER_UP,             /* the handshake is done: the peer takes messages */
    VERDICT_PEER_DOWN,           /* the peer took messages and is gone */
    VERDICT_DELIVER,             /* the message is for the core */
    VERDICT_PEER_UP_AND_DELIVER, /* only on a listening link: the sender did without a hello */
    VERDICT_REFUSED,             /* say so to a person; is_welcomed and is_refused have followed */
    VERDICT_WRONG_PEER,          /* another process than the dialled one speaks: ignored */
};

enum refusal_class {
    REFUSAL_FINAL,     /* version, cluster or identity: stays until a person changes something */
    REFUSAL_DUPLICATE, /* another live process has this one's identity */
    REFUSAL_OTHER,     /* one frame was not taken, or the reason is of a later version */
};

/* reason is an enum refusal as a peer sent it, unchecked. */
enum refusal_class refusal_classify(uint32_t reason);

struct dialled_link {
    struct peer peer;     /* whom this process dialled */
    uint64_t incarnation; /* of this process */
    int is_client;        /* this process is one */

    int is_up;        /* connected, as far as the transport knows */
    int is_welcomed;  /* the handshake is done: messages may go there */
    int is_refused;   /* a client's: the refusal is final until the transport connects again.
                                Never with is_welcomed. A member asks again and again instead */
    int is_duplicate; /* the peer refused this process as one, and has not welcomed it since */
    time_ms_t next_hello_at; /* say hello then, while up, not welcomed and not refused */
};

/* self and incarnation are those of this process. Nothing is known of the peer yet. */
void dialled_link_init(struct dialled_link *link, struct peer self, uint64_t incarnation,
                       struct peer peer);

/* The transport has connected, or has lost the connection. Up: SAY_HELLO. Down: PEER_DOWN if the
 * link was welcomed, else NOTHING. */
enum verdict dialled_link_on_up(struct dialled_link *link, time_ms_t now);
enum verdict dialled_link_on_down(struct dialled_link *link);

/* A message came on the link. NOTHING, SAY_HELLO (the peer asks whether this process is still
 * there), PEER_UP, DELIVER, REFUSED, WRONG_PEER. A member takes a refusal from whatever process
 * answers at the peer's address. A client's link may end with one, so a client takes it only from
 * the peer and in answer to itself. */
enum verdict dialled_link_on_message(struct dialled_link *link, const struct message *msg,
                                     time_ms_t now);

/* A frame came on the link that does not decode, for this reason. A client takes another cluster or
 * version for a final refusal: REFUSED. Else NOTHING. */
enum verdict dialled_link_on_undecodable(struct dialled_link *link, enum refusal reason);

/* Time has passed: SAY_HELLO or NOTHING. */
enum verdict dialled_link_on_time(struct dialled_link *link, time_ms_t now);

/* When dialled_link_on_time will want a hello. TIME_NEVER: not before something else happens. */
time_ms_t dialled_link_wake_at(const struct dialled_link *link);

/* The hello for this link; the sender and its incarnation are filled in where it is encoded. */
void dialled_link_hello(const struct dialled_link *link, struct message *out);

#endif
