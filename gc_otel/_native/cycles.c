/* Garbage cycles, found by trial deletion and named; nothing is changed.
 *
 * The collector's own question, asked without its answer: subtract from every reference count what comes from
 * inside the tracked heap; what is left at zero and is not reached from the rest is garbage.  CPython
 * does this in the objects' headers and then clears; here the counts live in memory of our own.
 *
 * Why this is safe in the process itself.  One C call that never gives the GIL away, with the collector off (and its
 * switch put back before anybody else can see it), so that nothing dies between the first pointer and the last
 * use of one.  No finalizer, no weak reference callback, no Python code runs; no flag or header is written, and reference
 * counts only while pointers are gathered, by CPython, and back again.  Without a GIL reference counts are split
 * between threads and some are deferred: refused in Python, see cycles.py.
 *
 * Why it is safe in a cloned child (child.c).  From gco_heap_examine() on there are calls of tp_traverse, which the
 * collector makes in the same way, and stores into the arena.  Nothing is allocated, and no type is asked for a size
 * by Python code: what only such code tells was asked while gathering.  No page of the heap is written. */
#include "heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LONGEST_SIGNATURE 64
#define NONE UINT32_MAX
#define LARGEST_ARENA ((size_t)1 << 35)
#define SMALLEST_ARENA ((size_t)1 << 24)
#define PROGRESS_EVERY (1u << 18)

static const char NO_ROOM[] = "no memory for the examination";

bool
gco_arena_map(gco_arena *arena)
{
    /* The address space is asked for generously and given in halves: a limit on it (RLIMIT_AS) may be in force. */
    for (size_t bytes = LARGEST_ARENA; bytes >= SMALLEST_ARENA; bytes /= 2) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED) {
            *arena = (gco_arena){memory, bytes, 0};
            return true;
        }
    }
    *arena = (gco_arena){NULL, 0, 0};
    return false;
}

void
gco_arena_unmap(gco_arena *arena)
{
    if (arena->memory != NULL) {
        munmap(arena->memory, arena->capacity);
    }
    arena->memory = NULL;
}

void *
gco_arena_take(gco_arena *arena, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes > arena->capacity - arena->used) {
        return NULL;
    }
    void *memory = arena->memory + arena->used;
    arena->used += bytes;
    return memory;
}

/* The last piece taken grows in place: nothing may be taken meanwhile. */
static bool
grow_last(gco_arena *arena, const void *memory, size_t bytes)
{
    size_t from = (size_t)((const char *)memory - arena->memory);
    if (bytes > arena->capacity - from) {
        return false;
    }
    size_t end = from + ((bytes + 15) & ~(size_t)15);
    arena->used = end > arena->used ? end : arena->used;
    return true;
}

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

