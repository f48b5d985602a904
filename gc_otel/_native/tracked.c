/* Every object that the collector tracks, by the collector's own lists.
 *
 * Why not PyUnstable_GC_VisitObjects(), which 3.12 and later have.  It holds each object while it is visited: two writes to
 * each of them, so that a cloned child copies the whole heap; and up to 3.13 it passes over what gc.freeze() put aside.
 * Why not gc.get_objects().  Its list holds a reference to each object too, and has to be allocated, which a child must not do.
 *
 * Why the lists may be read.  Nothing is believed before it was compared.  An object that was tracked this moment is the
 * last of the youngest generation (_PyObject_GC_TRACK), so its `next` is that generation's head: the first of three in the
 * interpreter's state (struct _gc_runtime_state), and behind them, up to 3.13 with a pointer to just this head between, is
 * that of the frozen objects.  The pointer has to be there, the thresholds and counts beside the heads have to be those
 * that gc.get_threshold() and gc.get_count() tell, and each head has to be its neighbours' neighbour.  Before the numbers
 * agree nothing is read but the state, some hundred bytes from the head on, and it is longer than that.  Where one thing differs
 * CPython walks; below 3.12 nothing does, and who asked is told so.  The incremental collector of 3.14.0 to 3.14.4 has lists
 * that look alike and mean something else: there CPython walks.
 *
 * In the middle of a collection, when a finalizer or a callback of it lets other threads run, the lists are whole: what is
 * reachable was merged, what is not is in a list of the collector's own.  gc.get_objects() sees no more than that.
 *
 * Without a GIL there are no such lists. */
#include "tracked.h"

#include <stdint.h>

#define GENERATIONS 3

/* PyGC_Head: it stands before each object.  Both are pointers, with marks in their lowest bits during a collection. */
typedef struct {
    uintptr_t next, previous;
} head;

typedef struct {
    head head;
    int threshold, count;
} generation;

/* struct _gc_runtime_state from its generations on.  What stands behind the frozen ones serves gco_tracked_full_is_due() alone,
 * which the gc callback asks: it only reads, and the state lives as long as the interpreter. */
typedef struct {
    generation generations[GENERATIONS];
#if PY_VERSION_HEX < 0x030e0000
    const head *youngest;
#endif
    generation frozen;
#if PY_VERSION_HEX >= 0x030c0000 && PY_VERSION_HEX < 0x03100000
#define HAS_LONG_LIVED
#if PY_VERSION_HEX < 0x030f0000
    Py_ssize_t stats[3 * GENERATIONS];
    int collecting;
#else
    void *stats;
    int collecting;
    void *frame;
#endif
    PyObject *garbage, *callbacks;
#if PY_VERSION_HEX >= 0x030e0000
    Py_ssize_t heap_size;
#endif
#if PY_VERSION_HEX >= 0x030e0000 && PY_VERSION_HEX < 0x030f0000
    Py_ssize_t unused_size;
    int unused[2];
#endif
    Py_ssize_t long_lived_total, long_lived_pending;
#endif
} collector;

static inline const head *
unmarked(uintptr_t pointer)
{
    return (const head *)(pointer & ~(uintptr_t)3);
}

#ifndef Py_GIL_DISABLED

/* Whether the three numbers are what gc's function tells: -1 with an exception. */
static int
agree(PyObject *gc, const char *function, const int numbers[GENERATIONS])
{
    int told[GENERATIONS];
    PyObject *answer = PyObject_CallMethod(gc, function, NULL);
    if (answer == NULL) {
        return -1;
    }
    int status = PyArg_Parse(answer, "(iii)", &told[0], &told[1], &told[2]) ? 1 : -1;
    Py_DECREF(answer);
    return status == 1 ? told[0] == numbers[0] && told[1] == numbers[1] && told[2] == numbers[2] : status;
}

static bool
is_list(const head *list)
{
    return unmarked(unmarked(list->previous)->next) == list && unmarked(unmarked(list->next)->previous) == list;
}

