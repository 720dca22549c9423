/* What a task in C needs beside its bindings, `task.h`, which `transducer-host build` makes of the world's WIT. */
#ifndef TRANSDUCER_H
#define TRANSDUCER_H

#include "task.h"

/* A text that stands in the source. */
#define TEXT(literal) ((task_string_t){(uint8_t *)(literal), sizeof(literal) - 1})

/* The texts one after the other, in memory of their own. */
task_string_t text_join(const task_string_t *texts, size_t count);

/* The same text without blanks and line breaks at its ends. */
task_string_t text_trim(task_string_t text);

/* Reads the field `name` of the JSON object `json`. False where that is no object, or the field is missing or no string. */
bool json_text_field(task_string_t json, const char *name, task_string_t *value);

/* The text as a JSON string, with its quotation marks. */
task_string_t json_quote(task_string_t text);

/* Why there is no graph, as the error of a task. */
void parse_failed(const transducer_task_cpg_parse_error_t *why, transducer_task_types_error_t *error);

#endif
