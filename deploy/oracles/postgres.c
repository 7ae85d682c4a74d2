/* synod-oracle-postgres: who has the row of a table says who should lead.
 *
 * The row's `lease` counts the take-overs, and is the claim: whoever took it over last knows the
 * number, and prolongs the row only where it still says so. One statement does both, takes the row
 * only if it has expired or is ours, and counts only if it was not; the database's clock alone says
 * what has expired. */
#include "common/runtime/log.h"
#include "deploy/oracles/claimant.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MS_LEAST 100
#define BACKOFF_MS_MOST 5000
#define CONNECT_MS_LEAST 2000

/* Longest time until who waits looks again: the holder may have given the row back. */
#define WAITING_MS_MOST 1000

/* Longest time until a signal ends a wait, should it come just before it. */
#define LOOK_MS 200

#define NUMBER_BYTES 24

/* No row has it: lease begins at 0, and a claim at 1. */
#define LEASE_NONE "-1"

enum { OPTION_WORK = OPTION_AFTER_CLAIMANT, OPTION_DATABASE };

struct row {
    struct claimant claimant;
    const char *work;
    const char *database; /* conninfo or URI; NULL: as libpq's environment says */
    PGconn *conn;         /* NULL while there is none */
    uint64_t lease;       /* of our claim; 0: none */
    uint64_t backoff_ms;
    int is_farewell; /* no signal ends a wait any more */
    int is_final;    /* the last failure will not pass */
    char holder[96]; /* what we write into work_status */
    char why[256];   /* of the last failure */
};

static const char take_sql[] =
    "UPDATE synod_lease SET work_status = $4, expiration_time = clock_timestamp() + $3::bigint * "
    "interval '1 millisecond', lease = CASE WHEN lease = $2::bigint THEN lease ELSE lease + 1 END "
    "WHERE work_id = $1 AND (lease = $2::bigint OR expiration_time <= clock_timestamp()) "
    "RETURNING lease, floor(extract(epoch FROM expiration_time - clock_timestamp()) * "
    "1000)::bigint";
static const char look_sql[] =
    "SELECT work_status, greatest(0, ceil(extract(epoch FROM expiration_time - clock_timestamp()) "
    "* 1000))::bigint FROM synod_lease WHERE work_id = $1";
static const char make_sql[] = "INSERT INTO synod_lease VALUES ($1, 'free', 0, clock_timestamp()) "
                               "ON CONFLICT (work_id) DO NOTHING";
static const char free_sql[] = "UPDATE synod_lease SET work_status = 'free', expiration_time = "
                               "clock_timestamp() WHERE work_id = $1 AND lease = $2::bigint";
static const char limit_sql[] = "SELECT set_config('statement_timeout', $1, false)";

/* ---- the connection */

/* Keeps libpq's words as one line, and gives the connection up. */
static void drop(struct row *r, const char *words)
{
    snprintf(r->why, sizeof r->why, "%s", words);
    for (char *p = r->why; *p != '\0'; p++) {
        if (*p == '\n' || *p == '\t') {
            *p = ' ';
        }
    }
    for (size_t n = strlen(r->why); n > 0 && r->why[n - 1] == ' '; n--) {
        r->why[n - 1] = '\0';
    }
    PQfinish(r->conn);
    r->conn = NULL;
}

/* Waits for the database, and lets the handle do its work meanwhile. 0; -1 after the deadline or a
 * signal, with the connection given up. */
