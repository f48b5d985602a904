/* Every object that the collector tracks, visited in one call. */
#ifndef GC_OTEL_TRACKED_H
#define GC_OTEL_TRACKED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* 0: no more of them. */
typedef int (*gco_visitor)(PyObject *object, void *context);

/* Where this interpreter's collector has its lists; NULL: CPython walks them, and holds each object while it is visited. */
typedef struct {
    const void *lists;
    bool tells_full; /* gco_tracked_full_is_due() can tell */
} gco_tracked;

/* With the GIL; makes objects, so a collection may start here and not later.  False: an exception is set. */
bool gco_tracked_find(gco_tracked *tracked);

/* The collector's lists, in the order in which they are walked: three generations, and what gc.freeze() put aside. */
enum { GCO_LIST_YOUNG, GCO_LIST_MIDDLE, GCO_LIST_OLD, GCO_LIST_FROZEN };

/* Those from the youngest to `last`; where CPython walks, it walks what it has.  The caller sees to it that nothing is made or
 * dies meanwhile: it keeps the GIL and the collector off, or is a child. */
void gco_tracked_visit(const gco_tracked *tracked, int last, gco_visitor visit, void *context);

/* Whether the next automatic collection is a full one, by CPython's own rule: its count is above its threshold, and the objects
 * that wait for their first are a quarter of those that survived the last.  False where it cannot be told. */
bool gco_tracked_full_is_due(const gco_tracked *tracked);

/* 3.14.0 to 3.14.4: an extension runs on all of 3.14. */
static inline bool
gco_is_incremental(void)
{
#if PY_VERSION_HEX >= 0x030e0000
    return Py_Version >= 0x030e0000 && Py_Version < 0x030e0500;
#else
    return false;
#endif
}

/* Whether a walk here writes to what it visits. */
PyObject *gco_walk_writes(PyObject *module, PyObject *ignored);

#endif
