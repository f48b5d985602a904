/* Every object that the collector tracks: PyUnstable_GC_VisitObjects() from 3.12 on, the collector's own lists below.
 *
 * Why not gc.get_objects() below 3.12.  Its list has to be allocated, which a cloned child must not do, and holds a
 * reference to each object: two writes to each of them, and three fifths of the time of a census.
 *
 * Why the lists may be read.  3.10 and 3.11 get no new layouts any more, and nothing is believed before it was compared.  An
 * object that was tracked this moment is the last of the youngest generation (_PyObject_GC_TRACK), so its `next` is that
 * generation's head, the first of three in the interpreter's state.  Behind them is a pointer to just this head
 * (struct _gc_runtime_state), and beside them are the thresholds and counts that gc.get_threshold() and gc.get_count() tell.
 * Where one of these differs there is no walk, and who asked is told so.
 *
 * In the middle of a collection, when a finalizer or a callback of it lets other threads run, the heads are whole: what is
 * reachable was merged, what is not is in a list of the collector's own.  gc.get_objects() sees no more than that. */
#include "tracked.h"

#if PY_VERSION_HEX >= 0x030c0000

bool
gco_tracked_find(gco_tracked *tracked)
{
    tracked->generations = NULL;
    return true;
}

void
gco_tracked_visit(const gco_tracked *Py_UNUSED(tracked), gco_visitor visit, void *context)
{
    PyUnstable_GC_VisitObjects(visit, context);
}

#else

#include <stdint.h>

#define GENERATIONS 3

/* PyGC_Head: it stands before each object. */
typedef struct head {
    const struct head *next;
    uintptr_t previous; /* with flags in it */
} head;

typedef struct {
    head head;
    int threshold, count;
} generation;

typedef struct {
    generation generations[GENERATIONS];
    const head *youngest;
} collector;

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

/* Counts first: the tuple that tells them is one object more. */
static int
is_collector(PyObject *gc, const collector *found)
{
    if (found->youngest != &found->generations[0].head) {
        return 0;
    }
    int counts[GENERATIONS], thresholds[GENERATIONS];
    for (int i = 0; i < GENERATIONS; i++) {
        counts[i] = found->generations[i].count;
        thresholds[i] = found->generations[i].threshold;
    }
    int status = agree(gc, "get_count", counts);
    return status == 1 ? agree(gc, "get_threshold", thresholds) : status;
}

bool
gco_tracked_find(gco_tracked *tracked)
{
    PyObject *gc = PyImport_ImportModule("gc"), *newest = gc == NULL ? NULL : PyList_New(0);
    int status = -1;
    if (newest != NULL) {
        tracked->generations = ((const head *)newest - 1)->next;
        status = is_collector(gc, tracked->generations);
        if (status == 0) {
            PyErr_SetString(PyExc_OSError, "the collector's lists are not where CPython has them");
        }
    }
    Py_XDECREF(newest);
    Py_XDECREF(gc);
    return status == 1;
}

void
gco_tracked_visit(const gco_tracked *tracked, gco_visitor visit, void *context)
{
    const generation *generations = tracked->generations;
    for (int i = 0; i < GENERATIONS; i++) {
        const head *end = &generations[i].head;
        for (const head *at = end->next; at != end; at = at->next) {
            __builtin_prefetch(at->next);
            if (!visit((PyObject *)(at + 1), context)) {
                return;
            }
        }
    }
}

#endif
