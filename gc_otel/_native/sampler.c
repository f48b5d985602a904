/* HAZARD ZONE 1: the cycle sampler, called by the gc callback (callback.c).
 *
 * Before CPython examines the young objects, this does, by trial deletion as in trial.c, and names what it finds.
 *
 * - *Nobody else runs.*  One C call under the GIL: no bytecode, no finalizer, no audit hook, no attribute of anybody's.
 *   Without a GIL it is not compiled in.
 * - *No collection is disturbed.*  Nothing is allocated, held or written to: the collector's lists of young objects are read
 *   where they are, which was found when the recorder was made (tracked.c) and never changes.  CPython merges them after the
 *   start callbacks.
 * - *No reference is kept.*  Pointers live in an arena that is wiped before this returns; of types their names are
 *   kept, as text.
 * - *No memory of Python's allocators*: the arena is mapped beforehand, the table of types made beforehand and sealed.
 * - *Bounded.*  More objects than `objects_most` are not examined, and where gc.get_count() says so not even looked at.
 *   What an examination took is waited for `cost_factor` times over before the next one.
 * - *Same writer* as the recorder's blocks: one callback at a time, in the process that mapped the cells.
 *
 * What the estimate is made of: estimate.c. */
#include "sampler.h"

#include "sequence.h"

#include <string.h>
#include <sys/mman.h>

#define ARENA_BYTES ((size_t)16 << 20)
#define KEPT_BYTES ((size_t)256 << 10) /* more is given back to the kernel after a sample */
#define WEIGHED_EVERY_NS 250000000ull

/* The first samples of a generation come sooner, so that a young process soon has an estimate. */
#define EARLY_SAMPLES 30
#define EARLY_PART 50

#ifndef Py_GIL_DISABLED

static bool
has_series(const uint64_t *cells, uint64_t id)
{
    for (unsigned i = 0; i < GCO_CYCLE_SERIES_ENTRIES; i++) {
        if (cells[GCO_CYCLE_SERIES_FIRST + i * GCO_CYCLE_SERIES_STRIDE + GCO_CYCLE_SERIES_ID] == id) {
            return true;
        }
    }
    return false;
}

/* The row of a signature; a new one takes an empty row, or that of the least of those that neither have a
 * series nor are in this sample. */
static unsigned
row_of_signature(gco_sampler *sampler, uint64_t *cells, const char *text)
{
    unsigned least = GCO_NAMELESS;
    for (unsigned row = 0; row < GCO_CYCLE_SIGNATURE_ENTRIES; row++) {
        uint64_t *cell = gco_row_at(cells, row);
        if (cell[GCO_CYCLE_SIGNATURE_ID] == 0) {
            least = row; /* rows are filled from the first on: behind an empty one there is none */
            break;
        }
        if (memcmp(cell + GCO_CYCLE_SIGNATURE_NAME, text, GCO_SIGNATURE_BYTES) == 0) {
            return row;
        }
        bool free = sampler->cycles[row] == 0 && !has_series(cells, cell[GCO_CYCLE_SIGNATURE_ID]);
        if (free && (least == GCO_NAMELESS || sampler->estimate[row] < sampler->estimate[least])) {
            least = row;
        }
    }
    if (least == GCO_NAMELESS) {
        return GCO_NAMELESS;
    }
    uint64_t *cell = gco_row_at(cells, least);
    uint64_t *head = cells + GCO_CYCLES_FIRST;
    gco_begin_write(&head[GCO_CYCLES_SEQUENCE]);
    sampler->estimate[GCO_NAMELESS] += sampler->estimate[least];
    sampler->estimate[least] = 0;
    for (unsigned i = 0; i < GCO_SAMPLED; i++) {
        sampler->seen[GCO_NAMELESS][i] += sampler->seen[least][i];
        sampler->seen[least][i] = 0;
    }
    head[GCO_CYCLES_UNNAMED] = (uint64_t)sampler->estimate[GCO_NAMELESS];
    memset(cell, 0, GCO_CYCLE_SIGNATURE_STRIDE * sizeof(uint64_t));
    memcpy(cell + GCO_CYCLE_SIGNATURE_NAME, text, GCO_SIGNATURE_BYTES);
    cell[GCO_CYCLE_SIGNATURE_ID] = ++head[GCO_CYCLES_LAST_ID];
    gco_end_write(&head[GCO_CYCLES_SEQUENCE]);
    return least;
}

