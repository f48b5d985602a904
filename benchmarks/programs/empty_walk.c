/* CPython's own walk: all objects are shown, and nobody looks at them. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static int
pass_over(PyObject *Py_UNUSED(object), void *argument)
{
    ++*(Py_ssize_t *)argument;
    return 1;
}

static PyObject *
walk(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t objects = 0;
    PyUnstable_GC_VisitObjects(pass_over, &objects);
    return PyLong_FromSsize_t(objects);
}

static PyMethodDef methods[] = {{"walk", walk, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "empty_walk", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit_empty_walk(void)
{
    return PyModule_Create(&definition);
}
