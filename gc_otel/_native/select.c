/* Objects out of the tracked heap: those of some types, and those that hold some objects.
 *
 * Why not gc.get_objects() and gc.get_referrers(): up to 3.13 a list of all objects that is held while other threads run
 * breaks them.  `tuple(iterator)` resizes a tuple that the collector tracks already, and raises SystemError when
 * somebody else holds it too.  Here nothing is held but what is asked for: each function is one C call that
 * never gives the GIL away, with the collector off, and no tuple that only C code or a frame has is in its result. */
#include "heap.h"

#include <stdlib.h>

typedef struct {
    PyObject **keys; /* open addressing */
    Py_ssize_t *values;
    size_t mask;
} table;

static bool
table_init(table *table, size_t count)
{
    size_t capacity = 16;
    while (capacity < 2 * count) {
        capacity *= 2;
    }
    table->keys = calloc(capacity, sizeof(PyObject *));
    table->values = calloc(capacity, sizeof(Py_ssize_t));
    table->mask = capacity - 1;
    return table->keys != NULL && table->values != NULL;
}

static void
table_free(table *table)
{
    free(table->keys);
    free(table->values);
}

static Py_ssize_t *
table_find(const table *table, const void *key)
{
    for (size_t i = gco_hash_pointer(key) & table->mask; table->keys[i] != NULL; i = (i + 1) & table->mask) {
        if (table->keys[i] == key) {
            return &table->values[i];
        }
    }
    return NULL;
}

static void
table_put(table *table, PyObject *key, Py_ssize_t value)
{
    size_t i = gco_hash_pointer(key) & table->mask;
    while (table->keys[i] != NULL && table->keys[i] != key) {
        i = (i + 1) & table->mask;
    }
    if (table->keys[i] == NULL) {
        table->keys[i] = key;
        table->values[i] = value;
    }
}

static bool
table_fill(table *table, PyObject *list)
{
    if (!table_init(table, (size_t)PyList_GET_SIZE(list))) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        table_put(table, PyList_GET_ITEM(list, i), i);
    }
    return true;
}

/* With the collector off: what `work` allocates starts no collection in the middle. */
static PyObject *
without_collector(PyObject *(*work)(const gco_tracked *tracked, PyObject *list, Py_ssize_t most), PyObject *list,
                  Py_ssize_t most)
{
    gco_tracked tracked;
    int was_enabled = PyGC_Disable();
    PyObject *result = gco_tracked_find(&tracked) ? work(&tracked, list, most) : NULL;
    if (was_enabled) {
        PyGC_Enable();
    }
    return result;
}

typedef struct {
    table types;
    PyObject **found; /* the last ones, in a ring */
    Py_ssize_t most, count;
} selection;

static int
select_one(PyObject *object, void *argument)
{
    selection *selection = argument;
    if (table_find(&selection->types, Py_TYPE(object)) != NULL) {
        selection->found[selection->count++ % selection->most] = object;
    }
    return 1;
}

static PyObject *
select_all(const gco_tracked *tracked, PyObject *types, Py_ssize_t most)
{
    selection selection = {.most = most};
    PyObject *result = NULL;
    selection.found = calloc((size_t)most, sizeof(PyObject *));
    if (selection.found == NULL) {
        return PyErr_NoMemory();
    }
    if (table_fill(&selection.types, types)) {
        gco_tracked_visit(tracked, GCO_LIST_FROZEN, select_one, &selection);
        Py_ssize_t shown = selection.count < most ? selection.count : most;
        PyObject *list = PyList_New(shown);
        for (Py_ssize_t i = 0; list != NULL && i < shown; i++) {
            PyList_SET_ITEM(list, i, Py_NewRef(selection.found[(selection.count - shown + i) % most]));
        }
        result = list == NULL ? NULL : Py_BuildValue("(Nn)", list, selection.count);
    }
    table_free(&selection.types);
    free(selection.found);
    return result;
}

