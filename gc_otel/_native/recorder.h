/* The recorder: what the callback (callback.c) and the type (recorder.c) share. */
#ifndef GC_OTEL_RECORDER_H
#define GC_OTEL_RECORDER_H

#include "clock.h"
#include "sampler.h"

/* How many young collections are asked one by one whether the program called for them. */
#define GCO_YOUNG_CHECKS 1024

typedef struct {
    PyObject_HEAD
    vectorcallfunc call; /* gco_record_phase */
    gco_mapping *mapping;
    gco_clock clock;
    gco_moment since; /* start of the collection in progress, else of 0 ns */
    uint64_t kind;
    uint64_t start_cost_ns;
    atomic_ulong own_thread; /* thread whose collections are our own doing, else 0 */
    unsigned young_checks;   /* young collections still to be asked about one by one */
    atomic_bool retired;     /* the tombstone: installed, but to do nothing */
    bool probed;             /* a retired callback was called */
    bool installed;          /* stands in gc.callbacks, unless somebody took it out */
    bool by_hand;            /* called by somebody else than CPython, with whatever dict */
    bool is_usual;           /* CPython's dicts are known to be as gco_values_are_usual() wants them */
    long threshold;          /* of generation 0, when last asked */
    PyObject *callbacks;     /* the list gc.callbacks */
    PyObject *collect;       /* gc.collect */
    PyObject *get_count;     /* gc.get_count */
    PyObject *get_threshold; /* gc.get_threshold */
    gco_sampler sampler;
} gco_recorder;

/* recorder(phase, info), as gc.callbacks wants it.  Never raises. */
PyObject *gco_record_phase(PyObject *recorder, PyObject *const *args, size_t count, PyObject *names);

/* For the recorder of a forked child, whose only thread has a new native id. */
void gco_forget_thread_ids(void);

#endif
