#include "deploy/output.h"

#include "common/runtime/streams.h"
#include "deploy/base64.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void output_init(void)
{
    signal(SIGPIPE, SIG_IGN);
    static char buffer[64 * 1024];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer); /* whoever has to be seen at once flushes */
}

int output_is_closed(void)
{
    return streams_failed();
}

void output_flush(void)
{
    streams_note(fflush(stdout) == 0);
}

void output_text(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    streams_note(vprintf(fmt, args) >= 0);
    va_end(args);
}

void output_json(json_t *value)
{
    streams_note(json_dumpf(value, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF);
    json_decref(value);
}

static void set_text_or_base64(json_t *object, const char *name, const char *name_base64,
                               struct synod_bytes bytes)
{
    /* jansson refuses text that is not UTF-8. */
    json_t *text = json_stringn(bytes.size > 0 ? bytes.data : "", bytes.size);
    if (text != NULL) {
        json_object_set_new(object, name, text);
    } else {
        char *encoded = base64_encode(bytes.data, bytes.size);
        json_object_set_new(object, name_base64, json_string(encoded));
        free(encoded);
    }
}

void json_set_bytes(json_t *object, const char *name, struct synod_bytes bytes)
{
    char name_base64[64];
    snprintf(name_base64, sizeof name_base64, "%s_base64", name);
    set_text_or_base64(object, name, name_base64, bytes);
}

static int json_record(uint64_t index, const void *data, size_t size)
{
    json_t *object = json_object();
    json_object_set_new(object, "index", json_integer((json_int_t)index));
    set_text_or_base64(object, "text", "base64", (struct synod_bytes){data, size});
    output_json(object);
    return output_is_closed() ? -1 : 0;
}

void output_bytes(struct synod_bytes bytes, char end)
{
    streams_note(fwrite(bytes.data, 1, bytes.size, stdout) == bytes.size && putchar(end) != EOF);
}

size_t output_escaped_width(struct synod_bytes bytes)
{
    const uint8_t *data = bytes.data;
    size_t width = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        width += iscntrl(data[i]) ? 4 : 1;
    }
    return width;
}

void output_escaped(struct synod_bytes bytes, size_t width)
{
    const uint8_t *data = bytes.data;
    int is_ok = 1;
    for (size_t i = 0; is_ok && i < bytes.size; i++) {
        is_ok = iscntrl(data[i]) ? printf("\\x%02x", data[i]) >= 0 : putchar(data[i]) != EOF;
    }
    for (size_t i = output_escaped_width(bytes); is_ok && i < width; i++) {
        is_ok = putchar(' ') != EOF;
    }
    streams_note(is_ok);
}

/* Control characters would break the table, or the terminal. */
static int table_record(uint64_t index, const void *data, size_t size)
{
    output_text("%10llu  ", (unsigned long long)index);
    output_escaped((struct synod_bytes){data, size}, 0);
    output_text("\n");
    return output_is_closed() ? -1 : 0;
}

int output_record(enum output_form form, char end, uint64_t index, const void *data, size_t size)
{
    switch (form) {
    case OUTPUT_JSON:
        return json_record(index, data, size);
    case OUTPUT_TABLE:
        return table_record(index, data, size);
    default:
        return streams_note(fwrite(data, 1, size, stdout) == size && putchar(end) != EOF);
    }
}

void table_row(struct table *table)
{
    if (table->row_count < TABLE_ROWS_MAX) {
        memset(table->cells[table->row_count], 0, sizeof table->cells[0]);
        table->row_count++;
    }
    table->column_count = 0;
}

void table_cell(struct table *table, const char *fmt, ...)
{
    if (table->row_count == 0 || table->column_count == TABLE_COLUMNS_MAX) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(table->cells[table->row_count - 1][table->column_count++], TABLE_CELL_BYTES, fmt,
              args);
    va_end(args);
}

static int is_number(const char *text)
{
    return isdigit((unsigned char)text[0]) && strspn(text, "0123456789.") == strlen(text);
}

void table_print(const struct table *table)
{
    size_t width[TABLE_COLUMNS_MAX] = {0};
    size_t last[TABLE_ROWS_MAX] = {0};
    for (size_t r = 0; r < table->row_count; r++) {
        for (size_t c = 0; c < TABLE_COLUMNS_MAX; c++) {
            size_t size = strlen(table->cells[r][c]);
            width[c] = size > width[c] ? size : width[c];
            last[r] = size > 0 ? c : last[r];
        }
    }
    for (size_t r = 0; r < table->row_count; r++) {
        for (size_t c = 0; c <= last[r]; c++) {
            const char *cell = table->cells[r][c];
            int w = (int)width[c];
            const char *gap = c < last[r] ? "  " : "\n";
            int is_right = is_number(cell) && r > 0;
            w = is_right || c < last[r] ? w : 0;
            output_text("%*s%s", is_right ? w : -w, cell, gap);
        }
    }
}
