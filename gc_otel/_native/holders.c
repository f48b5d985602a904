/* What a holder has in it that the collector does not track, and which plain containers are its own.
 *
 * What is not tracked is counted at its holders: an object held n times counts 1/n at each.  So it counts once
 * at most, without remembering any, and a sample of the holders estimates the same sum.  Why reading is safe: heap.c. */
#include "holders.h"

#include <stdlib.h>

#define OWNERS_AT_MOST 4

static gco_charge *
slot_of_charge(gco_charge *charges, size_t capacity, PyTypeObject *kind, uintptr_t owner)
{
    size_t i = gco_hash_pointer((void *)(owner ^ ((uintptr_t)kind << 7)));
    for (i &= capacity - 1;; i = (i + 1) & (capacity - 1)) {
        if (charges[i].kind == NULL || (charges[i].kind == kind && charges[i].owner == owner)) {
            return &charges[i];
        }
    }
}

static bool
grow_charges(gco_walk *walk)
{
    size_t capacity = walk->charge_capacity * 2;
    gco_charge *bigger = walk->arena != NULL ? NULL : calloc(capacity, sizeof(gco_charge));
    if (bigger == NULL) {
        return false;
    }
    for (size_t i = 0; i < walk->charge_capacity; i++) {
        const gco_charge *old = &walk->charges[i];
        if (old->kind != NULL) {
            *slot_of_charge(bigger, capacity, old->kind, old->owner) = *old;
        }
    }
    free(walk->charges);
    walk->charges = bigger;
    walk->charge_capacity = capacity;
    return true;
}

void
gco_charge_to(gco_walk *walk, PyTypeObject *kind, uintptr_t owner, double objects, double bytes)
{
    gco_charge *slot = slot_of_charge(walk->charges, walk->charge_capacity, kind, owner);
    if (slot->kind == NULL) {
        if (walk->charges_used * 2 > walk->charge_capacity) {
            if (!grow_charges(walk)) {
                walk->failed = true;
                return;
            }
            slot = slot_of_charge(walk->charges, walk->charge_capacity, kind, owner);
        }
        walk->charges_used++;
        slot->kind = kind;
        slot->owner = owner;
    }
    slot->objects += objects;
    slot->bytes += bytes;
}

/* The part of the object that one reference stands for; 0 for immortal ones, which nobody holds. */
static double
share_of(const gco_edges *at, PyObject *object)
{
    Py_ssize_t refs = Py_REFCNT(object);
    if (refs >= GCO_IMMORTAL) {
        return 0;
    }
    return at->weight / (double)(refs < 1 ? 1 : refs);
}

static int see_reference(PyObject *object, void *argument);

void
gco_look_into(gco_edges *at, PyObject *object)
{
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    if (traverse != NULL) {
        (void)traverse(object, see_reference, at);
    }
}

/* A container of a container is charged to the outermost owner, and taken off the one between. */
static void
charge_container(gco_edges *at, PyObject *object, PyTypeObject *kind, double share, double bytes)
{
    gco_charge_to(at->walk, kind, at->owner, share, bytes);
    if (at->claiming) {
        gco_charge_to(at->walk, kind, (uintptr_t)Py_TYPE(at->holder), -share, -bytes);
    }
    bool owner_is_plain = at->owner == (uintptr_t)&PyDict_Type || at->owner == (uintptr_t)&PyList_Type ||
                          at->owner == (uintptr_t)&PySet_Type;
    /* What several hold is nobody's own: the globals of a module would be read once for each of its functions. */
    bool is_own = share * OWNERS_AT_MOST >= at->weight * (double)at->edge_every;
    if (!owner_is_plain && is_own && at->depth > 0) {
        /* Itself one of a sample perhaps: of a small one all is looked at, or few of few would be left. */
        unsigned long every = bytes / share > 512.0 * (double)at->edge_every ? at->edge_every : 1;
        gco_edges within = {at->walk, object, at->owner, share, every, gco_passed_over(at->walk, every) / 2, at->depth - 1, true};
        gco_look_into(&within, object);
    }
}

static int
see_reference(PyObject *object, void *argument)
{
    gco_edges *at = argument;
    if (at->edge_every > 1) {
        if (at->to_pass > 0) {
            at->to_pass--;
            return 0;
        }
        at->to_pass = gco_passed_over(at->walk, at->edge_every);
    }
    PyTypeObject *kind = gco_plain_kind(object);
    if (kind == NULL && at->claiming) {
        return 0;
    }
    bool is_container = PyType_IS_GC(Py_TYPE(object)) && PyObject_IS_GC(object);
    bool tracked = is_container && PyObject_GC_IsTracked(object);
    if (kind == NULL && tracked) {
        return 0;
    }
    double share = share_of(at, object) * (double)at->edge_every;
    if (share == 0) {
        return 0;
    }
    gco_type_entry *entry = gco_types_find(&at->walk->types, object);
    if (entry == NULL) {
        at->walk->failed = true;
        return 1;
    }
    double bytes = share * (double)gco_shallow_bytes(entry, object);
    if (!tracked && !at->claiming) {
        entry->leaf_objects += share;
        entry->leaf_bytes += bytes;
        if (is_container && at->depth > 0) {
            gco_edges within = {at->walk, object, (uintptr_t)Py_TYPE(object), share, 1, 0, at->depth - 1, false};
            gco_look_into(&within, object);
        }
    }
    size_t index = kind == NULL ? SIZE_MAX : gco_walk_place_of(at->walk, object);
    if (kind != NULL && index == SIZE_MAX) {
        charge_container(at, object, kind, share, bytes);
    }
    else if (index != SIZE_MAX && !tracked && !at->claiming) { /* a tracked one is charged where it is visited */
        gco_charge_to(at->walk, kind, gco_owner_of_name(index), share, bytes);
    }
    return at->walk->failed;
}
