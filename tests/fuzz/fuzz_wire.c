/* Mutated frames against the decoder: whatever decodes encodes to the same bytes, whatever does not
 * gets a sentence, and memory stays bounded by what came, not by what was declared.
 *
 *     build/tests/fuzz/fuzz_wire [SEED [ROUNDS]]
 *
 * starts from the golden vectors and prints the seed that replays the run. Built with
 * -fsanitize=fuzzer -DFUZZ_WITH_LIBFUZZER the same check serves libFuzzer. */
#include "common/base/rng.h"
#include "common/protocol/value.h"
#include "common/wire/layout.h"
#include "common/wire/wire.h"
#include "tests/fuzz/malloc_count.h"
#include "tests/vectors/vectors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one decoding may take: a chunk of the arena, msgpack-c's objects and the decoded
 * elements. */
static size_t memory_budget(size_t frame_size)
{
    return (size_t)64 * 1024 + 100 * frame_size;
}

/* ---- one frame */

#define TEXTS_MAX 512

/* What a run has seen, so that one that covers too little can fail. */
static struct {
    uint64_t decoded;
    uint64_t refused[REFUSED_KIND + 1];
    uint64_t decoded_of_kind[64];
    char texts[TEXTS_MAX][64]; /* distinct sentences, without digits, hexadecimal ones too */
    size_t text_count;
} seen;

static _Noreturn void fail(const char *what, const uint8_t *data, size_t size)
{
    printf("# %s:", what);
    for (size_t i = 0; i < size && i < 4096; i++) {
        printf("%s%02x", i % 32 == 0 ? "\n# " : "", data[i]);
    }
    printf("\nnot ok 1 - %s\n1..1\n", what);
    fflush(stdout);
    abort();
}

static void remember_text(const char *text)
{
    char plain[sizeof seen.texts[0]];
    size_t n = 0;
    for (; *text != '\0' && n + 1 < sizeof plain; text++) {
        if ((*text < '0' || *text > '9') && (*text < 'a' || *text > 'f')) {
            plain[n++] = *text;
        }
    }
    plain[n] = '\0';
    for (size_t i = 0; i < seen.text_count; i++) {
        if (strcmp(seen.texts[i], plain) == 0) {
            return;
        }
    }
    if (seen.text_count < TEXTS_MAX) {
        memcpy(seen.texts[seen.text_count++], plain, n + 1);
    }
}

/* A number of the envelope, by its place, from a frame that has decoded: 1 cluster, 2
 * configuration. All before the sender are integers in their shortest form. */
static uint64_t envelope_number(const uint8_t *data, int place)
{
    const uint8_t *p = data + 1;
    for (int i = 0;; i++) {
        size_t width = *p < 0x80 ? 0 : (size_t)1 << (*p & 3U); /* 0xcc to 0xcf */
        uint64_t number = width == 0 ? *p : 0;
        for (size_t k = 1; k <= width; k++) {
            number = number << 8 | p[k];
        }
        if (i == place) {
            return number;
        }
        p += 1 + width;
    }
}

static const struct wire_context context = {.cluster_id = 0x6b1f0c9e2a7d4e55, .config_number = 1};

static void check_decoded(const struct message *msg, const uint8_t *data, size_t size)
{
    struct wire_context same = {envelope_number(data, 1), envelope_number(data, 2)};
    uint8_t *bytes = NULL;
    size_t bytes_size = 0;
    if (wire_encode(&same, msg, &bytes, &bytes_size) != 0) {
        fail("what decodes does not encode", data, size);
    }
    if (bytes_size != size || memcmp(bytes, data, size) != 0) {
        fail("what decodes encodes to other bytes", data, size);
    }
    free(bytes);
    seen.decoded++;
    seen.decoded_of_kind[msg->kind]++;
}

