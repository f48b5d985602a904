/* Keys of dicts compared by what they say, without a lookup, which may run code of theirs. */
#ifndef GC_OTEL_KEYS_H
#define GC_OTEL_KEYS_H

#include "native.h"

#include <string.h>

/* Its letters stand right behind it. */
static inline bool
gco_is_plain(PyObject *key)
{
    return PyUnicode_CheckExact(key) && PyUnicode_IS_COMPACT_ASCII(key);
}

/* The length tells nearly all keys apart, and the letters confirm it. */
static inline bool
gco_key_is(PyObject *key, const char *name, size_t length)
{
    return (size_t)((PyASCIIObject *)key)->length == length && memcmp((PyASCIIObject *)key + 1, name, length) == 0;
}
#define GCO_KEY_IS(key, name) gco_key_is(key, name, sizeof(name) - 1)

#endif
