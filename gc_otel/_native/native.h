/* What the files of the extension share. */
#ifndef GC_OTEL_NATIVE_H
#define GC_OTEL_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "layout.h"

#define GCO_UNLIKELY(condition) __builtin_expect((condition), 0)

/* Seldom called: kept out of the callback, which has registers enough only without it, and of the lines of code that it is in. */
#define GCO_SELDOM __attribute__((noinline, cold))

/* What the processor fetches from memory at once, on all that this is built for but some ARM servers (128). */
#define GCO_LINE_BYTES 64

#define GCO_NS_PER_S 1000000000ull

/* Of one process, on a page of its own that the kernel empties in a forked child (MADV_WIPEONFORK). */
typedef struct {
    uint64_t is_owner; /* this process made the mapping */
    uint64_t is_open;  /* and has not closed it */
} gco_guard;

/* A mapped flight file, or private memory of the same shape.
 *
 * `cells` is NULL once closed.  In a forked child the cells are not there
 * (MADV_DONTFORK), so nobody may touch them without asking
 * gco_mapping_cells() first.  The guard stays as long as the object. */
typedef struct {
    PyObject_HEAD
    _Atomic(uint64_t *) cells;
    volatile gco_guard *guard; /* NULL where the kernel has no MADV_WIPEONFORK */
    void *memory;             /* what to unmap; NULL once unmapped */
    long owner_pid;
    atomic_int users;   /* callbacks inside; only ever above 0 at a close without a GIL */
    atomic_int exports; /* memoryviews handed out: they keep the memory past close() */
} gco_mapping;

/* NULL when closed, or in a process other than the one that mapped it.
 *
 * A child made by a fork that ran no hooks (a C library's own fork) still has
 * this object, but neither the cells nor the right to write them. */
static inline uint64_t *
gco_mapping_cells(gco_mapping *mapping)
{
    uint64_t *cells = atomic_load_explicit(&mapping->cells, memory_order_acquire);
    if (GCO_UNLIKELY(cells == NULL)) {
        return NULL;
    }
    if (mapping->guard != NULL) {
        return mapping->guard->is_owner != 0 ? cells : NULL;
    }
    return (long)getpid() == mapping->owner_pid ? cells : NULL;
}

extern PyType_Spec gco_mapping_spec;
extern PyType_Spec gco_recorder_spec;
extern PyType_Spec gco_ticker_spec;

typedef struct {
    PyTypeObject *mapping_type;
    PyTypeObject *recorder_type;
    PyTypeObject *ticker_type;
} gco_state;

extern struct PyModuleDef gco_module;

static inline uint64_t
gco_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * GCO_NS_PER_S + (uint64_t)now.tv_nsec;
}

#endif
