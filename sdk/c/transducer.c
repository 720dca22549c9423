/* See transducer.h. */
#include "transducer.h"

#include <stdlib.h>
#include <string.h>

/* Deeper nesting is no request. */
enum { MOST_DEPTH = 64 };

static uint8_t *memory(size_t size) {
  uint8_t *piece = malloc(size);
  if (piece == NULL) {
    abort();
  }
  return piece;
}

task_string_t text_join(const task_string_t *texts, size_t count) {
  size_t length = 0;
  for (size_t at = 0; at < count; at++) {
    length += texts[at].len;
  }
  task_string_t joined = {memory(length), 0};
  for (size_t at = 0; at < count; at++) {
    memcpy(joined.ptr + joined.len, texts[at].ptr, texts[at].len);
    joined.len += texts[at].len;
  }
  return joined;
}

static bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }

task_string_t text_trim(task_string_t text) {
  while (text.len > 0 && is_blank(text.ptr[0])) {
    text.ptr++;
    text.len--;
  }
  while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
    text.len--;
  }
  return text;
}

/* What is left of a JSON text. */
typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} reader_t;

static void skip_blanks(reader_t *json) {
  while (json->at < json->end && is_blank(*json->at)) {
    json->at++;
  }
}

static bool take(reader_t *json, uint8_t byte) {
  bool there = json->at < json->end && *json->at == byte;
  json->at += there;
  return there;
}

static bool take_word(reader_t *json, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0) {
    return false;
  }
  json->at += length;
  return true;
}

