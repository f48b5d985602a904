/* Garbage cycles, found by trial deletion and named; nothing is changed.
 *
 * gather.c takes the pointers, trial.c finds what is garbage, components.c what of it is a cycle, examine.c names and
 * sizes that; cycles.c is Python's way in.
 *
 * The collector's own question, asked without its answer: subtract from every reference count what comes from
 * inside the tracked heap; what is left at zero and is not reached from the rest is garbage.  CPython
 * does this in the objects' headers and then clears; here the counts live in memory of our own.
 *
 * Why this is safe in the process itself.  One C call that never gives the GIL away, with the collector off (and its
 * switch put back before anybody else can see it), so that nothing dies between the first pointer and the last
 * use of one.  No finalizer, no weak reference callback, no Python code runs; no flag or header is written, and reference
 * counts only where CPython walks while pointers are gathered, and back again.  Without a GIL reference counts are split
 * between threads and some are deferred: refused in Python, see heap/cycles.py.
 *
 * Why it is safe in a cloned child (child.c).  From gco_heap_examine() on there are calls of tp_traverse, which the
 * collector makes in the same way, and stores into the arena.  Nothing is allocated, and no type is asked for a size
 * by Python code.  No page of the heap is written but for the counts of the code of frames and generators. */
#ifndef GC_OTEL_GARBAGE_H
#define GC_OTEL_GARBAGE_H

#include "heap.h"

#define GCO_NO_NODE UINT32_MAX
#define GCO_NO_ROOM "no memory for the examination"

typedef struct {
    gco_heap *heap;
    const gco_report *report;
    PyObject **objects;
    uint32_t count;
    PyObject **keys; /* object -> index: open addressing */
    uint32_t *values;
    size_t mask;
    Py_ssize_t *refs; /* what is left of the reference counts */
    uint32_t *out;    /* where the references seen last are put: the arena's last piece */
    size_t out_used, out_capacity;
    bool failed;
} gco_graph;

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
} gco_garbage;

/* Every so many objects the report hears of it. */
static inline void
gco_tell(const gco_graph *graph, unsigned phase, uint64_t done)
{
    if (done % (1u << 18) == 0) {
        graph->report->progress(graph->report->context, phase, done, graph->count);
    }
}

/* What is garbage and how it hangs together; false without memory. */
bool gco_find_garbage_graph(gco_graph *graph, gco_garbage *garbage);

/* Its strongly connected components; false without memory. */
bool gco_find_components(gco_arena *arena, gco_garbage *garbage);

/* The shortest cycle through `start`, breadth first; its first nodes into `cycle`, how many it has as result.  `before` is
 * GCO_NO_NODE for every node of the component; `queue` has room for them. */
size_t gco_shortest_cycle(const gco_garbage *garbage, uint32_t start, uint32_t *before, uint32_t *queue,
                          uint32_t *cycle);

bool gco_holds_itself(const gco_garbage *garbage, uint32_t node);

#endif
