/* What exit() was given, noted in the flight file.
 *
 * HAZARD: on_exit(3) calls note_exit_code() after the interpreter has been finalized, in whatever thread called
 * exit().  So it knows no Python object: two addresses, of cells that a mapping which is being watched leaves mapped to the end
 * of the process (see mapping_dealloc), and one store.  A forked child inherits the handler, and is told
 * by the guard that the cells are not its own.  os._exit(), exec and signals do not come here: they are the kernel's to tell.
 * Only glibc has on_exit(); its atexit() does not say the code. */
#include "ending.h"

#include <stdlib.h>

#define EXIT_CODE_MASK 0xff /* wait(2) */

static struct {
    const gco_mapping *mapping; /* only to be compared: a forked child may map its cells where its parent's were */
    _Atomic(uint64_t *) cells; /* NULL while nothing is watched */
    volatile gco_guard *guard;
    long owner_pid;
    bool registered;
} watched;

#ifdef __GLIBC__
static void
note_exit_code(int code, void *Py_UNUSED(argument))
{
    uint64_t *cells = atomic_load(&watched.cells);
    if (cells == NULL) {
        return;
    }
    bool is_owner = watched.guard != NULL ? watched.guard->is_owner != 0 : (long)getpid() == watched.owner_pid;
    if (is_owner) {
        cells[GCO_HEADER_FIRST + GCO_HEADER_EXIT_CODE] = (uint64_t)(code & EXIT_CODE_MASK);
    }
}
#endif

bool
gco_exit_is_watched(const gco_mapping *mapping)
{
    return watched.mapping == mapping && atomic_load(&watched.cells) != NULL;
}

void
gco_forget_exit(const gco_mapping *mapping)
{
    if (gco_exit_is_watched(mapping)) {
        atomic_store(&watched.cells, NULL);
    }
}

PyObject *
gco_watch_exit(PyObject *module, PyObject *given)
{
    gco_state *state = PyModule_GetState(module);
    if (!PyObject_TypeCheck(given, state->mapping_type)) {
        PyErr_SetString(PyExc_TypeError, "watch_exit() takes a Mapping");
        return NULL;
    }
#ifdef __GLIBC__
    gco_mapping *mapping = (gco_mapping *)given;
    if (!watched.registered) {
        watched.registered = on_exit(note_exit_code, NULL) == 0;
    }
    if (watched.registered) {
        atomic_store(&watched.cells, NULL); /* so that no guard is asked about the cells of another mapping */
        watched.mapping = mapping;
        watched.guard = mapping->guard;
        watched.owner_pid = mapping->owner_pid;
        atomic_store(&watched.cells, gco_mapping_cells(mapping));
    }
    return PyBool_FromLong(watched.registered);
#else
    Py_RETURN_FALSE;
#endif
}
