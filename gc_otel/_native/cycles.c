/* Garbage cycles, found by trial deletion and named; nothing is changed.
 *
 * The collector's own question, asked without its answer: subtract from every reference count what comes from
 * inside the tracked heap; what is left at zero and is not reached from the rest is garbage.  CPython
 * does this in the objects' headers and then clears; here the counts live in an array of our own.
 *
 * Why this is safe.  One C call that never gives the GIL away.  The list of objects is made with the collector
 * off (and its switch put back before anybody else can see it), so that making it collects nothing;
 * between that and the list's end only C code runs that calls tp_traverse and malloc.  No finalizer, no
 * weak reference callback, no Python code runs; no reference count, flag or header is written but by the list.
 * Releasing the list drops no last reference, because nobody could have dropped the others.
 * Without a GIL reference counts are split between threads and some are deferred: refused in Python, see cycles.py. */
#include "heap.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_SIGNATURE 64
#define NONE UINT32_MAX

typedef struct {
    PyObject **objects; /* borrowed from the list */
    uint32_t count;
    PyObject **keys; /* object -> index: open addressing */
    uint32_t *values;
    size_t mask;
    Py_ssize_t *refs; /* what is left of the reference counts */
    uint32_t *out;    /* where the references seen last are put */
    size_t out_used, out_capacity;
    bool failed;
} graph;

/* The garbage alone, as an adjacency list; nodes are numbered anew. */
typedef struct {
    uint32_t count;
    uint32_t *object; /* node -> index in the graph */
    size_t *first;    /* node -> its first edge; one more than there are nodes */
    uint32_t *edges;
    uint32_t *component; /* node -> number of its component */
    uint32_t *order;     /* nodes, component by component */
    uint32_t components;
    size_t *starts; /* component -> its first place in order; one more than there are components */
} garbage;

static uint32_t
index_of(const graph *graph, PyObject *object)
{
    for (size_t i = gco_hash_pointer(object) & graph->mask;; i = (i + 1) & graph->mask) {
        if (graph->keys[i] == object) {
            return graph->values[i];
        }
        if (graph->keys[i] == NULL) {
            return NONE;
        }
    }
}

static int
subtract(PyObject *object, void *argument)
{
    graph *graph = argument;
    uint32_t index = index_of(graph, object);
    if (index != NONE) {
        graph->refs[index]--;
    }
    return 0;
}

static int
collect_edge(PyObject *object, void *argument)
{
    graph *graph = argument;
    uint32_t index = index_of(graph, object);
    if (index == NONE) {
        return 0;
    }
    if (graph->out_used == graph->out_capacity) {
        size_t capacity = graph->out_capacity * 2 + 1024;
        uint32_t *bigger = realloc(graph->out, capacity * sizeof(uint32_t));
        if (bigger == NULL) {
            graph->failed = true;
            return 1;
        }
        graph->out = bigger;
        graph->out_capacity = capacity;
    }
    graph->out[graph->out_used++] = index;
    return 0;
}

static void
traverse(graph *graph, uint32_t index, visitproc see)
{
    traverseproc of_type = Py_TYPE(graph->objects[index])->tp_traverse;
    if (of_type != NULL) {
        (void)of_type(graph->objects[index], see, graph);
    }
}

static bool
fill(graph *graph, PyObject *list)
{
    size_t capacity = 1024;
    graph->count = (uint32_t)PyList_GET_SIZE(list);
    while (capacity < 2 * (size_t)graph->count) {
        capacity *= 2;
    }
    graph->mask = capacity - 1;
    graph->keys = calloc(capacity, sizeof(PyObject *));
    graph->values = malloc(capacity * sizeof(uint32_t));
    graph->refs = malloc((graph->count + 1) * sizeof(Py_ssize_t));
    graph->objects = ((PyListObject *)list)->ob_item;
    if (graph->keys == NULL || graph->values == NULL || graph->refs == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        size_t at = gco_hash_pointer(graph->objects[i]) & graph->mask;
        while (graph->keys[at] != NULL) {
            at = (at + 1) & graph->mask;
        }
        graph->keys[at] = graph->objects[i];
        graph->values[at] = i;
        graph->refs[i] = Py_REFCNT(graph->objects[i]) - 1; /* the list's */
    }
    return true;
}

