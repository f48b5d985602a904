/* HAZARD ZONE 1: the gc callback.
 *
 * CPython calls gco_record_phase() twice for every collection, in whatever thread
 * happened to allocate, with locks of any library held below it.  Therefore:
 *
 * - no lock is taken, nothing is logged, nothing is imported, no container is
 *   made, no Python code runs.  (An OpenTelemetry histogram recorded here
 *   hangs the process: its Lock may be held by the very frame that allocated.)
 * - one writer: CPython runs callbacks under the interpreter's `collecting`
 *   flag, free-threaded builds included, so no two calls overlap and a
 *   collection inside the callback cannot start another.  Only this file writes
 *   the gc, generation, latest and longest blocks.
 * - C does not honour GIL requests or signals on entry, which a Python
 *   callback does before it can read a clock (+5 ms for each waiting thread), and a
 *   KeyboardInterrupt cannot be raised, and so swallowed, inside it.
 * - it is the recorder's own vectorcall: a method would be called through CPython's check
 *   for recursion, which on 3.10 refuses C functions too and so lost collections at the limit.
 * - a forked child must not write its parent's cells: gco_mapping_cells() asks
 *   the guard page first.
 */
#include "recorder.h"

#include "cells.h"

#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* One collection in this many pays two more clock reads to estimate our own cost. */
#define OVERHEAD_SAMPLING 64

/* One young collection in this many is asked whether the program called for it, and never the
 * one whose cost is measured, which stands for 63 that are not asked. */
#define YOUNG_SAMPLING 64
#define YOUNG_PHASE 32

#define GENERATION_MASK ((1u << GCO_FLAGS_SHIFT) - 1)

/* A fixed offset from the thread pointer instead of a call.  glibc keeps room for such variables
 * of libraries that are loaded late; musl does not, and would refuse the library. */
#ifdef __GLIBC__
#define THREAD_VARIABLE static _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define THREAD_VARIABLE static _Thread_local
#endif

static atomic_uint thread_id_epoch;

void
gco_forget_thread_ids(void)
{
    atomic_fetch_add(&thread_id_epoch, 1);
}

/* The native thread id costs a system call, so each thread asks once. */
static inline uint64_t
native_thread_id(void)
{
#ifdef __linux__
    THREAD_VARIABLE struct {
        uint64_t id;
        unsigned epoch;
    } known = {0, (unsigned)-1};
    unsigned now = atomic_load_explicit(&thread_id_epoch, memory_order_relaxed);
    if (GCO_UNLIKELY(known.epoch != now)) {
        known.id = (uint64_t)syscall(SYS_gettid);
        known.epoch = now;
    }
    return known.id;
#else
    return (uint64_t)PyThread_get_thread_ident();
#endif
}

static long
first_of(PyObject *function)
{
    PyObject *tuple = PyObject_CallNoArgs(function);
    long first = 0;
    if (tuple != NULL && PyTuple_Check(tuple) && PyTuple_GET_SIZE(tuple) > 0) {
        first = PyLong_AsLong(PyTuple_GET_ITEM(tuple, 0));
    }
    Py_XDECREF(tuple);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return first;
}

/* Whether the program asked for this collection: an automatic one needs gc
 * enabled and starts, on every version, while the count of generation 0 is above its
 * threshold (CPython resets it only after the start callbacks).  The threshold
 * is asked again only where the cached one says "explicit".  Without a GIL it is no proof: there
 * CPython also waits until the heap has grown by a quarter, so a program's gc.collect(0) can come
 * above the threshold and is then taken for an automatic one. */
GCO_SELDOM static bool
is_below_threshold(gco_recorder *self)
{
    long count = first_of(self->get_count);
    if (self->threshold > 0 && count > self->threshold) {
        return false;
    }
    self->threshold = first_of(self->get_threshold);
    return self->threshold <= 0 || count <= self->threshold;
}

/* Asking for the count costs about 150 ns, a third of what CPython itself pays
 * to call back; that is nothing for an older generation and too much for the
 * youngest.  So young collections are asked about while the program has
 * lately been seen to call gc.collect(0), and otherwise one in 64: the first few
 * such calls after a long time without may be taken for automatic ones. */
