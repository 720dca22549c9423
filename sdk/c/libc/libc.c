/* Memory for tasks in C, without a C library. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, PAGE = 65536 };

/* Set by the linker: where the program's own data ends. */
extern unsigned char __heap_base;

/* What is free reaches from here to the end of the memory. */
static uintptr_t next_free;

/* Each piece is preceded by its size, which `realloc` asks for. */
void *malloc(size_t size) {
  if (next_free == 0) {
    next_free = ((uintptr_t)&__heap_base + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
  }
  if (size > SIZE_MAX / 2) {
    return NULL;
  }
  size_t whole = ALIGNMENT + ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
  size_t left = __builtin_wasm_memory_size(0) * PAGE - next_free;
  if (whole > left) {
    size_t pages = (whole - left + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) {
      return NULL;
    }
  }
  unsigned char *piece = (unsigned char *)next_free;
  next_free += whole;
  *(size_t *)piece = size;
  return piece + ALIGNMENT;
}

void *calloc(size_t count, size_t size) {
  size_t whole;
  /* Memory of a new instance is zero, and none is used twice. */
  return __builtin_mul_overflow(count, size, &whole) ? NULL : malloc(whole);
}

void *realloc(void *old, size_t size) {
  void *piece = malloc(size);
  if (piece != NULL && old != NULL) {
    size_t before = *(size_t *)((unsigned char *)old - ALIGNMENT);
    memcpy(piece, old, before < size ? before : size);
  }
  return piece;
}

void free(void *memory) { (void)memory; }

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return memmove(to, from, size); }

void *memmove(void *to, const void *from, size_t size) {
  unsigned char *target = to;
  const unsigned char *source = from;
  if (target < source) {
    for (size_t at = 0; at < size; at++) {
      target[at] = source[at];
    }
  } else {
    for (size_t at = size; at > 0; at--) {
      target[at - 1] = source[at - 1];
    }
  }
  return to;
}

void *memset(void *to, int byte, size_t size) {
  unsigned char *target = to;
  for (size_t at = 0; at < size; at++) {
    target[at] = (unsigned char)byte;
  }
  return to;
}

int memcmp(const void *left, const void *right, size_t size) {
  const unsigned char *one = left, *other = right;
  for (size_t at = 0; at < size; at++) {
    if (one[at] != other[at]) {
      return one[at] < other[at] ? -1 : 1;
    }
  }
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length] != 0) {
    length++;
  }
  return length;
}
