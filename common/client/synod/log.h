/* The log: appends and reads. Part of synod.h, which is to be included. */
#ifndef SYNOD_LOG_H
#define SYNOD_LOG_H

#ifndef SYNOD_H
#error "include synod.h, which has this part"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- append */

/* Called once per append as the results arrive: in the order of the appends, except after lost
 * messages and deadlines that differ. code SYNOD_OK: the record is in the log at index (from 1),
 * for ever. SYNOD_E_UNAVAILABLE: not answered in time, the record may still be appended.
 * SYNOD_E_SESSION: whether it was appended is unknown; read before appending it again.
 * SYNOD_E_CORRUPT: the handle is of no use any more; open another. SYNOD_E_INTERRUPTED:
 * synod_close. */
typedef void (*synod_append_fn)(void *arg, int code, uint64_t index);

/* Takes a record (copied; 0 to SYNOD_RECORD_BYTES_MAX bytes, any bytes). Returns at once: SYNOD_OK,
 * and fn (which may be NULL) will be called; SYNOD_E_USAGE if it is too long; SYNOD_E_BUSY: poll
 * first; SYNOD_E_CORRUPT: open another handle. Appends made between two polls travel together.
 * timeout_ms: 0 for the handle's own; UINT32_MAX for ever; deadlines are kept to about 10 ms. An
 * append whose deadline passed counts against the limits until the cluster has answered it, because
 * it may still enter the log. */
int synod_append_async(struct synod *s, const void *data, size_t size, uint32_t timeout_ms,
                       synod_append_fn fn, void *arg);

/* The same, and waits, at most for the handle's timeout; for room, too, in place of SYNOD_E_BUSY.
 * data is borrowed for the call. index may be NULL, and is written with SYNOD_OK only. Codes as
 * told to synod_append_fn; SYNOD_E_INTERRUPTED: call again to go on; SYNOD_E_REFUSED;
 * SYNOD_E_USAGE. */
int synod_append(struct synod *s, const void *data, size_t size, uint64_t *index);

/* ---- read */

/* Called for each record in order. data is valid for the call only. Return 0 to go on, anything
 * else to stop. */
typedef int (*synod_record_fn)(void *arg, uint64_t index, const void *data, size_t size);

/* What the log looked like when a read was answered. */
struct synod_log {
    uint64_t first;   /* oldest index that is kept; 1 if nothing was trimmed */
    uint64_t last;    /* newest index, 0 if empty */
    uint64_t applied; /* slot up to which the learner had applied */
};

/* Reads up to count records (0: to the end of the log as it is now) from index `from` (0 counts as
 * 1) and blocks; fn is a callback. log may be NULL, and is written with SYNOD_OK, which is also the
 * answer if fn stopped, and with SYNOD_E_NOT_FOUND: `from` was trimmed, or is trimmed in the
 * middle; read from log->first. The deadline is that of the handle, and starts again with every
 * page. SYNOD_E_UNAVAILABLE: try again, or with SYNOD_LOCAL; SYNOD_E_INTERRUPTED: read on behind
 * the last record that was told; SYNOD_E_CORRUPT, SYNOD_E_REFUSED, SYNOD_E_USAGE. */
int synod_read(struct synod *s, uint64_t from, uint64_t count, enum synod_consistency consistency,
               synod_record_fn fn, void *arg, struct synod_log *log);

/* Reads from `from` and goes on as records arrive, through changes of learners and leaders, until
 * fn stops it (SYNOD_OK) or a signal (SYNOD_E_INTERRUPTED: tail on behind the last record that was
 * told). Every record once, in order. Waits through outages. SYNOD_E_NOT_FOUND: trimmed;
 * SYNOD_E_CORRUPT, SYNOD_E_REFUSED, SYNOD_E_USAGE. */
int synod_tail(struct synod *s, uint64_t from, synod_record_fn fn, void *arg);

/* The end of an asynchronous read, once, unless it is cancelled. Codes as of synod_read; also with
 * SYNOD_OK after fn has stopped it. SYNOD_E_INTERRUPTED: synod_close. log is NULL if no learner
 * said. */
typedef void (*synod_read_end_fn)(void *arg, int code, const struct synod_log *log);

/* synod_read without waiting: fn is called for each record, and end (which may be NULL) at the end,
 * both with arg. Records come in pages, of which one is on its way while another is told; nothing
 * is fetched while the handle is not polled. *id (may be NULL) is for synod_cancel. SYNOD_OK, or
 * SYNOD_E_USAGE, and nothing is called. */
int synod_read_async(struct synod *s, uint64_t from, uint64_t count,
                     enum synod_consistency consistency, synod_record_fn fn, synod_read_end_fn end,
                     void *arg, uint64_t *id);

/* The same for synod_tail: it goes on until it is stopped or cancelled. */
int synod_tail_async(struct synod *s, uint64_t from, synod_record_fn fn, synod_read_end_fn end,
                     void *arg, uint64_t *id);

#ifdef __cplusplus
}
#endif
#endif
