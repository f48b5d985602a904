/* Pointers to all that the collector examines, and the types of them.  Why it is safe: garbage.h. */
#include "garbage.h"

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
/* What gc's function tells: -1 with an exception. */
static Py_ssize_t
ask_gc(const char *function, Py_ssize_t (*number_of)(PyObject *))
{
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *answer = gc == NULL ? NULL : PyObject_CallMethod(gc, function, NULL);
    Py_ssize_t number = answer == NULL ? -1 : number_of(answer);
    Py_XDECREF(answer); /* of a list of objects, no last reference: nobody ran since it was made */
    Py_XDECREF(gc);
    return number;
}

/* Where CPython walks it may come to what is frozen.  Then that is last: 3.12.1 and 3.13.0 pass it over, 3.15.2 does not, so
 * the first walk with something frozen finds out. */
static bool
gather_as_cpython_walks(gco_heap *heap)
{
    static enum { UNKNOWN, VISITED, PASSED_OVER } frozen_ones = UNKNOWN;
    Py_ssize_t count = ask_gc("get_freeze_count", PyLong_AsSsize_t);
    Py_ssize_t listed = count > 0 && frozen_ones == UNKNOWN ? ask_gc("get_objects", PyObject_Length) : 0;
    if (count < 0 || listed < 0) {
        return false;
    }
    gco_tracked_visit(&heap->tracked, GCO_LIST_OLD, gather, heap);
    if (count > 0 && frozen_ones == UNKNOWN) {
        frozen_ones = (Py_ssize_t)heap->count >= listed + (count + 1) / 2 ? VISITED : PASSED_OVER;
    }
    if (frozen_ones == VISITED) {
        heap->count -= (uint32_t)((uint64_t)count < heap->count ? (uint64_t)count : heap->count);
    }
    return true;
}
#endif

bool
gco_heap_prepare(gco_heap *heap, size_t types_most)
{
    *heap = (gco_heap){0};
    if (!gco_sizes_prepare() || !gco_tracked_find(&heap->tracked)) {
        return false;
    }
    bool have_types = gco_arena_map(&heap->arena) &&
                      (types_most > 0 ? gco_types_init_in(&heap->types, &heap->arena, types_most) : gco_types_init(&heap->types));
    if (!have_types) {
        PyErr_NoMemory();
    }
    return have_types;
}

/* What gc.freeze() put aside is left out, as the collector leaves it out. */
static bool
gather_all(gco_heap *heap)
{
#if PY_VERSION_HEX >= 0x030c0000
    if (heap->tracked.lists == NULL) {
        return gather_as_cpython_walks(heap);
    }
#endif
    gco_tracked_visit(&heap->tracked, GCO_LIST_OLD, gather, heap);
    return true;
}

bool
gco_heap_gather(gco_heap *heap)
{
    heap->objects = gco_arena_take(&heap->arena, 0);
    if (!gather_all(heap)) {
        return false;
    }
    if (heap->failure == NULL && !gco_types_seal(&heap->types)) {
        heap->failure = GCO_NO_ROOM;
    }
    return heap->failure == NULL;
}

void
gco_heap_free(gco_heap *heap)
{
    gco_types_free(&heap->types);
    gco_arena_unmap(&heap->arena);
}
