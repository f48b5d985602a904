/* A job that a cloned child does, and how it tells of it: child.c says what it may do, and why. */
#ifndef GC_OTEL_CHILD_H
#define GC_OTEL_CHILD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>

/* Kinds of messages; heap/child.py has them too. */
#define GCO_MESSAGE_PROGRESS 1
#define GCO_MESSAGE_GROUP 2
#define GCO_MESSAGE_END 3
#define GCO_MESSAGE_FAILED 4
#define GCO_MESSAGE_TYPE 5
#define GCO_MESSAGE_CHARGE 6
#define GCO_MESSAGE_NAME 7

typedef void (*gco_child_job)(void *context, int fd);

typedef struct {
    long pid;
    int fd; /* what the child says is read from it */
} gco_child;

/* With the GIL.  False: an exception is set, and there is no child. */
bool gco_child_start(gco_child *child, gco_child_job job, void *context, const char *name, unsigned seconds);

/* When nobody is going to read what it says. */
void gco_child_give_up(const gco_child *child);

/* In the child: a message of four numbers and `count` more; ends it where nobody reads any more. */
void gco_child_send(int fd, uint64_t kind, const uint64_t numbers[4], const uint64_t *more, size_t count);

PyObject *gco_start_cycles(PyObject *module, PyObject *args);
PyObject *gco_start_census(PyObject *module, PyObject *args);
PyObject *gco_read_child(PyObject *module, PyObject *args);
PyObject *gco_end_child(PyObject *module, PyObject *args);

#endif
