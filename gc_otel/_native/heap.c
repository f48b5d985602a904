/* The census: one walk over what the collector tracks.
 *
 * Why this is safe.  The whole walk is one C call that never gives the GIL away: it calls tp_traverse, reads
 * layouts and allocates with calloc.  The only Python object made is one int per type, which no collection can
 * start from.  So no other thread runs, nothing dies, and borrowed pointers stay good until the result
 * is built; the types in it are increfed before the first allocation that could start a collection.
 * From 3.12 on PyUnstable_GC_VisitObjects walks, holds the visited object and keeps the collector off;
 * below, a list of all objects holds them, made with the collector off so that making it collects nothing.
 * On free-threaded builds that function stops the world: other threads may have been stopped inside
 * an operation, as they are for a collection, which relies on tp_traverse in the same way.
 *
 * What is not tracked is counted at its holders: an object held n times counts 1/n at each.  So it counts once
 * at most, without remembering any, and a sample of the holders estimates the same sum. */
#include "census.h"

#include <stdlib.h>
#include <string.h>

#define EXACT_OBJECTS 4096 /* the first ones are all looked into */
#define SPARSER_AFTER 512 /* of so many more one in two, of as many again one in three, and so on */
#define ITEMS_BYTES 32768 /* of a larger container so many references are looked at, wherever in the walk it comes */
#define FOLLOWED_DEPTH 3 /* containers in containers that are charged to one owner */
#define OWNERS_AT_MOST 4
#define NAMED_BITS (1u << 16)
#define CHARGES_OF_OWNER 2 /* at most on average: there are more objects that own no container than that own three kinds */

/* What the visitor of one object's references has to know. */
typedef struct {
    gco_walk *walk;
    PyObject *holder;
    uintptr_t owner;
    double weight;
    unsigned long edge_every, to_pass;
    int depth;
    bool claiming; /* second sight of a plain container's content, for its owner's sake */
} edges;

static PyTypeObject *
plain_kind(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyDict_Type || type == &PyList_Type || type == &PySet_Type ? type : NULL;
}

/* How many to pass over before the next one of a sample in which each stands for `every`: as many on average as are
 * passed over for one that is taken, and never in step with a program's own rhythm. */
static unsigned long
passed_over(gco_walk *walk, unsigned long every)
{
    walk->random = walk->random * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned long)(((walk->random >> 32) * (2 * every - 1)) >> 32);
}

static size_t
named_bit(const PyObject *object)
{
    return gco_hash_pointer(object) % NAMED_BITS;
}

size_t
gco_walk_place_of(const gco_walk *walk, const PyObject *object)
{
    size_t bit = named_bit(object);
    if ((walk->named_bits[bit / 64] >> (bit % 64) & 1) == 0) {
        return SIZE_MAX;
    }
    size_t mask = walk->named_capacity - 1;
    for (size_t i = gco_hash_pointer(object) & mask; walk->named[i] != NULL; i = (i + 1) & mask) {
        if (walk->named[i] == object) {
            return walk->named_index[i];
        }
    }
    return SIZE_MAX;
}

static uintptr_t
owner_of_name(size_t index)
{
    return ((uintptr_t)index << 1) | GCO_OWNER_IS_NAME;
}

static gco_charge *
slot_of_charge(gco_charge *charges, size_t capacity, PyTypeObject *kind, uintptr_t owner)
{
    size_t i = gco_hash_pointer((void *)(owner ^ ((uintptr_t)kind << 7)));
    for (i &= capacity - 1;; i = (i + 1) & (capacity - 1)) {
        if (charges[i].kind == NULL || (charges[i].kind == kind && charges[i].owner == owner)) {
            return &charges[i];
        }
    }
}

static void
charge_to(gco_walk *walk, PyTypeObject *kind, uintptr_t owner, double objects, double bytes)
{
    gco_charge *slot = slot_of_charge(walk->charges, walk->charge_capacity, kind, owner);
    if (slot->kind == NULL) {
        if (walk->charges_used * 2 > walk->charge_capacity) {
            size_t capacity = walk->charge_capacity * 2;
            gco_charge *bigger = walk->arena != NULL ? NULL : calloc(capacity, sizeof(gco_charge));
            if (bigger == NULL) {
                walk->failed = true;
                return;
            }
            for (size_t i = 0; i < walk->charge_capacity; i++) {
                gco_charge *old = &walk->charges[i];
                if (old->kind != NULL) {
                    *slot_of_charge(bigger, capacity, old->kind, old->owner) = *old;
                }
            }
            free(walk->charges);
            walk->charges = bigger;
            walk->charge_capacity = capacity;
            slot = slot_of_charge(bigger, capacity, kind, owner);
        }
        walk->charges_used++;
        slot->kind = kind;
        slot->owner = owner;
    }
    slot->objects += objects;
    slot->bytes += bytes;
}

/* The part of the object that one reference stands for; 0 for immortal ones, which nobody holds. */
static double
share_of(edges *at, PyObject *object, bool tracked)
{
    Py_ssize_t refs = Py_REFCNT(object);
    if (refs >= GCO_IMMORTAL) {
        return 0;
    }
    if (tracked) {
        refs -= at->walk->list_refs;
    }
    return at->weight / (double)(refs < 1 ? 1 : refs);
}

static int see_reference(PyObject *object, void *argument);

static void
look_into(edges *at, PyObject *object)
{
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    if (traverse != NULL) {
        (void)traverse(object, see_reference, at);
    }
}

