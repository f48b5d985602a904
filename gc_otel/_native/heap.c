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
#include "heap.h"

#include <stdlib.h>

#define EXACT_OBJECTS 8192    /* the first ones are all looked into */
#define SPARSE_OBJECTS 100000 /* beyond these even fewer are */
#define FOLLOWED_DEPTH 3      /* containers in containers that are charged to one owner */
#define OWNERS_AT_MOST 4

/* Plain containers (dict, list, set) charged to an owner: a type, or the index of a name, odd. */
typedef struct {
    PyTypeObject *kind;
    uintptr_t owner;
    double objects, bytes;
} charge;

typedef struct {
    gco_types types;
    charge *charges;
    size_t charge_capacity, charges_used;
    PyObject **named; /* open addressing, with the index of the name beside */
    size_t *named_index, named_capacity;
    uint64_t visited, random;
    unsigned long asked_every, every, most_every;
    Py_ssize_t list_refs; /* references to tracked objects that this walk itself holds */
    bool failed;
} walk;

/* What the visitor of one object's references has to know. */
typedef struct {
    walk *walk;
    PyObject *holder;
    uintptr_t owner;
    double weight;
    unsigned long edge_every;
    int depth;
    bool claiming; /* second sight of a plain container's content, for its owner's sake */
} edges;

static PyTypeObject *
plain_kind(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyDict_Type || type == &PyList_Type || type == &PySet_Type ? type : NULL;
}

static bool
draw(walk *walk, unsigned long every)
{
    if (every <= 1) {
        return true;
    }
    walk->random = walk->random * 6364136223846793005ull + 1442695040888963407ull;
    return ((walk->random >> 32) * every) >> 32 == 0; /* no division: this is asked at every object */
}

static size_t *
find_named(walk *walk, PyObject *object)
{
    if (walk->named_capacity == 0) {
        return NULL;
    }
    size_t mask = walk->named_capacity - 1;
    for (size_t i = gco_hash_pointer(object) & mask; walk->named[i] != NULL; i = (i + 1) & mask) {
        if (walk->named[i] == object) {
            return &walk->named_index[i];
        }
    }
    return NULL;
}

static uintptr_t
owner_of_name(size_t index)
{
    return ((uintptr_t)index << 1) | 1;
}

static charge *
slot_of_charge(charge *charges, size_t capacity, PyTypeObject *kind, uintptr_t owner)
{
    size_t i = gco_hash_pointer((void *)(owner ^ ((uintptr_t)kind << 7)));
    for (i &= capacity - 1;; i = (i + 1) & (capacity - 1)) {
        if (charges[i].kind == NULL || (charges[i].kind == kind && charges[i].owner == owner)) {
            return &charges[i];
        }
    }
}