static void
tell(const graph *graph, unsigned phase, uint64_t done)
{
    if (done % PROGRESS_EVERY == 0) {
        graph->report->progress(graph->report->context, phase, done, graph->count);
    }
}

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
        if (!grow_last(&graph->heap->arena, graph->out, capacity * sizeof(uint32_t))) {
            graph->failed = true;
            return 1;
        }
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
fill(graph *graph)
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
    for (uint32_t i = 0; i < graph->count; i++) {
        tell(graph, 0, i);
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
find_living(graph *graph)
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
        tell(graph, 1, i);
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
        tell(graph, 2, reached++);
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
take_garbage(graph *graph, const uint8_t *alive, garbage *garbage)
{
    gco_arena *arena = &graph->heap->arena;
    uint32_t *node_of = gco_arena_take(arena, (graph->count + 1) * sizeof(uint32_t));
    if (node_of == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        node_of[i] = alive[i] ? NONE : garbage->count++;
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
    return !graph->failed;
}

/* Tarjan's strongly connected components, with a stack of our own: garbage may be a list a million long. */
static bool
find_components(gco_arena *arena, garbage *garbage)
{
    size_t count = garbage->count;
    uint32_t *memory = gco_arena_take(arena, (4 * count + 1) * sizeof(uint32_t));
    size_t *next = gco_arena_take(arena, (count + 1) * sizeof(size_t));
    garbage->component = gco_arena_take(arena, (count + 1) * sizeof(uint32_t));
    garbage->order = gco_arena_take(arena, (count + 1) * sizeof(uint32_t));
    garbage->starts = gco_arena_take(arena, (count + 1) * sizeof(size_t));
    if (memory == NULL || next == NULL || garbage->component == NULL || garbage->order == NULL ||
        garbage->starts == NULL) {
        return false;
    }
    uint32_t *number = memory, *low = memory + count, *open = memory + 2 * count, *path = memory + 3 * count;
    uint32_t numbered = 0;
    size_t opened = 0, length = 0, placed = 0;
    for (uint32_t root = 0; root < count; root++) {
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
    garbage->starts[garbage->components] = placed;
    return true;
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
        if (entry != NULL && entry->family != GCO_FRAME) {
            holding->bytes += (double)gco_shallow_bytes(entry, object) / (double)(refs < 1 ? 1 : refs);
        }
    }
    return 0;
}

/* The size that was asked for while gathering. */
static Py_ssize_t
frame_bytes(const gco_heap *heap, uint32_t index, Py_ssize_t otherwise)
{
    uint32_t low = 0, high = heap->frames_used;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (heap->frames[middle].index < index) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low < heap->frames_used && heap->frames[low].index == index ? heap->frames[low].bytes : otherwise;
}

/* The object's own memory and its part of what it holds untracked. */
static double
bytes_of(gco_heap *heap, uint32_t index)
{
    PyObject *object = heap->objects[index];
    gco_type_entry *entry = gco_types_find(&heap->types, object);
    holding holding = {&heap->types, 0};
    if (entry != NULL) {
        holding.bytes = (double)(entry->family == GCO_FRAME ? frame_bytes(heap, index, entry->fixed_bytes)
                                                            : gco_shallow_bytes(entry, object));
    }
    traverseproc of_type = Py_TYPE(object)->tp_traverse;
    if (of_type != NULL) {
        (void)of_type(object, add_untracked, &holding);
    }
    return holding.bytes;
}

/* One component to the report: types around, length of the way around, objects, bytes. */
static bool
report_component(const graph *graph, const garbage *garbage, size_t from, size_t to, uint32_t *scratch)
{
    gco_heap *heap = graph->heap;
    uint32_t cycle[LONGEST_SIGNATURE], start = beginning(graph, garbage, from, to, &heap->types);
    if (start == NONE) {
        return false;
    }
    size_t length = shortest_cycle(garbage, start, scratch, scratch + garbage->count, cycle);
    double bytes = 0;
    for (size_t i = from; i < to && !heap->names_only; i++) {
        bytes += bytes_of(heap, garbage->object[garbage->order[i]]);
    }
    size_t shown = length < LONGEST_SIGNATURE ? length : LONGEST_SIGNATURE;
    gco_type_entry *around[LONGEST_SIGNATURE];
    for (size_t i = 0; i < shown; i++) {
        around[i] = gco_types_find(&heap->types, graph->objects[garbage->object[cycle[i]]]);
        if (around[i] == NULL) {
            return false;
        }
    }
    return graph->report->component(graph->report->context, heap, around, shown, length, to - from, bytes);
}

static bool
report_garbage(const graph *graph, const garbage *garbage, double *garbage_bytes)
{
    uint32_t *scratch = gco_arena_take(&graph->heap->arena, (2 * (size_t)garbage->count + 1) * sizeof(uint32_t));
    if (scratch == NULL) {
        return false;
    }
    for (uint32_t node = 0; node < garbage->count; node++) {
        tell(graph, 3, node);
        scratch[node] = NONE;
        *garbage_bytes += graph->heap->names_only ? 0 : bytes_of(graph->heap, garbage->object[node]);
    }
    for (uint32_t i = 0; i < garbage->components; i++) {
        size_t from = garbage->starts[i], to = garbage->starts[i + 1];
        if (to - from == 1 && !holds_itself(garbage, garbage->order[from])) {
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
    graph graph = {.heap = heap, .report = report, .objects = heap->objects, .count = heap->count};
    garbage garbage = {0};
    uint8_t *alive = NULL;
    bool complete = fill(&graph) && (alive = find_living(&graph)) != NULL && take_garbage(&graph, alive, &garbage) &&
                    find_components(&heap->arena, &garbage) && report_garbage(&graph, &garbage, garbage_bytes);
    *garbage_objects = garbage.count;
    if (!complete) {
        heap->failure = NO_ROOM;
    }
    return complete;
}

/* One object while gathering, with the GIL: a size that Python code tells is asked for now. */
static bool
gather_one(gco_heap *heap, PyObject *object)
{
    gco_type_entry *entry = gco_types_find(&heap->types, object);
    if (entry == NULL || heap->count >= NONE - 1 ||
        !grow_last(&heap->arena, heap->objects, ((size_t)heap->count + 1) * sizeof(PyObject *))) {
        heap->failure = NO_ROOM;
        return false;
    }
    if (entry->family == GCO_FRAME) {
        if (heap->frames_used == heap->frames_capacity) {
            uint32_t capacity = heap->frames_capacity * 2 + 256;
            gco_sized *bigger = realloc(heap->frames, capacity * sizeof(gco_sized));
            if (bigger == NULL) {
                heap->failure = NO_ROOM;
                return false;
            }
            heap->frames = bigger;
            heap->frames_capacity = capacity;
        }
        heap->frames[heap->frames_used++] = (gco_sized){heap->count, gco_shallow_bytes(entry, object)};
    }
    heap->objects[heap->count++] = object;
    return true;
}

#if PY_VERSION_HEX >= 0x030c0000
typedef struct {
    gco_heap *heap;
} visitor;

static int
gather(PyObject *object, void *argument)
{
    return gather_one(((visitor *)argument)->heap, object);
}

static Py_ssize_t
length_of_all(PyObject *gc)
{
    PyObject *list = PyObject_CallMethod(gc, "get_objects", NULL);
    Py_ssize_t length = list == NULL ? -1 : PyList_GET_SIZE(list);
    Py_XDECREF(list); /* nobody ran since it was made */
    return length;
}

/* What gc.freeze() put aside is left out, as the collector leaves it out.  Where it is visited at all it comes
 * last: 3.12.1 and 3.13.0 pass it over, 3.15.2 does not, so the first walk with something frozen finds out. */
static bool
gather_all(gco_heap *heap, PyObject *gc)
{
    static enum { UNKNOWN, VISITED, PASSED_OVER } frozen_ones = UNKNOWN;
    PyObject *frozen = PyObject_CallMethod(gc, "get_freeze_count", NULL);
    Py_ssize_t count = frozen == NULL ? -1 : PyLong_AsSsize_t(frozen);
    Py_XDECREF(frozen);
    Py_ssize_t listed = count > 0 && frozen_ones == UNKNOWN ? length_of_all(gc) : 0;
    if (count < 0 || listed < 0) {
        return false;
    }
    visitor visitor = {heap};
    PyUnstable_GC_VisitObjects(gather, &visitor);
    if (count > 0 && frozen_ones == UNKNOWN) {
        frozen_ones = (Py_ssize_t)heap->count >= listed + (count + 1) / 2 ? VISITED : PASSED_OVER;
    }
    if (frozen_ones == VISITED) {
        heap->count -= (uint32_t)((uint64_t)count < heap->count ? (uint64_t)count : heap->count);
    }
    while (heap->frames_used > 0 && heap->frames[heap->frames_used - 1].index >= heap->count) {
        heap->frames_used--;
    }
    return true;
}
#else
static bool
gather_all(gco_heap *heap, PyObject *gc)
{
    PyObject *list = PyObject_CallMethod(gc, "get_objects", NULL);
    if (list == NULL) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list) && gather_one(heap, PyList_GET_ITEM(list, i)); i++) {
    }
    Py_DECREF(list); /* nobody ran since it was made: no last reference is dropped here */
    return true;
}
#endif

bool
gco_heap_gather(gco_heap *heap, PyObject *gc)
{
    *heap = (gco_heap){0};
    if (!gco_sizes_prepare()) {
        return false;
    }
    if (!gco_types_init(&heap->types) || !gco_arena_map(&heap->arena)) {
        PyErr_NoMemory();
        return false;
    }
    heap->objects = gco_arena_take(&heap->arena, 0);
    if (!gather_all(heap, gc)) {
        return false;
    }
    if (heap->failure != NULL || !gco_types_seal(&heap->types)) {
        PyErr_SetString(PyExc_MemoryError, NO_ROOM);
        return false;
    }
    return true;
}

void
gco_heap_free(gco_heap *heap)
{
    gco_types_free(&heap->types);
    gco_arena_unmap(&heap->arena);
    free(heap->frames);
    heap->frames = NULL;
}

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

static void
tell_nobody(void *Py_UNUSED(context), unsigned Py_UNUSED(phase), uint64_t Py_UNUSED(done), uint64_t Py_UNUSED(total))
{
}

static PyObject *
examine_here(gco_heap *heap)
{
    uint64_t garbage = 0;
    double bytes = 0;
    PyObject *rows = PyList_New(0), *result = NULL;
    gco_report report = {rows, append_row, tell_nobody};
    if (rows != NULL && gco_heap_examine(heap, &report, &garbage, &bytes)) {
        result = Py_BuildValue("(OnnK)", rows, (Py_ssize_t)heap->count, (Py_ssize_t)garbage,
                               (unsigned long long)(bytes + 0.5));
    }
    else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_MemoryError, NO_ROOM);
    }
    Py_XDECREF(rows);
    return result;
}

PyObject *
gco_find_garbage(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    gco_heap heap;
    PyObject *gc = PyImport_ImportModule("gc"), *result = NULL;
    if (gc == NULL) {
        return NULL;
    }
    int was_enabled = PyGC_Disable();
    if (gco_heap_gather(&heap, gc)) {
        result = examine_here(&heap);
    }
    gco_heap_free(&heap);
    if (was_enabled) {
        PyGC_Enable(); /* only now: an allocation for the rows must not start a collection under the pointers */
    }
    Py_DECREF(gc);
    return result;
}