/* The four digits of a `\u`. */
static bool read_unit(reader_t *json, uint32_t *unit) {
  *unit = 0;
  for (int digit = 0; digit < 4; digit++) {
    if (json->at == json->end) {
      return false;
    }
    uint8_t byte = *json->at++;
    uint8_t lower = byte | 0x20;
    if (byte >= '0' && byte <= '9') {
      *unit = *unit * 16 + (byte - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      *unit = *unit * 16 + (lower - 'a' + 10);
    } else {
      return false;
    }
  }
  return true;
}

static void add_utf8(task_string_t *text, uint32_t point) {
  uint8_t *to = text->ptr + text->len;
  if (point < 0x80) {
    to[0] = point;
    text->len += 1;
  } else if (point < 0x800) {
    to[0] = 0xc0 | point >> 6;
    to[1] = 0x80 | (point & 0x3f);
    text->len += 2;
  } else if (point < 0x10000) {
    to[0] = 0xe0 | point >> 12;
    to[1] = 0x80 | (point >> 6 & 0x3f);
    to[2] = 0x80 | (point & 0x3f);
    text->len += 3;
  } else {
    to[0] = 0xf0 | point >> 18;
    to[1] = 0x80 | (point >> 12 & 0x3f);
    to[2] = 0x80 | (point >> 6 & 0x3f);
    to[3] = 0x80 | (point & 0x3f);
    text->len += 4;
  }
}

/* What follows a `\`. */
static bool read_escape(reader_t *json, task_string_t *text) {
  static const char ESCAPES[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
  if (json->at == json->end) {
    return false;
  }
  uint8_t byte = *json->at++;
  for (size_t at = 0; at + 1 < sizeof(ESCAPES); at += 2) {
    if (byte == (uint8_t)ESCAPES[at]) {
      text->ptr[text->len++] = ESCAPES[at + 1];
      return true;
    }
  }
  uint32_t point, low = 0;
  if (byte != 'u' || !read_unit(json, &point)) {
    return false;
  }
  if (point >= 0xd800 && point < 0xe000) {
    /* Two units make one character; one alone makes none. */
    bool pair = point < 0xdc00 && take_word(json, "\\u") && read_unit(json, &low) && low >= 0xdc00 && low < 0xe000;
    if (!pair) {
      return false;
    }
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
  }
  add_utf8(text, point);
  return true;
}

/* A string; decoded, it is never longer than it stands there. */
static bool read_string(reader_t *json, task_string_t *text) {
  if (!take(json, '"')) {
    return false;
  }
  size_t length = 0;
  while (json->at + length < json->end && json->at[length] != '"') {
    length += json->at[length] == '\\' ? 2 : 1;
  }
  text->ptr = memory(length);
  text->len = 0;
  while (json->at < json->end) {
    uint8_t byte = *json->at++;
    if (byte == '"') {
      return true;
    }
    if (byte < ' ' || (byte == '\\' && !read_escape(json, text))) {
      return false;
    }
    if (byte != '\\') {
      text->ptr[text->len++] = byte;
    }
  }
  return false;
}

static bool skip_digits(reader_t *json) {
  const uint8_t *start = json->at;
  while (json->at < json->end && *json->at >= '0' && *json->at <= '9') {
    json->at++;
  }
  return json->at > start;
}

static bool skip_number(reader_t *json) {
  take(json, '-');
  if (!take(json, '0') && !skip_digits(json)) {
    return false;
  }
  if (take(json, '.') && !skip_digits(json)) {
    return false;
  }
  if (!take(json, 'e') && !take(json, 'E')) {
    return true;
  }
  if (!take(json, '+')) {
    take(json, '-');
  }
  return skip_digits(json);
}

static bool skip_value(reader_t *json, int depth);

/* The members of an object; where one is named `name` and a string, `value` gets it. */
static bool read_object(reader_t *json, int depth, const char *name, task_string_t *value, bool *found) {
  if (!take(json, '{')) {
    return false;
  }
  skip_blanks(json);
  if (take(json, '}')) {
    return true;
  }
  do {
    task_string_t key;
    skip_blanks(json);
    if (!read_string(json, &key)) {
      return false;
    }
    skip_blanks(json);
    if (!take(json, ':')) {
      return false;
    }
    skip_blanks(json);
    bool meant = name != NULL && key.len == strlen(name) && memcmp(key.ptr, name, key.len) == 0;
    if (meant) {
      *found = json->at < json->end && *json->at == '"';
    }
    if (meant && *found ? !read_string(json, value) : !skip_value(json, depth)) {
      return false;
    }
    skip_blanks(json);
  } while (take(json, ','));
  return take(json, '}');
}

static bool skip_array(reader_t *json, int depth) {
  if (!take(json, '[')) {
    return false;
  }
  skip_blanks(json);
  if (take(json, ']')) {
    return true;
  }
  do {
    skip_blanks(json);
    if (!skip_value(json, depth)) {
      return false;
    }
    skip_blanks(json);
  } while (take(json, ','));
  return take(json, ']');
}

static bool skip_value(reader_t *json, int depth) {
  if (json->at == json->end || depth == MOST_DEPTH) {
    return false;
  }
  task_string_t text;
  switch (*json->at) {
  case '{':
    return read_object(json, depth + 1, NULL, NULL, NULL);
  case '[':
    return skip_array(json, depth + 1);
  case '"':
    return read_string(json, &text);
  case 't':
    return take_word(json, "true");
  case 'f':
    return take_word(json, "false");
  case 'n':
    return take_word(json, "null");
  default:
    return skip_number(json);
  }
}

bool json_text_field(task_string_t json, const char *name, task_string_t *value) {
  reader_t reader = {json.ptr, json.ptr + json.len};
  bool found = false;
  skip_blanks(&reader);
  if (!read_object(&reader, 0, name, value, &found)) {
    return false;
  }
  skip_blanks(&reader);
  return found && reader.at == reader.end;
}

task_string_t json_quote(task_string_t text) {
  static const char DIGITS[] = "0123456789abcdef";
  /* At most `\u001f` for a byte, and two marks. */
  task_string_t json = {memory(6 * text.len + 2), 0};
  json.ptr[json.len++] = '"';
  for (size_t at = 0; at < text.len; at++) {
    uint8_t byte = text.ptr[at];
    if (byte < ' ') {
      memcpy(json.ptr + json.len, "\\u00", 4);
      json.ptr[json.len + 4] = DIGITS[byte >> 4];
      json.ptr[json.len + 5] = DIGITS[byte & 15];
      json.len += 6;
      continue;
    }
    if (byte == '"' || byte == '\\') {
      json.ptr[json.len++] = '\\';
    }
    json.ptr[json.len++] = byte;
  }
  json.ptr[json.len++] = '"';
  return json;
}

void parse_failed(const transducer_task_cpg_parse_error_t *why, transducer_task_types_error_t *error) {
  switch (why->tag) {
  case TRANSDUCER_TASK_CPG_PARSE_ERROR_UNKNOWN_LANGUAGE:
    error->tag = TRANSDUCER_TASK_TYPES_ERROR_INVALID_REQUEST;
    error->val.invalid_request = why->val.unknown_language;
    break;
  case TRANSDUCER_TASK_CPG_PARSE_ERROR_TOO_LARGE:
    error->tag = TRANSDUCER_TASK_TYPES_ERROR_INVALID_REQUEST;
    error->val.invalid_request = TEXT("the code is too long: give a shorter piece");
    break;
  case TRANSDUCER_TASK_CPG_PARSE_ERROR_EXHAUSTED:
    error->tag = TRANSDUCER_TASK_TYPES_ERROR_INTERNAL;
    error->val.internal = why->val.exhausted;
    break;
  default:
    error->tag = TRANSDUCER_TASK_TYPES_ERROR_INTERNAL;
    error->val.internal = why->val.failed;
  }
}
