/* gc_otel._native._ext: optional; every type has a Python twin that passes the same tests. */
#include "native.h"
#include "census.h"
#include "child.h"
#include "ending.h"
#include "heap.h"
#include "sampler.h"

static int
module_exec(PyObject *module)
{
    gco_state *state = PyModule_GetState(module);
    struct {
        PyTypeObject **slot;
        PyType_Spec *spec;
    } types[] = {
        {&state->mapping_type, &gco_mapping_spec},
        {&state->recorder_type, &gco_recorder_spec},
        {&state->ticker_type, &gco_ticker_spec},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        *types[i].slot = (PyTypeObject *)PyType_FromModuleAndSpec(module, types[i].spec, NULL);
        if (*types[i].slot == NULL || PyModule_AddType(module, *types[i].slot) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *
in_main_interpreter(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(PyInterpreterState_Get() == PyInterpreterState_Main());
}

/* For the tests: the sampler's names must be those of heap/names.py. */
static PyObject *
type_name(PyObject *Py_UNUSED(module), PyObject *type)
{
    char text[256];
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a type");
        return NULL;
    }
    size_t length = gco_type_name((PyTypeObject *)type, text, sizeof(text));
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace");
}

static PyMethodDef module_methods[] = {
    {"type_name", type_name, METH_O, "Name of a type as the cycle sampler has it."},
    {"in_main_interpreter", in_main_interpreter, METH_NOARGS, "False in a sub-interpreter."},
    {"watch_exit", gco_watch_exit, METH_O, "Have a Mapping's exit_code noted; False where the C library cannot tell."},
    {"count_heap", gco_count_heap, METH_VARARGS, "Types, charges, objects visited and sampling; see heap/counting.py."},
    {"find_garbage", gco_find_garbage, METH_NOARGS, "Garbage cycles; see heap/trial.py."},
    {"select_objects", gco_select_objects, METH_VARARGS,
     "select_objects(types, most): the last tracked objects of these types, and how many there are."},
    {"find_referrers", gco_find_referrers, METH_VARARGS,
     "find_referrers(objects, most): pairs of a holder and the place of what it holds."},
    {"walk_writes", gco_walk_writes, METH_NOARGS, "Whether a walk over the heap writes to what it visits."},
    {"start_cycles", gco_start_cycles, METH_VARARGS, "The same in a cloned child; see heap/cycles_child.py."},
    {"start_census", gco_start_census, METH_VARARGS, "A census in a cloned child; see heap/census_child.py."},
    {"read_child", gco_read_child, METH_VARARGS, "read_child(fd, timeout_ms): what it says; None: nothing yet."},
    {"end_child", gco_end_child, METH_VARARGS, "end_child(pid, fd): end it; status, CPU time (ns), page faults."},
    {NULL, NULL, 0, NULL},
};

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    gco_state *state = PyModule_GetState(module);
    Py_VISIT(state->mapping_type);
    Py_VISIT(state->recorder_type);
    Py_VISIT(state->ticker_type);
    return 0;
}

static int
module_clear(PyObject *module)
{
    gco_state *state = PyModule_GetState(module);
    Py_CLEAR(state->mapping_type);
    Py_CLEAR(state->recorder_type);
    Py_CLEAR(state->ticker_type);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef gco_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gc_otel._native._ext",
    .m_doc = "The recorder, its memory and the monitor's thread, in C.",
    .m_size = sizeof(gco_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC
PyInit__ext(void)
{
    return PyModuleDef_Init(&gco_module);
}
