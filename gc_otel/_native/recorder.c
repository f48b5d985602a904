/* HAZARD ZONE 1: the gc callback.
 *
 * CPython calls record_phase() twice for every collection, in whatever thread
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
 * - a forked child must not write its parent's cells: gco_mapping_cells() asks
 *   the guard page first.
 */
#include "native.h"

#include <pthread.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* One collection in this many pays two more clock reads to estimate our own cost. */
#define OVERHEAD_SAMPLING 64

/* How young collections are asked whether the program called for them. */
#define YOUNG_SAMPLING 64
#define YOUNG_CHECKS 1024

/* More objects than an address space holds: nonsense of a neighbour's. */
#define GCO_COUNT_LIMIT (1ull << 48)

typedef struct {
    PyObject_HEAD
    gco_mapping *mapping;
    PyObject *callbacks;     /* the list gc.callbacks */
    PyObject *callback;      /* what stands in it; NULL when not installed */
    PyObject *collect;       /* gc.collect */
    PyObject *get_count;     /* gc.get_count */
    PyObject *get_threshold; /* gc.get_threshold */
    long threshold;          /* of generation 0, when last asked */
    uint64_t since_ns;       /* start of the collection in progress, else 0 */
    uint64_t kind;
    uint64_t start_cost_ns;
    unsigned young_checks;   /* young collections still to be asked about one by one */
    atomic_ulong own_thread; /* thread whose collections are our own doing, else 0 */
    atomic_bool retired;     /* the tombstone: installed, but to do nothing */
    bool probed;             /* a retired callback was called */
} gco_recorder;

typedef struct {
    long generation;
    uint64_t collected, uncollectable, candidates;
} gc_info;

static const uint64_t bounds_ns[GCO_BUCKETS - 1] = GCO_DURATION_BOUNDS_NS;

static inline unsigned
bucket_of(uint64_t duration_ns)
{
    unsigned bucket = 0;
    while (bucket < GCO_BUCKETS - 1 && duration_ns > bounds_ns[bucket]) {
        bucket++;
    }
    return bucket;
}

/* The native thread id costs a system call, so each thread asks once.  A forked
 * child's only thread has a new one: the recorder of the child bumps the epoch. */
static atomic_uint thread_id_epoch;

static inline uint64_t
native_thread_id(void)
{
#ifdef __linux__
    static _Thread_local uint64_t id;
    static _Thread_local unsigned epoch = (unsigned)-1;
    unsigned now = atomic_load_explicit(&thread_id_epoch, memory_order_relaxed);
    if (epoch != now) {
        id = (uint64_t)syscall(SYS_gettid);
        epoch = now;
    }
    return id;
#else
    return (uint64_t)PyThread_get_thread_ident();
#endif
}

static inline uint64_t
as_count(PyObject *value)
{
    if (!PyLong_Check(value)) {
        return 0;
    }
    Py_ssize_t count = PyLong_AsSsize_t(value);
    if (count < 0) {
        PyErr_Clear();
        return 0;
    }
    return (uint64_t)count < GCO_COUNT_LIMIT ? (uint64_t)count : 0;
}

static inline bool
key_is(PyObject *key, const char *name, size_t length)
{
    return (size_t)PyUnicode_GET_LENGTH(key) == length && PyUnicode_IS_COMPACT_ASCII(key) &&
           memcmp(PyUnicode_DATA(key), name, length) == 0;
}
#define KEY_IS(key, name) key_is(key, name, sizeof(name) - 1)

/* Walk the dict instead of looking keys up: CPython builds its keys anew for
 * every phase, so a lookup would hash and compare strings.  The dict is shared with
 * other callbacks, who may have put anything into it: what is not known is passed over. */
static gc_info
walk_info(PyObject *dict, bool generation_only)
{
    gc_info info = {0, 0, 0, 0};
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!PyUnicode_Check(key)) {
            continue;
        }
        if (KEY_IS(key, "generation")) {
            uint64_t generation = as_count(value);
            info.generation = generation < GCO_GENERATIONS ? (long)generation : GCO_GENERATIONS - 1;
            if (generation_only) {
                break;
            }
        }
        else if (KEY_IS(key, "collected")) {
            info.collected = as_count(value);
        }
        else if (KEY_IS(key, "uncollectable")) {
            info.uncollectable = as_count(value);
        }
        else if (KEY_IS(key, "candidates")) {
            info.candidates = as_count(value);
        }
    }
    return info;
}

