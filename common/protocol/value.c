#include "common/protocol/value.h"

#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/protocol/kv.h"
#include "common/protocol/limits.h"
#include "common/protocol/settings.h"

#include <string.h>

#define LEAD_BYTES 20
#define GRANT_PAYLOAD_BYTES 17
#define NUMBER_BYTES 8
#define PLACE_BYTES 12

static struct slice slice_part(struct slice s, size_t offset, size_t size)
{
    return (struct slice){size > 0 ? s.data + offset : NULL, size, size > 0 ? s.owner : NULL};
}

/* Takes one command off *rest. 1, 0 at the end, ERROR_USAGE if the bytes are none. */
static int take_command(struct slice *rest, struct command *out)
{
    if (rest->size == 0) {
        return 0;
    }
    if (rest->size < COMMAND_HEAD_BYTES) {
        return ERROR_USAGE;
    }
    uint32_t size = bytes_get_u32(rest->data + 1);
    if (size > rest->size - COMMAND_HEAD_BYTES) {
        return ERROR_USAGE;
    }
    out->op = rest->data[0];
    out->payload = slice_part(*rest, COMMAND_HEAD_BYTES, size);
    *rest = slice_part(*rest, COMMAND_HEAD_BYTES + size, rest->size - COMMAND_HEAD_BYTES - size);
    return 1;
}

/* Reads the head of a block and cuts its commands off *rest. 1, 0 at the end, ERROR_USAGE. */
static int take_block(struct slice *rest, struct block *out)
{
    if (rest->size == 0) {
        return 0;
    }
    if (rest->size < BLOCK_HEAD_BYTES) {
        return ERROR_USAGE;
    }
    const uint8_t *p = rest->data;
    uint32_t size = bytes_get_u32(p + 36);
    if (size > rest->size - BLOCK_HEAD_BYTES) {
        return ERROR_USAGE;
    }
    out->session = bytes_get_u64(p);
    out->client = bytes_get_u64(p + 8);
    out->first_seq = bytes_get_u64(p + 16);
    out->acked_seq = bytes_get_u64(p + 24);
    out->count = bytes_get_u32(p + 32);
    out->commands = slice_part(*rest, BLOCK_HEAD_BYTES, size);
    *rest = slice_part(*rest, BLOCK_HEAD_BYTES + size, rest->size - BLOCK_HEAD_BYTES - size);
    return 1;
}

static int validate_grant(struct slice payload, struct errmsg *err)
{
    if (payload.size != GRANT_PAYLOAD_BYTES || payload.data[16] > LEASE_BOUND) {
        return errmsg_set(err, ERROR_USAGE, "a lease is granted by id, ttl and flags");
    }
    uint64_t ttl_ms = bytes_get_u64(payload.data + 8);
    if (ttl_ms == 0 || ttl_ms > LEASE_TTL_MS_MAX) {
        return errmsg_set(err, ERROR_USAGE, "a lease of %llu ms is out of range (1 to %llu)",
                          (unsigned long long)ttl_ms, (unsigned long long)LEASE_TTL_MS_MAX);
    }
    if (bytes_get_u64(payload.data) > INT64_MAX) {
        return errmsg_set(err, ERROR_USAGE, "a lease's id is above 2^63-1");
    }
    return 0;
}

static int validate_number(struct slice payload, const char *what, struct errmsg *err)
{
    if (payload.size != NUMBER_BYTES) {
        return errmsg_set(err, ERROR_USAGE, "%s takes a number of 8 bytes", what);
    }
    return 0;
}

static int validate_keepalive(struct slice payload, struct errmsg *err)
{
    size_t count = payload.size / NUMBER_BYTES;
    if (payload.size % NUMBER_BYTES != 0 || count == 0 || count > KEEPALIVE_LEASES_MAX) {
        return errmsg_set(err, ERROR_USAGE, "1 to %d leases are kept alive at a time",
                          KEEPALIVE_LEASES_MAX);
    }
    return 0;
}

static int validate_settings(struct slice payload, struct errmsg *err)
{
    if (payload.size < NUMBER_BYTES) {
        return errmsg_set(err, ERROR_USAGE, "settings are changed from a version of 8 bytes");
    }
    struct settings settings;
    return settings_parse(slice_part(payload, NUMBER_BYTES, payload.size - NUMBER_BYTES), &settings,
                          err);
}

/* The commands of the state machine. */
static int validate_payload(const struct command *command, struct errmsg *err)
{
    struct kv_request request;
    switch (command->op) {
    case COMMAND_KV:
        return kv_request_parse(command->payload, &request, err);
    case COMMAND_COMPACT:
        return validate_number(command->payload, "a compaction", err);
    case COMMAND_LEASE_GRANT:
        return validate_grant(command->payload, err);
    case COMMAND_LEASE_REVOKE:
        return validate_number(command->payload, "a revocation", err);
    case COMMAND_LEASE_KEEPALIVE:
        return validate_keepalive(command->payload, err);
    case COMMAND_SETTINGS:
        return validate_settings(command->payload, err);
    default:
        return errmsg_set(err, ERROR_USAGE, "unknown command %u", (unsigned)command->op);
    }
}

