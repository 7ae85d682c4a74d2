#include "common/base/bytes.h"
#include "common/base/mutant.h"
#include "learner/machine/state.h"

#include <string.h>

/* Records are stored in chunks, as they came: key 'l' + index of the chunk's last record, so that a
 * seek to any index finds the chunk that holds it; value = count u32, then the append commands as
 * they were in the block. One record on disk for a whole run of appends (DESIGN, peers: LevelDB's
 * work per record costs more than its sync). */
#define CHUNK_KEY_BYTES 9
#define CHUNK_HEAD_BYTES 4

static void put_chunk_key(uint8_t *key, uint64_t last_index)
{
    key[0] = 'l';
    bytes_put_u64(key + 1, last_index);
}

void log_append(struct machine *m, struct slice commands, uint32_t count, struct effects *out)
{
    uint8_t key[CHUNK_KEY_BYTES];
    uint8_t head[CHUNK_HEAD_BYTES];
    m->last_index += count;
    put_chunk_key(key, m->last_index);
    bytes_put_u32(head, count);
    effects_put(out, RECORD_LAZY, slice_borrow(key, sizeof key), slice_borrow(head, sizeof head),
                commands);
}

/* ---- reading */

struct log_read {
    struct effects *out;
    uint64_t next; /* index of the record to take next */
    uint64_t end;  /* first index not wanted */
    size_t bytes;
    size_t bytes_max;
    struct slice *records;
    uint32_t count;
    uint32_t capacity;
    int rc;
};

static int read_is_full(const struct log_read *read)
{
    return read->next == read->end || read->count == PAGE_ENTRIES_MAX ||
           (read->count > 0 && read->bytes >= read->bytes_max);
}

static void read_add(struct log_read *read, struct slice record)
{
    if (read->count == read->capacity) {
        uint32_t grown = read->capacity == 0 ? 64 : read->capacity * 2;
        struct slice *records = effects_alloc(read->out, grown * sizeof *records);
        if (read->count > 0) {
            memcpy(records, read->records, read->count * sizeof *records);
        }
        read->records = records;
        read->capacity = grown;
    }
    read->records[read->count++] = record;
    read->bytes += record.size;
    read->next++;
}

/* Takes the wanted records of one chunk. */
static int read_chunk(void *arg, struct slice key, struct slice value)
{
    struct log_read *read = arg;
    if (key.size != CHUNK_KEY_BYTES || value.size < CHUNK_HEAD_BYTES) {
        read->rc = ERROR_CORRUPT;
        return 1;
    }
    uint64_t last = bytes_get_u64(key.data + 1);
    uint32_t count = bytes_get_u32(value.data);
    if (count == 0 || count > last || last - count + 1 > read->next) {
        read->rc = ERROR_CORRUPT; /* the index wanted lies in no chunk */
        return 1;
    }
    struct slice rest = {value.data + CHUNK_HEAD_BYTES, value.size - CHUNK_HEAD_BYTES, value.owner};
    /* One hold keeps the whole chunk; the records are parts of it. */
    struct slice held = effects_hold(read->out, rest);
    uint64_t index = last - count + 1;
    struct command command;
    while (index <= last && !read_is_full(read) && block_next_command(&held, &command)) {
        if (index == read->next) {
            read_add(read, command.payload);
        }
        index++;
    }
    if (!read_is_full(read) && read->next != last + 1) {
        read->rc = ERROR_CORRUPT; /* fewer commands than it says */
        return 1;
    }
    return read_is_full(read);
}

void machine_read(struct machine *m, uint64_t from, uint64_t count, size_t bytes_max,
                  struct slice **records, uint32_t *record_count, struct effects *out)
{
    *records = NULL;
    *record_count = 0;
    if (from == 0 || from > m->last_index) {
        return;
    }
    struct log_read read = {
        .out = out, .next = from, .end = m->last_index + 1, .bytes_max = bytes_max};
    if (count > 0 && count < read.end - from) {
        read.end = from + count + MUTANT(read_tells_one_more);
    }
    uint8_t first[CHUNK_KEY_BYTES];
    uint8_t end[1] = {'l' + 1};
    put_chunk_key(first, from);
    int rc = m->reader.scan(m->reader.self, slice_borrow(first, sizeof first),
                            slice_borrow(end, sizeof end), read_chunk, &read);
    if (rc == 0) {
        rc = read.rc;
    }
    if (rc != 0) {
        effects_fatal(out, rc,
                      "cannot read record %llu of the log (%s); try: remove this learner's "
                      "directory and make it anew with synod init",
                      (unsigned long long)read.next, error_name(rc));
        return;
    }
    *records = read.records;
    *record_count = read.count;
}