static inline gc_info
read_info(PyObject *dict, bool generation_only)
{
    gc_info info;
#ifdef Py_GIL_DISABLED
    Py_BEGIN_CRITICAL_SECTION(dict);
#endif
    info = walk_info(dict, generation_only);
#ifdef Py_GIL_DISABLED
    Py_END_CRITICAL_SECTION();
#endif
    return info;
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
 * is asked again only where the cached one says "explicit". */
static bool
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
static bool
is_explicit(gco_recorder *self, long generation, uint64_t events)
{
    if (!PyGC_IsEnabled()) {
        return true;
    }
    if (generation == 0 && self->young_checks == 0 && events % YOUNG_SAMPLING != 0) {
        return false;
    }
    bool explicit = is_below_threshold(self);
    if (generation == 0) {
        if (explicit) {
            self->young_checks = YOUNG_CHECKS;
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

static void
record_start(gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    uint64_t *gc = cells + GCO_GC_FIRST;
    uint64_t events = gc[GCO_GC_EVENTS];
    uint64_t entered_ns = samples_overhead(events) ? gco_clock_ns(CLOCK_MONOTONIC) : 0;
    long generation = read_info(dict, true).generation;
    uint64_t flags = is_explicit(self, generation, events) ? GCO_EXPLICIT_FLAG : 0;
    unsigned long own = atomic_load_explicit(&self->own_thread, memory_order_relaxed);
    if (own != 0 && own == PyThread_get_thread_ident()) {
        flags |= GCO_OWN_FLAG;
    }
    self->kind = (uint64_t)generation | flags << GCO_FLAGS_SHIFT;
    gc[GCO_GC_COLLECTING_KIND] = self->kind;
    gc[GCO_GC_COLLECTING_THREAD_ID] = native_thread_id();
    self->since_ns = gco_clock_ns(CLOCK_MONOTONIC); /* last: our own work is not the collector's */
    gc[GCO_GC_COLLECTING_SINCE_NS] = self->since_ns;
    self->start_cost_ns = entered_ns != 0 ? self->since_ns - entered_ns : 0;
}

static inline void
fill_event(uint64_t *event, const uint64_t *gc, uint64_t number, uint64_t start_ns, uint64_t duration_ns,
           uint64_t kind, const gc_info *info)
{
    event[GCO_LATEST_NUMBER] = number;
    event[GCO_LATEST_START_NS] = start_ns;
    event[GCO_LATEST_DURATION_NS] = duration_ns;
    event[GCO_LATEST_WALL_NS] = duration_ns;
    event[GCO_LATEST_KIND] = kind;
    event[GCO_LATEST_COLLECTED] = info->collected;
    event[GCO_LATEST_UNCOLLECTABLE] = info->uncollectable;
    event[GCO_LATEST_CANDIDATES] = info->candidates;
    event[GCO_LATEST_THREAD_ID] = gc[GCO_GC_COLLECTING_THREAD_ID];
}

/* Keep the longest events: fill the table, then replace its shortest. */
static void
keep_longest(uint64_t *cells, const uint64_t *event)
{
    uint64_t *gc = cells + GCO_GC_FIRST;
    uint64_t *table = cells + GCO_LONGEST_FIRST;
    uint64_t used = gc[GCO_GC_LONGEST_ENTRIES], place = used;
    if (used < GCO_LONGEST_ENTRIES) {
        gc[GCO_GC_LONGEST_ENTRIES] = ++used;
    }
    else {
        place = 0;
        for (uint64_t i = 1; i < used; i++) {
            if (table[i * GCO_LONGEST_STRIDE + GCO_LATEST_DURATION_NS] <
                table[place * GCO_LONGEST_STRIDE + GCO_LATEST_DURATION_NS]) {
                place = i;
            }
        }
    }
    memcpy(table + place * GCO_LONGEST_STRIDE, event, GCO_LONGEST_STRIDE * sizeof(uint64_t));
    if (used == GCO_LONGEST_ENTRIES) {
        uint64_t floor_ns = UINT64_MAX;
        for (uint64_t i = 0; i < used; i++) {
            uint64_t duration_ns = table[i * GCO_LONGEST_STRIDE + GCO_LATEST_DURATION_NS];
            floor_ns = duration_ns < floor_ns ? duration_ns : floor_ns;
        }
        gc[GCO_GC_LONGEST_FLOOR_NS] = floor_ns;
    }
}

static void
add_to_generation(uint64_t *generation, uint64_t duration_ns, uint64_t flags, const gc_info *info)
{
    unsigned bucket = bucket_of(duration_ns);
    generation[GCO_GENERATION_COLLECTIONS]++;
    generation[GCO_GENERATION_EXPLICIT_COLLECTIONS] += (flags & GCO_EXPLICIT_FLAG) != 0;
    generation[GCO_GENERATION_COLLECTED] += info->collected;
    generation[GCO_GENERATION_UNCOLLECTABLE] += info->uncollectable;
    generation[GCO_GENERATION_CANDIDATES] += info->candidates;
    generation[GCO_GENERATION_DURATION_SUM_NS] += duration_ns;
    if (duration_ns > generation[GCO_GENERATION_DURATION_MAX_NS]) {
        generation[GCO_GENERATION_DURATION_MAX_NS] = duration_ns;
    }
    generation[GCO_GENERATION_BUCKETS + bucket]++;
    generation[GCO_GENERATION_BUCKET_SUM_NS + bucket] += duration_ns;
    if ((flags & GCO_OWN_FLAG) != 0) {
        generation[GCO_GENERATION_OWN_BUCKETS + bucket]++;
        generation[GCO_GENERATION_OWN_BUCKET_SUM_NS + bucket] += duration_ns;
    }
}

static inline void
begin_write(uint64_t *sequence)
{
    /* Release both ways: no cell may become visible before the odd number, nor after the even one. */
    __atomic_store_n(sequence, *sequence | 1, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void
end_write(uint64_t *sequence)
{
    __atomic_store_n(sequence, (*sequence | 1) + 1, __ATOMIC_RELEASE);
}

static void
record_stop(gco_recorder *self, uint64_t *cells, PyObject *dict)
{
    uint64_t stopped_ns = gco_clock_ns(CLOCK_MONOTONIC); /* first: as true as it can be */
    uint64_t *gc = cells + GCO_GC_FIRST;
    gc_info info = read_info(dict, false);
    uint64_t *generation = cells + GCO_GENERATION_FIRST + info.generation * GCO_GENERATION_STRIDE;
    if (self->since_ns == 0) { /* installed while a collection was running */
        generation[GCO_GENERATION_NO_START]++;
        return;
    }
    uint64_t duration_ns = stopped_ns - self->since_ns;
    uint64_t flags = self->kind >> GCO_FLAGS_SHIFT;
    uint64_t kind = (uint64_t)info.generation | flags << GCO_FLAGS_SHIFT; /* the stop has the last word */
    uint64_t number = gc[GCO_GC_EVENTS] + 1;
    uint64_t *event = cells + GCO_LATEST_FIRST + (number - 1) % GCO_LATEST_ENTRIES * GCO_LATEST_STRIDE;

    begin_write(&gc[GCO_GC_SEQUENCE]);
    fill_event(event, gc, number, self->since_ns, duration_ns, kind, &info);
    add_to_generation(generation, duration_ns, flags, &info);
    if (duration_ns > gc[GCO_GC_LONGEST_FLOOR_NS]) {
        keep_longest(cells, event);
    }
    uint64_t window = cells[GCO_MONITOR_FIRST + GCO_MONITOR_WINDOW];
    if (window != gc[GCO_GC_WINDOW]) {
        gc[GCO_GC_WINDOW] = window;
        gc[GCO_GC_WINDOW_MAX_NS] = 0;
    }
    if (duration_ns > gc[GCO_GC_WINDOW_MAX_NS]) {
        gc[GCO_GC_WINDOW_MAX_NS] = duration_ns;
    }
    gc[GCO_GC_EVENTS] = number;
    gc[GCO_GC_COLLECTING_SINCE_NS] = 0;
    self->since_ns = 0;
    if (samples_overhead(number - 1)) {
        uint64_t cost_ns = self->start_cost_ns + gco_clock_ns(CLOCK_MONOTONIC) - stopped_ns;
        gc[GCO_GC_OVERHEAD_NS] += cost_ns * OVERHEAD_SAMPLING;
    }
    end_write(&gc[GCO_GC_SEQUENCE]);
}

/* callback(phase, info), as gc.callbacks wants it.  Never raises. */
static PyObject *
record_phase(gco_recorder *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyUnicode_Check(args[0]) || !PyDict_Check(args[1])) {
        Py_RETURN_NONE;
    }
    gco_mapping *mapping = self->mapping;
#ifdef Py_GIL_DISABLED
    /* close() takes the cells away, then waits for users to become 0. */
    atomic_fetch_add(&mapping->users, 1);
#endif
    uint64_t *cells = gco_mapping_cells(mapping);
    if (atomic_load_explicit(&self->retired, memory_order_acquire)) {
        self->since_ns = 0; /* the collection that uninstall() met is over, or a later one begins */
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

static PyObject *
recorder_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *mapping;
    gco_state *state = PyType_GetModuleState(type);
    if (state == NULL || !PyArg_ParseTuple(args, "O!:Recorder", state->mapping_type, &mapping)) {
        return NULL;
    }
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL) {
        return NULL;
    }
    gco_recorder *self = (gco_recorder *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->mapping = (gco_mapping *)Py_NewRef(mapping);
        self->callbacks = PyObject_GetAttrString(gc, "callbacks");
        self->collect = PyObject_GetAttrString(gc, "collect");
        self->get_count = PyObject_GetAttrString(gc, "get_count");
        self->get_threshold = PyObject_GetAttrString(gc, "get_threshold");
        if (self->callbacks == NULL || self->collect == NULL || self->get_count == NULL || self->get_threshold == NULL ||
            !PyList_Check(self->callbacks)) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_TypeError, "gc.callbacks is not a list");
            }
            Py_CLEAR(self);
        }
        else {
            self->young_checks = YOUNG_CHECKS;
            atomic_fetch_add(&thread_id_epoch, 1);
        }
    }
    Py_DECREF(gc);
    return (PyObject *)self;
}

/* Append: an insertion would shift the list under a collection that is walking it. */
static PyObject *
recorder_install(gco_recorder *self, PyObject *Py_UNUSED(ignored))
{
    if (self->callback == NULL) {
        PyObject *callback = PyObject_GetAttrString((PyObject *)self, "record_phase");
        if (callback == NULL || PyList_Append(self->callbacks, callback) < 0) {
            Py_XDECREF(callback);
            return NULL;
        }
        self->callback = callback;
    }
    Py_RETURN_NONE;
}

static Py_ssize_t
index_of_callback(gco_recorder *self)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->callbacks); i++) {
        if (PyList_GET_ITEM(self->callbacks, i) == self->callback) {
            return i;
        }
    }
    return -1;
}