/* Marks what lives; 0 in the result is garbage.  NULL without memory. */
static uint8_t *
find_living(graph *graph)
{
    for (uint32_t i = 0; i < graph->count; i++) {
        traverse(graph, i, subtract);
    }
    uint8_t *alive = calloc(graph->count + 1, 1);
    uint32_t *stack = malloc((graph->count + 1) * sizeof(uint32_t));
    size_t height = 0;
    if (alive != NULL && stack != NULL) {
        for (uint32_t i = 0; i < graph->count; i++) {
            if (graph->refs[i] > 0) {
                alive[i] = 1;
                stack[height++] = i;
            }
        }
        while (height > 0 && !graph->failed) {
            graph->out_used = 0;
            traverse(graph, stack[--height], collect_edge);
            for (size_t k = 0; k < graph->out_used; k++) {
                if (!alive[graph->out[k]]) {
                    alive[graph->out[k]] = 1;
                    stack[height++] = graph->out[k];
                }
            }
        }
    }
    bool complete = alive != NULL && stack != NULL && !graph->failed;
    free(stack);
    if (!complete) {
        free(alive);
        return NULL;
    }
    return alive;
}

static bool
take_garbage(graph *graph, const uint8_t *alive, garbage *garbage)
{
    uint32_t *node_of = malloc((graph->count + 1) * sizeof(uint32_t));
    if (node_of == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        node_of[i] = alive[i] ? NONE : garbage->count++;
    }
    size_t count = garbage->count;
    garbage->object = malloc((count + 1) * sizeof(uint32_t));
    garbage->first = malloc((count + 1) * sizeof(size_t));
    if (garbage->object == NULL || garbage->first == NULL) {
        free(node_of);
        return false;
    }
    graph->out_used = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        if (node_of[i] == NONE) {
            continue;
        }
        garbage->object[node_of[i]] = i;
        size_t begin = garbage->first[node_of[i]] = graph->out_used;
        traverse(graph, i, collect_edge);
        for (size_t k = begin; k < graph->out_used; k++) {
            graph->out[k] = node_of[graph->out[k]]; /* what garbage alone holds up may lead to the living */
        }
        size_t kept = begin;
        for (size_t k = begin; k < graph->out_used; k++) {
            if (graph->out[k] != NONE) {
                graph->out[kept++] = graph->out[k];
            }
        }
        graph->out_used = kept;
    }
    garbage->first[count] = graph->out_used;
    garbage->edges = graph->out;
    graph->out = NULL;
    graph->out_capacity = 0;
    free(node_of);
    return !graph->failed;
}

/* Tarjan's strongly connected components, with a stack of our own: garbage may be a list a million long. */
static bool
find_components(garbage *garbage)
{
    size_t count = garbage->count;
    uint32_t *memory = calloc(4 * count + 1, sizeof(uint32_t));
    size_t *next = malloc((count + 1) * sizeof(size_t));
    garbage->component = malloc((count + 1) * sizeof(uint32_t));
    garbage->order = malloc((count + 1) * sizeof(uint32_t));
    garbage->starts = malloc((count + 1) * sizeof(size_t));
    bool complete = memory != NULL && next != NULL && garbage->component != NULL && garbage->order != NULL &&
                    garbage->starts != NULL;
    uint32_t *number = memory, *low = memory + count, *open = memory + 2 * count, *path = memory + 3 * count;
    uint32_t numbered = 0;
    size_t opened = 0, length = 0, placed = 0;
    for (uint32_t root = 0; complete && root < count; root++) {
        if (number[root] != 0) {
            continue;
        }
        path[length++] = root;
        while (length > 0) {
            uint32_t node = path[length - 1];
            if (number[node] == 0) {
                number[node] = low[node] = ++numbered;
                next[node] = garbage->first[node];
                garbage->component[node] = NONE;
                open[opened++] = node;
            }
            bool deeper = false;
            while (next[node] < garbage->first[node + 1] && !deeper) {
                uint32_t child = garbage->edges[next[node]++];
                if (number[child] == 0) {
                    path[length++] = child;
                    deeper = true;
                }
                else if (garbage->component[child] == NONE && number[child] < low[node]) {
                    low[node] = number[child];
                }
            }
            if (deeper) {
                continue;
            }
            length--;
            if (length > 0 && low[node] < low[path[length - 1]]) {
                low[path[length - 1]] = low[node];
            }
            if (low[node] == number[node]) {
                garbage->starts[garbage->components] = placed;
                uint32_t member;
                do {
                    member = open[--opened];
                    garbage->component[member] = garbage->components;
                    garbage->order[placed++] = member;
                } while (member != node);
                garbage->components++;
            }
        }
    }
    if (complete) {
        garbage->starts[garbage->components] = placed;
    }
    free(memory);
    free(next);
    return complete;
}

