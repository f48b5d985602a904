/* The type Ticker: the monitor's thread, and how it gets over a fork.
 *
 * The thread must be joined before a fork and started again after it from code that runs no
 * bytecode: a KeyboardInterrupt that arrives while a Python at-fork hook runs is swallowed.
 *
 * Everything here changes under the GIL only.  Several threads may fork at the same time, each between its
 * own two hooks: the first ends the thread, the others wait for that, the last one starts it again.
 */
#include "round.h"

#include <errno.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

typedef struct {
    PyObject_HEAD
    PyObject *tick;     /* called with no arguments by the thread */
    PyObject *on_child; /* called in a forked child's main thread, outside of the hook */
    PyObject *memory;   /* the mapping with the bell's word; NULL: nobody can ring */
    PyObject *on_bell;  /* called with no arguments by the thread when somebody rings */
    uint64_t interval_ns;
    gco_round *round;    /* NULL while no thread runs */
    int forks;           /* threads between before_fork and after_fork_in_parent */
    pid_t wanted_by;     /* the process that started and did not stop it; 0 for none */
    atomic_bool joining; /* a thread waits for the round to end */
    atomic_ulong faults;
} gco_ticker;

/* With the GIL held; a fault is counted and never printed. */
static void
run(gco_ticker *self, PyObject *call)
{
    PyObject *result = PyObject_CallNoArgs(call);
    if (result == NULL) {
        atomic_fetch_add(&self->faults, 1);
        PyErr_Clear();
    }
    Py_XDECREF(result);
}

static void
run_tick(PyObject *owner)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    run((gco_ticker *)owner, ((gco_ticker *)owner)->tick);
    PyGILState_Release(gil);
}

static void
run_on_bell(PyObject *owner)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *call = Py_XNewRef(((gco_ticker *)owner)->on_bell); /* listen() may replace it meanwhile */
    if (call != NULL) {
        run((gco_ticker *)owner, call);
        Py_DECREF(call);
    }
    PyGILState_Release(gil);
}

static int
start_thread(gco_ticker *self)
{
    gco_bell bell = {.rung = run_on_bell};
    if (self->memory == NULL || PyObject_GetBuffer(self->memory, &bell.memory, PyBUF_WRITABLE) != 0) {
        PyErr_Clear(); /* closed, or another process's: a thread that nobody can wake */
        return gco_round_start(&self->round, (PyObject *)self, run_tick, self->interval_ns, NULL);
    }
    int status = gco_round_start(&self->round, (PyObject *)self, run_tick, self->interval_ns, &bell);
    if (status != 0) {
        PyBuffer_Release(&bell.memory);
    }
    return status;
}

/* Ends the thread, or waits for another thread that is ending it.  The GIL is
 * released while waiting, in a way that runs no signal handler. */
static void
end_thread(gco_ticker *self)
{
    gco_round *round = self->round;
    self->round = NULL;
    if (round == NULL) {
        Py_BEGIN_ALLOW_THREADS
        while (atomic_load(&self->joining)) {
            usleep(50);
        }
        Py_END_ALLOW_THREADS
        return;
    }
    if (gco_round_is_here(round)) { /* called by a tick: the thread cannot wait for itself */
        gco_round_abandon(round);
        return;
    }
    if (round->owner_pid != getpid()) {
        /* A child forked without hooks: the thread is not here, and joining it would crash or
         * never end.  The round is left as it is: its mutex may be held by nobody that lives. */
        return;
    }
    atomic_store(&self->joining, true);
    Py_BEGIN_ALLOW_THREADS
    gco_round_join(round);
    Py_END_ALLOW_THREADS
    atomic_store(&self->joining, false);
    gco_round_free(round);
}

static PyObject *
ticker_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"tick", "on_child", NULL};
    PyObject *tick, *on_child;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Ticker", names, &tick, &on_child)) {
        return NULL;
    }
    gco_ticker *self = (gco_ticker *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->tick = Py_NewRef(tick);
    self->on_child = Py_NewRef(on_child);
    self->interval_ns = 5 * GCO_NS_PER_S;
    return (PyObject *)self;
}

