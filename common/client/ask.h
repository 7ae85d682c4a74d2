/* Questions to the processes of the cluster, and on who should lead: what status.c, explain.c,
 * transfer.c, name.c and settings.c share. */
#ifndef SYNOD_CLIENT_ASK_H
#define SYNOD_CLIENT_ASK_H

#include "common/client/handle.h"

/* call_wait for what has that id, whose callback sets *is_done: if the wait ends before, it is
 * cancelled, so that the callback does not come any more. For what changes nothing, or nothing that
 * could not be done twice: made again, such a call begins anew. */
int ask_wait(struct synod *s, const int *is_done, uint64_t id) MUST_USE;

/* An asynchronous call was taken, under that id: *out (may be NULL) and synod_last_id get it. */
static inline void ask_give_id(struct synod *s, uint64_t id, uint64_t *out)
{
    s->last_id = id;
    if (out != NULL) {
        *out = id;
    }
}

/* What the cluster calls that state of a process. Static. */
const char *ask_state_name(uint32_t state);

/* Settings as the application sees them: with a row for each member that could lead. */
void settings_tell(const struct synod *s, const struct settings *settings,
                   struct synod_oracle *out);

/* The settings in an answer to QUERY_SETTINGS. *rest gets what follows: the succession queue.
 * SYNOD_E_CORRUPT. */
int settings_read(struct synod *s, struct slice answer, struct settings *out,
                  struct reader *rest) MUST_USE;

#endif
