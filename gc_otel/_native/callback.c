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
 * - a forked child must not write its parent's cells: own_cells() asks
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

/* The mapping's cells, or NULL: closed, or of another process. */
static inline uint64_t *
own_cells(const gco_recorder *self)
{
#ifndef Py_GIL_DISABLED
    if (self->guard != NULL) {
        return self->guard->is_open != 0 ? self->cells : NULL;
    }
#endif
    return gco_mapping_cells(self->mapping);
}

/* CPython keeps the native id of each thread, and asks for it anew in a forked child.  3.10 does not: there it costs a system call,
 * so each thread asks once, and the only thread of a forked child again, as that has a recorder of another epoch. */
static inline uint64_t
native_thread_id(const gco_recorder *self)
{
#if PY_VERSION_HEX >= 0x030B0000
    (void)self;
    return PyThreadState_Get()->native_thread_id;
#elif defined(__linux__)
    THREAD_VARIABLE struct {
        uint64_t id;
        uint16_t epoch;
    } known = {0, 0};
    if (GCO_UNLIKELY(known.epoch != self->epoch)) {
        known.id = (uint64_t)syscall(SYS_gettid);
        known.epoch = self->epoch;
    }
    return known.id;
#else
    (void)self;
    return (uint64_t)PyThread_get_thread_ident();
#endif
}

/* The first two of what gc.get_count() or gc.get_threshold() returns, 0 where there are none. */
static void
take_first_two(PyObject *function, long two[2])
{
    PyObject *tuple = PyObject_CallNoArgs(function);
    for (Py_ssize_t i = 0; i < 2; i++) {
        bool is_there = tuple != NULL && PyTuple_Check(tuple) && i < PyTuple_GET_SIZE(tuple);
        two[i] = is_there ? PyLong_AsLong(PyTuple_GET_ITEM(tuple, i)) : 0;
    }
    Py_XDECREF(tuple);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        two[0] = two[1] = 0;
    }
}

static long
count_of_young(const gco_recorder *self)
{
    long counts[2];
    take_first_two(self->get_count, counts);
    return counts[0];
}

/* From 3.12 on a collection is only noted where an object is made, and begins at the next bytecode that looks: what
 * was freed meanwhile is not counted any more.  Then CPython begins the oldest generation whose own count is above its
 * threshold, whatever that of generation 0 is by now. */
#if PY_VERSION_HEX >= 0x030c0000
#define BEGINS_LATER (!gco_is_incremental())
#else
#define BEGINS_LATER false
#endif

/* Whether the program asked for this collection: an automatic one needs gc
 * enabled and starts while the count of generation 0 is above its threshold, or its own is (CPython resets them only
 * after the start callbacks).  Of a full one its own count alone is no evidence: it stays above the threshold for long, since
 * CPython waits until the heap has grown by a quarter (tracked.c knows).  The thresholds
 * are asked again only where the cached ones speak against an automatic one.  Without a GIL it is no proof: there
 * CPython also waits until the heap has grown by a quarter, so a program's gc.collect(0) can come
 * above the threshold and is then taken for an automatic one. */
GCO_SELDOM static bool
is_below_threshold(gco_recorder *self, uint64_t generation)
{
    long counts[2];
    take_first_two(self->get_count, counts);
    bool is_early = generation == 1 && self->young_in_row <= self->thresholds[1];
    if (self->thresholds[0] <= 0 || counts[0] <= self->thresholds[0] || is_early) {
        take_first_two(self->get_threshold, self->thresholds);
    }
    bool is_due = BEGINS_LATER && ((generation == 1 && counts[1] > self->thresholds[1]) ||
                                   (generation == 2 && gco_tracked_full_is_due(&self->sampler.tracked)));
    return self->thresholds[0] <= 0 || (counts[0] <= self->thresholds[0] && !is_due);
}

/* Asking for the count took one to two microseconds inside of a Flask service on 3.11, where nothing else keeps its code in
 * the caches: more than what CPython itself pays to call back.  So young collections are asked about while the program has
 * lately been seen to call gc.collect(0) or gc.collect(1), and otherwise one in 64: the first few
 * such calls after a long time without may be taken for automatic ones.  Of generation 1 only those that come when
 * an automatic one is due: CPython begins one as soon as there were more of generation 0 than its threshold says, so
 * what comes sooner is asked about each time. */