static PyTypeObject *
type_of(const graph *graph, const garbage *garbage, uint32_t node)
{
    return Py_TYPE(graph->objects[garbage->object[node]]);
}

static const char *
short_name(PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.');
    return dot == NULL ? type->tp_name : dot + 1;
}

/* Where to begin the signature, so that the same shape is named alike each time: at the type that the
 * component has fewest of, of these at the first in the alphabet, of these at the oldest object. */
static uint32_t
beginning(const graph *graph, const garbage *garbage, size_t from, size_t to, gco_types *types)
{
    uint32_t best = garbage->order[from];
    uint64_t fewest = UINT64_MAX;
    for (size_t i = from; i < to; i++) {
        gco_type_entry *entry = gco_types_find(types, graph->objects[garbage->object[garbage->order[i]]]);
        if (entry == NULL) {
            return NONE;
        }
        entry->objects++;
    }
    for (size_t i = from; i < to; i++) {
        uint32_t node = garbage->order[i];
        uint64_t objects = gco_types_find(types, graph->objects[garbage->object[node]])->objects;
        int order = strcmp(short_name(type_of(graph, garbage, node)), short_name(type_of(graph, garbage, best)));
        if (objects < fewest || (objects == fewest && (order < 0 || (order == 0 && node < best)))) {
            best = node;
            fewest = objects;
        }
    }
    for (size_t i = from; i < to; i++) { /* the table is used again */
        gco_types_find(types, graph->objects[garbage->object[garbage->order[i]]])->objects = 0;
    }
    return best;
}

/* The shortest cycle through `start`, breadth first; its nodes into `cycle`, how many as result. */
static size_t
shortest_cycle(const garbage *garbage, uint32_t start, uint32_t *before, uint32_t *queue, uint32_t *cycle)
{
    uint32_t component = garbage->component[start];
    size_t head = 0, tail = 0;
    queue[tail++] = start;
    before[start] = start;
    while (head < tail) {
        uint32_t node = queue[head++];
        for (size_t k = garbage->first[node]; k < garbage->first[node + 1]; k++) {
            uint32_t child = garbage->edges[k];
            if (child == start) {
                size_t length = 1;
                for (uint32_t at = node; at != start; at = before[at]) {
                    length++;
                }
                size_t place = length;
                for (uint32_t at = node;; at = before[at]) {
                    place--;
                    if (place < LONGEST_SIGNATURE) {
                        cycle[place] = at;
                    }
                    if (at == start) {
                        return length;
                    }
                }
            }
            if (garbage->component[child] == component && before[child] == NONE) {
                before[child] = node;
                queue[tail++] = child;
            }
        }
    }
    return 0;
}

static bool
holds_itself(const garbage *garbage, uint32_t node)
{
    for (size_t k = garbage->first[node]; k < garbage->first[node + 1]; k++) {
        if (garbage->edges[k] == node) {
            return true;
        }
    }
    return false;
}

typedef struct {
    gco_types *types;
    double bytes;
} holding;

/* An object that the collector does not track (str, bytes): held n times, 1/n of it is here. */
static int
add_untracked(PyObject *object, void *argument)
{
    holding *holding = argument;
    Py_ssize_t refs = Py_REFCNT(object);
    bool tracked = PyType_IS_GC(Py_TYPE(object)) && PyObject_IS_GC(object) && PyObject_GC_IsTracked(object);
    if (!tracked && refs < GCO_IMMORTAL) {
        gco_type_entry *entry = gco_types_find(holding->types, object);
        if (entry != NULL) {
            holding->bytes += (double)gco_shallow_bytes(entry, object) / (double)(refs < 1 ? 1 : refs);
        }
    }
    return 0;
}

/* The object's own memory and its part of what it holds untracked. */
static double
bytes_of(PyObject *object, gco_types *types)
{
    gco_type_entry *entry = gco_types_find(types, object);
    holding holding = {types, entry == NULL ? 0 : (double)gco_shallow_bytes(entry, object)};
    traverseproc of_type = Py_TYPE(object)->tp_traverse;
    if (of_type != NULL) {
        (void)of_type(object, add_untracked, &holding);
    }
    return holding.bytes;
}

/* One component as Python will have it: types around, length of the way around, objects, bytes.
 *
 * Types are static or held by their objects, and the objects by the list until after the last row. */
