/* Standard output of the client verbs: records, tables and JSON, and what happens when nobody reads
 * it any more. */
#ifndef SYNOD_DEPLOY_OUTPUT_H
#define SYNOD_DEPLOY_OUTPUT_H

#include "deploy/options.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Makes a closed pipe an error of write and not the end of the process. To be called once. */
void output_init(void);

/* Writes one record: plain, its bytes and then `end`; table, index and text; json, one object a
 * line. 0, or -1 if standard output is gone. */
int output_record(enum output_form form, char end, uint64_t index, const void *data, size_t size);

/* Writes bytes as they are, and then `end`. */
void output_bytes(struct synod_bytes bytes, char end);

/* Writes bytes for people: control characters as \xHH, filled up with blanks to width. */
void output_escaped(struct synod_bytes bytes, size_t width);

/* How wide that is without blanks. */
size_t output_escaped_width(struct synod_bytes bytes);

/* Adds bytes to an object: as a text of that name if they are UTF-8, else in base64 as
 * NAME_base64, since JSON has no other bytes. */
void json_set_bytes(json_t *object, const char *name, struct synod_bytes bytes);

/* Writes text as printf does. */
void output_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes one JSON value and a newline, and gives the reference back. */
void output_json(json_t *value);

/* Hands on what was written; whoever waits next does this first. */
void output_flush(void);

/* 1 once nobody reads standard output any more: time to stop quietly. In the end main says if that
 * is worth a sentence (streams_finish). */
int output_is_closed(void);

/* A table: cells are text; columns are as wide as their widest cell, numbers stand to the right. */
#define TABLE_COLUMNS_MAX 16
#define TABLE_ROWS_MAX 128
#define TABLE_CELL_BYTES 96

struct table {
    size_t column_count;
    size_t row_count; /* the heading is row 0 */
    char cells[TABLE_ROWS_MAX][TABLE_COLUMNS_MAX][TABLE_CELL_BYTES];
};

/* Starts a row, and adds a cell to it; what is beyond the bounds is left out. */
void table_row(struct table *table);
void table_cell(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void table_print(const struct table *table);

#endif