static PyObject *
ticker_start(gco_ticker *self, PyObject *Py_UNUSED(ignored))
{
    self->wanted_by = getpid();
    if (self->round == NULL) {
        int status = start_thread(self);
        if (status != 0) {
            errno = status;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
ticker_listen(gco_ticker *self, PyObject *args)
{
    PyObject *memory, *on_bell;
    if (!PyArg_ParseTuple(args, "OO:listen", &memory, &on_bell)) {
        return NULL;
    }
    Py_XSETREF(self->memory, memory == Py_None ? NULL : Py_NewRef(memory));
    Py_XSETREF(self->on_bell, Py_NewRef(on_bell));
    Py_RETURN_NONE;
}

static PyObject *
ticker_stop(gco_ticker *self, PyObject *Py_UNUSED(ignored))
{
    self->wanted_by = 0;
    end_thread(self);
    Py_RETURN_NONE;
}

/* Whether this thread, when it forked, was the one that runs pending calls.  In the
 * child every forking thread has become the main one, and CPython 3.13 does not let it run
 * pending calls at once; no signal handler runs in it before that either. */
static _Thread_local bool forked_in_main_thread;

/* The three at-fork hooks.  os.register_at_fork has no inverse, so they stay
 * registered for good and do nothing while no thread runs. */
static PyObject *
ticker_before_fork(gco_ticker *self, PyObject *Py_UNUSED(ignored))
{
#ifdef __linux__
    forked_in_main_thread = syscall(SYS_gettid) == getpid();
#else
    forked_in_main_thread = true;
#endif
    self->forks++;
    if (self->wanted_by != getpid()) {
        self->wanted_by = 0; /* a child forked without hooks: it has no thread, and its children need none */
    }
    end_thread(self);
    Py_RETURN_NONE;
}

static PyObject *
ticker_after_fork_in_parent(gco_ticker *self, PyObject *Py_UNUSED(ignored))
{
    if (self->forks > 0) {
        self->forks--;
    }
    if (self->forks == 0 && self->wanted_by != 0 && self->round == NULL && start_thread(self) != 0) {
        atomic_fetch_add(&self->faults, 1);
    }
    Py_RETURN_NONE;
}

static int
call_on_child(void *argument)
{
    gco_ticker *self = argument;
    PyObject *result = PyObject_CallNoArgs(self->on_child);
    Py_XDECREF(result);
    Py_DECREF(self);
    return result == NULL ? -1 : 0; /* a KeyboardInterrupt goes on to the program, as it would without us */
}

/* The rest is a pending call, run by the main thread's next bytecode: a Python
 * hook would swallow a signal's exception, and a child that only execs never gets there. */
static PyObject *
ticker_after_fork_in_child(gco_ticker *self, PyObject *Py_UNUSED(ignored))
{
    bool wanted = self->wanted_by != 0;
    self->wanted_by = 0;
    self->round = NULL;
    self->forks = 0;
    atomic_store(&self->joining, false);
    if (wanted && !forked_in_main_thread) {
        return PyObject_CallNoArgs(self->on_child);
    }
    if (wanted) {
        Py_INCREF(self);
        if (Py_AddPendingCall(call_on_child, self) != 0) {
            Py_DECREF(self);
            atomic_fetch_add(&self->faults, 1);
        }
    }
    Py_RETURN_NONE;
}

static int
ticker_traverse(gco_ticker *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->tick);
    Py_VISIT(self->on_child);
    Py_VISIT(self->memory);
    Py_VISIT(self->on_bell);
    return 0;
}

static int
ticker_clear(gco_ticker *self)
{
    Py_CLEAR(self->tick);
    Py_CLEAR(self->on_child);
    Py_CLEAR(self->memory);
    Py_CLEAR(self->on_bell);
    return 0;
}

static void
ticker_dealloc(gco_ticker *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ticker_clear(self); /* no thread runs here: it would hold a reference */
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
ticker_get_faults(gco_ticker *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(atomic_load(&self->faults));
}

static PyObject *
ticker_get_running(gco_ticker *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->round != NULL);
}

static PyObject *
ticker_get_interval(gco_ticker *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(self->interval_ns);
}

static int
ticker_set_interval(gco_ticker *self, PyObject *value, void *Py_UNUSED(closure))
{
    unsigned long long interval_ns = value != NULL ? PyLong_AsUnsignedLongLong(value) : 0;
    if (PyErr_Occurred()) {
        return -1;
    }
    self->interval_ns = interval_ns;
    return 0;
}

static PyMethodDef ticker_methods[] = {
    {"start", (PyCFunction)ticker_start, METH_NOARGS, "Start the thread; OSError when none can be had."},
    {"listen", (PyCFunction)ticker_listen, METH_VARARGS,
     "listen(mapping, on_bell): let other processes ring, from the next start() on; None: nobody."},
    {"stop", (PyCFunction)ticker_stop, METH_NOARGS, "End the thread and wait until the kernel has forgotten it."},
    {"before_fork", (PyCFunction)ticker_before_fork, METH_NOARGS, "At-fork hook: end the thread."},
    {"after_fork_in_parent", (PyCFunction)ticker_after_fork_in_parent, METH_NOARGS, "At-fork hook: start it again."},
    {"after_fork_in_child", (PyCFunction)ticker_after_fork_in_child, METH_NOARGS,
     "At-fork hook: have on_child called from the main thread."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ticker_getset[] = {
    {"faults", (getter)ticker_get_faults, NULL, "How often tick() raised.", NULL},
    {"interval_ns", (getter)ticker_get_interval, (setter)ticker_set_interval,
     "Time between ticks; takes effect at the next start().", NULL},
    {"running", (getter)ticker_get_running, NULL, "Whether the thread exists.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot ticker_slots[] = {
    {Py_tp_doc, "Ticker(tick, on_child): calls tick() at once and then every interval_ns, in a thread."},
    {Py_tp_new, ticker_new},
    {Py_tp_dealloc, ticker_dealloc},
    {Py_tp_traverse, ticker_traverse},
    {Py_tp_clear, ticker_clear},
    {Py_tp_methods, ticker_methods},
    {Py_tp_getset, ticker_getset},
    {0, NULL},
};

PyType_Spec gco_ticker_spec = {
    .name = "gc_otel._native._ext.Ticker",
    .basicsize = sizeof(gco_ticker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = ticker_slots,
};
