/* What heap.c, cycles.c and sizes.c share. */
#ifndef GC_OTEL_HEAP_H
#define GC_OTEL_HEAP_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* How the variable part of an object is read. */
typedef enum { GCO_PLAIN, GCO_INT, GCO_STR, GCO_LIST, GCO_DICT, GCO_SET, GCO_BYTEARRAY, GCO_VARIABLE, GCO_FRAME } gco_family;

/* One type met during a walk.  `type` is borrowed: it lives while the walk lets nobody else run. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t fixed_bytes; /* headers, basic size, and inline values where the version has them */
    gco_family family;
    PyObject *sizeof_method; /* of frames and generators: borrowed from the type */
    uint64_t objects, bytes;         /* tracked by the collector: counted one by one */
    double leaf_objects, leaf_bytes; /* not tracked: shares, found at their holders */
} gco_type_entry;

typedef struct {
    gco_type_entry *entries;
    size_t capacity, used;
} gco_types;

/* From this reference count on an object is never freed. */
#define GCO_IMMORTAL ((Py_ssize_t)1 << 30)

bool gco_types_init(gco_types *types);
void gco_types_free(gco_types *types);

/* The entry of the object's type, made at first sight; NULL without memory.  Valid until the next call. */
gco_type_entry *gco_types_find(gco_types *types, PyObject *object);

/* Bytes of the object's own memory, as its layout says; runs no code of its class. */
Py_ssize_t gco_shallow_bytes(const gco_type_entry *entry, PyObject *object);

/* Has to be called before any of the above: compares what is known of dicts with this interpreter's. */
bool gco_sizes_prepare(void);

static inline size_t
gco_hash_pointer(const void *pointer)
{
    return (size_t)((((uint64_t)(uintptr_t)pointer >> 4) * 0x9E3779B97F4A7C15ull) >> 24);
}

PyObject *gco_count_heap(PyObject *module, PyObject *args);
PyObject *gco_find_garbage(PyObject *module, PyObject *ignored);

#endif
