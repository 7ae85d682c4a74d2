/* Loads ZooKeeper through its own C client: a closed loop of asynchronous writes, and a probe of
 * how long nobody can write after its leader was killed.
 *
 *   zk_bench HOST:PORT set OUTSTANDING SECONDS VALUE_BYTES     all on one session
 *   zk_bench HOSTS probe BEFORE AFTER PID                      kills PID (-9) after BEFORE seconds
 *
 * Needs libzookeeper-mt-dev; peer_zk.sh builds it. */
#if !__has_include(<zookeeper/zookeeper.h>)

/* Checkers of the whole tree see this on a machine without ZooKeeper. */
#include <stdio.h>

int main(void)
{
    fprintf(stderr, "error: zk_bench was built without ZooKeeper's headers (not installed); try: "
                    "apt-get install libzookeeper-mt-dev\n");
    return 2;
}

#else

#define THREADED
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define NODES 64
#define LATENCIES_MAX ((size_t)8 << 20)
#define SESSION_MS 4000
#define ATTEMPT_PAUSE_US 5000

static struct {
    zhandle_t *handle;
    volatile int is_connected;
    char *value;
    int value_bytes;
    double warm_at, stop_at, first_at, last_at;
    volatile int in_flight; /* given back by ZooKeeper's thread, read by main's */
    long sent, failed, counted;
    double *latencies;
    size_t latency_count;
} zk;

struct request {
    double sent_at;
};

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

static void note_latency(double seconds)
{
    if (zk.latency_count < LATENCIES_MAX) {
        zk.latencies[zk.latency_count++] = seconds;
    }
}

/* In microseconds, of the sorted latencies. */
static double percentile(double part)
{
    if (zk.latency_count == 0) {
        return 0;
    }
    return zk.latencies[(size_t)(part * (double)(zk.latency_count - 1))] * 1e6;
}

static void on_session(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)path;
    (void)context;
    if (type == ZOO_SESSION_EVENT) {
        zk.is_connected = state == ZOO_CONNECTED_STATE;
    }
}

static void node_path(char *out, size_t size, long number)
{
    snprintf(out, size, "/bench/k%ld", number % NODES);
}

static void submit(struct request *request);

static void on_set(int rc, const struct Stat *about, const void *data)
{
    (void)about;
    struct request *request = (struct request *)(uintptr_t)data;
    double t = now();
    zk.failed += rc != ZOK;
    if (t >= zk.warm_at && zk.first_at == 0) {
        zk.first_at = t;
    } else if (t >= zk.warm_at) {
        zk.counted++;
        zk.last_at = t;
        note_latency(t - request->sent_at);
    }
    if (t < zk.stop_at) {
        submit(request);
    } else {
        __sync_fetch_and_sub(&zk.in_flight, 1);
    }
}

static void submit(struct request *request)
{
    char path[32];
    node_path(path, sizeof path, zk.sent++);
    request->sent_at = now();
    int rc = zoo_aset(zk.handle, path, zk.value, zk.value_bytes, -1, on_set, request);
    if (rc != ZOK) {
        fprintf(stderr, "error: zk_bench: cannot submit (%s)\n", zerror(rc));
        exit(1);
    }
}

static int connect_to(const char *hosts)
{
    zk.is_connected = 0;
    zk.handle = zookeeper_init(hosts, on_session, SESSION_MS, NULL, NULL, 0);
    for (int i = 0; zk.handle != NULL && i < 1000 && !zk.is_connected; i++) {
        usleep(10000);
    }
    return zk.is_connected;
}

static int make_nodes(void)
{
    int rc = zoo_create(zk.handle, "/bench", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    for (long i = 0; i < NODES && (rc == ZOK || rc == ZNODEEXISTS); i++) {
        char path[32];
        node_path(path, sizeof path, i);
        rc = zoo_create(zk.handle, path, "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    }
    return rc == ZOK || rc == ZNODEEXISTS;
}

static int probe(const char *hosts, double before, double after, pid_t pid)
{
    double start = now();
    double killed = 0;
    double back = 0;
    double last = 0;
    double gap = 0;
    long acknowledged = 0;
    long errors = 0;
    while (now() - start < before + after) {
        if (killed == 0 && now() - start > before) {
            kill(pid, SIGKILL);
            killed = now();
        }
        double sent_at = now();
        int rc = zoo_set(zk.handle, "/bench/k0", zk.value, zk.value_bytes, -1);
        double t = now();
        if (rc == ZOK) {
            acknowledged++;
            gap = last > 0 && t - last > gap ? t - last : gap;
            back = killed > 0 && back == 0 ? t : back;
            last = t;
            if (killed == 0) {
                note_latency(t - sent_at);
            }
            continue;
        }
        errors++;
        usleep(ATTEMPT_PAUSE_US);
        if (rc == ZSESSIONEXPIRED || rc == ZINVALIDSTATE) {
            zookeeper_close(zk.handle);
            zk.handle = zookeeper_init(hosts, on_session, SESSION_MS, NULL, NULL, 0);
        }
    }
    qsort(zk.latencies, zk.latency_count, sizeof *zk.latencies, compare_doubles);
    printf("gap %.0f ms (from kill to first ack %.0f ms)  writes %ld p50 %.0f us  errors %ld\n",
           gap * 1e3, (back - killed) * 1e3, acknowledged, percentile(.5), errors);
    return back == 0;
}

static int load(int outstanding, double seconds)
{
    struct request *requests = calloc((size_t)outstanding, sizeof *requests);
    if (requests == NULL) {
        return 1;
    }
    zk.warm_at = now() + 1;
    zk.stop_at = zk.warm_at + seconds;
    zk.in_flight = outstanding;
    for (int i = 0; i < outstanding; i++) {
        submit(&requests[i]);
    }
    while (zk.in_flight > 0 && now() < zk.stop_at + 20) {
        usleep(1000);
    }
    qsort(zk.latencies, zk.latency_count, sizeof *zk.latencies, compare_doubles);
    printf("%.0f ops/s  p50 %.0f us  p99 %.0f us  p99.9 %.0f us  max %.0f us  requests %ld  "
           "failed %ld\n",
           (double)zk.counted / (zk.last_at - zk.first_at), percentile(.5), percentile(.99),
           percentile(.999), percentile(1), zk.sent, zk.failed);
    free(requests);
    return zk.failed != 0 || zk.counted == 0;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr,
                "error: zk_bench: bad arguments; try: what stands at the top of its source\n");
        return 3;
    }
    int is_probe = strcmp(argv[2], "probe") == 0;
    zk.value_bytes = is_probe ? 64 : (int)strtol(argv[5], NULL, 10);
    zk.value = calloc(1, (size_t)zk.value_bytes + 1);
    zk.latencies = calloc(LATENCIES_MAX, sizeof *zk.latencies);
    if (zk.value == NULL || zk.latencies == NULL) {
        return 1;
    }
    memset(zk.value, 'v', (size_t)zk.value_bytes);
    zoo_set_debug_level((ZooLogLevel)0);
    if (!connect_to(argv[1]) || !make_nodes()) {
        fprintf(stderr, "error: zk_bench: %s does not serve\n", argv[1]);
        return 2;
    }
    double third = strtod(argv[3], NULL);
    double fourth = strtod(argv[4], NULL);
    int failed = is_probe ? probe(argv[1], third, fourth, (pid_t)strtol(argv[5], NULL, 10))
                          : load((int)third, fourth);
    zookeeper_close(zk.handle);
    return failed;
}
#endif
