/* The garbage cycles of this process, as Python objects.  How they are found, and why it is safe: garbage.h. */
#include "garbage.h"

/* Types are static or held by their objects, which nothing ends before the result is whole. */
static bool
append_row(void *context, const gco_heap *Py_UNUSED(heap), gco_type_entry *const *types, size_t shown, size_t length,
           size_t objects, double bytes)
{
    PyObject *around = PyTuple_New((Py_ssize_t)shown);
    for (size_t i = 0; around != NULL && i < shown; i++) {
        PyTuple_SET_ITEM(around, (Py_ssize_t)i, Py_NewRef((PyObject *)types[i]->type));
    }
    PyObject *row = around == NULL ? NULL
                                   : Py_BuildValue("(Nnnn)", around, (Py_ssize_t)length, (Py_ssize_t)objects,
                                                   (Py_ssize_t)(bytes + 0.5));
    bool complete = row != NULL && PyList_Append(context, row) == 0;
    Py_XDECREF(row);
    return complete;
}

static PyObject *
examine_here(gco_heap *heap)
{
    uint64_t garbage = 0;
    double bytes = 0;
    PyObject *rows = PyList_New(0), *result = NULL;
    gco_report report = {rows, append_row, gco_tell_nobody};
    if (rows != NULL && gco_heap_gather(heap) && gco_heap_examine(heap, &report, &garbage, &bytes)) {
        result = Py_BuildValue("(OnnK)", rows, (Py_ssize_t)heap->count, (Py_ssize_t)garbage,
                               (unsigned long long)(bytes + 0.5));
    }
    else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_MemoryError, GCO_NO_ROOM);
    }
    Py_XDECREF(rows);
    return result;
}

PyObject *
gco_find_garbage(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    gco_heap heap;
    int was_enabled = PyGC_Disable();
    PyObject *result = gco_heap_prepare(&heap, 0) ? examine_here(&heap) : NULL;
    gco_heap_free(&heap);
    if (was_enabled) {
        PyGC_Enable(); /* only now: an allocation for the rows must not start a collection under the pointers */
    }
    return result;
}
