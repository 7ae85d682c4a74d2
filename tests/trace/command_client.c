#include "tests/trace/words.h"

#include "common/base/memory.h"
#include "tests/trace/inject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_NONCE_FIRST 0xc001

const char *words_field(char **words, size_t count, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(words[i], name, size) == 0 && words[i][size] == '=') {
            return words[i] + size + 1;
        }
    }
    return NULL;
}

uint64_t words_number(char **words, size_t count, const char *name, uint64_t otherwise)
{
    const char *text = words_field(words, count, name);
    return text == NULL ? otherwise : strtoull(text, NULL, 0);
}

static struct player *client_of(struct scenario *s, const char *name)
{
    struct player *client = scenario_client(s, name);
    if (client != NULL || s->client_count == CLIENTS_MAX) {
        return client;
    }
    client = &s->clients[s->client_count];
    player_init(client, cluster_add_client(s->cluster, name, CLIENT_NONCE_FIRST + s->client_count));
    s->client_count++;
    return client;
}

/* "text", or "x*3000" for text repeated so often. */
static struct blob *make_record(const char *word)
{
    const char *star = strrchr(word, '*');
    size_t size = star != NULL ? (size_t)(star - word) : strlen(word);
    size_t times = star != NULL ? strtoull(star + 1, NULL, 10) : 1;
    uint8_t *data;
    struct blob *blob = blob_new(size * times, &data);
    for (size_t i = 0; i < times; i++) {
        memcpy(data + i * size, word, size);
    }
    return blob;
}

/* append RECORD ... via P [times=N] [pace=MS]: one block, or N blocks with time between them. */
static int client_do_append(struct scenario *s, struct player *client, char **w, size_t n,
                            const struct node *via, struct errmsg *err)
{
    struct slice records[WORDS_MAX];
    uint32_t count = 0;
    if (client->session == 0) {
        return errmsg_set(err, ERROR_INTERNAL, "the client has no session yet");
    }
    for (size_t i = 3; i < n && strcmp(w[i], "via") != 0; i++) {
        records[count++] = slice_of(make_record(w[i]));
    }
    uint64_t times = words_number(w, n, "times", 1);
    for (uint64_t i = 0; i < times; i++) {
        player_append(s->cluster, client, records, count, via);
        cluster_run(s->cluster, s->cluster->now + (time_ms_t)words_number(w, n, "pace", 0));
    }
    for (uint32_t i = 0; i < count; i++) {
        slice_drop(&records[i]);
    }
    return 0;
}

/* read from=N [count=N] [wait=MS] [bytes=N] [local] via L */
static void client_do_read(struct scenario *s, struct player *client, char **w, size_t n,
                           const struct node *via)
{
    struct msg_read read = {.from = words_number(w, n, "from", 1),
                            .count = words_number(w, n, "count", 0),
                            .bytes_max = (uint32_t)words_number(w, n, "bytes", 65536),
                            .wait_ms = (uint32_t)words_number(w, n, "wait", 0)};
    for (size_t i = 3; i < n; i++) {
        if (strcmp(w[i], "local") == 0) {
            read.consistency = READ_LOCAL;
        }
    }
    player_read(s->cluster, client, read, via);
}

/* transfer [to=ID] via P, explain via P: what an operator asks. */
static int client_ask_operator(struct scenario *s, struct player *client, char **w, size_t n,
                               const struct node *via, struct errmsg *err)
{
    struct message msg;
    int rc = inject_parse(w, n, &msg, err);
    if (rc == 0) {
        cluster_send(s->cluster, client->node, via, &msg);
    }
    return rc;
}

static int client_do(struct scenario *s, struct player *client, char **w, size_t n,
                     const struct node *via, struct errmsg *err)
{
    const char *verb = w[2];
    if (strcmp(verb, "open") == 0) {
        if (client->block_count > 0) {
            return errmsg_set(err, ERROR_USAGE, "the client has opened its session; try: resend");
        }
        player_open(s->cluster, client, (uint32_t)words_number(w, n, "ttl", 60000), via);
    } else if (strcmp(verb, "append") == 0) {
        return client_do_append(s, client, w, n, via, err);
    } else if (strcmp(verb, "resend") == 0) {
        player_resend(s->cluster, client, strcmp(w[3], "all") == 0, via);
    } else if (strcmp(verb, "forge") == 0) {
        player_forge(s->cluster, client, words_number(w, n, "session", client->session),
                     words_number(w, n, "seq", 1), slice_borrow("forged", 6), via);
    } else if (strcmp(verb, "keepalive") == 0 || strcmp(verb, "close") == 0) {
        player_keepalive(s->cluster, client, verb[0] == 'c', via);
    } else if (strcmp(verb, "garbage") == 0) {
        player_garbage(s->cluster, client, via);
    } else if (strcmp(verb, "read") == 0) {
        client_do_read(s, client, w, n, via);
    } else if (strcmp(verb, "transfer") == 0 || strcmp(verb, "explain") == 0) {
        return client_ask_operator(s, client, w + 2, n - 2, via, err);
    } else {
        return errmsg_set(err, ERROR_USAGE, "a client cannot '%s'", verb);
    }
    return 0;
}

int command_client(struct scenario *s, char **w, size_t n, struct errmsg *err)
{
    const char *name = NULL;
    for (size_t i = 3; i + 1 < n; i++) {
        if (strcmp(w[i], "via") == 0) {
            name = w[i + 1];
        }
    }
    if (n < 5 || name == NULL) {
        return errmsg_set(err, ERROR_USAGE, "client NAME VERB ... via NODE");
    }
    size_t via;
    if (scenario_node(s, name, &via, err) != 0 || via == NODES_MAX) {
        return ERROR_USAGE;
    }
    struct player *client = client_of(s, w[1]);
    if (client == NULL) {
        return errmsg_set(err, ERROR_USAGE, "too many clients");
    }
    return client_do(s, client, w, n, &s->cluster->nodes[via], err);
}