static bool
note_component(void *context, const gco_heap *Py_UNUSED(heap), gco_type_entry *const *types, size_t shown,
               size_t length, size_t objects, double Py_UNUSED(bytes))
{
    gco_sampler *sampler = context;
    uint64_t hash = 0xCBF29CE484222325ull ^ length;
    for (size_t i = 0; i < shown; i++) {
        hash = (hash ^ (uint64_t)(uintptr_t)types[i]->type) * 0x100000001B3ull;
    }
    unsigned at = (unsigned)(hash >> 32) % GCO_KINDS, tried = 0;
    while (tried < GCO_KINDS && sampler->kinds[at].hash != 0 && sampler->kinds[at].hash != hash) {
        at = (at + 1) % GCO_KINDS;
        tried++;
    }
    unsigned row;
    if (tried < GCO_KINDS && sampler->kinds[at].hash == hash) {
        row = sampler->kinds[at].row;
    }
    else {
        char text[GCO_SIGNATURE_BYTES];
        gco_write_signature(text, types, shown, length);
        row = row_of_signature(sampler, sampler->cells, text);
        if (tried < GCO_KINDS) {
            sampler->kinds[at].hash = hash;
            sampler->kinds[at].row = row;
        }
    }
    sampler->cycles[row]++;
    sampler->objects[row] += objects;
    return true;
}

typedef struct {
    gco_heap *heap;
    uint64_t most;
    bool too_many;
} listing;

static int
list_one(PyObject *object, void *argument)
{
    listing *listing = argument;
    gco_heap *heap = listing->heap;
    if (heap->count == listing->most ||
        !gco_arena_grow_last(&heap->arena, heap->objects, ((size_t)heap->count + 1) * sizeof(PyObject *))) {
        listing->too_many = true;
        return 0;
    }
    heap->objects[heap->count++] = object;
    return 1;
}

/* The young objects as borrowed pointers in the arena; false where they are too many. */
static bool
list_young(const gco_sampler *sampler, gco_heap *heap, unsigned generation)
{
    listing listing = {heap, sampler->objects_most, false};
    heap->objects = gco_arena_take(&heap->arena, 0);
    gco_tracked_visit(&sampler->tracked, (int)generation, list_one, &listing);
    return !listing.too_many;
}

static void
clean(gco_sampler *sampler, size_t used)
{
    if (used > KEPT_BYTES) {
        madvise(sampler->arena.memory, sampler->arena.capacity, MADV_DONTNEED);
    }
    else {
        memset(sampler->arena.memory, 0, used);
    }
    memset(sampler->types.entries, 0, sampler->types.capacity * sizeof(gco_type_entry));
    sampler->types.used = 0;
}

/* Not before the cost has been waited for, give or take a half, so that no rhythm of the program's is met.  The
 * interval keeps the examinations out of a service's slow requests: one that is examined takes up to a
 * millisecond longer, and of ten of them a second a 99th percentile is made. */
static void
put_off(gco_sampler *sampler, unsigned generation, uint64_t now_ns, uint64_t cost_ns)
{
    uint64_t wait_ns = cost_ns * sampler->cost_factor, least_ns = sampler->least_interval_ns;
    if (sampler->taken[generation] < EARLY_SAMPLES) {
        sampler->taken[generation]++;
        least_ns /= EARLY_PART;
    }
    wait_ns = wait_ns < least_ns ? least_ns : wait_ns;
    sampler->random = sampler->random * 6364136223846793005ull + 1442695040888963407ull;
    sampler->due_ns[generation] = now_ns + wait_ns / 2 + (wait_ns / 256) * (sampler->random >> 56);
    sampler->due[generation] = sampler->due_ns[generation] <= now_ns;
}

static void
end_sampling(gco_sampler *sampler)
{
    sampler->wanted = sampler->active = false;
    sampler->due[0] = sampler->due[1] = false;
    sampler->attend_ns = UINT64_MAX;
}