static inline bool
is_taken_for_automatic(const gco_recorder *self, uint64_t generation, uint64_t events)
{
    if (generation > 1 || self->young_checks != 0 || events % YOUNG_SAMPLING == YOUNG_PHASE) {
        return false;
    }
    return generation == 0 || self->young_in_row > self->thresholds[1];
}

static inline bool
is_explicit(gco_recorder *self, uint64_t generation, uint64_t events)
{
    if (!PyGC_IsEnabled()) {
        return true;
    }
#ifdef Py_GIL_DISABLED
    if (generation > 0) {
        return true; /* what CPython itself begins there is of generation 0, from 3.13 to 3.15 */
    }
#endif
    if (is_taken_for_automatic(self, generation, events)) {
        return false;
    }
    bool explicit = is_below_threshold(self, generation);
    if (generation < 2) {
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

/* Whether the dict is as CPython made it: it makes one for each phase, and hands it to the callbacks in their order, so the first
 * of them has it before anybody else.  With a GIL only: elsewhere a thread that a neighbour gave the last dict to is no argument,
 * but a lock would be needed. */
static inline bool
is_untouched(const gco_recorder *self)
{
#ifdef Py_GIL_DISABLED
    (void)self;
    return false;
#else
    return PyList_GET_SIZE(self->callbacks) > 0 && PyList_GET_ITEM(self->callbacks, 0) == (PyObject *)self;
#endif
}

static inline uint64_t
generation_of(const gco_recorder *self, PyObject *dict)
{
    PyObject *first = NULL;
    Py_ssize_t position = 0;
    if (self->doubts == 0 && is_untouched(self) && PyDict_Next(dict, &position, NULL, &first)) {
        uint64_t generation = gco_count(first);
        return generation < GCO_GENERATIONS ? generation : GCO_GENERATIONS - 1;
    }
    return gco_read_generation(dict);
}

GCO_SELDOM static gco_counts
counts_by_name(gco_recorder *self, PyObject *dict)
{
    if (self->doubts == GCO_UNKNOWN && is_untouched(self) && gco_values_are_usual(dict)) {
        self->doubts = 0;
    }
    return gco_read_counts(dict);
}

/* By names until one dict was seen to be the usual one, and wherever somebody may have changed it. */
static inline gco_counts
counts_of(gco_recorder *self, PyObject *dict)
{
    PyObject *values[GCO_INFO_READ];
    if (GCO_UNLIKELY(self->doubts != 0) || !is_untouched(self) || GCO_UNLIKELY(!gco_take_values(dict, values))) {
        return counts_by_name(self, dict);
    }
    return (gco_counts){
        .collected = gco_count(values[1]),
        .uncollectable = gco_count(values[2]),
        .candidates = GCO_INFO_READ > 3 ? gco_count(values[GCO_INFO_READ - 1]) : 0,
    };
}

static inline uint64_t *
next_event(uint64_t *cells, uint64_t events)
{
    return cells + GCO_LATEST_FIRST + events % GCO_LATEST_ENTRIES * GCO_LATEST_STRIDE;
}

/* What the stop is going to write, fetched while CPython collects. */
static inline void
prefetch_for_stop(const uint64_t *cells, const uint64_t *event, uint64_t generation)
{
    const uint64_t *totals = cells + GCO_GENERATION_FIRST + generation * GCO_GENERATION_STRIDE;
    __builtin_prefetch(event, 1);
    __builtin_prefetch(event + GCO_LATEST_STRIDE - 1, 1);
    __builtin_prefetch(totals, 1);
    __builtin_prefetch(totals + GCO_GENERATION_BUCKETS, 1);
    __builtin_prefetch(totals + GCO_GENERATION_BUCKET_SUM_NS, 1);
}

GCO_SELDOM static uint64_t
seldom_now_ns(const gco_clock *clock)
{
    return gco_clock_now(clock).ns;
}

GCO_SELDOM static void
add_overhead(gco_recorder *self, uint64_t *gc, uint64_t duration_ns)
{
    uint64_t until_now_ns = gco_clock_elapsed(&self->clock, &self->since);
    uint64_t stop_cost_ns = until_now_ns > duration_ns ? until_now_ns - duration_ns : 0;
    gc[GCO_GC_OVERHEAD_NS] += (self->start_cost_ns + stop_cost_ns) * OVERHEAD_SAMPLING;
}

static inline void
record_start(gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    uint64_t *gc = cells + GCO_GC_FIRST;
    uint64_t events = gc[GCO_GC_EVENTS];
    uint64_t entered_ns = GCO_UNLIKELY(samples_overhead(events)) ? seldom_now_ns(&self->clock) : 0;
    uint64_t generation = generation_of(self, dict);
    prefetch_for_stop(cells, next_event(cells, events), generation);
    uint64_t flags = is_explicit(self, generation, events) ? GCO_EXPLICIT_FLAG : 0;
    self->young_in_row = generation > 0 ? 0 : self->young_in_row + (self->young_in_row < UINT16_MAX);
    unsigned long own = atomic_load_explicit(&self->own_thread, memory_order_relaxed);
    if (GCO_UNLIKELY(own != 0) && own == PyThread_get_thread_ident()) {
        flags |= GCO_OWN_FLAG;
    }
    if (GCO_UNLIKELY(self->sampler.due[generation]) && flags == 0) {
        entered_ns = 0; /* what that costs is told apart */
        gco_sample(&self->sampler, cells, (unsigned)generation, (uint64_t)count_of_young(self));
    }
    self->kind = generation | flags << GCO_FLAGS_SHIFT;
    gc[GCO_GC_COLLECTING_KIND] = self->kind;
    gc[GCO_GC_COLLECTING_THREAD_ID] = native_thread_id(self);
    self->since = gco_clock_now(&self->clock); /* last: our own work is not the collector's */
    gc[GCO_GC_COLLECTING_SINCE_NS] = self->since.ns;
    if (GCO_UNLIKELY(samples_overhead(events))) {
        self->start_cost_ns = entered_ns != 0 && self->since.ns > entered_ns ? self->since.ns - entered_ns : 0;
    }
}

/* Of a collection that was running when the recorder was installed. */
GCO_SELDOM static void
count_without_start(const gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    cells[GCO_GENERATION_FIRST + generation_of(self, dict) * GCO_GENERATION_STRIDE + GCO_GENERATION_NO_START]++;
}

static inline void
record_stop(gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    if (GCO_UNLIKELY(self->since.ns == 0)) {
        count_without_start(self, cells, dict);
        return;
    }
    uint64_t duration_ns = gco_clock_elapsed(&self->clock, &self->since); /* first: as true as it can be */
    uint64_t *gc = cells + GCO_GC_FIRST;
    gco_counts counts = counts_of(self, dict);
    uint64_t generation = self->kind & GENERATION_MASK;
    uint64_t *totals = cells + GCO_GENERATION_FIRST + generation * GCO_GENERATION_STRIDE;
    uint64_t before = gc[GCO_GC_EVENTS];
    uint64_t *event = next_event(cells, before);

    gco_begin_write(&gc[GCO_GC_SEQUENCE]);
    gco_fill_event(event, gc, before + 1, self->since.ns, duration_ns, self->kind, &counts);
    gco_add_to_generation(totals, duration_ns, self->kind >> GCO_FLAGS_SHIFT, &counts);
    if (GCO_UNLIKELY(duration_ns > gc[GCO_GC_LONGEST_FLOOR_NS])) {
        gco_keep_longest(cells, event);
    }
    gco_add_to_window(gc, cells[GCO_WINDOW_FIRST + GCO_WINDOW_NUMBER], duration_ns);
    gc[GCO_GC_EVENTS] = before + 1;
    gc[GCO_GC_COLLECTING_SINCE_NS] = 0;
    if (GCO_UNLIKELY(samples_overhead(before))) {
        add_overhead(self, gc, duration_ns);
    }
    gco_end_write(&gc[GCO_GC_SEQUENCE]);
    uint64_t now_ns = self->since.ns + duration_ns;
    if (GCO_UNLIKELY(now_ns >= self->sampler.attend_ns)) {
        gco_attend(&self->sampler, cells, (unsigned)generation, counts.collected, now_ns);
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
#ifdef Py_GIL_DISABLED
    /* close() takes the cells away, then waits for users to become 0. */
    atomic_fetch_add(&self->mapping->users, 1);
#endif
    uint64_t *cells = own_cells(self);
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
    atomic_fetch_sub(&self->mapping->users, 1);
#endif
    Py_RETURN_NONE;
}