static int wait_for(struct row *r, short events, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - claimant_now_ms();
    if (left_ms <= 0 || (options_is_interrupted() && !r->is_farewell)) {
        drop(r, left_ms <= 0 ? "the database does not answer in time" : "interrupted");
        return -1;
    }
    struct pollfd fds[2] = {{PQsocket(r->conn), events, 0}, {synod_fd(r->claimant.s), POLLIN, 0}};
    poll(fds, 2, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
    if (fds[1].revents != 0 && synod_poll(r->claimant.s, 0) == SYNOD_E_REFUSED) {
        return 0; /* the next word is refused, too, and that is said */
    }
    return 0;
}

static int64_t deadline_of(const struct row *r, uint64_t least_ms)
{
    uint64_t ms = r->claimant.period_ms > least_ms ? r->claimant.period_ms : least_ms;
    return claimant_now_ms() + (int64_t)ms;
}

/* Runs one statement. NULL if it did not succeed, with the connection given up and why. */
static PGresult *run(struct row *r, const char *sql, int count, const char *const *values)
{
    int64_t deadline_ms = deadline_of(r, 0) + LOOK_MS;
    if (!PQsendQueryParams(r->conn, sql, count, NULL, values, NULL, NULL, 0)) {
        drop(r, PQerrorMessage(r->conn));
        return NULL;
    }
    while (PQisBusy(r->conn)) {
        if (wait_for(r, POLLIN, deadline_ms) != 0) {
            return NULL;
        }
        if (!PQconsumeInput(r->conn)) {
            drop(r, PQerrorMessage(r->conn));
            return NULL;
        }
    }
    PGresult *result = PQgetResult(r->conn);
    PQclear(PQgetResult(r->conn)); /* NULL: there is one result */
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        const char *words = result != NULL ? PQresultErrorMessage(result) : "no result";
        const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
        /* Class 42: no such table or column, or no right to it. That does not pass. */
        r->is_final = state != NULL && strncmp(state, "42", 2) == 0;
        drop(r, words);
        PQclear(result);
        return NULL;
    }
    return result;
}

static int connect_to(struct row *r)
{
    const char *keys[] = {"fallback_application_name", r->database != NULL ? "dbname" : NULL, NULL};
    const char *values[] = {r->claimant.common.verb, r->database, NULL};
    int64_t deadline_ms = deadline_of(r, CONNECT_MS_LEAST);
    r->conn = PQconnectStartParams(keys, values, 1);
    if (r->conn == NULL || PQstatus(r->conn) == CONNECTION_BAD) {
        drop(r, r->conn != NULL ? PQerrorMessage(r->conn) : "no memory");
        return -1;
    }
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (wait_for(r, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms) != 0) {
            return -1;
        }
        status = PQconnectPoll(r->conn);
        if (status == PGRES_POLLING_FAILED) {
            drop(r, PQerrorMessage(r->conn));
            return -1;
        }
    }
    /* What we do not wait for any more must not happen later. */
    char limit[NUMBER_BYTES];
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)r->claimant.period_ms);
    const char *parameters[] = {limit};
    PGresult *result = run(r, limit_sql, 1, parameters);
    PQclear(result);
    return result != NULL ? 0 : -1;
}

/* ---- the row */

/* Takes the row over, or prolongs what we have. 1 if it is ours now, 0 if not, -1 without the
 * database. */
