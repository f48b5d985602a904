/* The census of a cloned child (child.c): the process stands still for the clone alone, and every holder can be looked into.
 *
 * The child cannot name types: that reads objects, and makes some.  So each type and each container that has a
 * name is in a list that the parent keeps, and the child speaks of places in it.  A type that is not in it, made while the
 * list was, is told with a place beyond its end. */
#include "census.h"
#include "child.h"

#include <string.h>

#ifndef Py_GIL_DISABLED

static uint64_t
bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void
tell_types(const gco_walk *walk, int fd)
{
    for (size_t i = 0; i < walk->types.capacity; i++) {
        const gco_type_entry *entry = &walk->types.entries[i];
        if (entry->type != NULL) {
            uint64_t numbers[4] = {gco_walk_place_of(walk, (PyObject *)entry->type), entry->objects, entry->bytes, 0};
            uint64_t shares[2] = {bits_of(entry->leaf_objects), bits_of(entry->leaf_bytes)};
            gco_child_send(fd, GCO_MESSAGE_TYPE, numbers, shares, 2);
        }
    }
}

static void
tell_charges(const gco_walk *walk, int fd)
{
    for (size_t i = 0; i < walk->charge_capacity; i++) {
        const gco_charge *each = &walk->charges[i];
        if (each->kind != NULL) {
            uint64_t owner = each->owner & GCO_OWNER_IS_NAME ? each->owner >> 1
                                                             : gco_walk_place_of(walk, (PyObject *)each->owner);
            uint64_t numbers[4] = {gco_walk_place_of(walk, (PyObject *)each->kind), owner, 0, 0};
            uint64_t shares[2] = {bits_of(each->objects), bits_of(each->bytes)};
            gco_child_send(fd, GCO_MESSAGE_CHARGE, numbers, shares, 2);
        }
    }
}

typedef struct {
    gco_walk walk;
    PyObject *known;
} census;

static void
count_and_tell(void *context, int fd)
{
    gco_walk *walk = &((census *)context)->walk;
    gco_walk_know(walk, ((census *)context)->known);
    gco_walk_all(walk);
    if (walk->failed) {
        gco_child_send(fd, GCO_MESSAGE_FAILED, (uint64_t[4]){0}, NULL, 0);
        return;
    }
    tell_types(walk, fd);
    tell_charges(walk, fd);
    gco_child_send(fd, GCO_MESSAGE_END, (uint64_t[4]){walk->visited, walk->every, 0, 0}, NULL, 0);
}

PyObject *
gco_start_census(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *result = NULL;
    unsigned long every;
    unsigned seconds;
    census census;
    gco_child child;
    gco_arena arena;
    if (!PyArg_ParseTuple(args, "O!kI:start_census", &PyList_Type, &census.known, &every, &seconds)) {
        return NULL;
    }
    if (!gco_arena_map(&arena)) {
        return PyErr_NoMemory();
    }
    if (gco_walk_prepare(&census.walk, (size_t)PyList_GET_SIZE(census.known), every, &arena) &&
        gco_child_start(&child, count_and_tell, &census, "gc-otel-census", seconds)) {
        result = Py_BuildValue("(li)", child.pid, child.fd);
        if (result == NULL) {
            gco_child_give_up(&child);
        }
    }
    gco_walk_free(&census.walk);
    gco_arena_unmap(&arena);
    return result;
}

#else

/* The world would have to be stopped in the child. */
PyObject *
gco_start_census(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(args))
{
    PyErr_SetString(PyExc_OSError, "it needs a GIL");
    return NULL;
}

#endif
