/* The memory of a flight file. */
#include "native.h"
#include "ending.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14; older libc headers lack the name */
#endif

static volatile gco_guard *
map_guard(void)
{
#ifdef __linux__
    void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    if (madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) != 0) {
        munmap(page, (size_t)sysconf(_SC_PAGESIZE));
        return NULL;
    }
    volatile gco_guard *guard = page;
    guard->is_owner = guard->is_open = 1;
    return guard;
#else
    return NULL;
#endif
}

static void *
map_cells(int fd)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_POPULATE
    flags |= MAP_POPULATE; /* a page fault belongs here, not in somebody's collection */
#endif
    void *memory = mmap(NULL, GCO_FILE_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_DONTFORK
    /* Without this a child would keep the file's lock alive after its parent's death. */
    if (madvise(memory, GCO_FILE_BYTES, MADV_DONTFORK) != 0) {
        munmap(memory, GCO_FILE_BYTES);
        return NULL;
    }
#endif
    return memory;
}

static PyObject *
mapping_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", NULL};
    int fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:Mapping", names, &fd)) {
        return NULL;
    }
    gco_mapping *self = (gco_mapping *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->owner_pid = (long)getpid();
    self->guard = map_guard();
    void *memory = map_cells(fd);
    if (memory == NULL) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self); /* with memory still NULL only the guard is left to free */
        return NULL;
    }
    self->memory = memory;
    atomic_store(&self->cells, memory);
    return (PyObject *)self;
}

/* Whether this process made the mapping: a forked child has the object, not the memory. */
static bool
is_owner(gco_mapping *self)
{
    return self->guard != NULL ? self->guard->is_owner != 0 : (long)getpid() == self->owner_pid;
}

static void
unmap(gco_mapping *self)
{
    gco_forget_exit(self);
    /* In a forked child the range is not ours: something else may live there by now. */
    if (self->memory != NULL && is_owner(self)) {
        munmap(self->memory, GCO_FILE_BYTES);
    }
    self->memory = NULL;
}

static PyObject *
mapping_close(gco_mapping *self, PyObject *Py_UNUSED(ignored))
{
    atomic_store(&self->cells, NULL);
    if (self->guard != NULL) {
        self->guard->is_open = 0;
    }
    /* With a GIL nobody can be inside the callback here: it never releases it. */
    while (atomic_load(&self->users) != 0) {
        Py_BEGIN_ALLOW_THREADS
        usleep(50);
        Py_END_ALLOW_THREADS
    }
    if (atomic_load(&self->exports) == 0) {
        unmap(self);
    }
    Py_RETURN_NONE;
}

static int
mapping_getbuffer(gco_mapping *self, Py_buffer *view, int flags)
{
    uint64_t *cells = gco_mapping_cells(self);
    if (cells == NULL) {
        PyErr_SetString(PyExc_BufferError, "this mapping is closed, or belongs to another process");
        view->obj = NULL;
        return -1;
    }
    int status = PyBuffer_FillInfo(view, (PyObject *)self, cells, (Py_ssize_t)GCO_FILE_BYTES, 0, flags);
    if (status == 0) {
        atomic_fetch_add(&self->exports, 1);
    }
    return status;
}

static void
mapping_releasebuffer(gco_mapping *self, Py_buffer *Py_UNUSED(view))
{
    if (atomic_fetch_sub(&self->exports, 1) == 1 && atomic_load(&self->cells) == NULL) {
        unmap(self);
    }
}

static PyObject *
mapping_alive(gco_mapping *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(gco_mapping_cells(self) != NULL);
}

static void
mapping_dealloc(gco_mapping *self)
{
    PyTypeObject *type = Py_TYPE(self);
    /* At the interpreter's end the memory stays until the process's: the exit code is still to be
     * noted, and the lock is to say how long the process lives. */
    if (!(gco_exit_is_watched(self) && is_owner(self))) {
        unmap(self);
        if (self->guard != NULL) {
            /* The guard is inherited (emptied), so it is every process's own to unmap. */
            munmap((void *)self->guard, (size_t)sysconf(_SC_PAGESIZE));
        }
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
mapping_view(gco_mapping *self, PyObject *Py_UNUSED(ignored))
{
    return PyMemoryView_FromObject((PyObject *)self);
}

static PyMethodDef mapping_methods[] = {
    {"view", (PyCFunction)mapping_view, METH_NOARGS,
     "A writable memoryview of bytes; BufferError when closed or inherited."},
    {"close", (PyCFunction)mapping_close, METH_NOARGS,
     "Unmap, as soon as the last memoryview handed out is released."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef mapping_getset[] = {
    {"alive", (getter)mapping_alive, NULL, "Whether this process may touch the cells.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot mapping_slots[] = {
    {Py_tp_doc, "Mapping(fd): the cells of a flight file; fd -1 maps private memory."},
    {Py_tp_new, mapping_new},
    {Py_tp_dealloc, mapping_dealloc},
    {Py_tp_methods, mapping_methods},
    {Py_tp_getset, mapping_getset},
    {Py_bf_getbuffer, mapping_getbuffer},
    {Py_bf_releasebuffer, mapping_releasebuffer},
    {0, NULL},
};

PyType_Spec gco_mapping_spec = {
    .name = "gc_otel._native._ext.Mapping",
    .basicsize = sizeof(gco_mapping),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = mapping_slots,
};