static int validate_command(const struct block *block, const struct command *command,
                            uint32_t position, struct errmsg *err)
{
    int is_last = position + 1 == block->count;
    switch (command->op) {
    case COMMAND_APPEND:
        if (command->payload.size > RECORD_BYTES_MAX) {
            return errmsg_set(err, ERROR_USAGE, "a record of %zu bytes exceeds the limit of %zu",
                              command->payload.size, RECORD_BYTES_MAX);
        }
        break;
    case COMMAND_OPEN_SESSION:
        if (block->session != 0 || block->count != 1 ||
            command->payload.size != OPEN_PAYLOAD_BYTES) {
            return errmsg_set(err, ERROR_USAGE,
                              "a session is opened by one command alone, with a ttl of 4 bytes and "
                              "a session to continue of 8");
        }
        return 0;
    case COMMAND_CLOSE_SESSION:
        if (command->payload.size != 0 || !is_last) {
            return errmsg_set(
                err, ERROR_USAGE,
                "a session is closed by the last command of a block, without payload");
        }
        break;
    default: {
        int rc = validate_payload(command, err);
        if (rc != 0) {
            return rc;
        }
        break;
    }
    }
    if (block->session == 0) {
        return errmsg_set(err, ERROR_USAGE, "a command needs a session");
    }
    return 0;
}

static int validate_block(const struct block *block, struct errmsg *err)
{
    if (block->count > SESSION_OUTSTANDING_MAX || block->first_seq == 0) {
        return errmsg_set(
            err, ERROR_USAGE, "a block of %u commands from sequence %llu breaks the limits (%d, 1)",
            block->count, (unsigned long long)block->first_seq, SESSION_OUTSTANDING_MAX);
    }
    if (block->session != 0 && block->acked_seq >= block->first_seq) {
        return errmsg_set(err, ERROR_USAGE, "a block acknowledges its own commands");
    }
    if (block->client == 0) {
        return errmsg_set(err, ERROR_USAGE, "a block needs its client's nonce");
    }
    if (block->session == 0 && block->count != 1) {
        return errmsg_set(err, ERROR_USAGE, "a block without a session must open one");
    }
    if (block->first_seq > UINT64_MAX - SESSION_OUTSTANDING_MAX && block->session != 0) {
        return errmsg_set(err, ERROR_USAGE, "a sequence overflows");
    }
    struct slice rest = block->commands;
    struct command command;
    uint32_t count = 0;
    int rc;
    while ((rc = take_command(&rest, &command)) == 1) {
        if (count == block->count) {
            return errmsg_set(err, ERROR_USAGE, "a block holds more commands than it says");
        }
        rc = validate_command(block, &command, count, err);
        if (rc != 0) {
            return rc;
        }
        count++;
    }
    if (rc < 0 || count != block->count) {
        return errmsg_set(err, ERROR_USAGE, "a block's commands are cut off");
    }
    return 0;
}

static int validate_line(struct slice payload)
{
    size_t count = payload.size / PLACE_BYTES;
    if (payload.size % PLACE_BYTES != 0 || count == 0 || count > MEMBERS_MAX) {
        return ERROR_CORRUPT;
    }
    struct slice rest = payload;
    struct place place;
    while (value_next_place(&rest, &place)) {
        if (place.proposer == 0 || place.incarnation == 0) {
            return ERROR_CORRUPT;
        }
    }
    return 0;
}

int value_parse(struct slice bytes, struct value *out)
{
    if (bytes.size < VALUE_HEAD_BYTES) {
        return ERROR_CORRUPT;
    }
    struct value value = {.kind = bytes.data[0], .stamp_ms = bytes_get_u64(bytes.data + 1)};
    struct slice payload = slice_part(bytes, VALUE_HEAD_BYTES, bytes.size - VALUE_HEAD_BYTES);
    switch (value.kind) {
    case VALUE_NOOP:
        if (payload.size != 0) {
            return ERROR_CORRUPT;
        }
        break;
    case VALUE_LEAD:
        if (payload.size != LEAD_BYTES) {
            return ERROR_CORRUPT;
        }
        value.lead.round = bytes_get_u64(payload.data);
        value.lead.proposer = bytes_get_u32(payload.data + 8);
        value.lead.incarnation = bytes_get_u64(payload.data + 12);
        if (value.lead.round == 0 || value.lead.proposer == 0 || value.lead.incarnation == 0) {
            return ERROR_CORRUPT; /* nobody leads under it */
        }
        break;
    case VALUE_BATCH: {
        struct slice rest = payload;
        struct block block;
        int rc;
        while ((rc = take_block(&rest, &block)) == 1) {
            if (validate_block(&block, NULL) != 0) {
                return ERROR_CORRUPT;
            }
        }
        if (rc < 0) {
            return ERROR_CORRUPT;
        }
        value.blocks = payload;
        break;
    }
    case VALUE_LINE:
        if (validate_line(payload) != 0) {
            return ERROR_CORRUPT;
        }
        value.line = payload;
        break;
    default:
        return ERROR_CORRUPT;
    }
    *out = value;
    return 0;
}