static inline bool
is_explicit(gco_recorder *self, uint64_t generation, uint64_t events)
{
    if (!PyGC_IsEnabled()) {
        return true;
    }
    if (generation == 0 && self->young_checks == 0 && events % YOUNG_SAMPLING != YOUNG_PHASE) {
        return false;
    }
#ifdef Py_GIL_DISABLED
    if (generation > 0) {
        return true; /* what CPython itself begins there is of generation 0, from 3.13 to 3.15 */
    }
#endif
    bool explicit = is_below_threshold(self);
    if (generation == 0) {
        if (explicit) {
            self->young_checks = GCO_YOUNG_CHECKS;
        }
        else if (self->young_checks > 0) {
            self->young_checks--;
        }
    }
    return explicit;
}

static inline bool
samples_overhead(uint64_t events)
{
    return events % OVERHEAD_SAMPLING == 0;
}

/* Whether the garbage cycles of the collection that begins are looked at: of an automatic one that is due, unless
 * there are so many young objects that listing them would take long. */
static inline bool
is_sampled(gco_recorder *self, uint64_t generation, uint64_t flags)
{
    const gco_sampler *sampler = &self->sampler;
    return sampler->wanted && generation < GCO_SAMPLED && flags == 0 && sampler->due[generation] &&
           (uint64_t)first_of(self->get_count) <= sampler->objects_most;
}

/* Whether nobody has had the dict before: CPython makes one for each phase, and hands it to the callbacks in their order.
 * With a GIL only: elsewhere a thread that a neighbour gave the last dict to is no argument, but a lock would be needed. */
static inline bool
is_first(const gco_recorder *self)
{
#ifdef Py_GIL_DISABLED
    (void)self;
    return false;
#else
    return !self->by_hand && PyList_GET_SIZE(self->callbacks) > 0 &&
           PyList_GET_ITEM(self->callbacks, 0) == (PyObject *)self;
#endif
}

static inline uint64_t
generation_of(const gco_recorder *self, PyObject *dict)
{
    PyObject *first = NULL;
    if (self->is_usual && is_first(self) && PyDict_Type.tp_traverse(dict, gco_take_first, &first) != 0) {
        uint64_t generation = gco_count(first);
        return generation < GCO_GENERATIONS ? generation : GCO_GENERATIONS - 1;
    }
    return gco_read_generation(dict);
}

/* By names until one dict was seen to be the usual one, and wherever somebody may have changed it. */
static inline gco_counts
counts_of(gco_recorder *self, PyObject *dict)
{
    gco_values taken;
    bool first = is_first(self);
    if (self->is_usual && first && gco_take_values(dict, &taken)) {
        return (gco_counts){
            .collected = gco_count(taken.values[1]),
            .uncollectable = gco_count(taken.values[2]),
            .candidates = GCO_INFO_READ > 3 ? gco_count(taken.values[GCO_INFO_READ - 1]) : 0,
        };
    }
    self->is_usual = self->is_usual || (first && gco_values_are_usual(dict));
    return gco_read_counts(dict);
}

static inline void
record_start(gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    uint64_t *gc = cells + GCO_GC_FIRST;
    uint64_t events = gc[GCO_GC_EVENTS];
    uint64_t entered_ns = GCO_UNLIKELY(samples_overhead(events)) ? gco_clock_now(&self->clock).ns : 0;
    uint64_t generation = generation_of(self, dict);
    uint64_t flags = is_explicit(self, generation, events) ? GCO_EXPLICIT_FLAG : 0;
    unsigned long own = atomic_load_explicit(&self->own_thread, memory_order_relaxed);
    if (GCO_UNLIKELY(own != 0) && own == PyThread_get_thread_ident()) {
        flags |= GCO_OWN_FLAG;
    }
    if (GCO_UNLIKELY(is_sampled(self, generation, flags))) {
        entered_ns = 0; /* what that costs is told apart */
        gco_sample(&self->sampler, cells, (unsigned)generation);
    }
    self->kind = generation | flags << GCO_FLAGS_SHIFT;
    gc[GCO_GC_COLLECTING_KIND] = self->kind;
    gc[GCO_GC_COLLECTING_THREAD_ID] = native_thread_id();
    self->since = gco_clock_now(&self->clock); /* last: our own work is not the collector's */
    gc[GCO_GC_COLLECTING_SINCE_NS] = self->since.ns;
    self->start_cost_ns = entered_ns != 0 && self->since.ns > entered_ns ? self->since.ns - entered_ns : 0;
}