static void
charge_to(walk *walk, PyTypeObject *kind, uintptr_t owner, double objects, double bytes)
{
    charge *slot = slot_of_charge(walk->charges, walk->charge_capacity, kind, owner);
    if (slot->kind == NULL) {
        if (walk->charges_used * 2 > walk->charge_capacity) {
            size_t capacity = walk->charge_capacity * 2;
            charge *bigger = calloc(capacity, sizeof(charge));
            if (bigger == NULL) {
                walk->failed = true;
                return;
            }
            for (size_t i = 0; i < walk->charge_capacity; i++) {
                charge *old = &walk->charges[i];
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
    if (object == at->holder && !at->claiming) {
        refs -= 1 - at->walk->list_refs; /* held by the walk while it is visited */
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
        edges within = {at->walk, object, at->owner, share, at->edge_every, at->depth - 1, true};
        look_into(&within, object);
    }
}

static int
see_reference(PyObject *object, void *argument)
{
    edges *at = argument;
    if (!draw(at->walk, at->edge_every)) {
        return 0;
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
            edges within = {at->walk, object, (uintptr_t)Py_TYPE(object), share, 1, at->depth - 1, false};
            look_into(&within, object);
        }
    }
    size_t *index = kind == NULL ? NULL : find_named(at->walk, object);
    if (kind != NULL && index == NULL) {
        charge_container(at, object, kind, share, bytes);
    }
    else if (index != NULL && !tracked && !at->claiming) { /* a tracked one is charged where it is visited */
        charge_to(at->walk, kind, owner_of_name(*index), share, bytes);
    }
    return at->walk->failed;
}

/* How many objects one that is looked into stands for. */
static unsigned long
sampling(const walk *walk)
{
    if (walk->asked_every > 0) {
        return walk->asked_every;
    }
    return walk->visited <= EXACT_OBJECTS ? 1 : walk->visited <= SPARSE_OBJECTS ? 16 : 64;
}

/* A container with a name counts whole under it, whoever else holds it, and so do the containers in it. */
static void
charge_named(walk *walk, PyObject *object, size_t index, Py_ssize_t bytes)
{
    charge_to(walk, Py_TYPE(object), owner_of_name(index), 1, (double)bytes);
    unsigned long every = walk->asked_every > 0 ? walk->asked_every : 16;
    every = (size_t)bytes > 512 * every ? every : 1;
    edges at = {walk, object, owner_of_name(index), 1, every, FOLLOWED_DEPTH - 1, true};
    look_into(&at, object);
}

static int
visit(PyObject *object, void *argument)
{
    walk *walk = argument;
    gco_type_entry *entry = gco_types_find(&walk->types, object);
    if (entry == NULL) {
        walk->failed = true;
        return 0;
    }
    Py_ssize_t bytes = gco_shallow_bytes(entry, object);
    entry->objects++;
    entry->bytes += (uint64_t)bytes;
    walk->visited++;
    size_t *index = plain_kind(object) == NULL ? NULL : find_named(walk, object);
    if (index != NULL) {
        charge_named(walk, object, *index, bytes);
    }
    unsigned long every = sampling(walk);
    walk->most_every = every > walk->most_every ? every : walk->most_every;
    edges at = {walk, object, (uintptr_t)Py_TYPE(object), 1, 1, FOLLOWED_DEPTH, false};
    /* Of large containers some items, of the others some containers: one list with half of the heap in it
     * must neither be missed nor taken times sixteen. */
    if ((size_t)bytes > 512 * every) {
        at.edge_every = every;
    }
    else if (draw(walk, every)) {
        at.weight = (double)every;
    }
    else {
        return 1;
    }
    look_into(&at, object);
    return !walk->failed;
}

static bool
prepare(walk *walk, PyObject *names)
{
    size_t count = (size_t)PyList_GET_SIZE(names), capacity = 64;
    while (capacity < 2 * count) {
        capacity *= 2;
    }
    walk->random = 0x9E3779B97F4A7C15ull;
    walk->charge_capacity = 1024;
    walk->charges = calloc(walk->charge_capacity, sizeof(charge));
    walk->named = calloc(capacity, sizeof(PyObject *));
    walk->named_index = calloc(capacity, sizeof(size_t));
    if (!gco_types_init(&walk->types) || walk->charges == NULL || walk->named == NULL || walk->named_index == NULL) {
        return false;
    }
    walk->named_capacity = capacity;
    for (size_t i = 0; i < count; i++) {
        PyObject *object = PyList_GET_ITEM(names, i);
        if (find_named(walk, object) == NULL) {
            size_t at = gco_hash_pointer(object) & (capacity - 1);
            while (walk->named[at] != NULL) {
                at = (at + 1) & (capacity - 1);
            }
            walk->named[at] = object;
            walk->named_index[at] = i;
        }
    }
    return true;
}

static void
clean(walk *walk)
{
    gco_types_free(&walk->types);
    free(walk->charges);
    free(walk->named);
    free(walk->named_index);
}

#if PY_VERSION_HEX >= 0x030c0000
static bool
visit_all(walk *walk)
{
    PyUnstable_GC_VisitObjects(visit, walk);
    return true;
}
#else
static bool
visit_all(walk *walk)
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
    Py_DECREF(all); /* nobody ran since it was made: no last reference is dropped here */
    walk->list_refs = 0;
    return true;
}
#endif

static PyObject *
counted_types(walk *walk)
{
    PyObject *rows = PyList_New(0);
    for (size_t i = 0; rows != NULL && i < walk->types.capacity; i++) {
        gco_type_entry *entry = &walk->types.entries[i];
        if (entry->type == NULL) {
            continue;
        }
        PyObject *row = Py_BuildValue("(OKKdd)", entry->type, (unsigned long long)entry->objects,
                                      (unsigned long long)entry->bytes, entry->leaf_objects, entry->leaf_bytes);
        if (row == NULL || PyList_Append(rows, row) < 0) {
            Py_CLEAR(rows);
        }
        Py_XDECREF(row);
    }
    return rows;
}

static PyObject *
charged_containers(walk *walk)
{
    PyObject *rows = PyList_New(0);
    for (size_t i = 0; rows != NULL && i < walk->charge_capacity; i++) {
        charge *each = &walk->charges[i];
        if (each->kind == NULL) {
            continue;
        }
        PyObject *owner = each->owner & 1 ? PyLong_FromSize_t(each->owner >> 1)
                                          : Py_NewRef((PyObject *)each->owner);
        PyObject *row = owner == NULL ? NULL : Py_BuildValue("(ONdd)", each->kind, owner, each->objects, each->bytes);
        if (row == NULL || PyList_Append(rows, row) < 0) {
            Py_CLEAR(rows);
        }
        Py_XDECREF(row);
    }
    return rows;
}

/* Making the result may start a collection, and that may end the life of a type: each is held meanwhile. */
static PyObject *
result_of(walk *walk)
{
    for (size_t i = 0; i < walk->types.capacity; i++) {
        Py_XINCREF((PyObject *)walk->types.entries[i].type);
    }
    PyObject *types = counted_types(walk);
    PyObject *charges = types == NULL ? NULL : charged_containers(walk);
    PyObject *result = charges == NULL ? NULL : Py_BuildValue("(OOKk)", types, charges,
                                                              (unsigned long long)walk->visited, walk->most_every);
    Py_XDECREF(types);
    Py_XDECREF(charges);
    for (size_t i = 0; i < walk->types.capacity; i++) {
        Py_XDECREF((PyObject *)walk->types.entries[i].type);
    }
    return result;
}

PyObject *
gco_count_heap(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *names;
    walk walk = {.most_every = 1};
    if (!PyArg_ParseTuple(args, "O!k:count_heap", &PyList_Type, &names, &walk.asked_every)) {
        return NULL;
    }
    if (!gco_sizes_prepare()) {
        return NULL;
    }
    PyObject *result = NULL;
    if (!prepare(&walk, names)) {
        PyErr_NoMemory();
    }
    else if (visit_all(&walk)) {
        result = walk.failed ? PyErr_NoMemory() : result_of(&walk);
    }
    clean(&walk);
    return result;
}
