/* The types that a walk meets: a table by address, with what the sizes of their objects need. */
#include "heap.h"

#include <frameobject.h>

#include <stdlib.h>

static gco_family
family_of(PyTypeObject *type)
{
    if (PyType_FastSubclass(type, Py_TPFLAGS_LONG_SUBCLASS)) {
        return GCO_INT;
    }
    if (PyType_FastSubclass(type, Py_TPFLAGS_UNICODE_SUBCLASS)) {
        return GCO_STR;
    }
    if (PyType_FastSubclass(type, Py_TPFLAGS_LIST_SUBCLASS)) {
        return GCO_LIST;
    }
    if (PyType_FastSubclass(type, Py_TPFLAGS_DICT_SUBCLASS)) {
        return GCO_DICT;
    }
    if (PyType_IsSubtype(type, &PySet_Type) || PyType_IsSubtype(type, &PyFrozenSet_Type)) {
        return GCO_SET;
    }
    if (PyType_IsSubtype(type, &PyByteArray_Type)) {
        return GCO_BYTEARRAY;
    }
    if (type == &PyFrame_Type) {
        return GCO_FRAME; /* they have an item size, and on some versions no count of items */
    }
    if (type == &PyGen_Type || type == &PyCoro_Type || type == &PyAsyncGen_Type) {
        return GCO_GENERATOR;
    }
    unsigned long variable = Py_TPFLAGS_TUPLE_SUBCLASS | Py_TPFLAGS_BYTES_SUBCLASS | Py_TPFLAGS_TYPE_SUBCLASS;
    return (type->tp_flags & variable) || type == &PyCode_Type ? GCO_VARIABLE : GCO_PLAIN;
}

bool
gco_types_init(gco_types *types)
{
    *types = (gco_types){.capacity = 1024};
    types->entries = calloc(types->capacity, sizeof(gco_type_entry));
    return types->entries != NULL;
}

bool
gco_types_init_in(gco_types *types, gco_arena *arena, size_t most)
{
    *types = (gco_types){.capacity = 1024, .sealed = true, .in_arena = true};
    while (types->capacity <= 2 * most) {
        types->capacity *= 2;
    }
    types->entries = gco_arena_take(arena, types->capacity * sizeof(gco_type_entry));
    return types->entries != NULL;
}

void
gco_types_free(gco_types *types)
{
    if (!types->in_arena) {
        free(types->entries);
    }
    types->entries = NULL;
}

static gco_type_entry *
slot_of(const gco_types *types, PyTypeObject *type)
{
    size_t mask = types->capacity - 1;
    for (size_t i = gco_hash_pointer(type) & mask;; i = (i + 1) & mask) {
        gco_type_entry *entry = &types->entries[i];
        if (entry->type == type || entry->type == NULL) {
            return entry;
        }
    }
}

static bool
grow(gco_types *types)
{
    gco_types bigger = {calloc(types->capacity * 2, sizeof(gco_type_entry)), types->capacity * 2, types->used, false, false};
    if (bigger.entries == NULL) {
        return false;
    }
    for (size_t i = 0; i < types->capacity; i++) {
        if (types->entries[i].type != NULL) {
            *slot_of(&bigger, types->entries[i].type) = types->entries[i];
        }
    }
    free(types->entries);
    *types = bigger;
    return true;
}

gco_type_entry *
gco_types_find(gco_types *types, PyObject *object)
{
    gco_type_entry *entry = slot_of(types, Py_TYPE(object));
    if (entry->type != NULL) {
        return entry;
    }
    if (types->used * 2 > types->capacity) {
        if (types->sealed) {
            return NULL;
        }
        if (!grow(types)) {
            return NULL;
        }
        entry = slot_of(types, Py_TYPE(object));
    }
    types->used++;
    entry->type = Py_TYPE(object);
    entry->fixed_bytes = gco_fixed_bytes(object, !types->sealed);
    entry->family = family_of(entry->type);
    return entry;
}

bool
gco_types_seal(gco_types *types)
{
    if (!types->sealed && types->used * 4 > types->capacity && !grow(types)) {
        return false;
    }
    types->sealed = true;
    return true;
}