static void check_refused(int rc, enum refusal refusal, const struct errmsg *err,
                          const uint8_t *data, size_t size)
{
    int is_known = refusal == REFUSED_VERSION || refusal == REFUSED_CLUSTER ||
                   refusal == REFUSED_MALFORMED || refusal == REFUSED_KIND;
    if (rc != ERROR_REFUSED || !is_known) {
        fail("a refusal without a reason", data, size);
    }
    if (err->text[0] == '\0' || strlen(err->text) > TEXT_BYTES_MAX) {
        fail("a refusal without a sentence that fits a message", data, size);
    }
    seen.refused[refusal]++;
    remember_text(err->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct blob *frame = blob_copy(data, size);
    struct arena arena = {0};
    struct message msg;
    enum refusal refusal = 0;
    struct errmsg err = {""};
    size_t before = memory_used;
    memory_peak = memory_used;
    int rc = wire_decode(&context, frame, &arena, &msg, &refusal, &err);
    if (memory_peak - before > memory_budget(size)) {
        fail("a frame took more memory than its size allows", data, size);
    }
    if (rc == 0) {
        check_decoded(&msg, data, size);
    } else {
        check_refused(rc, refusal, &err, data, size);
    }
    arena_close(&arena);
    blob_unref(frame);
    return 0;
}

#ifndef FUZZ_WITH_LIBFUZZER

/* ---- mutations */

#define FRAME_MAX 4096

struct mutant {
    uint8_t bytes[FRAME_MAX];
    size_t size;
};

/* First bytes that mean something, and counts that lie. */
static const uint8_t telling[] = {0x00, 0x01, 0x07, 0x7f, 0x80, 0x8f, 0x90, 0x91, 0x92, 0x93,
                                  0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
                                  0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd3, 0xd9, 0xda,
                                  0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};

/* Whole elements to put in the place of others. */
static const struct {
    const char *bytes;
    size_t size;
} pieces[] = {
    {"\xdd\x20\x00\x00\x00", 5},
    {"\xdd\xff\xff\xff\xff", 5},
    {"\xdc\x40\x00", 3},
    {"\xdc\xff\xff", 3},
    {"\xc6\xff\xff\xff\xff", 5},
    {"\xdb\x00\x40\x00\x00", 5},
    {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    {"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9},
    {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
    {"\xce\xff\xff\xff\xff", 5},
    {"\xcd\x40\x01", 3},
    {"\xcc\xff", 2},
    {"\x00", 1},
    {"\x01", 1},
    {"\x93\x00\x00\x00", 4},
    {"\x93\x07\x01\x01", 4},
    {"\xc4\x00", 2},
    {"\xc4\x09\x01\x00\x00\x00\x00\x00\x00\x03\xe8", 11},
    {"\x90", 1},
    {"\xa0", 1},
    {"\x91\x91\x91\x91\x91\x91\x91\x00", 8},
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Replaces size bytes at `at` by others. What does not fit any more is cut off. */
static void splice(struct mutant *m, size_t at, size_t size, const uint8_t *bytes,
                   size_t bytes_size)
{
    uint8_t tail[FRAME_MAX];
    size_t tail_size = m->size - at - size;
    memcpy(tail, m->bytes + at + size, tail_size);
    bytes_size = smaller(bytes_size, FRAME_MAX - at);
    memcpy(m->bytes + at, bytes, bytes_size);
    tail_size = smaller(tail_size, FRAME_MAX - at - bytes_size);
    memcpy(m->bytes + at + bytes_size, tail, tail_size);
    m->size = at + bytes_size + tail_size;
}

/* Bytes that the element at `at` seems to take, without the elements of an array. */
static size_t element_size(const struct mutant *m, size_t at)
{
    uint8_t first = m->bytes[at];
    size_t size = 1;
    if (first >= 0xcc && first <= 0xcf) {
        size += (size_t)1 << (first - 0xcc);
    } else if (first == 0xc4 && at + 1 < m->size) {
        size += 1 + (size_t)m->bytes[at + 1];
    }
    return size <= m->size - at ? size : 1;
}

/* A place where an element begins: walks a random number of them from the start. */
static size_t element_at(const struct mutant *m, struct rng *rng)
{
    size_t at = 0;
    for (uint64_t steps = rng_below(rng, 40); steps > 0; steps--) {
        size_t next = at + element_size(m, at);
        if (next >= m->size) {
            break;
        }
        at = next;
    }
    return at;
}

static void mutate(struct mutant *m, const struct vectors *golden, struct rng *rng)
{
    if (m->size == 0) {
        m->bytes[m->size++] = (uint8_t)rng_next(rng);
    }
    size_t at = rng_below(rng, 4) == 0 ? (size_t)rng_below(rng, m->size) : element_at(m, rng);
    uint8_t small = (uint8_t)rng_below(rng, 128);
    const struct vector *other = &golden->list[rng_below(rng, golden->count)];
    size_t from = (size_t)rng_below(rng, other->size);
    size_t piece = (size_t)rng_below(rng, sizeof pieces / sizeof pieces[0]);
    switch (rng_below(rng, 9)) {
    case 0: /* a bit */
        m->bytes[at] ^= (uint8_t)(1U << rng_below(rng, 8));
        break;
    case 1: /* a byte that means something */
        m->bytes[at] = telling[rng_below(rng, sizeof telling)];
        break;
    case 2:
    case 3: /* a small integer for an element */
        splice(m, at, element_size(m, at), &small, 1);
        break;
    case 4: /* a telling element for another */
        splice(m, at, element_size(m, at), (const uint8_t *)pieces[piece].bytes,
               pieces[piece].size);
        break;
    case 5: /* one more, or one less */
        m->bytes[at] = (uint8_t)(m->bytes[at] + (rng_below(rng, 2) == 0 ? 1 : -1));
        break;
    case 6: /* an element twice, or not at all */
        if (rng_below(rng, 2) == 0) {
            splice(m, at, element_size(m, at), m->bytes, 0);
        } else {
            uint8_t copy[FRAME_MAX];
            size_t size = element_size(m, at);
            memcpy(copy, m->bytes + at, size);
            splice(m, at, 0, copy, size);
        }
        break;
    case 7: /* the rest of another message */
        splice(m, at, m->size - at, other->bytes + from, other->size - from);
        break;
    default: /* cut off */
        m->size = at;
        break;
    }
}

static void run(const struct vectors *golden, struct rng *rng, uint64_t rounds)
{
    static struct mutant m;
    for (size_t i = 0; i < golden->count; i++) {
        LLVMFuzzerTestOneInput(golden->list[i].bytes, golden->list[i].size);
    }
    seen.decoded = 0; /* only mutants count */
    memset(seen.decoded_of_kind, 0, sizeof seen.decoded_of_kind);
    for (uint64_t i = 0; i < rounds; i++) {
        const struct vector *start = &golden->list[rng_below(rng, golden->count)];
        m.size = start->size;
        memcpy(m.bytes, start->bytes, start->size);
        for (uint64_t n = 1 + rng_below(rng, 3); n > 0; n--) {
            mutate(&m, golden, rng);
        }
        LLVMFuzzerTestOneInput(m.bytes, m.size);
    }
}

/* ---- frames as large as they may be: what they take is bounded, too */

static void run_large(void)
{
    uint8_t *bytes = calloc(1, MESSAGE_BYTES_MAX);
    if (bytes == NULL) {
        abort();
    }
    static const uint8_t fills[] = {0x00, 0x90, 0x91, 0x93, 0xa0, 0xc4, 0xdc, 0xdd};
    for (size_t i = 0; i < sizeof fills; i++) {
        memset(bytes, fills[i], MESSAGE_BYTES_MAX);
        LLVMFuzzerTestOneInput(bytes, MESSAGE_BYTES_MAX);
        /* The same behind arrays that declare as much as arrays may. */
        for (size_t at = 0; at + 3 < MESSAGE_BYTES_MAX; at += 3 + PAGE_ENTRIES_MAX) {
            memcpy(bytes + at, "\xdc\x40\x00", 3);
        }
        LLVMFuzzerTestOneInput(bytes, MESSAGE_BYTES_MAX);
    }
    free(bytes);
}

/* ---- verdict */

static int verdict(int number, int is_ok, const char *what)
{
    printf("%sok %d - %s\n", is_ok ? "" : "not ", number, what);
    return !is_ok;
}

static int report(uint64_t rounds)
{
    size_t kinds = 0;
    size_t missing = 0;
    for (size_t i = 0; i < sizeof seen.decoded_of_kind / sizeof seen.decoded_of_kind[0]; i++) {
        kinds += seen.decoded_of_kind[i] > 0;
        if (layout_of(i) != NULL && seen.decoded_of_kind[i] == 0) {
            printf("# no %s decoded\n", layout_of(i)->name);
            missing++;
        }
    }
    printf("# %llu mutants: %llu decoded, of %zu kinds; refused: %llu malformed, %llu version, "
           "%llu cluster, %llu kind; %zu distinct sentences\n",
           (unsigned long long)rounds, (unsigned long long)seen.decoded, kinds,
           (unsigned long long)seen.refused[REFUSED_MALFORMED],
           (unsigned long long)seen.refused[REFUSED_VERSION],
           (unsigned long long)seen.refused[REFUSED_CLUSTER],
           (unsigned long long)seen.refused[REFUSED_KIND], seen.text_count);
    int failed = verdict(1, 1, "what decodes encodes to the same bytes, in bounded memory");
    failed += verdict(2, seen.decoded * 20 >= rounds && missing == 0,
                      "at least one mutant in twenty decodes, and some of every kind");
    failed += verdict(3,
                      seen.refused[REFUSED_MALFORMED] * 4 >= rounds &&
                          seen.refused[REFUSED_VERSION] * 1000 >= rounds &&
                          seen.refused[REFUSED_CLUSTER] * 1000 >= rounds &&
                          seen.refused[REFUSED_KIND] * 1000 >= rounds,
                      "each reason refuses at least one mutant in a thousand");
    failed += verdict(4, seen.text_count >= 150, "at least 150 different faults are named");
    printf("1..4\n");
    return failed;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 0) : 2000000;
    struct vectors golden;
    if (vectors_load(VECTOR_MESSAGES, &golden) != 0 || golden.count == 0) {
        printf("not ok 1 - cannot read %s (%s); try: run it from the top of the tree\n1..1\n",
               VECTOR_MESSAGES, strerror(errno));
        return 1;
    }
    printf("# seed %llu, %llu mutants; memory %s\n", (unsigned long long)seed,
           (unsigned long long)rounds,
           COUNTS_MEMORY ? "counted" : "not counted under this sanitizer");
    struct rng rng;
    rng_init(&rng, seed);
    run(&golden, &rng, rounds);
    run_large();
    vectors_close(&golden);
    return report(rounds) != 0;
}

#endif
