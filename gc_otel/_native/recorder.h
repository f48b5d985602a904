/* The recorder: what the callback (callback.c) and the type (recorder.c) share. */
#ifndef GC_OTEL_RECORDER_H
#define GC_OTEL_RECORDER_H

#include "clock.h"
#include "sampler.h"

/* How many young collections are asked one by one whether the program called for them. */
#define GCO_YOUNG_CHECKS 1024

/* Why a dict is read by its keys, and not by its order. */
#define GCO_UNKNOWN 1u /* none of CPython's was found yet to be as gco_values_are_usual() wants it */
#define GCO_BY_HAND 2u /* the caller is somebody else than CPython, and the dict whatever it is */

/* What every collection asks for comes first, in a little more than two lines: the collector has just been through all of the caches, and
 * each line that the callback touches is fetched from memory again, for up to a hundred nanoseconds. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call; /* gco_record_phase */
    uint64_t *cells;     /* the mapping's while it is open: ask own_cells() */
    volatile gco_guard *guard;
    PyObject *callbacks; /* the list gc.callbacks */
    gco_moment since;    /* start of the collection in progress, else of 0 ns */

    gco_clock clock;
    uint64_t kind;
    uint16_t epoch;        /* another one for every recorder, a forked child's included */
    uint16_t young_in_row; /* collections of generation 0 since the last of an older one */
    uint16_t young_checks; /* young collections still to be asked about one by one */
    atomic_bool retired;   /* the tombstone: installed, but to do nothing */
    uint8_t doubts;        /* GCO_UNKNOWN, GCO_BY_HAND */

    atomic_ulong own_thread; /* thread whose collections are our own doing, else 0 */
    gco_sampler sampler;

    gco_mapping *mapping;
    uint64_t start_cost_ns;
    bool probed;             /* a retired callback was called */
    bool installed;          /* stands in gc.callbacks, unless somebody took it out */
    long thresholds[2];      /* of generations 0 and 1, when last asked */
    PyObject *collect;       /* gc.collect */
    PyObject *get_count;     /* gc.get_count */
    PyObject *get_threshold; /* gc.get_threshold */
} gco_recorder;

/* recorder(phase, info), as gc.callbacks wants it.  Never raises. */
PyObject *gco_record_phase(PyObject *recorder, PyObject *const *args, size_t count, PyObject *names);

#endif