uint64_t value_stamp_ms(struct slice bytes)
{
    CHECK(bytes.size >= VALUE_HEAD_BYTES);
    return bytes_get_u64(bytes.data + 1);
}

int value_next_block(struct slice *rest, struct block *out)
{
    return take_block(rest, out) == 1;
}

int value_next_place(struct slice *rest, struct place *out)
{
    if (rest->size < PLACE_BYTES) {
        return 0;
    }
    *out = (struct place){.proposer = bytes_get_u32(rest->data),
                          .incarnation = bytes_get_u64(rest->data + 4)};
    *rest = slice_part(*rest, PLACE_BYTES, rest->size - PLACE_BYTES);
    return 1;
}

int block_parse(struct slice bytes, struct block *out, struct errmsg *err)
{
    struct block block = {0};
    struct slice rest = bytes;
    if (take_block(&rest, &block) != 1 || rest.size != 0) {
        return errmsg_set(err, ERROR_USAGE,
                          "a block of commands is cut off or has bytes after its end");
    }
    int rc = validate_block(&block, err);
    if (rc != 0) {
        return rc;
    }
    *out = block;
    return 0;
}

int block_next_command(struct slice *rest, struct command *out)
{
    return take_command(rest, out) == 1;
}

static void put_value_head(uint8_t *p, enum value_kind kind, uint64_t stamp_ms)
{
    p[0] = (uint8_t)kind;
    bytes_put_u64(p + 1, stamp_ms);
}

struct blob *value_noop(uint64_t stamp_ms)
{
    uint8_t *p;
    struct blob *blob = blob_new(VALUE_HEAD_BYTES, &p);
    put_value_head(p, VALUE_NOOP, stamp_ms);
    return blob;
}

struct blob *value_lead(uint64_t stamp_ms, const struct ballot *ballot)
{
    uint8_t *p;
    struct blob *blob = blob_new(VALUE_HEAD_BYTES + LEAD_BYTES, &p);
    put_value_head(p, VALUE_LEAD, stamp_ms);
    p += VALUE_HEAD_BYTES;
    bytes_put_u64(p, ballot->round);
    bytes_put_u32(p + 8, ballot->proposer);
    bytes_put_u64(p + 12, ballot->incarnation);
    return blob;
}

struct blob *value_batch(uint64_t stamp_ms, const struct slice *blocks, size_t block_count)
{
    size_t size = VALUE_HEAD_BYTES;
    for (size_t i = 0; i < block_count; i++) {
        size += blocks[i].size;
    }
    uint8_t *p;
    struct blob *blob = blob_new(size, &p);
    put_value_head(p, VALUE_BATCH, stamp_ms);
    p += VALUE_HEAD_BYTES;
    for (size_t i = 0; i < block_count; i++) {
        memcpy(p, blocks[i].data, blocks[i].size);
        p += blocks[i].size;
    }
    return blob;
}

struct blob *value_line(uint64_t stamp_ms, const struct place *places, size_t count)
{
    CHECK(count > 0 && count <= MEMBERS_MAX);
    uint8_t *p;
    struct blob *blob = blob_new(VALUE_HEAD_BYTES + count * PLACE_BYTES, &p);
    put_value_head(p, VALUE_LINE, stamp_ms);
    p += VALUE_HEAD_BYTES;
    for (size_t i = 0; i < count; i++, p += PLACE_BYTES) {
        bytes_put_u32(p, places[i].proposer);
        bytes_put_u64(p + 4, places[i].incarnation);
    }
    return blob;
}

void block_put_head(uint8_t *p, const struct block *block, uint32_t size)
{
    bytes_put_u64(p, block->session);
    bytes_put_u64(p + 8, block->client);
    bytes_put_u64(p + 16, block->first_seq);
    bytes_put_u64(p + 24, block->acked_seq);
    bytes_put_u32(p + 32, block->count);
    bytes_put_u32(p + 36, size);
}

void command_put_head(uint8_t *p, enum command_op op, uint32_t size)
{
    p[0] = (uint8_t)op;
    bytes_put_u32(p + 1, size);
}

void command_put_open(uint8_t *p, uint32_t ttl_ms, uint64_t continues)
{
    bytes_put_u32(p, ttl_ms);
    bytes_put_u64(p + 4, continues);
}

void block_put_open(uint8_t *p, uint64_t client, uint64_t opening, uint32_t ttl_ms,
                    uint64_t continues)
{
    const struct block head = {.client = client, .first_seq = opening, .count = 1};
    block_put_head(p, &head, COMMAND_HEAD_BYTES + OPEN_PAYLOAD_BYTES);
    command_put_head(p + BLOCK_HEAD_BYTES, COMMAND_OPEN_SESSION, OPEN_PAYLOAD_BYTES);
    command_put_open(p + BLOCK_HEAD_BYTES + COMMAND_HEAD_BYTES, ttl_ms, continues);
}
