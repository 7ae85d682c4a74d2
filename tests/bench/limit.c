/* What this machine lets a replicated log over ZeroMQ and a synced LevelDB do at best: the upper
 * bound that Synod is measured against. There is no protocol in it: no ballots, no msgpack, no
 * sessions, no learners.
 *
 *   limit stream DIR SECONDS OUTSTANDING PIPELINE [STORE [VALUE_BYTES [TRANSPORT]]]
 *
 * Five processes: a client that keeps OUTSTANDING single commands under way and gets one reply for
 * each; a leader that drains its queue into one accept message (at most PIPELINE of them without a
 * quorum); three acceptors that drain their queues into one synced write (group commit).
 *
 *   STORE      leveldb (one record per command; default), ldb1 (one record per accept message),
 *              nosync (like leveldb, unsynced), none
 *   TRANSPORT  tcp (default) or ipc
 *
 * Prints one line: commands a second, latency percentiles, processor time per command. */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <leveldb/c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define ACCEPTORS 3
#define QUORUM 2
#define LATENCIES_MAX ((size_t)8 << 20)
#define OUTSTANDING_MAX 65536 /* a power of two */
#define BATCH_MAX 1024        /* commands in an accept; messages in a synced write */
#define SLOTS_MAX 4096
#define ROUTING_BYTES_MAX 16
#define WARM_UP_SECONDS 1.0
#define SETTLE_SECONDS 0.5

enum store_kind { STORE_RECORD_EACH, STORE_RECORD_BATCH, STORE_NOSYNC, STORE_NONE };

struct setup {
    char dir[512];
    double seconds;
    size_t outstanding;
    size_t pipeline;
    enum store_kind store;
    const char *store_name;
    size_t value_bytes;
    const char *transport;
    int base_port;
};

struct store {
    enum store_kind kind;
    leveldb_t *db;
    leveldb_writeoptions_t *write_options;
    leveldb_writebatch_t *batch;
    uint64_t key;
};

/* A sender's routing id, as ROUTER gives it. */
struct sender {
    char bytes[ROUTING_BYTES_MAX];
    size_t size;
};

/* An accept message under way at the leader. */
struct slot {
    uint64_t number;
    int acks;
    int is_done;
    size_t count; /* commands in it, of whom the answers go to: */
    uint64_t ids[BATCH_MAX];
    struct sender senders[BATCH_MAX];
};

static double *latencies;
static size_t latency_count;

static _Noreturn void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "error: limit: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* In microseconds, of the sorted latencies. */
static double percentile(double part)
{
    if (latency_count == 0) {
        return 0;
    }
    return latencies[(size_t)(part * (double)(latency_count - 1))] * 1e6;
}

/* ---- the store of an acceptor */

static void store_open(struct store *s, const struct setup *setup, int id)
{
    char path[600];
    char *error = NULL;
    memset(s, 0, sizeof *s);
    s->kind = setup->store;
    if (s->kind == STORE_NONE) {
        return;
    }
    snprintf(path, sizeof path, "%s/a%d", setup->dir, id);
    leveldb_options_t *options = leveldb_options_create();
    leveldb_options_set_create_if_missing(options, 1);
    leveldb_options_set_error_if_exists(options, 1);
    s->db = leveldb_open(options, path, &error);
    if (error != NULL) {
        die("cannot open a store (%s)", error);
    }
    leveldb_options_destroy(options);
    s->write_options = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(s->write_options, s->kind != STORE_NOSYNC);
    s->batch = leveldb_writebatch_create();
}

static void store_put_one(struct store *s, const char *data, size_t size)
{
    char key[8];
    uint64_t number = ++s->key;
    for (int i = 7; i >= 0; i--) {
        key[i] = (char)(number & 0xff);
        number >>= 8;
    }
    leveldb_writebatch_put(s->batch, key, sizeof key, data, size);
}

static void store_put(struct store *s, const char *data, size_t size, size_t value_bytes)
{
    if (s->kind == STORE_NONE) {
        return;
    }
    size_t step = s->kind == STORE_RECORD_BATCH ? size : value_bytes;
    for (size_t i = 0; i + step <= size && step > 0; i += step) {
        store_put_one(s, data + i, step);
    }
}

