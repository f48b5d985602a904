/* The census: one walk over what the collector tracks.
 *
 * Why this is safe.  The whole walk is one C call that never gives the GIL away: it calls tp_traverse, reads
 * layouts and allocates with calloc.  The only Python object made is at most one int per type, which no collection can
 * start from.  So no other thread runs, nothing dies, and borrowed pointers stay good until the result
 * is built; the types in it are increfed before the first allocation that could start a collection.
 * On free-threaded builds PyUnstable_GC_VisitObjects() walks and stops the world: other threads may have been stopped
 * inside an operation, as they are for a collection, which relies on tp_traverse in the same way.
 *
 * What is not tracked is counted at its holders: holders.c. */
#include "holders.h"

#include <stdlib.h>
#include <string.h>

#define EXACT_OBJECTS 4096 /* the first ones are all looked into */
#define SPARSER_AFTER 512 /* of so many more one in two, of as many again one in three, and so on */
#define ITEMS_BYTES 32768 /* of a larger container so many references are looked at, wherever in the walk it comes */
#define FOLLOWED_DEPTH 3 /* containers in containers that are charged to one owner */
#define CHARGES_OF_OWNER 2 /* at most on average: there are more objects that own no container than that own three kinds */

/* One reference in how many of a large container: of one list with half of the heap in it each costs a line of memory that
 * the walk has not fetched yet. */
static unsigned long
references_every(const gco_walk *walk, unsigned long every, size_t bytes)
{
    unsigned long enough = walk->asked_every > 0 ? 1 : (unsigned long)(bytes / ITEMS_BYTES);
    return enough > every ? enough : every;
}

/* A container with a name counts whole under it, whoever else holds it, and so do the containers in it. */
static void
charge_named(gco_walk *walk, PyObject *object, size_t index, Py_ssize_t bytes)
{
    gco_charge_to(walk, Py_TYPE(object), gco_owner_of_name(index), 1, (double)bytes);
    unsigned long every = walk->asked_every > 0 ? walk->asked_every : 64;
    every = (size_t)bytes > 512 * every ? references_every(walk, every, (size_t)bytes) : 1;
    gco_edges at = {walk, object, gco_owner_of_name(index), 1, every, gco_passed_over(walk, every) / 2, FOLLOWED_DEPTH - 1, true};
    gco_look_into(&at, object);
}

/* Entries move when the table grows: then all that is remembered of them is forgotten. */
static gco_type_entry *
entry_of(gco_walk *walk, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    gco_type_entry **recent = &walk->recent[gco_hash_pointer(type) % GCO_RECENT_TYPES];
    if (*recent != NULL && (*recent)->type == type) {
        return *recent;
    }
    const gco_type_entry *entries = walk->types.entries;
    gco_type_entry *entry = gco_types_find(&walk->types, object);
    if (walk->types.entries != entries) {
        memset(walk->recent, 0, sizeof(walk->recent));
    }
    *recent = entry;
    return entry;
}

/* Of large containers some items, of the others some containers: one list with half of the heap in it
 * must neither be missed nor taken times sixteen. */
static inline bool
is_looked_into(gco_walk *walk, gco_edges *at, size_t bytes)
{
    unsigned long every = walk->every;
    if (bytes > 512 * every) {
        at->edge_every = references_every(walk, every, bytes);
        at->to_pass = gco_passed_over(walk, at->edge_every) / 2;
        return true;
    }
    if (walk->to_pass > 0) {
        walk->to_pass--;
        return false;
    }
    at->weight = (double)walk->drawn_every;
    walk->drawn_every = every;
    walk->to_pass = every > 1 ? gco_passed_over(walk, every) : 0;
    return true;
}

static bool
count(gco_walk *walk, PyObject *object)
{
    gco_type_entry *entry = entry_of(walk, object);
    if (entry == NULL) {
        walk->failed = true;
        return false;
    }
    Py_ssize_t bytes = gco_shallow_bytes(entry, object);
    entry->objects++;
    entry->bytes += (uint64_t)bytes;
    walk->visited++;
    if (walk->visited % SPARSER_AFTER == 0 && walk->visited > EXACT_OBJECTS && walk->asked_every == 0) {
        walk->every++;
    }
    size_t index = gco_plain_kind(object) == NULL ? SIZE_MAX : gco_walk_place_of(walk, object);
    if (index != SIZE_MAX) {
        charge_named(walk, object, index, bytes);
    }
    gco_edges at = {walk, object, (uintptr_t)Py_TYPE(object), 1, 1, 0, FOLLOWED_DEPTH, false};
    if (!is_looked_into(walk, &at, (size_t)bytes)) {
        return true;
    }
    gco_look_into(&at, object);
    return !walk->failed;
}