/* Counts first: the tuple that tells them is one object more.  No pointer is followed before the numbers agree. */
static int
is_collector(PyObject *gc, const collector *found)
{
#if PY_VERSION_HEX < 0x030e0000
    if (found->youngest != &found->generations[0].head) {
        return 0;
    }
#endif
    int counts[GENERATIONS], thresholds[GENERATIONS];
    for (int i = 0; i < GENERATIONS; i++) {
        counts[i] = found->generations[i].count;
        thresholds[i] = found->generations[i].threshold;
    }
    int status = agree(gc, "get_count", counts);
    status = status == 1 ? agree(gc, "get_threshold", thresholds) : status;
    if (status != 1) {
        return status;
    }
    bool are_lists = is_list(&found->frozen.head);
    for (int i = 0; i < GENERATIONS; i++) {
        are_lists = are_lists && is_list(&found->generations[i].head);
    }
    return are_lists;
}

/* Whether the two lists that `gc` shows stand where the numbers are that a full collection depends on. */
static bool
has_long_lived(PyObject *gc, const collector *found)
{
    bool is_there = false;
#ifdef HAS_LONG_LIVED
    PyObject *garbage = PyObject_GetAttrString(gc, "garbage"), *callbacks = PyObject_GetAttrString(gc, "callbacks");
    is_there = garbage != NULL && found->garbage == garbage && found->callbacks == callbacks;
    Py_XDECREF(garbage);
    Py_XDECREF(callbacks);
    PyErr_Clear();
#else
    (void)gc;
    (void)found;
#endif
    return is_there;
}

bool
gco_tracked_full_is_due(const gco_tracked *tracked)
{
#ifdef HAS_LONG_LIVED
    if (!tracked->tells_full) {
        return false;
    }
    const collector *found = tracked->lists;
    const generation *oldest = &found->generations[GCO_LIST_OLD];
    return oldest->count > oldest->threshold && found->long_lived_pending >= found->long_lived_total / 4;
#else
    (void)tracked;
    return false;
#endif
}

bool
gco_tracked_find(gco_tracked *tracked)
{
    *tracked = (gco_tracked){NULL, false};
    if (gco_is_incremental()) {
        return true;
    }
    PyObject *gc = PyImport_ImportModule("gc"), *newest = gc == NULL ? NULL : PyList_New(0);
    int status = -1;
    if (newest != NULL) {
        tracked->lists = unmarked(((const head *)newest - 1)->next);
        status = is_collector(gc, tracked->lists);
        tracked->tells_full = status == 1 && has_long_lived(gc, tracked->lists);
    }
    if (status == 0) {
        tracked->lists = NULL;
#if PY_VERSION_HEX < 0x030c0000
        PyErr_SetString(PyExc_OSError, "the collector's lists are not where CPython has them");
        status = -1;
#endif
    }
    Py_XDECREF(newest);
    Py_XDECREF(gc);
    return status >= 0;
}

#else

bool
gco_tracked_find(gco_tracked *tracked)
{
    *tracked = (gco_tracked){NULL, false};
    return true;
}

bool
gco_tracked_full_is_due(const gco_tracked *Py_UNUSED(tracked))
{
    return false;
}

#endif

void
gco_tracked_visit(const gco_tracked *tracked, int last, gco_visitor visit, void *context)
{
    const collector *found = tracked->lists;
#if PY_VERSION_HEX >= 0x030c0000
    if (found == NULL) {
        PyUnstable_GC_VisitObjects(visit, context);
        return;
    }
#endif
    for (int i = 0; i <= last; i++) {
        const head *list = i == GCO_LIST_FROZEN ? &found->frozen.head : &found->generations[i].head;
        for (const head *at = unmarked(list->next), *next; at != list; at = next) {
            next = unmarked(at->next);
            __builtin_prefetch(next);
            if (!visit((PyObject *)(at + 1), context)) {
                return;
            }
        }
    }
}

PyObject *
gco_walk_writes(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    gco_tracked tracked;
    return gco_tracked_find(&tracked) ? PyBool_FromLong(tracked.lists == NULL) : NULL;
}
