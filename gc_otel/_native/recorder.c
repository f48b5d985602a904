/* The type Recorder: its making, and its coming into and going out of gc.callbacks. */
#include "recorder.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <structmember.h>

static atomic_uint epochs;

/* The callback as a method, for whoever wants to call it by hand: gc.callbacks holds the recorder itself. */
static PyObject *
recorder_record_phase(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    gco_recorder *recorder = (gco_recorder *)self;
    recorder->doubts |= GCO_BY_HAND;
    PyObject *none = gco_record_phase(self, args, (size_t)count, NULL);
    recorder->doubts &= (uint8_t)~GCO_BY_HAND;
    return none;
}

#ifndef Py_GIL_DISABLED
/* So that the fields that stand side by side are in one line.  Without a GIL an object's memory has to be CPython's. */
static PyObject *
recorder_alloc(PyTypeObject *type, Py_ssize_t Py_UNUSED(items))
{
    void *memory;
    size_t size = (sizeof(gco_recorder) + GCO_LINE_BYTES - 1) / GCO_LINE_BYTES * GCO_LINE_BYTES;
    if (posix_memalign(&memory, GCO_LINE_BYTES, size) != 0) {
        return PyErr_NoMemory();
    }
    memset(memory, 0, size);
    return PyObject_Init(memory, type);
}

static_assert(sizeof(PyObject) != 16 || offsetof(gco_recorder, clock) == GCO_LINE_BYTES, "the first line is full");
static_assert(sizeof(PyObject) != 16 || offsetof(gco_recorder, own_thread) == 2 * GCO_LINE_BYTES, "and the second");
#endif

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
            self->call = gco_record_phase;
            self->cells = gco_mapping_cells(self->mapping);
            self->guard = self->mapping->guard;
            gco_clock_init(&self->clock);
            self->epoch = (uint16_t)(atomic_fetch_add(&epochs, 1) % UINT16_MAX + 1); /* not 0: no thread has asked */
            self->young_checks = GCO_YOUNG_CHECKS;
            self->doubts = GCO_UNKNOWN;
            self->sampler.attend_ns = UINT64_MAX;
            if (!gco_tracked_find(&self->sampler.tracked)) {
                PyErr_Clear(); /* then what depends on it says that it cannot be had */
            }
        }
    }
    Py_DECREF(gc);
    return (PyObject *)self;
}

/* Append: an insertion would shift the list under a collection that is walking it. */
static PyObject *
recorder_install(gco_recorder *self, PyObject *Py_UNUSED(ignored))
{
    if (!self->installed) {
        if (PyList_Append(self->callbacks, (PyObject *)self) < 0) {
            return NULL;
        }
        self->installed = true;
    }
    Py_RETURN_NONE;
}

static Py_ssize_t
index_of_callback(gco_recorder *self)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->callbacks); i++) {
        if (PyList_GET_ITEM(self->callbacks, i) == (PyObject *)self) {
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
    if (self->since.ns != 0) {
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
    if (!self->installed) {
        Py_RETURN_TRUE;
    }
    atomic_store_explicit(&self->retired, true, memory_order_release);
    Py_ssize_t index = index_of_callback(self);
    if (index >= 0) {
        /* Behind the last entry nothing moves up, and nobody can be skipped. */
        bool last = index == PyList_GET_SIZE(self->callbacks) - 1;
        int collecting = last ? self->since.ns != 0 : is_collecting(self);
        if (collecting != 0) {
            return collecting < 0 ? NULL : Py_NewRef(Py_False);
        }
        index = index_of_callback(self); /* finalizers may have changed the list */
        if (index >= 0 && PyList_SetSlice(self->callbacks, index, index + 1, NULL) < 0) {
            return NULL;
        }
    }
    self->installed = false;
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

static PyObject *
recorder_compare_clocks(gco_recorder *self, PyObject *Py_UNUSED(ignored))
{
    gco_clock_compare(&self->clock);
    Py_RETURN_NONE;
}

static PyObject *
recorder_sample_cycles(gco_recorder *self, PyObject *args)
{
    unsigned long long cost_factor, least_interval_ns, objects_most;
    if (!PyArg_ParseTuple(args, "KKK:sample_cycles", &cost_factor, &least_interval_ns, &objects_most)) {
        return NULL;
    }
    const uint64_t *cells = gco_mapping_cells(self->mapping);
    return PyBool_FromLong(cells != NULL &&
                           gco_sampler_begin(&self->sampler, cells, cost_factor, least_interval_ns, objects_most));
}

static void
recorder_dealloc(gco_recorder *self)
{
    PyTypeObject *type = Py_TYPE(self);
    gco_sampler_free(&self->sampler);
    Py_XDECREF(self->callbacks);
    Py_XDECREF(self->collect);
    Py_XDECREF(self->get_count);
    Py_XDECREF(self->get_threshold);
    Py_XDECREF(self->mapping);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef recorder_methods[] = {
    {"record_phase", (PyCFunction)(void (*)(void))recorder_record_phase, METH_FASTCALL,
     "record_phase(phase, info): the gc callback."},
    {"install", (PyCFunction)recorder_install, METH_NOARGS, "Append the callback to gc.callbacks."},
    {"uninstall", (PyCFunction)recorder_uninstall, METH_NOARGS,
     "Take the callback out; False while a collection runs: call again."},
    {"begin_own_work", (PyCFunction)recorder_begin_own_work, METH_NOARGS,
     "Collections of this thread are our own doing from here on."},
    {"end_own_work", (PyCFunction)recorder_end_own_work, METH_NOARGS, "Until here."},
    {"compare_clocks", (PyCFunction)recorder_compare_clocks, METH_NOARGS,
     "Find, every few seconds, how the processor's counter is to be read: see clock.h."},
    {"sample_cycles", (PyCFunction)recorder_sample_cycles, METH_VARARGS,
     "sample_cycles(cost_factor, least_interval_ns, objects_most): look at the garbage cycles of young collections now "
     "and then; False where that cannot be done."},
    {NULL, NULL, 0, NULL},
};

/* Not called through a check for recursion, and for 3 ns less: see callback.c. */
static PyMemberDef recorder_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(gco_recorder, call), READONLY, NULL},
    /* What the comparisons found, for whoever wants to see it wrong. */
    {"clock_is_trusted", T_BOOL, offsetof(gco_recorder, clock.is_trusted), READONLY, NULL},
    {"clock_ns", T_ULONGLONG, offsetof(gco_recorder, clock.ns), 0, NULL},
    {"clock_scale", T_ULONGLONG, offsetof(gco_recorder, clock.scale), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot recorder_slots[] = {
    {Py_tp_doc, "Recorder(mapping): writes every collection of this interpreter into the mapping."},
    {Py_tp_new, recorder_new},
#ifndef Py_GIL_DISABLED
    {Py_tp_alloc, recorder_alloc},
    {Py_tp_free, free},
#endif
    {Py_tp_dealloc, recorder_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, recorder_members},
    {Py_tp_methods, recorder_methods},
    {0, NULL},
};

PyType_Spec gco_recorder_spec = {
    .name = "gc_otel._native._ext.Recorder",
    .basicsize = sizeof(gco_recorder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = recorder_slots,
};
