/* What a walk of the census counted, as Python has it: heap/counting.py says what the rows are. */
#include "census.h"

/* Takes the row over; without one, or without room for it, there are no rows any more. */
static void
append(PyObject **rows, PyObject *row)
{
    if (row == NULL || PyList_Append(*rows, row) < 0) {
        Py_CLEAR(*rows);
    }
    Py_XDECREF(row);
}

static PyObject *
counted_types(gco_walk *walk)
{
    PyObject *rows = PyList_New(0);
    for (size_t i = 0; rows != NULL && i < walk->types.capacity; i++) {
        const gco_type_entry *entry = &walk->types.entries[i];
        if (entry->type != NULL) {
            append(&rows, Py_BuildValue("(OKKdd)", entry->type, (unsigned long long)entry->objects,
                                        (unsigned long long)entry->bytes, entry->leaf_objects, entry->leaf_bytes));
        }
    }
    return rows;
}

static PyObject *
charged_containers(gco_walk *walk)
{
    PyObject *rows = PyList_New(0);
    for (size_t i = 0; rows != NULL && i < walk->charge_capacity; i++) {
        const gco_charge *each = &walk->charges[i];
        if (each->kind != NULL) {
            PyObject *owner = each->owner & GCO_OWNER_IS_NAME ? PyLong_FromSize_t(each->owner >> 1)
                                                              : Py_NewRef((PyObject *)each->owner);
            append(&rows, owner == NULL ? NULL
                                        : Py_BuildValue("(ONdd)", each->kind, owner, each->objects, each->bytes));
        }
    }
    return rows;
}

/* Making the result may start a collection, and that may end the life of a type: each is held meanwhile. */
static PyObject *
result_of(gco_walk *walk)
{
    for (size_t i = 0; i < walk->types.capacity; i++) {
        Py_XINCREF((PyObject *)walk->types.entries[i].type);
    }
    PyObject *types = counted_types(walk);
    PyObject *charges = types == NULL ? NULL : charged_containers(walk);
    PyObject *result = charges == NULL ? NULL : Py_BuildValue("(OOKk)", types, charges,
                                                              (unsigned long long)walk->visited, walk->every);
    Py_XDECREF(types);
    Py_XDECREF(charges);
    for (size_t i = 0; i < walk->types.capacity; i++) {
        Py_XDECREF((PyObject *)walk->types.entries[i].type);
    }
    return result;
}

PyObject *
gco_count_heap(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *known;
    unsigned long every;
    gco_walk walk;
    if (!PyArg_ParseTuple(args, "O!k:count_heap", &PyList_Type, &known, &every)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (gco_walk_prepare(&walk, (size_t)PyList_GET_SIZE(known), every, NULL)) {
        gco_walk_know(&walk, known);
        gco_walk_all(&walk);
        result = walk.failed ? PyErr_NoMemory() : result_of(&walk);
    }
    gco_walk_free(&walk);
    return result;
}
