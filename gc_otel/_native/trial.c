/* Trial deletion: reference counts less what comes from inside the tracked heap.  Why it is safe: garbage.h. */
#include "garbage.h"

#include <string.h>

#define SMALL_TABLE 65536 /* as the sampler has them, whose memory is there */

static uint32_t
index_of(const gco_graph *graph, PyObject *object)
{
    for (size_t i = gco_hash_pointer(object) & graph->mask;; i = (i + 1) & graph->mask) {
        if (graph->keys[i] == object) {
            return graph->values[i];
        }
        if (graph->keys[i] == NULL) {
            return GCO_NO_NODE;
        }
    }
}

static int
subtract(PyObject *object, void *argument)
{
    gco_graph *graph = argument;
    uint32_t index = index_of(graph, object);
    if (index != GCO_NO_NODE) {
        graph->refs[index]--;
    }
    return 0;
}

static int
collect_edge(PyObject *object, void *argument)
{
    gco_graph *graph = argument;
    uint32_t index = index_of(graph, object);
    if (index == GCO_NO_NODE) {
        return 0;
    }
    if (graph->out_used == graph->out_capacity) {
        size_t capacity = graph->out_capacity * 2 + 1024;
        if (!gco_arena_grow_last(&graph->heap->arena, graph->out, capacity * sizeof(uint32_t))) {
            graph->failed = true;
            return 1;
        }
        graph->out_capacity = capacity;
    }
    graph->out[graph->out_used++] = index;
    return 0;
}

static void
traverse(gco_graph *graph, uint32_t index, visitproc see)
{
    traverseproc of_type = Py_TYPE(graph->objects[index])->tp_traverse;
    if (of_type != NULL) {
        (void)of_type(graph->objects[index], see, graph);
    }
}

static bool
fill(gco_graph *graph)
{
    gco_arena *arena = &graph->heap->arena;
    size_t capacity = 1024;
    while (capacity < 2 * (size_t)graph->count) {
        capacity *= 2;
    }
    graph->mask = capacity - 1;
    graph->keys = gco_arena_take(arena, capacity * sizeof(PyObject *));
    graph->values = gco_arena_take(arena, capacity * sizeof(uint32_t));
    graph->refs = gco_arena_take(arena, (graph->count + 1) * sizeof(Py_ssize_t));
    if (graph->keys == NULL || graph->values == NULL || graph->refs == NULL) {
        return false;
    }
    if (capacity > SMALL_TABLE) { /* each page of it would be read before it is written to: two page faults instead of one */
        memset(graph->keys, 0, capacity * sizeof(PyObject *));
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        gco_tell(graph, 0, i);
        size_t at = gco_hash_pointer(graph->objects[i]) & graph->mask;
        while (graph->keys[at] != NULL) {
            at = (at + 1) & graph->mask;
        }
        graph->keys[at] = graph->objects[i];
        graph->values[at] = i;
        graph->refs[i] = Py_REFCNT(graph->objects[i]);
    }
    return true;
}

/* Marks what lives; 0 in the result is garbage.  NULL without memory. */
static uint8_t *
find_living(gco_graph *graph)
{
    gco_arena *arena = &graph->heap->arena;
    uint8_t *alive = gco_arena_take(arena, graph->count + 1);
    uint32_t *stack = gco_arena_take(arena, (graph->count + 1) * sizeof(uint32_t));
    graph->out = gco_arena_take(arena, 0);
    size_t height = 0;
    if (alive == NULL || stack == NULL || graph->out == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        gco_tell(graph, 1, i);
        traverse(graph, i, subtract);
    }
    uint32_t reached = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        if (graph->refs[i] > 0) {
            alive[i] = 1;
            stack[height++] = i;
        }
    }
    while (height > 0 && !graph->failed) {
        gco_tell(graph, 2, reached++);
        graph->out_used = 0;
        traverse(graph, stack[--height], collect_edge);
        for (size_t k = 0; k < graph->out_used; k++) {
            if (!alive[graph->out[k]]) {
                alive[graph->out[k]] = 1;
                stack[height++] = graph->out[k];
            }
        }
    }
    return graph->failed ? NULL : alive;
}

static bool
take_garbage(gco_graph *graph, const uint8_t *alive, gco_garbage *garbage)
{
    gco_arena *arena = &graph->heap->arena;
    uint32_t *node_of = gco_arena_take(arena, (graph->count + 1) * sizeof(uint32_t));
    if (node_of == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        node_of[i] = alive[i] ? GCO_NO_NODE : garbage->count++;
    }
    size_t count = garbage->count;
    garbage->object = gco_arena_take(arena, (count + 1) * sizeof(uint32_t));
    garbage->first = gco_arena_take(arena, (count + 1) * sizeof(size_t));
    graph->out = gco_arena_take(arena, 0);
    graph->out_capacity = 0;
    if (garbage->object == NULL || garbage->first == NULL || graph->out == NULL) {
        return false;
    }
    graph->out_used = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        if (node_of[i] == GCO_NO_NODE) {
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
            if (graph->out[k] != GCO_NO_NODE) {
                graph->out[kept++] = graph->out[k];
            }
        }
        graph->out_used = kept;
    }
    garbage->first[count] = graph->out_used;
    garbage->edges = graph->out;
    return !graph->failed;
}

bool
gco_find_garbage_graph(gco_graph *graph, gco_garbage *garbage)
{
    const uint8_t *alive = fill(graph) ? find_living(graph) : NULL;
    return alive != NULL && take_garbage(graph, alive, garbage);
}
