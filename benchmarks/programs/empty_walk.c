/* What any census in one call costs at least: all objects are shown, and nobody looks at them. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if PY_VERSION_HEX >= 0x030c0000
static int
pass_over(PyObject *Py_UNUSED(object), void *argument)
{
    ++*(Py_ssize_t *)argument;
    return 1;
}
#endif

static PyObject *
walk(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t objects = 0;
#if PY_VERSION_HEX >= 0x030c0000
    PyUnstable_GC_VisitObjects(pass_over, &objects);
#else
    PyObject *gc = PyImport_ImportModule("gc");
    PyObject *list = gc == NULL ? NULL : PyObject_CallMethod(gc, "get_objects", NULL);
    Py_XDECREF(gc);
    if (list == NULL) {
        return NULL;
    }
    objects = PyList_GET_SIZE(list);
    Py_DECREF(list);
#endif
    return PyLong_FromSsize_t(objects);
}

static PyMethodDef methods[] = {{"walk", walk, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "empty_walk", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit_empty_walk(void)
{
    return PyModule_Create(&definition);
}