static int take(struct row *r, struct claim *out)
{
    char lease[NUMBER_BYTES] = LEASE_NONE;
    char ttl[NUMBER_BYTES];
    if (r->lease != 0) {
        snprintf(lease, sizeof lease, "%llu", (unsigned long long)r->lease);
    }
    snprintf(ttl, sizeof ttl, "%llu", (unsigned long long)r->claimant.ttl_ms);
    const char *values[] = {r->work, lease, ttl, r->holder};
    int64_t began_ms = claimant_now_ms();
    PGresult *result = run(r, take_sql, 4, values);
    if (result == NULL) {
        return -1;
    }
    int is_ours = PQntuples(result) == 1;
    r->lease = is_ours ? strtoull(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    if (is_ours) {
        /* Some of the round trip lies behind the database's word, at most all of it. */
        uint64_t left_ms = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
        uint64_t trip_ms = (uint64_t)(claimant_now_ms() - began_ms);
        out->state = CLAIM_OURS;
        out->counter = r->lease;
        out->left_ms = left_ms > trip_ms ? left_ms - trip_ms : 0;
        out->again_ms = r->claimant.period_ms;
    }
    PQclear(result);
    return is_ours;
}

/* Who has it, and for how long. 1 if there is such a row, else 0; -1 without the database. */
static int look(struct row *r, struct claim *out)
{
    const char *values[] = {r->work};
    PGresult *result = run(r, look_sql, 1, values);
    if (result == NULL) {
        return -1;
    }
    int is_there = PQntuples(result) == 1;
    if (is_there) {
        uint64_t left_ms = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
        out->state = CLAIM_OTHERS;
        out->again_ms = left_ms < WAITING_MS_MOST ? left_ms : WAITING_MS_MOST;
        snprintf(out->why, sizeof out->why, "%s", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return is_there;
}

static int make(struct row *r)
{
    const char *values[] = {r->work};
    PGresult *result = run(r, make_sql, 1, values);
    PQclear(result);
    return result != NULL ? 0 : -1;
}

/* ---- what the claimant asks for */

static int fail(struct row *r, struct claim *out)
{
    if (r->is_final) {
        log_error("the table synod_lease cannot be used (%s); try: psql -f lease.sql, and "
                  "GRANT SELECT, INSERT, UPDATE",
                  r->why);
        return 1;
    }
    out->state = CLAIM_UNKNOWN;
    out->again_ms = r->backoff_ms;
    memcpy(out->why, r->why, sizeof out->why);
    r->backoff_ms = r->backoff_ms * 2 < BACKOFF_MS_MOST ? r->backoff_ms * 2 : BACKOFF_MS_MOST;
    return 0;
}

/* 1 if it is ours or somebody else's now, 0 if there is no such row, -1 without the database. */
static int take_or_look(struct row *r, struct claim *out)
{
    int rc = take(r, out);
    return rc == 0 ? look(r, out) : rc;
}

static int turn(void *arg, struct claim *out)
{
    struct row *r = arg;
    if (r->conn == NULL && connect_to(r) != 0) {
        return fail(r, out);
    }
    int rc = take_or_look(r, out);
    if (rc == 0) {
        rc = make(r) == 0 ? take_or_look(r, out) : -1;
    }
    if (rc == 0) {
        drop(r, "somebody deletes the row");
    }
    if (rc != 1) {
        return fail(r, out);
    }
    r->backoff_ms = BACKOFF_MS_LEAST;
    return 0;
}

static int give_back(void *arg)
{
    struct row *r = arg;
    char lease[NUMBER_BYTES];
    if (r->lease == 0) {
        return 0;
    }
    r->is_farewell = 1;
    snprintf(lease, sizeof lease, "%llu", (unsigned long long)r->lease);
    const char *values[] = {r->work, lease};
    PGresult *result = r->conn != NULL ? run(r, free_sql, 2, values) : NULL;
    PQclear(result);
    return result != NULL ? 0 : -1;
}

/* ---- the program */

static const struct verb program = {
    .name = "synod-oracle-postgres",
    .synopsis = "--proposer ID [OPTION...]",
    .help =
        "An oracle outside: who has a row of a PostgreSQL table says that its proposer should\n"
        "lead. One program runs for each proposer; lease.sql makes the table.\n\n"
        "Options:\n" CLAIMANT_OPTIONS_HELP
        "  --database CONN  as psql takes it, \"host=db1,db2 dbname=ops\" or a URI (default: the\n"
        "                   environment variables of libpq, PGHOST and so on)\n"
        "  --work ID        the row's work_id (default leader)\n\n" CLAIMANT_EXIT_HELP,
};

/* What libpq would say at every attempt is said once. A name alone is one of a database. */
static int check_database(const char *value)
{
    char *why = NULL;
    if (strchr(value, '=') == NULL && strstr(value, "://") == NULL) {
        return 0;
    }
    PQconninfoOption *options = PQconninfoParse(value, &why);
    if (options != NULL) {
        PQconninfoFree(options);
        return 0;
    }
    char problem[256];
    snprintf(problem, sizeof problem, "--database: %.200s", why != NULL ? why : "no memory");
    problem[strcspn(problem, "\n")] = '\0';
    PQfreemem(why);
    return verb_usage(program.name, problem);
}

static int take_option(void *arg, int option, const char *value)
{
    struct row *r = arg;
    if (option == OPTION_DATABASE) {
        r->database = value;
        return check_database(value);
    }
    r->work = value;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {CLAIMANT_LONG_OPTIONS,
                                          {"work", required_argument, NULL, OPTION_WORK},
                                          {"database", required_argument, NULL, OPTION_DATABASE},
                                          {NULL, 0, NULL, 0}};
    struct row r = {.work = "leader", .backoff_ms = BACKOFF_MS_LEAST};
    const struct claim_source source = {&r, turn, give_back};
    int status = 0;
    if (claimant_begin(&r.claimant, &program, argc, argv, longs, take_option, &r, &status)) {
        return status;
    }
    snprintf(r.holder, sizeof r.holder, "held for proposer %u", r.claimant.proposer);
    status = claimant_run(&r.claimant, &source);
    PQfinish(r.conn);
    return status;
}
