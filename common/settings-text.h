/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lines of a settings file: what both the reader and the editor go by.
 *
 * The syntax is GKeyFile's: [Section], Key=Value, and comments that start with "#"; a value is taken as it
 * stands, without escapes; white space around keys and values does not count (GKeyFile keeps it at the end
 * of a value). GKeyFile itself knows neither the line of a key nor a key that is there twice, and it reads
 * each value into a copy of its own, hence this scanner; a unit test and the fuzzer hold it to what GKeyFile
 * reads. A byte order mark at the start and CR LF at the ends of lines are accepted, and kept by edits. */

#include <stddef.h>

#include "error.h"

typedef enum LineKind {
    LINE_BLANK,
    LINE_COMMENT,
    LINE_SECTION,
    LINE_KEY,
    LINE_BROKEN, /* nothing of the above; `problem` says why */
    _LINE_KIND_MAX,
} LineKind;

typedef struct Line {
    LineKind kind;
    const char *start;
    size_t length; /* with the end of the line */
    unsigned number;
    const char *name; /* of the section or key; not terminated */
    size_t name_length;
    const char *value;
    size_t value_length;
    const char *problem;
} Line;

typedef struct LineReader {
    const char *next, *end;
    unsigned number;
} LineReader;

/* Whether text may be a settings file at all: not too long, no NUL, UTF-8. The Error has the line. */
bool settings_text_check(const char *text, size_t length, const char *origin, Error **ret_error);

void line_reader_init(LineReader *reader, const char *text, size_t length);

/* False at the end. */
bool line_reader_next(LineReader *reader, Line *ret);