static void store_commit(struct store *s)
{
    char *error = NULL;
    if (s->kind == STORE_NONE) {
        return;
    }
    leveldb_write(s->db, s->write_options, s->batch, &error);
    if (error != NULL) {
        die("cannot write (%s)", error);
    }
    leveldb_writebatch_clear(s->batch);
}

static void store_close(struct store *s)
{
    if (s->kind != STORE_NONE) {
        leveldb_writebatch_destroy(s->batch);
        leveldb_writeoptions_destroy(s->write_options);
        leveldb_close(s->db);
    }
}

/* ---- sockets. The leader listens as number 0, the acceptors as 1 to 3 */

static void *open_socket(void *context, int type)
{
    void *s = zmq_socket(context, type);
    int zero = 0;
    if (s == NULL || zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(s, ZMQ_SNDHWM, &zero, sizeof zero) != 0 ||
        zmq_setsockopt(s, ZMQ_RCVHWM, &zero, sizeof zero) != 0) {
        die("cannot make a socket (%s)", zmq_strerror(errno));
    }
    return s;
}

static void *attach(void *context, const struct setup *setup, int number, int is_listening)
{
    char address[600];
    void *s = open_socket(context, is_listening ? ZMQ_ROUTER : ZMQ_DEALER);
    if (strcmp(setup->transport, "ipc") == 0) {
        snprintf(address, sizeof address, "ipc://%s/s%d", setup->dir, number);
    } else {
        snprintf(address, sizeof address, "tcp://127.0.0.1:%d", setup->base_port + number);
    }
    if ((is_listening ? zmq_bind(s, address) : zmq_connect(s, address)) != 0) {
        die("cannot attach to %s (%s)", address, zmq_strerror(errno));
    }
    return s;
}

/* Takes one message with its sender off a ROUTER. 1, or 0 if there is none. */
static int receive_from(void *s, struct sender *sender, zmq_msg_t *msg, int flags)
{
    int size = zmq_recv(s, sender->bytes, sizeof sender->bytes, flags);
    if (size < 0) {
        return 0;
    }
    sender->size = (size_t)size;
    zmq_msg_init(msg);
    if (zmq_msg_recv(msg, s, 0) < (int)sizeof(uint64_t)) {
        die("cannot receive (%s)", zmq_strerror(errno));
    }
    return 1;
}

static void answer(void *s, const struct sender *sender, uint64_t id)
{
    zmq_send(s, sender->bytes, sender->size, ZMQ_SNDMORE);
    zmq_send(s, &id, sizeof id, 0);
}

/* ---- the processes */

static void run_acceptor(const struct setup *setup, int id, double until)
{
    static struct sender senders[BATCH_MAX];
    static uint64_t numbers[BATCH_MAX];
    struct store store;
    int timeout_ms = 200;
    store_open(&store, setup, id);
    void *context = zmq_ctx_new();
    void *s = attach(context, setup, id, 1);
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    while (now() < until) {
        size_t count = 0;
        zmq_msg_t msg;
        while (count < BATCH_MAX &&
               receive_from(s, &senders[count], &msg, count > 0 ? ZMQ_DONTWAIT : 0)) {
            const char *data = zmq_msg_data(&msg);
            memcpy(&numbers[count], data, sizeof numbers[0]);
            store_put(&store, data + sizeof numbers[0], zmq_msg_size(&msg) - sizeof numbers[0],
                      setup->value_bytes);
            zmq_msg_close(&msg);
            count++;
        }
        if (count > 0) {
            store_commit(&store);
        }
        for (size_t i = 0; i < count; i++) {
            answer(s, &senders[i], numbers[i]);
        }
    }
    zmq_close(s);
    zmq_ctx_term(context);
    store_close(&store);
}

struct leader {
    const struct setup *setup;
    void *clients;
    void *acceptors[ACCEPTORS];
    struct slot *slots;
    char *buffer; /* of the accept being made */
    uint64_t number;
    size_t in_flight;
};

static void leader_take_acks(struct leader *l, void *acceptor)
{
    uint64_t number;
    while (zmq_recv(acceptor, &number, sizeof number, ZMQ_DONTWAIT) == (int)sizeof number) {
        struct slot *slot = &l->slots[number % SLOTS_MAX];
        if (slot->number != number || slot->is_done || ++slot->acks < QUORUM) {
            continue;
        }
        slot->is_done = 1;
        l->in_flight--;
        for (size_t i = 0; i < slot->count; i++) {
            answer(l->clients, &slot->senders[i], slot->ids[i]);
        }
    }
}