PyObject *
gco_select_objects(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *types;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!n:select_objects", &PyList_Type, &types, &most)) {
        return NULL;
    }
    if (most < 1 || most > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(PyObject *)) {
        PyErr_SetString(PyExc_ValueError, "most is 1 or more");
        return NULL;
    }
    return without_collector(select_all, types, most);
}

/* Pairs of a holder and which of the targets it holds; `most` in all. */
typedef struct {
    table targets;
    PyObject *list;
    Py_ssize_t most;
    PyObject **holders;
    Py_ssize_t *held;
    Py_ssize_t used;
    PyObject *holder;
    table doubtful; /* tuples that perhaps nobody but C code or a frame has: value 1 once a holder was seen */
    size_t doubtful_used;
} search;

static int
see_target(PyObject *object, void *argument)
{
    search *search = argument;
    Py_ssize_t *index = table_find(&search->targets, object);
    if (index != NULL && search->used < search->most) {
        search->holders[search->used] = search->holder;
        search->held[search->used++] = *index;
    }
    return 0;
}

static int
search_one(PyObject *object, void *argument)
{
    search *search = argument;
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    search->holder = object;
    if (traverse != NULL && object != search->list) {
        (void)traverse(object, see_target, search);
    }
    return search->used < search->most;
}

static int
see_doubtful(PyObject *object, void *argument)
{
    Py_ssize_t *is_held = table_find(&((search *)argument)->doubtful, object);
    if (is_held != NULL) {
        *is_held = 1;
    }
    return 0;
}

static int
look_for_doubtful(PyObject *object, void *argument)
{
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    if (traverse != NULL) {
        (void)traverse(object, see_doubtful, argument);
    }
    return 1;
}

/* Tuples in the making are known by this: no object holds them. */
static bool
doubt_tuples(search *search, const gco_tracked *tracked)
{
    if (!table_init(&search->doubtful, (size_t)search->used + 1)) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t i = 0; i < search->used; i++) {
        if (PyTuple_CheckExact(search->holders[i])) {
            table_put(&search->doubtful, search->holders[i], 0);
            search->doubtful_used++;
        }
    }
    if (search->doubtful_used > 0) {
        gco_tracked_visit(tracked, GCO_LIST_FROZEN, look_for_doubtful, search);
    }
    return true;
}

static PyObject *
pairs_of(search *search)
{
    PyObject *pairs = PyList_New(0);
    for (Py_ssize_t i = 0; pairs != NULL && i < search->used; i++) {
        Py_ssize_t *is_held = table_find(&search->doubtful, search->holders[i]);
        if (is_held != NULL && *is_held == 0) {
            continue;
        }
        PyObject *pair = Py_BuildValue("(On)", search->holders[i], search->held[i]);
        if (pair == NULL || PyList_Append(pairs, pair) < 0) {
            Py_CLEAR(pairs);
        }
        Py_XDECREF(pair);
    }
    return pairs;
}

static PyObject *
find_all(const gco_tracked *tracked, PyObject *targets, Py_ssize_t most)
{
    search search = {.list = targets, .most = most};
    PyObject *result = NULL;
    search.holders = calloc((size_t)most, sizeof(PyObject *));
    search.held = calloc((size_t)most, sizeof(Py_ssize_t));
    if (search.holders == NULL || search.held == NULL) {
        PyErr_NoMemory();
    }
    else if (table_fill(&search.targets, targets)) {
        gco_tracked_visit(tracked, GCO_LIST_FROZEN, search_one, &search);
        result = doubt_tuples(&search, tracked) ? pairs_of(&search) : NULL;
    }
    table_free(&search.targets);
    table_free(&search.doubtful);
    free(search.holders);
    free(search.held);
    return result;
}

PyObject *
gco_find_referrers(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *targets;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!n:find_referrers", &PyList_Type, &targets, &most)) {
        return NULL;
    }
    if (most < 1 || most > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(PyObject *)) {
        PyErr_SetString(PyExc_ValueError, "most is 1 or more");
        return NULL;
    }
    return without_collector(find_all, targets, most);
}
