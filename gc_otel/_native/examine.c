/* Names and sizes of the garbage's components, to whoever asked.  Why it is safe: garbage.h. */
#include "garbage.h"

#include <string.h>

static PyTypeObject *
type_of(const gco_graph *graph, const gco_garbage *garbage, uint32_t node)
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
beginning(const gco_graph *graph, const gco_garbage *garbage, size_t from, size_t to, gco_types *types)
{
    uint32_t best = garbage->order[from];
    uint64_t fewest = UINT64_MAX;
    for (size_t i = from; i < to; i++) {
        gco_type_entry *entry = gco_types_find(types, graph->objects[garbage->object[garbage->order[i]]]);
        if (entry == NULL) {
            return GCO_NO_NODE;
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
bytes_of(gco_heap *heap, uint32_t index)
{
    PyObject *object = heap->objects[index];
    gco_type_entry *entry = gco_types_find(&heap->types, object);
    holding holding = {&heap->types, entry == NULL ? 0 : (double)gco_shallow_bytes(entry, object)};
    traverseproc of_type = Py_TYPE(object)->tp_traverse;
    if (of_type != NULL) {
        (void)of_type(object, add_untracked, &holding);
    }
    return holding.bytes;
}

/* One component to the report: types around, length of the way around, objects, bytes. */
static bool
report_component(const gco_graph *graph, const gco_garbage *garbage, size_t from, size_t to, uint32_t *scratch)
{
    gco_heap *heap = graph->heap;
    uint32_t cycle[GCO_LONGEST_SIGNATURE], start = beginning(graph, garbage, from, to, &heap->types);
    if (start == GCO_NO_NODE) {
        return false;
    }
    size_t length = gco_shortest_cycle(garbage, start, scratch, scratch + garbage->count, cycle);
    double bytes = 0;
    for (size_t i = from; i < to && !heap->names_only; i++) {
        bytes += bytes_of(heap, garbage->object[garbage->order[i]]);
    }
    size_t shown = length < GCO_LONGEST_SIGNATURE ? length : GCO_LONGEST_SIGNATURE;
    gco_type_entry *around[GCO_LONGEST_SIGNATURE];
    for (size_t i = 0; i < shown; i++) {
        around[i] = gco_types_find(&heap->types, graph->objects[garbage->object[cycle[i]]]);
        if (around[i] == NULL) {
            return false;
        }
    }
    return graph->report->component(graph->report->context, heap, around, shown, length, to - from, bytes);
}

static bool
report_garbage(const gco_graph *graph, const gco_garbage *garbage, double *garbage_bytes)
{
    uint32_t *scratch = gco_arena_take(&graph->heap->arena, (2 * (size_t)garbage->count + 1) * sizeof(uint32_t));
    if (scratch == NULL) {
        return false;
    }
    for (uint32_t node = 0; node < garbage->count; node++) {
        gco_tell(graph, 3, node);
        scratch[node] = GCO_NO_NODE;
        *garbage_bytes += graph->heap->names_only ? 0 : bytes_of(graph->heap, garbage->object[node]);
    }
    for (uint32_t i = 0; i < garbage->components; i++) {
        size_t from = garbage->starts[i], to = garbage->starts[i + 1];
        if (to - from == 1 && !gco_holds_itself(garbage, garbage->order[from])) {
            continue; /* hangs on a cycle, or between two, and is in none */
        }
        if (!report_component(graph, garbage, from, to, scratch)) {
            return false;
        }
    }
    return true;
}

bool
gco_heap_examine(gco_heap *heap, const gco_report *report, uint64_t *garbage_objects, double *garbage_bytes)
{
    gco_graph graph = {.heap = heap, .report = report, .objects = heap->objects, .count = heap->count};
    gco_garbage garbage = {0};
    bool complete = gco_find_garbage_graph(&graph, &garbage) && gco_find_components(&heap->arena, &garbage) &&
                    report_garbage(&graph, &garbage, garbage_bytes);
    *garbage_objects = garbage.count;
    if (!complete) {
        heap->failure = GCO_NO_ROOM;
    }
    return complete;
}