static PyObject *
row_of(const graph *graph, const garbage *garbage, gco_types *types, size_t from, size_t to, uint32_t *scratch)
{
    uint32_t cycle[LONGEST_SIGNATURE], start = beginning(graph, garbage, from, to, types);
    if (start == NONE) {
        return PyErr_NoMemory();
    }
    size_t length = shortest_cycle(garbage, start, scratch, scratch + garbage->count, cycle);
    double bytes = 0;
    for (size_t i = from; i < to; i++) {
        bytes += bytes_of(graph->objects[garbage->object[garbage->order[i]]], types);
    }
    size_t shown = length < LONGEST_SIGNATURE ? length : LONGEST_SIGNATURE;
    PyObject *around = PyTuple_New((Py_ssize_t)shown);
    for (size_t i = 0; around != NULL && i < shown; i++) {
        PyTuple_SET_ITEM(around, (Py_ssize_t)i, Py_NewRef((PyObject *)type_of(graph, garbage, cycle[i])));
    }
    return around == NULL ? NULL
                          : Py_BuildValue("(Nnnn)", around, (Py_ssize_t)length, (Py_ssize_t)(to - from),
                                          (Py_ssize_t)(bytes + 0.5));
}

static PyObject *
rows_of(const graph *graph, const garbage *garbage, double *garbage_bytes)
{
    gco_types types;
    uint32_t *scratch = malloc((2 * (size_t)garbage->count + 1) * sizeof(uint32_t));
    PyObject *rows = PyList_New(0);
    if (!gco_types_init(&types) || scratch == NULL) {
        Py_CLEAR(rows);
        PyErr_NoMemory();
    }
    for (uint32_t node = 0; rows != NULL && node < garbage->count; node++) {
        scratch[node] = NONE;
        PyObject *object = graph->objects[garbage->object[node]];
        gco_type_entry *entry = gco_types_find(&types, object);
        if (entry == NULL) {
            Py_CLEAR(rows);
            PyErr_NoMemory();
            break;
        }
        *garbage_bytes += bytes_of(object, &types);
    }
    for (uint32_t i = 0; rows != NULL && i < garbage->components; i++) {
        size_t from = garbage->starts[i], to = garbage->starts[i + 1];
        if (to - from == 1 && !holds_itself(garbage, garbage->order[from])) {
            continue; /* hangs on a cycle, or between two, and is in none */
        }
        PyObject *row = row_of(graph, garbage, &types, from, to, scratch);
        if (row == NULL || PyList_Append(rows, row) < 0) {
            Py_CLEAR(rows);
        }
        Py_XDECREF(row);
    }
    gco_types_free(&types);
    free(scratch);
    return rows;
}

static PyObject *
examine(PyObject *list)
{
    graph graph = {0};
    garbage garbage = {0};
    PyObject *rows = NULL;
    uint8_t *alive = NULL;
    double bytes = 0;
    if (fill(&graph, list) && (alive = find_living(&graph)) != NULL && take_garbage(&graph, alive, &garbage) &&
        find_components(&garbage)) {
        rows = rows_of(&graph, &garbage, &bytes);
    }
    else {
        PyErr_NoMemory();
    }
    PyObject *result = rows == NULL ? NULL
                                    : Py_BuildValue("(NnnK)", rows, (Py_ssize_t)graph.count, (Py_ssize_t)garbage.count,
                                                    (unsigned long long)(bytes + 0.5));
    free(graph.keys);
    free(graph.values);
    free(graph.refs);
    free(graph.out);
    free(alive);
    free(garbage.object);
    free(garbage.first);
    free(garbage.edges);
    free(garbage.component);
    free(garbage.order);
    free(garbage.starts);
    return result;
}

PyObject *
gco_find_garbage(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL || !gco_sizes_prepare()) {
        Py_XDECREF(gc);
        return NULL;
    }
    int was_enabled = PyGC_Disable();
    PyObject *list = PyObject_CallMethod(gc, "get_objects", NULL), *result = NULL;
    if (list != NULL && PyList_GET_SIZE(list) >= (Py_ssize_t)NONE) {
        PyErr_SetString(PyExc_OverflowError, "more than four thousand million objects");
    }
    else if (list != NULL) {
        result = examine(list);
    }
    Py_XDECREF(list);
    if (was_enabled) {
        PyGC_Enable(); /* only now: an allocation for the rows must not start a collection under the list */
    }
    Py_DECREF(gc);
    return result;
}