/* Puts what clients sent into one accept. 0 if there was nothing. */
static int leader_propose(struct leader *l)
{
    struct slot *slot = &l->slots[(l->number + 1) % SLOTS_MAX];
    size_t size = sizeof l->number;
    zmq_msg_t msg;
    if (!slot->is_done) {
        return 0;
    }
    slot->count = 0;
    while (slot->count < BATCH_MAX &&
           receive_from(l->clients, &slot->senders[slot->count], &msg, ZMQ_DONTWAIT)) {
        const char *data = zmq_msg_data(&msg);
        memcpy(&slot->ids[slot->count], data, sizeof slot->ids[0]);
        memcpy(l->buffer + size, data + sizeof slot->ids[0], l->setup->value_bytes);
        size += l->setup->value_bytes;
        zmq_msg_close(&msg);
        slot->count++;
    }
    if (slot->count == 0) {
        return 0;
    }
    slot->number = ++l->number;
    slot->acks = 0;
    slot->is_done = 0;
    l->in_flight++;
    memcpy(l->buffer, &slot->number, sizeof slot->number);
    for (int i = 0; i < ACCEPTORS; i++) {
        zmq_send(l->acceptors[i], l->buffer, size, 0);
    }
    return 1;
}

static void run_leader(const struct setup *setup, double until)
{
    struct leader l = {.setup = setup};
    void *context = zmq_ctx_new();
    zmq_pollitem_t items[ACCEPTORS + 1];
    memset(items, 0, sizeof items);
    l.clients = attach(context, setup, 0, 1);
    l.slots = allocate(SLOTS_MAX, sizeof *l.slots);
    l.buffer = allocate(1, sizeof l.number + BATCH_MAX * setup->value_bytes);
    for (int i = 0; i < SLOTS_MAX; i++) {
        l.slots[i].is_done = 1;
    }
    for (int i = 0; i < ACCEPTORS; i++) {
        l.acceptors[i] = attach(context, setup, i + 1, 0);
        items[i].socket = l.acceptors[i];
    }
    items[ACCEPTORS].socket = l.clients;
    while (now() < until) {
        for (int i = 0; i <= ACCEPTORS; i++) {
            items[i].events = ZMQ_POLLIN;
        }
        if (zmq_poll(items, l.in_flight < setup->pipeline ? ACCEPTORS + 1 : ACCEPTORS, 200) <= 0) {
            continue;
        }
        for (int i = 0; i < ACCEPTORS; i++) {
            if (items[i].revents != 0) {
                leader_take_acks(&l, l.acceptors[i]);
            }
        }
        while (l.in_flight < setup->pipeline && leader_propose(&l)) {
        }
    }
    for (int i = 0; i < ACCEPTORS; i++) {
        zmq_close(l.acceptors[i]);
    }
    zmq_close(l.clients);
    zmq_ctx_term(context);
    free(l.slots);
    free(l.buffer);
}

/* Loads the leader; returns commands a second and the number of all commands that were done. */
static double run_client(const struct setup *setup, uint64_t *done)
{
    static double sent_at[OUTSTANDING_MAX];
    void *context = zmq_ctx_new();
    void *s = attach(context, setup, 0, 0);
    int timeout_ms = 3000;
    size_t size = sizeof(uint64_t) + setup->value_bytes;
    char *buffer = allocate(1, size);
    uint64_t id = 0;
    uint64_t done_before = 0;
    double start = 0;
    double t = now();
    double warm = t + WARM_UP_SECONDS;
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    while (t < warm + setup->seconds) {
        uint64_t answered;
        if (id < setup->outstanding) {
            t = now();
        } else {
            if (zmq_recv(s, &answered, sizeof answered, 0) != (int)sizeof answered) {
                die("no reply within %d ms", timeout_ms);
            }
            t = now();
            *done += 1;
            if (start > 0 && latency_count < LATENCIES_MAX) {
                latencies[latency_count++] = t - sent_at[answered % OUTSTANDING_MAX];
            } else if (start == 0 && t >= warm) {
                start = t;
                done_before = *done;
            }
        }
        memcpy(buffer, &id, sizeof id);
        sent_at[id % OUTSTANDING_MAX] = t;
        id++;
        zmq_send(s, buffer, size, 0);
    }
    zmq_close(s);
    zmq_ctx_term(context);
    free(buffer);
    return (double)(*done - done_before) / (t - start);
}

