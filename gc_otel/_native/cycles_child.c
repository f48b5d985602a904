/* Garbage cycles found in a cloned child (child.c): components are summed up by signature there, and told. */
#include "child.h"
#include "garbage.h"

#include <string.h>

#define GROUPS_MOST 16384
#define GROUP_SLOTS (4 * GROUPS_MOST)
#define NAME_WORDS 14

/* Components of one signature, summed up: a heap may have a million of them. */
typedef struct group {
    uint64_t cycles, objects, length, shown;
    double bytes;
    uint32_t slots[GCO_LONGEST_SIGNATURE]; /* of the types' table */
} group;

typedef struct {
    int fd;
    gco_heap *heap;
    group **groups; /* open addressing */
    size_t used;
    group others; /* beyond GROUPS_MOST signatures */
} finder;

static void
send_progress(void *context, unsigned phase, uint64_t done, uint64_t total)
{
    gco_child_send(((finder *)context)->fd, GCO_MESSAGE_PROGRESS, (uint64_t[4]){phase, done, total, 0}, NULL, 0);
}

static bool
is_group(const group *group, const uint32_t *slots, size_t shown, size_t length)
{
    return group->length == length && group->shown == shown &&
           memcmp(group->slots, slots, shown * sizeof(uint32_t)) == 0;
}

static group *
find_group(finder *finder, const uint32_t *slots, size_t shown, size_t length)
{
    uint64_t hash = length;
    for (size_t i = 0; i < shown; i++) {
        hash = (hash ^ slots[i]) * 0x9E3779B97F4A7C15ull;
        hash ^= hash >> 29;
    }
    for (size_t i = hash % GROUP_SLOTS;; i = (i + 1) % GROUP_SLOTS) {
        if (finder->groups[i] == NULL) {
            group *made = finder->used < GROUPS_MOST ? gco_arena_take(&finder->heap->arena, sizeof(group)) : NULL;
            if (made == NULL) {
                return &finder->others;
            }
            made->length = length;
            made->shown = shown;
            memcpy(made->slots, slots, shown * sizeof(uint32_t));
            finder->groups[i] = made;
            finder->used++;
            return made;
        }
        if (is_group(finder->groups[i], slots, shown, length)) {
            return finder->groups[i];
        }
    }
}

static bool
add_component(void *context, const gco_heap *heap, gco_type_entry *const *types, size_t shown, size_t length,
              size_t objects, double bytes)
{
    uint32_t slots[GCO_LONGEST_SIGNATURE];
    for (size_t i = 0; i < shown; i++) {
        slots[i] = (uint32_t)(types[i] - heap->types.entries);
    }
    group *group = find_group(context, slots, shown, length);
    group->cycles++;
    group->objects += objects;
    group->bytes += bytes;
    return true;
}

/* The parent may have lost the type when it reads this, so the child says what it is called. */
static void
send_name(int fd, gco_type_entry *entry)
{
    uint64_t words[NAME_WORDS] = {0};
    gco_type_name(entry->type, (char *)words, sizeof(words));
    gco_child_send(fd, GCO_MESSAGE_NAME, (uint64_t[4]){(uintptr_t)entry->type}, words, NAME_WORDS);
    entry->bytes = 1; /* nothing is counted by type here: it was told */
}

static void
send_group(const finder *finder, const group *group)
{
    uint64_t types[GCO_LONGEST_SIGNATURE];
    for (size_t i = 0; i < group->shown; i++) {
        gco_type_entry *entry = &finder->heap->types.entries[group->slots[i]];
        if (entry->bytes == 0) {
            send_name(finder->fd, entry);
        }
        types[i] = (uintptr_t)entry->type;
    }
    uint64_t numbers[4] = {group->cycles, group->objects, (uint64_t)(group->bytes + 0.5), group->length};
    gco_child_send(finder->fd, GCO_MESSAGE_GROUP, numbers, types, group->shown);
}

static void
find_and_tell(void *context, int fd)
{
    finder finder = {.fd = fd, .heap = context};
    finder.groups = gco_arena_take(&finder.heap->arena, GROUP_SLOTS * sizeof(group *));
    gco_report report = {&finder, add_component, send_progress};
    uint64_t garbage = 0;
    double bytes = 0;
    bool is_gathered = finder.heap->objects != NULL || gco_heap_gather(finder.heap);
    if (finder.groups == NULL || !is_gathered || !gco_heap_examine(finder.heap, &report, &garbage, &bytes)) {
        gco_child_send(fd, GCO_MESSAGE_FAILED, (uint64_t[4]){0}, NULL, 0);
        return;
    }
    for (size_t i = 0; i < GROUP_SLOTS; i++) {
        if (finder.groups[i] != NULL) {
            send_group(&finder, finder.groups[i]);
        }
    }
    if (finder.others.cycles > 0) {
        send_group(&finder, &finder.others);
    }
    uint64_t numbers[4] = {finder.heap->count, garbage, (uint64_t)(bytes + 0.5), 0};
    gco_child_send(fd, GCO_MESSAGE_END, numbers, NULL, 0);
}

PyObject *
gco_start_cycles(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long types;
    unsigned seconds;
    gco_heap heap;
    gco_child child;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "kI:start_cycles", &types, &seconds)) {
        return NULL;
    }
    int was_enabled = PyGC_Disable();
    /* Where CPython walks, it would write to each page of the child's, so pointers are gathered before. */
    bool is_ready = gco_heap_prepare(&heap, types) && (heap.tracked.lists != NULL || gco_heap_gather(&heap));
    if (is_ready && gco_child_start(&child, find_and_tell, &heap, "gc-otel-cycles", seconds)) {
        result = Py_BuildValue("(li)", child.pid, child.fd);
        if (result == NULL) {
            gco_child_give_up(&child);
        }
    }
    else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_MemoryError, GCO_NO_ROOM);
    }
    gco_heap_free(&heap);
    if (was_enabled) {
        PyGC_Enable();
    }
    return result;
}
