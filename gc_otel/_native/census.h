/* The walk of the census, in this process or in a cloned child. */
#ifndef GC_OTEL_CENSUS_H
#define GC_OTEL_CENSUS_H

#include "heap.h"

#define GCO_RECENT_TYPES 256
#define GCO_WAITING 16
#define GCO_OWNER_IS_NAME 1u
#define GCO_NAMED_BITS (1u << 16)

/* Plain containers (dict, list, set) charged to an owner: a type, or the index of a name and GCO_OWNER_IS_NAME below it. */
typedef struct {
    PyTypeObject *kind;
    uintptr_t owner;
    double objects, bytes;
} gco_charge;

typedef struct {
    gco_tracked tracked;
    gco_arena *arena; /* from which all memory is taken, or NULL */
    gco_types types;
    gco_charge *charges;
    size_t charge_capacity, charges_used;
    PyObject **named; /* open addressing, with the index of the name beside */
    size_t *named_index, named_capacity;
    uint64_t *named_bits; /* whether an object may be named: asked of every plain container, and small */
    gco_type_entry *recent[GCO_RECENT_TYPES]; /* by the hash of the type: most objects are of few types */
    PyObject *waiting[GCO_WAITING];           /* visited, and counted when what they need has been fetched */
    unsigned waiting_count;
    uint64_t visited, random;
    unsigned long asked_every, every;
    unsigned long to_pass, drawn_every; /* objects before the next one that is looked into, and what that stands for */
    bool failed;
} gco_walk;

/* For so many known objects.  0 for `asked_every`: all of a small heap are looked into, few of a large one.  With an arena the
 * walk takes no other memory and runs no Python code: a child may do it.  False: an exception is set; gco_walk_free() is due
 * either way. */
bool gco_walk_prepare(gco_walk *walk, size_t known, unsigned long asked_every, gco_arena *arena);

/* Plain containers in the list `known` are charged under their place in it. */
void gco_walk_know(gco_walk *walk, PyObject *known);

/* Counts all that the collector tracks.  `walk->failed`: there was no room. */
void gco_walk_all(gco_walk *walk);

static inline size_t
gco_named_bit(const PyObject *object)
{
    return gco_hash_pointer(object) % GCO_NAMED_BITS;
}

/* The object's place in `known`, or SIZE_MAX. */
static inline size_t
gco_walk_place_of(const gco_walk *walk, const PyObject *object)
{
    size_t bit = gco_named_bit(object);
    if ((walk->named_bits[bit / 64] >> (bit % 64) & 1) == 0) {
        return SIZE_MAX;
    }
    size_t mask = walk->named_capacity - 1;
    for (size_t i = gco_hash_pointer(object) & mask; walk->named[i] != NULL; i = (i + 1) & mask) {
        if (walk->named[i] == object) {
            return walk->named_index[i];
        }
    }
    return SIZE_MAX;
}

void gco_walk_free(gco_walk *walk);

PyObject *gco_count_heap(PyObject *module, PyObject *args);

#endif
