/* Rare events of the cores that a test run must have met: who never saw a promise in pages has not
 * tested pages. The cores count them through effects_mark; the simulator adds the counts up, and
 * tests/sim/run.sh fails for one that was never hit. A daemon ignores them. */
#ifndef SYNOD_PROTOCOL_MARKS_H
#define SYNOD_PROTOCOL_MARKS_H

/* Name of the constant, and how it is printed. */
#define MARKS(X)                                                                                   \
    /* acceptor: prepare.c */                                                                      \
    X(PREPARE_BELOW_PROMISE, "prepare below the promise refused")                                  \
    X(PREPARE_TWICE, "second copy of a prepare refused")                                           \
    X(PREPARE_OF_OTHER_INCARNATION, "prepare of another incarnation at the same round refused")    \
    X(PREPARE_AGAINST_LEASE, "prepare refused by a lease")                                         \
    X(PREPARE_AFTER_RESTART, "prepare refused by the wait after a restart")                        \
    X(PROMISE_WITH_VOTES, "promise with votes above the watermark")                                \
    X(PROMISE_IN_PAGES, "promise in pages")                                                        \
    X(PROMISE_STORES_WATERMARK, "watermark made durable for a promise")                            \
    /* acceptor: accept.c */                                                                       \
    X(ACCEPT_BELOW_PROMISE, "accept below the promise refused")                                    \
    X(ACCEPT_TOO_FAR, "accept too far above the watermark refused")                                \
    X(ACCEPT_CONTRADICTS_CHOSEN, "accept that contradicts a chosen slot refused")                  \
    X(ACCEPT_RAISES_PROMISE, "accept from a fresher ballot")                                       \
    X(ACCEPT_REPLACES_VOTE, "vote replaced by one at a higher ballot")                             \
    X(ACCEPT_TWICE, "second copy of an accept acknowledged")                                       \
    X(ACCEPT_OF_CHOSEN, "accept of a slot that is chosen here")                                    \
    X(ACCEPT_STORES_WATERMARK, "watermark made durable in place of a vote")                        \
    X(ACCEPTS_IN_RUNS, "accepts of one turn acknowledged in several runs")                         \
    /* acceptor: lease.c */                                                                        \
    X(HEARTBEAT_RAISES_PROMISE, "heartbeat from a fresher ballot")                                 \
    X(HEARTBEAT_OF_DEPOSED, "heartbeat of a deposed leader")                                       \
    X(LEASE_RELEASED, "lease released")                                                            \
    X(RELEASE_OF_OTHER, "release of a leader that is not followed ignored")                        \
    X(DISK_LOW, "acceptor reports a full disk")                                                    \
    /* acceptor: oracle_lease.c */                                                                 \
    X(ORACLE_LEASE_REFUSED, "lease of an oracle refused because another one holds it")             \
    X(ORACLE_LEASE_LATE, "late request for the lease of an oracle ignored")                        \
    /* acceptor: catchup.c, memory.c */                                                            \
    X(FETCH_BEYOND_CHOSEN, "fetch beyond the watermark answered without slots")                    \
    X(PAGE_FULL, "page of chosen slots full")                                                      \
    X(PAGE_FROM_DISK, "evicted value read from disk")                                              \
    X(VALUE_EVICTED, "value evicted from memory")                                                  \
    X(VOTES_AFTER_RESTART, "votes above the watermark loaded at the start")                        \
    X(HOLE_REPAIRED, "hole repaired from a peer")                                                  \
    X(REPAIR_ELSEWHERE, "repair retried at another acceptor")                                      \
    X(REPAIR_RAISES_PROMISE, "repaired slot of a fresher ballot")                                  \
    X(REPAIR_REPLACES_VOTE, "vote replaced by a chosen value")                                     \
    X(REPAIR_ORDERED, "laggard told where to repair itself")                                       \
    X(REPAIR_LATE, "answer to a repair came too late")                                             \
    /* proposer: standby.c */                                                                      \
    X(REPORT_TOO_OLD, "report of a forgotten heartbeat")                                           \
    X(STEP_DOWN_BY_REPORT, "leader steps down by a report")                                        \
    X(STEP_DOWN_BY_NACK, "leader steps down by a nack")                                            \
    X(BALLOT_RENEWED, "leader that one acceptor refuses prepares a higher ballot at once")         \
    X(STEP_DOWN_BY_SILENCE, "leader steps down because no quorum answers")                         \
    X(RELEASE_INVITES, "proposer invited by a release")                                            \
    /* proposer: view.c, transfer.c, oracle */                                                     \
    X(ORACLE_OF_OTHER_KIND, "message of an oracle of another kind ignored")                        \
    X(ORACLE_LEASE_SPLIT, "lease of an oracle granted by a minority given back")                   \
    X(ORACLE_LEASE_IN_VAIN,                                                                        \
      "holder of an oracle's lease that does not come to lead gives it back")                      \
    X(ORACLE_RING_OLD, "token of an older round dropped")                                          \
    X(ORACLE_RING_SKIPS, "silent neighbour on the ring skipped")                                   \
    X(ORACLE_RING_AGAIN, "round of the ring without a winner followed by another")                 \
    X(ORACLE_RING_IN_VAIN, "winner on the ring that does not come to lead lets others try")        \
    X(ORACLE_FLOODMAX_OLD, "maximum of an older election ignored")                                 \
    X(ORACLE_FLOODMAX_VOTES_OUT, "dead maximum voted out")                                         \
    X(ORACLE_FLOODMAX_IN_VAIN, "maximum that does not come to lead passed over")                   \
    X(ORACLE_GOSSIP_SUSPECTS, "proposer suspected by gossip")                                      \
    X(ORACLE_GOSSIP_REFUTED, "proposer refutes what gossip says of it")                            \
    X(ORACLE_GOSSIP_BURIES, "suspicion that nobody refuted becomes a death")                       \
    X(ORACLE_GOSSIP_SLEPT, "proposer that has slept judges nobody for it")                         \
    X(SETTINGS_CHANGED, "proposer goes by other settings of its oracle")                           \
    X(TRANSFER_ASKED, "leader hands over because an operator asks")                                \
    X(PREEMPTED, "leader hands over to one of higher rank")                                        \
    X(BARRED_LEADER, "leader hands over because it must not lead any more")                        \
    X(RELEASE_HOLDS_BACK, "proposer lets the successor of another go first")                       \
    /* proposer: proposer.c */                                                                     \
    X(HAND_OVER_DRAINED, "leader hands over after all was chosen")                                 \
    X(HAND_OVER_TIMED_OUT, "leader hands over with slots in flight")                               \
    X(HAND_OVER_TO_NOBODY, "leader hands over and knows no successor")                             \
    X(HAND_OVER_IN_RECOVERY, "leader hands over during its recovery")                              \
    /* proposer: prepare.c */                                                                      \
    X(PROMISE_OF_OTHER_ATTEMPT, "promise of an earlier attempt ignored")                           \
    X(PROMISE_AFTER_QUORUM, "promise after the quorum ignored")                                    \
    X(PROMISE_PAGE_TWICE, "page of a promise that came twice ignored")                             \
    X(PROMISE_PAGE_LOST, "lost page of a promise asked for again")                                 \
    X(LAGGARD_WAITED_FOR, "laggard repaired before recovery")                                      \
    X(NACK_OF_OTHER_ATTEMPT, "nack of an earlier attempt ignored")                                 \
    X(NACK_OF_COPY, "nack of a copy of the own prepare ignored")                                   \
    X(NACK_TOO_FAR, "leader told that a slot is too far")                                          \
    X(ATTEMPT_REFUSED, "attempt refused by too many acceptors")                                    \
    X(ATTEMPT_TIMED_OUT, "attempt without promises in time")                                       \
    X(ATTEMPT_AFTER_INVITATION, "invited attempt refused and repeated at once")                    \
    /* proposer: recover.c */                                                                      \
    X(HALF_ACCEPTED_SLOT, "leader change with a half-accepted slot")                               \
    X(RECOVERED_HIGHER_BALLOT, "value of a lower ballot displaced in recovery")                    \
    X(RECOVERED_LOWER_BALLOT, "value of a lower ballot ignored in recovery")                       \
    X(GAP_IN_RECOVERY, "gap closed by a no-op in recovery")                                        \
    X(CHOSEN_FETCHED, "chosen slots fetched for recovery")                                         \
    X(RECOVERY_ELSEWHERE, "fetch of recovery retried at another acceptor")                         \
    X(RECOVERY_GIVEN_UP, "recovery given up, nobody serves a slot")                                \
    X(RECOVERY_WINDOW_FULL, "recovery waits for the window")                                       \
    /* proposer: window.c, intake.c */                                                             \
    X(VALUE_STREAMED_EARLY, "long value streamed before it is chosen")                             \
    X(ACCEPTED_OF_OTHER_BALLOT, "acknowledgement of another ballot ignored")                       \
    X(ACCEPTED_TWICE, "second acknowledgement of one acceptor")                                    \
    X(CHOSEN_OUT_OF_ORDER, "slot chosen before a lower one")                                       \
    X(ACCEPT_SENT_AGAIN, "accept sent again")                                                      \
    X(GAP_ABOVE_LEADER, "gap closed by a no-op because an acceptor reports votes above")           \
    X(WINDOW_FULL, "commands wait for the window")                                                 \
    X(BLOCKS_JOINED, "several blocks in one slot")                                                 \
    X(SUBMIT_IN_RECOVERY, "commands kept during recovery")                                         \
    X(SUBMIT_TO_STANDBY, "commands rejected by a standby")                                         \
    X(SUBMIT_OVER_BUDGET, "commands rejected as busy")                                             \
    X(SUBMIT_DISK_LOW, "commands rejected because disks are full")                                 \
    X(SUBMIT_DROPPED, "waiting commands rejected at a step-down")                                  \
    X(TIME_TOLD, "no-op for a lease that is due")                                                  \
    /* learner: delivery.c */                                                                      \
    X(LEARNED_OTHER_BALLOT, "streamed value of another ballot not applied")                        \
    X(LEARNED_REPLACED, "streamed value replaced by one of a higher ballot")                       \
    X(LEARNED_TOO_MUCH, "streamed value without room")                                             \
    X(COMMIT_OF_LOWER_BALLOT, "commit of a lower ballot")                                          \
    X(LEARNER_FETCHES_GAP, "learner fetches a gap")                                                \
    X(LEARNER_FETCHES_LEADERLESS, "learner without a leader fetches")                              \
    X(LEARNER_ELSEWHERE, "fetch of a learner retried at another acceptor")                         \
    X(LEARNER_FETCHED_TWICE, "fetched slot that was applied before")                               \
    /* learner: reads.c */                                                                         \
    X(READ_ROUND_RETRIED, "read round retried")                                                    \
    X(READ_REPLY_LATE, "answer to an earlier read round ignored")                                  \
    X(READ_WAITS_FOR_SLOT, "read waits until its slot is applied")                                 \
    X(READ_GIVEN_UP, "read given up without a quorum")                                             \
    X(LONG_POLL_EXPIRED, "long poll expired without a record")                                     \
    X(LONG_POLL_WAITS, "long poll waits for a record")                                             \
    X(READ_PAGE_FULL, "page of read records full")                                                 \
    /* learner: answers.c */                                                                       \
    X(WATCH_WAITS, "watch waits for something new")                                                \
    X(WATCH_COMPACTED, "watch from below the compacted revision")                                  \
    /* raft */                                                                                     \
    X(RAFT_PREVOTE_REFUSED_BY_LEADER, "pre-vote refused because a leader is heard")                \
    X(RAFT_VOTE_REFUSED_BY_LEADER, "vote refused because a leader is heard")                       \
    X(RAFT_VOTED_ALREADY, "second candidate of a term refused")                                    \
    X(RAFT_CANDIDATE_BEHIND, "vote refused to a candidate that lacks entries")                     \
    X(RAFT_HIGHER_TERM, "term of an answer taken over")                                            \
    X(RAFT_VOTE_LATE, "vote of an earlier campaign ignored")                                       \
    X(RAFT_VOTE_TWICE, "second vote of one acceptor")                                              \
    X(RAFT_ELECTION_TIMED_OUT, "election without a winner")                                        \
    X(RAFT_STEP_DOWN_BY_SILENCE, "Raft leader steps down because no quorum answers")               \
    X(RAFT_TRUNCATES, "conflicting entries deleted")                                               \
    X(RAFT_ENTRY_TWICE, "entry that the log has already")                                          \
    X(RAFT_TURN_FULL, "append that is too long for one turn")                                      \
    X(RAFT_APPEND_LATE, "late copy of an append")                                                  \
    X(RAFT_APPEND_BEHIND_GAP, "append behind the end of the log refused")                          \
    X(RAFT_APPEND_CONFLICTS, "append behind an entry of another term refused")                     \
    X(RAFT_APPEND_OF_DEPOSED, "append of a deposed leader refused")                                \
    X(RAFT_APPENDED_LATE, "acknowledgement of another term ignored")                               \
    X(RAFT_STREAM_RESTARTED, "follower sent entries anew from a hint")                             \
    X(RAFT_CONFLICT_LATE, "conflict below what was acknowledged ignored")                          \
    X(RAFT_OLD_TERM_NOT_COUNTED, "entries of an old term wait for one of the own")                 \
    X(RAFT_READ_INDEX_UNSETTLED, "read index not answered with an unsettled log")                  \
    X(RAFT_BARRED, "acceptor that must not lead lets others begin the election")                   \
    X(RAFT_TRANSFERRED, "election asked for by the leader")                                        \
    X(RAFT_PROPOSE_TO_FOLLOWER, "batch handed to who does not lead")                               \
    X(RAFT_PROPOSE_TWICE, "batch handed over twice")                                               \
    X(RAFT_PROPOSE_GAP, "batch handed over behind a lost one")                                     \
    X(RAFT_LEADER_CHANGED, "proposer learns of another leading acceptor")                          \
    X(RAFT_LEADER_OUT_OF_REACH, "leading acceptor heard by others, and not by the proposer")       \
    X(RAFT_PROPOSED_LATE, "answer of a former leader ignored")                                     \
    X(RAFT_PROPOSED_AGAIN, "batches sent to the leading acceptor again")                           \
    /* machine */                                                                                  \
    X(DUPLICATE_ANSWERED, "duplicate answered from the table")                                     \
    X(DUPLICATE_IN_PART, "block of which a part was executed before")                              \
    X(RESULT_FORGOTTEN, "duplicate whose result is forgotten")                                     \
    X(SEQUENCE_GAP_REFUSED, "gap in a session's sequence refused")                                 \
    X(SESSION_UNKNOWN, "unknown session refused")                                                  \
    X(SESSION_OPENED_TWICE, "opening that comes again answered with its session")                  \
    X(SESSION_CONTINUED, "living session continued by a new opening")                              \
    X(SESSION_EXPIRED, "session expired")                                                          \
    X(SESSION_CLOSED, "session closed")                                                            \
    X(STAMP_BEHIND, "stamp behind the cluster's time")                                             \
    X(SWEPT, "piece of the history swept after a compaction")

enum mark {
#define MARK_CONSTANT(name, text) MARK_##name,
    MARKS(MARK_CONSTANT)
#undef MARK_CONSTANT
        MARK_COUNT
};

/* How a mark is printed. Static storage. */
const char *mark_name(enum mark mark);

#endif
