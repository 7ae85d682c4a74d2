#include "common/net/internal.h"

#include "common/base/check.h"
#include "common/base/memory.h"

#include <stdlib.h>

/* What ZeroMQ and malloc spend on a queued frame besides its bytes. Charged too, or a queue of tiny
 * frames would take many times its budget. */
#define FRAME_OVERHEAD_BYTES 160

/* A frame goes to a handful of members at most; beyond that each use is allocated. */
#define FRAME_CHARGES_INLINE 6

/* At most this much is copied out of ZeroMQ's receive buffer: a small message there is a view of 8
 * KiB that would stay allocated with it. */
#define RECEIVE_COPY_BYTES_MAX 4096

/* One use of a frame by ZeroMQ. */
struct charge {
    struct frame *frame;
    struct budget *budget;
    int is_inline;
};

struct frame {
    atomic_uint references;
    unsigned charge_count; /* inline ones in use; only the sending thread counts */
    uint8_t *data;
    size_t size;
    struct charge charges[FRAME_CHARGES_INLINE];
};

struct budget *budget_new(size_t max_bytes)
{
    struct budget *budget = memory_alloc(sizeof *budget);
    atomic_init(&budget->queued_bytes, 0);
    atomic_init(&budget->references, 1);
    budget->max_bytes = max_bytes;
    return budget;
}

void budget_unref(struct budget *budget)
{
    if (atomic_fetch_sub_explicit(&budget->references, 1, memory_order_acq_rel) == 1) {
        free(budget);
    }
}

struct frame *frame_new(uint8_t *data, size_t size)
{
    struct frame *frame = memory_alloc(sizeof *frame);
    atomic_init(&frame->references, 1);
    frame->charge_count = 0;
    frame->data = data;
    frame->size = size;
    return frame;
}

void frame_unref(struct frame *frame)
{
    if (atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel) == 1) {
        free(frame->data);
        free(frame);
    }
}

static size_t charge_bytes(const struct frame *frame)
{
    return frame->size + FRAME_OVERHEAD_BYTES;
}

/* Called by ZeroMQ, mostly on its I/O thread, when it needs the bytes no more. */
static void charge_release(void *data, void *hint)
{
    (void)data;
    struct charge *charge = hint;
    struct frame *frame = charge->frame;
    struct budget *budget = charge->budget;
    atomic_fetch_sub_explicit(&budget->queued_bytes, charge_bytes(frame), memory_order_relaxed);
    if (!charge->is_inline) {
        free(charge);
    }
    budget_unref(budget);
    frame_unref(frame);
}

int frame_to_msg(struct frame *frame, struct budget *budget, zmq_msg_t *msg)
{
    size_t bytes = charge_bytes(frame);
    size_t queued = atomic_load_explicit(&budget->queued_bytes, memory_order_relaxed);
    if (queued != 0 && queued + bytes > budget->max_bytes) {
        return ERROR_BUSY;
    }
    struct charge *charge;
    if (frame->charge_count < FRAME_CHARGES_INLINE) {
        charge = &frame->charges[frame->charge_count++];
        charge->is_inline = 1;
    } else {
        charge = memory_alloc(sizeof *charge);
        charge->is_inline = 0;
    }
    charge->frame = frame;
    charge->budget = budget;
    atomic_fetch_add_explicit(&frame->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&budget->queued_bytes, bytes, memory_order_relaxed);
    /* Fails only without memory, which ends the process everywhere else, too. */
    CHECK(zmq_msg_init_data(msg, frame->data, frame->size, charge_release, charge) == 0);
    return 0;
}

/* A large message is kept in ZeroMQ's own buffer. */
struct msg_blob {
    struct blob blob;
    zmq_msg_t msg;
};

static void msg_blob_release(struct blob *blob)
{
    struct msg_blob *owner = (struct msg_blob *)blob; /* its first member */
    zmq_msg_close(&owner->msg);
    free(owner);
}

struct blob *blob_from_msg(zmq_msg_t *msg)
{
    size_t size = zmq_msg_size(msg);
    if (size <= RECEIVE_COPY_BYTES_MAX) {
        return blob_copy(zmq_msg_data(msg), size);
    }
    struct msg_blob *owner = memory_alloc(sizeof *owner);
    CHECK(zmq_msg_init(&owner->msg) == 0);
    CHECK(zmq_msg_move(&owner->msg, msg) == 0);
    owner->blob = (struct blob){.data = zmq_msg_data(&owner->msg),
                                .size = size,
                                .references = 1,
                                .release = msg_blob_release};
    return &owner->blob;
}