void
gco_sample(gco_sampler *sampler, uint64_t *cells, unsigned generation, uint64_t objects)
{
    uint64_t *head = cells + GCO_CYCLES_FIRST;
    uint64_t began_ns = gco_clock_ns(CLOCK_MONOTONIC);
    if (objects > sampler->objects_most) { /* even to list them would take long */
        put_off(sampler, generation, began_ns, 0);
        return;
    }
    gco_heap heap = {.arena = sampler->arena, .types = sampler->types, .names_only = true};
    uint64_t garbage = 0;
    double bytes = 0;
    memset(sampler->cycles, 0, sizeof(sampler->cycles));
    memset(sampler->objects, 0, sizeof(sampler->objects));
    memset(sampler->kinds, 0, sizeof(sampler->kinds));
    sampler->cells = cells;
    gco_report report = {sampler, note_component, gco_tell_nobody};
    sampler->active = list_young(sampler, &heap, generation) && gco_heap_examine(&heap, &report, &garbage, &bytes);
    sampler->garbage = garbage;
    sampler->cells = NULL;
    clean(sampler, heap.arena.used);
    uint64_t now_ns = gco_clock_ns(CLOCK_MONOTONIC), cost_ns = now_ns - began_ns;
    put_off(sampler, generation, now_ns, cost_ns);
    sampler->attend_ns = 0;
    gco_begin_write(&head[GCO_CYCLES_SEQUENCE]);
    head[GCO_CYCLES_SKIPPED] += !sampler->active;
    head[GCO_CYCLES_COST_NS] += cost_ns;
    if (cost_ns > head[GCO_CYCLES_LONGEST_NS]) {
        head[GCO_CYCLES_LONGEST_NS] = cost_ns;
    }
    gco_end_write(&head[GCO_CYCLES_SEQUENCE]);
}

void
gco_attend(gco_sampler *sampler, uint64_t *cells, unsigned generation, uint64_t collected, uint64_t now_ns)
{
    uint64_t *sequence = &cells[GCO_CYCLES_FIRST + GCO_CYCLES_SEQUENCE];
    gco_begin_write(sequence);
    if (sampler->active) {
        sampler->active = false;
        gco_add_sample(sampler, cells, generation, collected, now_ns);
    }
    for (unsigned i = 0; i < GCO_SAMPLED; i++) {
        gco_add_pending(sampler, cells, i);
    }
    gco_end_write(sequence);
    sampler->attend_ns = now_ns + WEIGHED_EVERY_NS;
    for (unsigned i = 0; i < GCO_SAMPLED; i++) {
        sampler->due[i] = now_ns >= sampler->due_ns[i];
        if (!sampler->due[i] && sampler->due_ns[i] < sampler->attend_ns) {
            sampler->attend_ns = sampler->due_ns[i];
        }
    }
}

bool
gco_sampler_begin(gco_sampler *sampler, const uint64_t *cells, uint64_t cost_factor, uint64_t least_interval_ns,
                  uint64_t objects_most)
{
    if (sampler->arena.memory == NULL) {
        void *memory = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory != MAP_FAILED) {
            sampler->arena = (gco_arena){memory, ARENA_BYTES, 0};
        }
        if (sampler->tracked.lists == NULL || memory == MAP_FAILED || !gco_types_init(&sampler->types) || !gco_types_seal(&sampler->types)) {
            gco_sampler_free(sampler);
            return false;
        }
    }
    sampler->random = (uint64_t)(uintptr_t)sampler ^ gco_clock_ns(CLOCK_MONOTONIC);
    sampler->cost_factor = cost_factor;
    sampler->least_interval_ns = least_interval_ns;
    sampler->objects_most = objects_most;
    for (unsigned i = 0; i < GCO_SAMPLED; i++) {
        if (!sampler->wanted) { /* what was collected before is not in the estimates */
            const uint64_t *totals = cells + GCO_GENERATION_FIRST + i * GCO_GENERATION_STRIDE;
            sampler->weighed_collections[i] = totals[GCO_GENERATION_COLLECTIONS];
            sampler->weighed_collected[i] = totals[GCO_GENERATION_COLLECTED];
        }
        put_off(sampler, i, gco_clock_ns(CLOCK_MONOTONIC), 0);
    }
    sampler->wanted = true;
    sampler->attend_ns = 0;
    return true;
}

#else

void
gco_sample(gco_sampler *Py_UNUSED(sampler), uint64_t *Py_UNUSED(cells), unsigned Py_UNUSED(generation),
           uint64_t Py_UNUSED(objects))
{
}

void
gco_attend(gco_sampler *Py_UNUSED(sampler), uint64_t *Py_UNUSED(cells), unsigned Py_UNUSED(generation),
           uint64_t Py_UNUSED(collected), uint64_t Py_UNUSED(now_ns))
{
}

static void
end_sampling(gco_sampler *sampler)
{
    sampler->attend_ns = UINT64_MAX;
}

bool
gco_sampler_begin(gco_sampler *Py_UNUSED(sampler), const uint64_t *Py_UNUSED(cells), uint64_t Py_UNUSED(cost_factor),
                  uint64_t Py_UNUSED(least_interval_ns), uint64_t Py_UNUSED(objects_most))
{
    return false;
}

#endif

void
gco_sampler_free(gco_sampler *sampler)
{
    end_sampling(sampler);
    gco_types_free(&sampler->types);
    gco_arena_unmap(&sampler->arena);
}
