#include "tests/trace/scenario.h"

#include "common/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

static int read_file(const char *path, struct text *out, struct text *problem)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        text_addf(problem, "%s: cannot be opened\n", path);
        return ERROR_IO;
    }
    char buffer[4096];
    size_t size;
    while ((size = fread(buffer, 1, sizeof buffer, file)) > 0) {
        text_add(out, buffer, size);
    }
    fclose(file);
    return 0;
}

static int write_file(const char *path, const struct text *text, struct text *problem)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(text->data, 1, text->size, file) != text->size) {
        text_addf(problem, "%s: cannot be written\n", path);
        if (file != NULL) {
            fclose(file);
        }
        return ERROR_IO;
    }
    return fclose(file) == 0 ? 0 : ERROR_IO;
}

/* Cuts a line into words; quotes keep blanks together, # begins a comment. Overwrites line. */
static size_t split_words(char *line, char **words)
{
    size_t count = 0;
    char *p = line;
    while (count < WORDS_MAX) {
        p += strspn(p, " \t");
        if (*p == '\0' || (*p == '#' && (p == line || p[-1] == ' '))) {
            break;
        }
        int quoted = *p == '"';
        if (quoted) {
            p++;
        }
        words[count++] = p;
        p += strcspn(p, quoted ? "\"" : " \t");
        if (*p != '\0') {
            *p++ = '\0';
        }
    }
    return count;
}

/* The position in a file that is being read line by line. */
struct reader {
    const char *path;
    char *at;
    unsigned line; /* of what next_line gave last, from 1 */
};

static char *next_line(struct reader *reader)
{
    if (reader->at == NULL || *reader->at == '\0') {
        return NULL;
    }
    char *line = reader->at;
    char *end = strchr(line, '\n');
    if (end != NULL) {
        *end = '\0';
        reader->at = end + 1;
    } else {
        reader->at = line + strlen(line);
    }
    reader->line++;
    return line;
}

static int fail(const struct reader *reader, struct text *problem, const char *text)
{
    text_addf(problem, "%s:%u: %s\n", reader->path, reader->line, text);
    return ERROR_INTERNAL;
}

static int run_line(struct scenario *s, const struct reader *reader, const char *line,
                    struct text *problem)
{
    char copy[LINE_MAX_BYTES];
    char *words[WORDS_MAX];
    snprintf(copy, sizeof copy, "%s", line);
    size_t count = split_words(copy, words);
    if (count == 0) {
        return 0;
    }
    struct errmsg err = {""};
    int rc = scenario_command(s, words, count, &err);
    if (rc == 0 && s->cluster != NULL && s->cluster->checker.violation[0] != '\0') {
        rc = errmsg_set(&err, ERROR_INTERNAL, "rule broken: %s", s->cluster->checker.violation);
    }
    if (rc != 0) {
        text_addf(problem, "%s:%u: %s\n  in: %s\n", reader->path, reader->line, err.text, line);
        if (s->out.size > 0) {
            text_addf(problem, "%s", s->out.data);
        }
    }
    return rc;
}

/* Skips what is expected after "----" and collects it. */
static void read_expected(struct reader *reader, struct text *expected)
{
    for (;;) {
        struct reader before = *reader;
        char *line = next_line(reader);
        if (line == NULL || *line == '\0') {
            if (line != NULL) { /* the blank line belongs to what follows */
                *reader = before;
                reader->at[0] = '\n';
            }
            return;
        }
        text_addf(expected, "%s\n", line);
    }
}

/* Says where the two differ first, with both texts from there on. */
static int compare(const struct reader *reader, const struct text *expected,
                   const struct text *actual, struct text *problem)
{
    const char *e = expected->size > 0 ? expected->data : "";
    const char *a = actual->size > 0 ? actual->data : "";
    if (strcmp(e, a) == 0) {
        return 0;
    }
    size_t same = 0;
    for (size_t i = 0; e[i] != '\0' && e[i] == a[i]; i++) {
        if (e[i] == '\n') {
            same = i + 1;
        }
    }
    text_addf(problem,
              "%s: the trace before line %u differs\n--- expected\n%.600s\n--- got\n%.600s\n",
              reader->path, reader->line + 1, e + same, a + same);
    return ERROR_INTERNAL;
}

static int run_text(struct scenario *s, struct reader *reader, int rewrite, struct text *rewritten,
                    struct text *problem)
{
    int worst = 0;
    char *line;
    while ((line = next_line(reader)) != NULL) {
        text_addf(rewritten, "%s\n", line);
        if (strcmp(line, "----") != 0) {
            int rc = run_line(s, reader, line, problem);
            if (rc != 0) {
                return rc;
            }
            continue;
        }
        struct text expected = {0};
        read_expected(reader, &expected);
        if (s->out.size == 0) {
            text_addf(&s->out, "ok\n");
        }
        text_add(rewritten, s->out.data, s->out.size);
        if (!rewrite && worst == 0) {
            worst = compare(reader, &expected, &s->out, problem);
        }
        text_close(&expected);
        text_clear(&s->out);
        s->line.end = 0;
    }
    if (s->out.size > 0 && worst == 0) {
        worst = fail(reader, problem, "the last commands printed something that nothing expects");
    }
    return worst;
}

int scenario_run(const char *path, int rewrite, struct text *problem)
{
    struct text text = {0};
    struct text rewritten = {0};
    struct scenario *s = memory_calloc(1, sizeof *s);
    int rc = read_file(path, &text, problem);
    if (rc != 0) {
        goto out;
    }
    struct reader reader = {path, text.data, 0};
    rc = run_text(s, &reader, rewrite, &rewritten, problem);
    if (rc == 0 && rewrite) {
        rc = write_file(path, &rewritten, problem);
    }
out:
    for (size_t i = 0; i < s->client_count; i++) {
        player_close(&s->clients[i]);
    }
    cluster_free(s->cluster);
    text_close(&s->out);
    text_close(&s->line.senders);
    text_close(&s->line.receivers);
    text_close(&s->line.body);
    text_close(&text);
    text_close(&rewritten);
    free(s);
    return rc;
}
