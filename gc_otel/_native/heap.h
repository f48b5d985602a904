/* What counts the heap and what finds garbage in it share. */
#ifndef GC_OTEL_HEAP_H
#define GC_OTEL_HEAP_H

#include "tracked.h"

#include <stdint.h>

/* How the variable part of an object is read. */
typedef enum { GCO_PLAIN, GCO_INT, GCO_STR, GCO_LIST, GCO_DICT, GCO_SET, GCO_BYTEARRAY, GCO_VARIABLE, GCO_FRAME, GCO_GENERATOR } gco_family;

/* Memory taken piece by piece and given back as a whole: mapped beforehand, so that a child need not ask for any.
 * Only what is touched costs anything. */
typedef struct {
    char *memory;
    size_t capacity, used;
} gco_arena;

bool gco_arena_map(gco_arena *arena);
void gco_arena_unmap(gco_arena *arena);

/* Zeroed; NULL when there is no room left. */
void *gco_arena_take(gco_arena *arena, size_t bytes);

/* The last piece taken grows in place: nothing may be taken meanwhile. */
bool gco_arena_grow_last(gco_arena *arena, const void *memory, size_t bytes);

/* One type met during a walk.  `type` is borrowed: it lives while the walk lets nobody else run. */
typedef struct {
    PyTypeObject *type;
    Py_ssize_t fixed_bytes; /* headers, basic size, and inline values where the version has them */
    gco_family family;
    uint64_t objects, bytes;         /* tracked by the collector: counted one by one */
    double leaf_objects, leaf_bytes; /* not tracked: shares, found at their holders */
} gco_type_entry;

typedef struct {
    gco_type_entry *entries;
    size_t capacity, used;
    bool sealed;   /* in a child: no memory is to be had, and no Python code to be run */
    bool in_arena; /* and given back with it */
} gco_types;

/* So many types of a way around are told; of a longer one, the first. */
#define GCO_LONGEST_SIGNATURE 64

/* From this reference count on an object is never freed. */
#define GCO_IMMORTAL ((Py_ssize_t)1 << 30)

bool gco_types_init(gco_types *types);

/* A table for so many types, sealed, that lies in the arena. */
bool gco_types_init_in(gco_types *types, gco_arena *arena, size_t most);

void gco_types_free(gco_types *types);

/* The entry of the object's type, made at first sight; NULL without memory.  Valid until the next call. */
gco_type_entry *gco_types_find(gco_types *types, PyObject *object);

/* Makes room for what is still to be found, and seals the table, unless it is: from now on finding allocates nothing. */
bool gco_types_seal(gco_types *types);

/* The name of a type as gc_otel.heap.names has it, at most `room` bytes with the NUL; how many without it. */
size_t gco_type_name(PyTypeObject *type, char *text, size_t room);

/* What all objects of its type have in common, this one among them; `may_ask`: object.__sizeof__() may be called. */
Py_ssize_t gco_fixed_bytes(PyObject *object, bool may_ask);

/* Bytes of the object's own memory, as its layout says; runs no code of its class. */
Py_ssize_t gco_shallow_bytes(const gco_type_entry *entry, PyObject *object);

/* Has to be called before any of the above: compares what is known of dicts with this interpreter's. */
bool gco_sizes_prepare(void);

static inline size_t
gco_hash_pointer(const void *pointer)
{
    return (size_t)((((uint64_t)(uintptr_t)pointer >> 4) * 0x9E3779B97F4A7C15ull) >> 24);
}

/* The heap of one moment, as examine.c examines it.  Pointers are borrowed: see garbage.h. */
typedef struct {
    gco_tracked tracked;
    gco_arena arena;
    gco_types types;
    PyObject **objects; /* NULL: not gathered yet */
    uint32_t count;
    bool names_only;     /* nobody asks for bytes */
    const char *failure; /* why it cannot be examined, or NULL */
} gco_heap;

/* One component: `types` are the entries around its shortest cycle, `length` long; false ends the walk. */
typedef struct {
    void *context;
    bool (*component)(void *context, const gco_heap *heap, gco_type_entry *const *types, size_t shown, size_t length,
                      size_t objects, double bytes);
    void (*progress)(void *context, unsigned phase, uint64_t done, uint64_t total);
} gco_report;

/* The progress of a report that nobody waits for. */
static inline void
gco_tell_nobody(void *Py_UNUSED(context), unsigned Py_UNUSED(phase), uint64_t Py_UNUSED(done), uint64_t Py_UNUSED(total))
{
}

/* With the GIL: an exception where false.  For so many types, in the arena: gathering may be left to a child.  For 0 there is
 * room for as many as there are.  gco_heap_free() is due either way. */
bool gco_heap_prepare(gco_heap *heap, size_t types_most);

/* With the GIL, and the collector off from before it until after the last use of the result.  False: `failure` says why, or an
 * exception does. */
bool gco_heap_gather(gco_heap *heap);
void gco_heap_free(gco_heap *heap);

/* Finds garbage and reports its components; touches nothing but the arena.  False: `failure` says why. */
bool gco_heap_examine(gco_heap *heap, const gco_report *report, uint64_t *garbage_objects, double *garbage_bytes);

PyObject *gco_select_objects(PyObject *module, PyObject *args);
PyObject *gco_find_referrers(PyObject *module, PyObject *args);
PyObject *gco_find_garbage(PyObject *module, PyObject *ignored);

#endif