static double processor_seconds(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1e-6;
}

static int run(const struct setup *setup)
{
    pid_t pids[ACCEPTORS + 1];
    double cpu[ACCEPTORS + 1] = {0};
    double until = now() + setup->seconds + WARM_UP_SECONDS + 2 * SETTLE_SECONDS;
    struct timespec settle = {.tv_nsec = (long)(SETTLE_SECONDS * 1e9)};
    uint64_t done = 0;
    int failed = 0;
    for (int i = 0; i <= ACCEPTORS; i++) {
        pids[i] = fork();
        if (pids[i] < 0) {
            die("cannot fork (%s)", strerror(errno));
        }
        if (pids[i] == 0) {
            if (i == 0) {
                run_leader(setup, until);
            } else {
                run_acceptor(setup, i, until);
            }
            _exit(0);
        }
    }
    nanosleep(&settle, NULL);
    latencies = allocate(LATENCIES_MAX, sizeof *latencies);
    double rate = run_client(setup, &done);
    for (int i = 0; i <= ACCEPTORS; i++) {
        int status = 0;
        struct rusage usage;
        failed |= wait4(pids[i], &status, 0, &usage) != pids[i] || status != 0;
        cpu[i] = processor_seconds(&usage) * 1e6 / (double)done;
    }
    qsort(latencies, latency_count, sizeof *latencies, compare_doubles);
    printf("stream %s %s value=%zu outstanding=%zu pipeline=%zu: %.0f ops/s  p50 %.0f us  "
           "p99 %.0f us  p99.9 %.0f us  max %.0f us  cpu leader %.2f acceptors %.2f us/op\n",
           setup->store_name, setup->transport, setup->value_bytes, setup->outstanding,
           setup->pipeline, rate, percentile(.5), percentile(.99), percentile(.999), percentile(1),
           cpu[0], cpu[1] + cpu[2] + cpu[3]);
    free(latencies);
    return failed;
}

/* ---- arguments */

static int usage(void)
{
    fprintf(stderr, "error: limit: bad arguments; try: limit stream DIR SECONDS OUTSTANDING "
                    "PIPELINE [leveldb|ldb1|nosync|none [VALUE_BYTES [tcp|ipc]]]\n");
    return 3;
}

static int read_count(const char *text, size_t min, size_t max, size_t *out)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    *out = (size_t)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value >= min && value <= max;
}

static int read_store(const char *text, struct setup *setup)
{
    static const char *const names[] = {"leveldb", "ldb1", "nosync", "none"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            setup->store = (enum store_kind)i;
            setup->store_name = names[i];
            return 1;
        }
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about;
    (void)type;
    (void)where;
    return remove(path);
}

int main(int argc, char **argv)
{
    struct setup setup = {.store_name = "leveldb", .value_bytes = 64, .transport = "tcp"};
    size_t seconds = 0;
    if (argc < 6 || argc > 9 || strcmp(argv[1], "stream") != 0 ||
        !read_count(argv[3], 1, 120, &seconds) ||
        !read_count(argv[4], 1, OUTSTANDING_MAX, &setup.outstanding) ||
        !read_count(argv[5], 1, SLOTS_MAX - 1, &setup.pipeline) ||
        (argc > 6 && !read_store(argv[6], &setup)) ||
        (argc > 7 && !read_count(argv[7], 1, 1 << 20, &setup.value_bytes)) ||
        (argc > 8 && strcmp(argv[8], "tcp") != 0 && strcmp(argv[8], "ipc") != 0)) {
        return usage();
    }
    setup.seconds = (double)seconds;
    if (argc > 8) {
        setup.transport = argv[8];
    }
    setup.base_port = 27000 + (int)(getpid() % 400) * 10;
    snprintf(setup.dir, sizeof setup.dir, "%.400s/limit.XXXXXX", argv[2]);
    if (mkdtemp(setup.dir) == NULL) {
        die("cannot make %s (%s)", setup.dir, strerror(errno));
    }
    int failed = run(&setup);
    nftw(setup.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
