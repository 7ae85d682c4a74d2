#include "common/client/recipe.h"

/* A lock is a place in the queue "lock", and nothing more. */
struct synod_lock {
    struct hold hold;
};

int synod_lock(struct synod *s, const char *name, uint32_t timeout_ms, struct synod_lock **out)
{
    struct hold *hold = NULL;
    int rc = hold_acquire(s, "lock", name, synod_text(""), timeout_ms, &hold);
    if (rc == SYNOD_OK) {
        *out = (struct synod_lock *)hold;
    }
    return rc;
}

uint64_t synod_lock_token(const struct synod_lock *lock)
{
    return lock->hold.token;
}

int synod_lock_is_held(const struct synod_lock *lock)
{
    return hold_is_held(&lock->hold);
}

int synod_unlock(struct synod_lock *lock)
{
    return hold_release(&lock->hold);
}
