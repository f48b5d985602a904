/* Pointers to all that the collector examines, and the types of them.  Why it is safe: garbage.h. */
#include "garbage.h"
#include "tracked.h"

static int
gather(PyObject *object, void *argument)
{
    gco_heap *heap = argument;
    gco_type_entry *entry = gco_types_find(&heap->types, object);
    if (entry == NULL || heap->count >= GCO_NO_NODE - 1 ||
        !gco_arena_grow_last(&heap->arena, heap->objects, ((size_t)heap->count + 1) * sizeof(PyObject *))) {
        heap->failure = GCO_NO_ROOM;
        return 0;
    }
    heap->objects[heap->count++] = object;
    return 1;
}

#if PY_VERSION_HEX >= 0x030c0000
static Py_ssize_t
length_of_all(PyObject *gc)
{
    PyObject *list = PyObject_CallMethod(gc, "get_objects", NULL);
    Py_ssize_t length = list == NULL ? -1 : PyList_GET_SIZE(list);
    Py_XDECREF(list); /* nobody ran since it was made */
    return length;
}

/* Where CPython walks it may come to what is frozen.  Then that is last: 3.12.1 and 3.13.0 pass it over, 3.15.2 does not, so
 * the first walk with something frozen finds out. */
static bool
gather_as_cpython_walks(gco_heap *heap, const gco_tracked *tracked, PyObject *gc)
{
    static enum { UNKNOWN, VISITED, PASSED_OVER } frozen_ones = UNKNOWN;
    PyObject *frozen = PyObject_CallMethod(gc, "get_freeze_count", NULL);
    Py_ssize_t count = frozen == NULL ? -1 : PyLong_AsSsize_t(frozen);
    Py_XDECREF(frozen);
    Py_ssize_t listed = count > 0 && frozen_ones == UNKNOWN ? length_of_all(gc) : 0;
    if (count < 0 || listed < 0) {
        return false;
    }
    gco_tracked_visit(tracked, GCO_LIST_OLD, gather, heap);
    if (count > 0 && frozen_ones == UNKNOWN) {
        frozen_ones = (Py_ssize_t)heap->count >= listed + (count + 1) / 2 ? VISITED : PASSED_OVER;
    }
    if (frozen_ones == VISITED) {
        heap->count -= (uint32_t)((uint64_t)count < heap->count ? (uint64_t)count : heap->count);
    }
    return true;
}
#endif

/* What gc.freeze() put aside is left out, as the collector leaves it out. */
static bool
gather_all(gco_heap *heap, PyObject *gc)
{
    gco_tracked tracked;
    if (!gco_tracked_find(&tracked)) {
        return false;
    }
#if PY_VERSION_HEX >= 0x030c0000
    if (tracked.lists == NULL) {
        return gather_as_cpython_walks(heap, &tracked, gc);
    }
#endif
    gco_tracked_visit(&tracked, GCO_LIST_OLD, gather, heap);
    return true;
}

bool
gco_heap_gather(gco_heap *heap, PyObject *gc)
{
    *heap = (gco_heap){0};
    if (!gco_sizes_prepare()) {
        return false;
    }
    if (!gco_types_init(&heap->types) || !gco_arena_map(&heap->arena)) {
        PyErr_NoMemory();
        return false;
    }
    heap->objects = gco_arena_take(&heap->arena, 0);
    if (!gather_all(heap, gc)) {
        return false;
    }
    if (heap->failure != NULL || !gco_types_seal(&heap->types)) {
        PyErr_SetString(PyExc_MemoryError, GCO_NO_ROOM);
        return false;
    }
    return true;
}

void
gco_heap_free(gco_heap *heap)
{
    gco_types_free(&heap->types);
    gco_arena_unmap(&heap->arena);
}
