/* The dict that CPython hands to a gc callback.
 *
 * In a header so that the compiler sees it inside the callback: a call costs as much as
 * half of what is done here.
 */
#ifndef GC_OTEL_INFO_H
#define GC_OTEL_INFO_H

#include "keys.h"

/* More objects than an address space holds: nonsense of a neighbour's. */
#define GCO_COUNT_LIMIT (1ull << 48)

#ifdef Py_GIL_DISABLED
#define GCO_BEGIN_DICT(dict) Py_BEGIN_CRITICAL_SECTION(dict)
#define GCO_END_DICT() Py_END_CRITICAL_SECTION()
#else
#define GCO_BEGIN_DICT(dict) {
#define GCO_END_DICT() }
#endif

typedef struct {
    uint64_t collected, uncollectable, candidates;
} gco_counts;

GCO_SELDOM static uint64_t
gco_count_slowly(PyObject *value)
{
    Py_ssize_t count = PyLong_Check(value) ? PyLong_AsSsize_t(value) : 0;
    if (count < 0) {
        PyErr_Clear();
        return 0;
    }
    return (uint64_t)count < GCO_COUNT_LIMIT ? (uint64_t)count : 0;
}

/* An int of one digit (30 bits) is read without a call.  What it looks like inside has a public name
 * since 3.12, and will not change any more in 3.10 and 3.11. */
static inline uint64_t
gco_count(PyObject *value)
{
    if (PyLong_CheckExact(value)) {
#if PY_VERSION_HEX >= 0x030C0000
        if (PyUnstable_Long_IsCompact((PyLongObject *)value)) {
            Py_ssize_t count = PyUnstable_Long_CompactValue((PyLongObject *)value);
            return count < 0 ? 0 : (uint64_t)count;
        }
#else
        if (Py_SIZE(value) == 0 || Py_SIZE(value) == 1) {
            return Py_SIZE(value) == 0 ? 0 : ((PyLongObject *)value)->ob_digit[0];
        }
#endif
    }
    return gco_count_slowly(value);
}

/* What CPython puts into the dict of a stop, before any neighbour has seen it. */
#if PY_VERSION_HEX >= 0x030F0000
#define GCO_INFO_ENTRIES 5 /* generation, collected, uncollectable, candidates, duration */
#define GCO_INFO_READ 4
#else
#define GCO_INFO_ENTRIES 3
#define GCO_INFO_READ 3
#endif

/* The values of a stop's dict in their order, without a look at the keys: whether they are what they are taken for is a
 * question to gco_values_are_usual(). */
static inline bool
gco_take_values(PyObject *dict, PyObject *values[GCO_INFO_READ])
{
    Py_ssize_t position = 1; /* behind the generation, which is known */
    bool is_read = PyDict_GET_SIZE(dict) == GCO_INFO_ENTRIES;
    for (unsigned i = 1; i < GCO_INFO_READ && is_read; i++) {
        is_read = PyDict_Next(dict, &position, NULL, &values[i]);
    }
    return is_read;
}

/* A walk instead of lookups: CPython builds the keys anew for every phase, so a lookup would
 * hash and compare strings.  The dict is shared with other callbacks, who may have put
 * anything into it: what is not known is passed over. */

/* CPython puts the generation first, so the walk ends at once. */
static inline uint64_t
gco_read_generation(PyObject *dict)
{
    uint64_t generation = 0;
    PyObject *key, *value;
    Py_ssize_t position = 0;
    GCO_BEGIN_DICT(dict);
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (gco_is_plain(key) && GCO_KEY_IS(key, "generation")) {
            generation = gco_count(value);
            break;
        }
    }
    GCO_END_DICT();
    return generation < GCO_GENERATIONS ? generation : GCO_GENERATIONS - 1;
}

/* The value at `position`, which moves on, if its key has that name; else NULL. */
static inline PyObject *
gco_next_if(PyObject *dict, Py_ssize_t *position, const char *name, size_t length)
{
    PyObject *key, *value;
    bool is_it = PyDict_Next(dict, position, &key, &value) && gco_is_plain(key) && gco_key_is(key, name, length);
    return is_it ? value : NULL;
}
#define GCO_NEXT_IF(dict, position, name) gco_next_if(dict, position, name, sizeof(name) - 1)

/* The dict as CPython makes it, read without asking each key which of them it is; false where it is another. */
static inline bool
gco_read_usual_counts(PyObject *dict, gco_counts *counts)
{
    Py_ssize_t position = 1; /* behind the generation; PyDict_Next() itself refuses a position that is none */
#if PY_VERSION_HEX < 0x030F0000
    if (GCO_UNLIKELY(PyDict_GET_SIZE(dict) != 3)) {
        return false;
    }
#endif
    PyObject *collected = GCO_NEXT_IF(dict, &position, "collected");
    PyObject *uncollectable = collected == NULL ? NULL : GCO_NEXT_IF(dict, &position, "uncollectable");
    if (uncollectable == NULL) {
        return false;
    }
#if PY_VERSION_HEX >= 0x030F0000
    PyObject *candidates = GCO_NEXT_IF(dict, &position, "candidates");
    if (candidates == NULL) {
        return false;
    }
    counts->candidates = gco_count(candidates);
#endif
    counts->collected = gco_count(collected);
    counts->uncollectable = gco_count(uncollectable);
    return true;
}

/* Whether this dict is as CPython makes it, and taking its values gives what walking through it gives. */
GCO_SELDOM static bool
gco_values_are_usual(PyObject *dict)
{
    static const char *const names[] = {"generation", "collected", "uncollectable", "candidates"};
    PyObject *values[GCO_INFO_READ];
    if (!PyDict_CheckExact(dict) || !gco_take_values(dict, values)) {
        return false;
    }
    Py_ssize_t position = 0;
    for (unsigned i = 0; i < GCO_INFO_READ; i++) {
        PyObject *value = gco_next_if(dict, &position, names[i], strlen(names[i]));
        if (value == NULL || (i > 0 && value != values[i])) {
            return false;
        }
    }
    return true;
}

GCO_SELDOM static void
gco_walk_counts(PyObject *dict, gco_counts *counts)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (!gco_is_plain(key)) {
            continue;
        }
        if (GCO_KEY_IS(key, "collected")) {
            counts->collected = gco_count(value);
        }
        else if (GCO_KEY_IS(key, "uncollectable")) {
            counts->uncollectable = gco_count(value);
        }
        else if (GCO_KEY_IS(key, "candidates")) {
            counts->candidates = gco_count(value);
        }
    }
}

static inline gco_counts
gco_read_counts(PyObject *dict)
{
    gco_counts counts = {0, 0, 0};
    GCO_BEGIN_DICT(dict);
    if (GCO_UNLIKELY(!gco_read_usual_counts(dict, &counts))) {
        gco_walk_counts(dict, &counts);
    }
    GCO_END_DICT();
    return counts;
}

#endif