/* A container of a container is charged to the outermost owner, and taken off the one between. */
static void
charge_container(edges *at, PyObject *object, PyTypeObject *kind, double share, double bytes)
{
    charge_to(at->walk, kind, at->owner, share, bytes);
    if (at->claiming) {
        charge_to(at->walk, kind, (uintptr_t)Py_TYPE(at->holder), -share, -bytes);
    }
    bool owner_is_plain = at->owner == (uintptr_t)&PyDict_Type || at->owner == (uintptr_t)&PyList_Type ||
                          at->owner == (uintptr_t)&PySet_Type;
    /* What several hold is nobody's own: the globals of a module would be read once for each of its functions. */
    bool is_own = share * OWNERS_AT_MOST >= at->weight * (double)at->edge_every;
    if (!owner_is_plain && is_own && at->depth > 0) {
        /* Itself one of a sample perhaps: of a small one all is looked at, or few of few would be left. */
        unsigned long every = bytes / share > 512.0 * (double)at->edge_every ? at->edge_every : 1;
        edges within = {at->walk, object, at->owner, share, every, passed_over(at->walk, every) / 2, at->depth - 1, true};
        look_into(&within, object);
    }
}

static int
see_reference(PyObject *object, void *argument)
{
    edges *at = argument;
    if (at->edge_every > 1) {
        if (at->to_pass > 0) {
            at->to_pass--;
            return 0;
        }
        at->to_pass = passed_over(at->walk, at->edge_every);
    }
    PyTypeObject *kind = plain_kind(object);
    if (kind == NULL && at->claiming) {
        return 0;
    }
    bool is_container = PyType_IS_GC(Py_TYPE(object)) && PyObject_IS_GC(object);
    bool tracked = is_container && PyObject_GC_IsTracked(object);
    if (kind == NULL && tracked) {
        return 0;
    }
    double share = share_of(at, object, tracked) * (double)at->edge_every;
    if (share == 0) {
        return 0;
    }
    gco_type_entry *entry = gco_types_find(&at->walk->types, object);
    if (entry == NULL) {
        at->walk->failed = true;
        return 1;
    }
    double bytes = share * (double)gco_shallow_bytes(entry, object);
    if (!tracked && !at->claiming) {
        entry->leaf_objects += share;
        entry->leaf_bytes += bytes;
        if (is_container && at->depth > 0) {
            edges within = {at->walk, object, (uintptr_t)Py_TYPE(object), share, 1, 0, at->depth - 1, false};
            look_into(&within, object);
        }
    }
    size_t index = kind == NULL ? SIZE_MAX : gco_walk_place_of(at->walk, object);
    if (kind != NULL && index == SIZE_MAX) {
        charge_container(at, object, kind, share, bytes);
    }
    else if (index != SIZE_MAX && !tracked && !at->claiming) { /* a tracked one is charged where it is visited */
        charge_to(at->walk, kind, owner_of_name(index), share, bytes);
    }
    return at->walk->failed;
}

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
    charge_to(walk, Py_TYPE(object), owner_of_name(index), 1, (double)bytes);
    unsigned long every = walk->asked_every > 0 ? walk->asked_every : 64;
    every = (size_t)bytes > 512 * every ? references_every(walk, every, (size_t)bytes) : 1;
    edges at = {walk, object, owner_of_name(index), 1, every, passed_over(walk, every) / 2, FOLLOWED_DEPTH - 1, true};
    look_into(&at, object);
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
is_looked_into(gco_walk *walk, edges *at, size_t bytes)
{
    unsigned long every = walk->every;
    if (bytes > 512 * every) {
        at->edge_every = references_every(walk, every, bytes);
        at->to_pass = passed_over(walk, at->edge_every) / 2;
        return true;
    }
    if (walk->to_pass > 0) {
        walk->to_pass--;
        return false;
    }
    at->weight = (double)walk->drawn_every;
    walk->drawn_every = every;
    walk->to_pass = every > 1 ? passed_over(walk, every) : 0;
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
    size_t index = plain_kind(object) == NULL ? SIZE_MAX : gco_walk_place_of(walk, object);
    if (index != SIZE_MAX) {
        charge_named(walk, object, index, bytes);
    }
    edges at = {walk, object, (uintptr_t)Py_TYPE(object), 1, 1, 0, FOLLOWED_DEPTH, false};
    if (!is_looked_into(walk, &at, (size_t)bytes)) {
        return true;
    }
    look_into(&at, object);
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
    walk->named_bits[named_bit(object) / 64] |= (uint64_t)1 << (named_bit(object) % 64);
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
    if (!gco_sizes_prepare()) {
        return false;
    }
    walk->charges = take(arena, walk->charge_capacity, sizeof(gco_charge));
    walk->named = take(arena, walk->named_capacity, sizeof(PyObject *));
    walk->named_index = take(arena, walk->named_capacity, sizeof(size_t));
    walk->named_bits = take(arena, NAMED_BITS / 64, sizeof(uint64_t));
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
    if (walk->arena == NULL) {
        gco_types_free(&walk->types);
        free(walk->charges);
        free(walk->named);
        free(walk->named_index);
        free(walk->named_bits);
    }
}

#if PY_VERSION_HEX >= 0x030c0000
bool
gco_walk_all(gco_walk *walk)
{
    PyUnstable_GC_VisitObjects(visit, walk);
    count_waiting(walk);
    return true;
}
#else
bool
gco_walk_all(gco_walk *walk)
{
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL) {
        return false;
    }
    int was_enabled = PyGC_Disable();
    PyObject *all = PyObject_CallMethod(gc, "get_objects", NULL);
    if (was_enabled) {
        PyGC_Enable();
    }
    Py_DECREF(gc);
    if (all == NULL) {
        return false;
    }
    walk->list_refs = 1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all); i++) {
        if (!visit(PyList_GET_ITEM(all, i), walk)) {
            break;
        }
    }
    count_waiting(walk);
    Py_DECREF(all); /* nobody ran since it was made: no last reference is dropped here */
    walk->list_refs = 0;
    return true;
}
#endif