/* A dict's keys are elsewhere in memory: they are on their way while the objects before it are counted.  Nothing
 * dies meanwhile, so an object may wait until after it was visited. */
static int
visit(PyObject *object, void *argument)
{
    gco_walk *walk = argument;
    if (PyDict_Check(object)) {
        __builtin_prefetch(((PyDictObject *)object)->ma_keys);
    }
    unsigned place = walk->waiting_count++ % GCO_WAITING;
    PyObject *before = walk->waiting[place];
    walk->waiting[place] = object;
    return before == NULL || count(walk, before);
}

static void
count_waiting(gco_walk *walk)
{
    for (unsigned i = 0; i < GCO_WAITING && !walk->failed; i++) {
        PyObject *object = walk->waiting[(walk->waiting_count + i) % GCO_WAITING];
        if (object != NULL && !count(walk, object)) {
            return;
        }
    }
}

static void
know(gco_walk *walk, PyObject *object, size_t place)
{
    size_t at = gco_hash_pointer(object) & (walk->named_capacity - 1);
    while (walk->named[at] != NULL) {
        at = (at + 1) & (walk->named_capacity - 1);
    }
    walk->named[at] = object;
    walk->named_index[at] = place;
    walk->named_bits[gco_named_bit(object) / 64] |= (uint64_t)1 << (gco_named_bit(object) % 64);
}

static void *
take(gco_arena *arena, size_t count, size_t bytes)
{
    return arena == NULL ? calloc(count, bytes) : gco_arena_take(arena, count * bytes);
}

bool
gco_walk_prepare(gco_walk *walk, size_t known, unsigned long asked_every, gco_arena *arena)
{
    *walk = (gco_walk){.arena = arena, .asked_every = asked_every, .random = 0x9E3779B97F4A7C15ull};
    walk->drawn_every = walk->every = asked_every > 0 ? asked_every : 1;
    walk->named_capacity = 64;
    while (walk->named_capacity < 2 * known) {
        walk->named_capacity *= 2;
    }
    walk->charge_capacity = 1024;
    while (arena != NULL && walk->charge_capacity <= 2 * CHARGES_OF_OWNER * known) {
        walk->charge_capacity *= 2;
    }
    if (!gco_sizes_prepare() || !gco_tracked_find(&walk->tracked)) {
        return false;
    }
    walk->charges = take(arena, walk->charge_capacity, sizeof(gco_charge));
    walk->named = take(arena, walk->named_capacity, sizeof(PyObject *));
    walk->named_index = take(arena, walk->named_capacity, sizeof(size_t));
    walk->named_bits = take(arena, GCO_NAMED_BITS / 64, sizeof(uint64_t));
    bool have_types = arena == NULL ? gco_types_init(&walk->types) : gco_types_init_in(&walk->types, arena, known);
    if (!have_types || walk->charges == NULL || walk->named == NULL || walk->named_index == NULL ||
        walk->named_bits == NULL) {
        PyErr_NoMemory();
        return false;
    }
    return true;
}

void
gco_walk_know(gco_walk *walk, PyObject *known)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(known); i++) {
        PyObject *object = PyList_GET_ITEM(known, i);
        if (gco_walk_place_of(walk, object) == SIZE_MAX) {
            know(walk, object, (size_t)i);
        }
    }
}

void
gco_walk_free(gco_walk *walk)
{
    gco_types_free(&walk->types);
    if (walk->arena == NULL) {
        free(walk->charges);
        free(walk->named);
        free(walk->named_index);
        free(walk->named_bits);
    }
}

void
gco_walk_all(gco_walk *walk)
{
    gco_tracked_visit(&walk->tracked, GCO_LIST_FROZEN, visit, walk);
    count_waiting(walk);
}