/* Whether CPython is collecting, other callbacks' time included: inside a
 * collection gc.collect() does nothing, outside of one it calls us.  The young
 * collection that this costs is the only way to ask. */
static int
is_collecting(gco_recorder *self)
{
    if (self->since_ns != 0) {
        return 1;
    }
    self->probed = false;
    PyObject *collected = PyObject_CallFunction(self->collect, "i", 0);
    if (collected == NULL) {
        return -1;
    }
    Py_DECREF(collected);
    return !self->probed;
}

/* CPython walks gc.callbacks by index, live: removing an entry while a
 * collection runs would skip our neighbour.  So: the tombstone first, and the removal only
 * outside of collections.  Nothing here releases the GIL between the answer and the removal. */
static PyObject *
recorder_uninstall(gco_recorder *self, PyObject *Py_UNUSED(ignored))
{
    if (self->callback == NULL) {
        Py_RETURN_TRUE;
    }
    atomic_store_explicit(&self->retired, true, memory_order_release);
    Py_ssize_t index = index_of_callback(self);
    if (index >= 0) {
        /* Behind the last entry nothing moves up, and nobody can be skipped. */
        bool last = index == PyList_GET_SIZE(self->callbacks) - 1;
        int collecting = last ? self->since_ns != 0 : is_collecting(self);
        if (collecting != 0) {
            return collecting < 0 ? NULL : Py_NewRef(Py_False);
        }
        index = index_of_callback(self); /* finalizers may have changed the list */
        if (index >= 0 && PyList_SetSlice(self->callbacks, index, index + 1, NULL) < 0) {
            return NULL;
        }
    }
    Py_CLEAR(self->callback);
    Py_RETURN_TRUE;
}

