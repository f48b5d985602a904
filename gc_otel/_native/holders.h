/* What the holders of a census have in them: see holders.c. */
#ifndef GC_OTEL_HOLDERS_H
#define GC_OTEL_HOLDERS_H

#include "census.h"

/* What the visitor of one object's references has to know. */
typedef struct {
    gco_walk *walk;
    PyObject *holder;
    uintptr_t owner;
    double weight;
    unsigned long edge_every, to_pass;
    int depth;
    bool claiming; /* second sight of a plain container's content, for its owner's sake */
} gco_edges;

/* The type where the object is a dict, a list or a set; NULL of their subclasses and all else. */
static inline PyTypeObject *
gco_plain_kind(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyDict_Type || type == &PyList_Type || type == &PySet_Type ? type : NULL;
}

/* How many to pass over before the next one of a sample in which each stands for `every`: as many on average as are
 * passed over for one that is taken, and never in step with a program's own rhythm. */
static inline unsigned long
gco_passed_over(gco_walk *walk, unsigned long every)
{
    walk->random = walk->random * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned long)(((walk->random >> 32) * (2 * every - 1)) >> 32);
}

/* A name as an owner. */
static inline uintptr_t
gco_owner_of_name(size_t index)
{
    return ((uintptr_t)index << 1) | GCO_OWNER_IS_NAME;
}

/* So much more of that kind is the owner's. */
void gco_charge_to(gco_walk *walk, PyTypeObject *kind, uintptr_t owner, double objects, double bytes);

/* Counts what the object holds and nobody else tracks, and charges the plain containers among it. */
void gco_look_into(gco_edges *at, PyObject *object);

#endif
