/* The part of stdlib.h that a task needs. There is no operating system below it. */
#ifndef TRANSDUCER_STDLIB_H
#define TRANSDUCER_STDLIB_H

#include <stddef.h>

/* A call of `prepare` or `finish` runs in an instance of its own, and its memory goes with it: nothing is ever given back. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *memory);

/* Ends the call: its request fails. */
_Noreturn void abort(void);

#endif