static PyObject *
recorder_begin_own_work(gco_recorder *self, PyObject *Py_UNUSED(ignored))
{
    atomic_store(&self->own_thread, PyThread_get_thread_ident());
    Py_RETURN_NONE;
}

static PyObject *
recorder_end_own_work(gco_recorder *self, PyObject *Py_UNUSED(ignored))
{
    atomic_store(&self->own_thread, 0);
    Py_RETURN_NONE;
}

static void
recorder_dealloc(gco_recorder *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->callback);
    Py_XDECREF(self->callbacks);
    Py_XDECREF(self->collect);
    Py_XDECREF(self->get_count);
    Py_XDECREF(self->get_threshold);
    Py_XDECREF(self->mapping);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef recorder_methods[] = {
    {"record_phase", (PyCFunction)(void (*)(void))record_phase, METH_FASTCALL,
     "record_phase(phase, info): the gc callback."},
    {"install", (PyCFunction)recorder_install, METH_NOARGS, "Append the callback to gc.callbacks."},
    {"uninstall", (PyCFunction)recorder_uninstall, METH_NOARGS,
     "Take the callback out; False while a collection runs: call again."},
    {"begin_own_work", (PyCFunction)recorder_begin_own_work, METH_NOARGS,
     "Collections of this thread are our own doing from here on."},
    {"end_own_work", (PyCFunction)recorder_end_own_work, METH_NOARGS, "Until here."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot recorder_slots[] = {
    {Py_tp_doc, "Recorder(mapping): writes every collection of this interpreter into the mapping."},
    {Py_tp_new, recorder_new},
    {Py_tp_dealloc, recorder_dealloc},
    {Py_tp_methods, recorder_methods},
    {0, NULL},
};

PyType_Spec gco_recorder_spec = {
    .name = "gc_otel._native._ext.Recorder",
    .basicsize = sizeof(gco_recorder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = recorder_slots,
};
