/* Every object that the collector tracks, visited in one call. */
#ifndef GC_OTEL_TRACKED_H
#define GC_OTEL_TRACKED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

/* 0: no more of them. */
typedef int (*gco_visitor)(PyObject *object, void *context);

/* Where this interpreter's collector keeps them: nothing has to be known from 3.12 on. */
typedef struct {
    const void *generations;
} gco_tracked;

/* With the GIL; makes objects, so a collection may start here and not later.  False: an exception is set. */
bool gco_tracked_find(gco_tracked *tracked);

/* The caller sees to it that nothing is made or dies meanwhile: it keeps the GIL and the collector off, or is a child. */
void gco_tracked_visit(const gco_tracked *tracked, gco_visitor visit, void *context);

#endif