static inline void
record_stop(gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    uint64_t *gc = cells + GCO_GC_FIRST;
    uint64_t *generations = cells + GCO_GENERATION_FIRST;
    if (GCO_UNLIKELY(self->since.ns == 0)) { /* installed while a collection was running */
        generations[generation_of(self, dict) * GCO_GENERATION_STRIDE + GCO_GENERATION_NO_START]++;
        return;
    }
    uint64_t duration_ns = gco_clock_elapsed(&self->clock, &self->since); /* first: as true as it can be */
    gco_counts counts = counts_of(self, dict);
    uint64_t *generation = generations + (self->kind & GENERATION_MASK) * GCO_GENERATION_STRIDE;
    uint64_t before = gc[GCO_GC_EVENTS];
    uint64_t *event = cells + GCO_LATEST_FIRST + before % GCO_LATEST_ENTRIES * GCO_LATEST_STRIDE;

    gco_begin_write(&gc[GCO_GC_SEQUENCE]);
    gco_fill_event(event, gc, before + 1, self->since.ns, duration_ns, self->kind, &counts);
    gco_add_to_generation(generation, duration_ns, self->kind >> GCO_FLAGS_SHIFT, &counts);
    if (GCO_UNLIKELY(duration_ns > gc[GCO_GC_LONGEST_FLOOR_NS])) {
        gco_keep_longest(cells, event);
    }
    gco_add_to_window(gc, cells[GCO_MONITOR_FIRST + GCO_MONITOR_WINDOW], duration_ns);
    gc[GCO_GC_EVENTS] = before + 1;
    gc[GCO_GC_COLLECTING_SINCE_NS] = 0;
    if (GCO_UNLIKELY(samples_overhead(before))) {
        uint64_t until_now_ns = gco_clock_elapsed(&self->clock, &self->since);
        uint64_t stop_cost_ns = until_now_ns > duration_ns ? until_now_ns - duration_ns : 0;
        gc[GCO_GC_OVERHEAD_NS] += (self->start_cost_ns + stop_cost_ns) * OVERHEAD_SAMPLING;
    }
    gco_end_write(&gc[GCO_GC_SEQUENCE]);
    uint64_t number = self->kind & GENERATION_MASK;
    if (self->sampler.wanted && number < GCO_SAMPLED) {
        gco_weigh(&self->sampler, cells, (unsigned)number, counts.collected, self->since.ns + duration_ns);
    }
    self->since.ns = 0;
}

PyObject *
gco_record_phase(PyObject *recorder, PyObject *const *args, size_t count, PyObject *Py_UNUSED(names))
{
    gco_recorder *self = (gco_recorder *)recorder;
    if (PyVectorcall_NARGS(count) != 2 || !PyUnicode_Check(args[0]) || !PyDict_Check(args[1])) {
        Py_RETURN_NONE;
    }
    gco_mapping *mapping = self->mapping;
#ifdef Py_GIL_DISABLED
    /* close() takes the cells away, then waits for users to become 0. */
    atomic_fetch_add(&mapping->users, 1);
#endif
    uint64_t *cells = gco_mapping_cells(mapping);
    if (GCO_UNLIKELY(atomic_load_explicit(&self->retired, memory_order_acquire))) {
        self->since.ns = 0; /* the collection that uninstall() met is over, or a later one begins */
        self->probed = true;
    }
    else if (cells != NULL) {
        if (PyUnicode_GET_LENGTH(args[0]) == 5) { /* start, not stop */
            record_start(self, cells, args[1]);
        }
        else {
            record_stop(self, cells, args[1]);
        }
    }
#ifdef Py_GIL_DISABLED
    atomic_fetch_sub(&mapping->users, 1);
#endif
    Py_RETURN_NONE;
}
