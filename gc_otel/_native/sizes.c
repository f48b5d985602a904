/* Shallow sizes from layouts, without __sizeof__ of anybody's class.
 *
 * Safe because it only reads memory of an object that its caller holds, or that the GIL (or a stopped
 * world) keeps alive.  What is read beyond CPython's public structs are the first 32 bytes of a dict's
 * keys: never trusted before gco_sizes_prepare() has compared the result with dict.__sizeof__(), and with
 * object.__sizeof__() for values that are part of an object, of this very interpreter; where that differs, dicts are sized
 * from their length, and the first object of a type is asked for its size. */
#include "heap.h"

#include <frameobject.h>

#if PY_VERSION_HEX >= 0x030b0000
typedef struct {
    Py_ssize_t refcount;
    uint8_t log2_size, log2_index_bytes, kind, reserved;
    uint32_t version;
    Py_ssize_t usable, entries;
} dict_keys;
#else
typedef struct {
    Py_ssize_t refcount, size;
    void *lookup;
    Py_ssize_t usable, entries;
} dict_keys;
#endif

static bool dict_layout_known = false, inline_layout_known = false;
static PyObject *object_sizeof = NULL; /* object.__sizeof__, a C function */

#ifdef Py_TPFLAGS_INLINE_VALUES
/* By a C function of CPython's own; it makes an int, which no collection can start from. */
static Py_ssize_t
asked_bytes(PyObject *object)
{
    PyObject *size = PyObject_CallOneArg(object_sizeof, object);
    Py_ssize_t bytes = size == NULL ? -1 : PyLong_AsSsize_t(size);
    Py_XDECREF(size);
    if (bytes < 0) {
        PyErr_Clear();
        return Py_TYPE(object)->tp_basicsize;
    }
    return bytes;
}

/* Room for as many values as keys are shared, for their order, and for what is noted of them.  It is part of the object also
 * where a dict has taken its attributes over, which object.__sizeof__() does not say. */
static Py_ssize_t
inline_values_bytes(PyTypeObject *type)
{
    const dict_keys *keys = (const dict_keys *)((PyHeapTypeObject *)type)->ht_cached_keys;
    if (keys == NULL) {
        return 0;
    }
    Py_ssize_t word = (Py_ssize_t)sizeof(void *), values = keys->usable + keys->entries;
    return (values + word - 1) / word * word + (values + 1) * word;
}
#endif

Py_ssize_t
gco_fixed_bytes(PyObject *object, bool may_ask)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_ssize_t bytes = type->tp_basicsize;
#ifdef Py_TPFLAGS_INLINE_VALUES
    if ((type->tp_flags & Py_TPFLAGS_INLINE_VALUES) && type->tp_itemsize == 0) {
        if (inline_layout_known) {
            bytes += inline_values_bytes(type);
        }
        else if (may_ask) {
            bytes = asked_bytes(object);
        }
    }
#else
    (void)may_ask;
#endif
#ifndef Py_GIL_DISABLED
    if (PyObject_IS_GC(object)) {
        bytes += 2 * (Py_ssize_t)sizeof(void *); /* PyGC_Head */
    }
#endif
#if defined(Py_TPFLAGS_PREHEADER)
    if (type->tp_flags & Py_TPFLAGS_PREHEADER) {
        bytes += 2 * (Py_ssize_t)sizeof(void *);
    }
#elif PY_VERSION_HEX >= 0x030b0000 && defined(Py_TPFLAGS_MANAGED_DICT)
    if (type->tp_flags & Py_TPFLAGS_MANAGED_DICT) {
        bytes += 2 * (Py_ssize_t)sizeof(void *);
    }
#endif
    return bytes;
}

/* What a dict holds beside its basic size. */
static Py_ssize_t
dict_bytes(PyDictObject *dict)
{
    const dict_keys *keys = (const dict_keys *)dict->ma_keys;
    if (!dict_layout_known) {
        return dict->ma_used * 48; /* entry, its share of free ones and of the index */
    }
#if PY_VERSION_HEX >= 0x030b0000
    Py_ssize_t slots = (Py_ssize_t)1 << keys->log2_size, index = (Py_ssize_t)1 << keys->log2_index_bytes;
    Py_ssize_t entry = keys->kind == 0 ? 24 : 16; /* general tables keep the hash beside key and value */
#else
    Py_ssize_t slots = keys->size, entry = 24;
    Py_ssize_t index = slots * (slots <= 0xff ? 1 : slots <= 0xffff ? 2 : slots <= 0xffffffff ? 4 : 8);
#endif
    Py_ssize_t usable = (slots << 1) / 3, bytes = 0;
    if (dict->ma_values != NULL) {
        bytes += (keys->usable + keys->entries) * (Py_ssize_t)sizeof(void *);
    }
    else if (keys->refcount == 1) {
        bytes += (Py_ssize_t)sizeof(dict_keys) + index + entry * usable;
    }
    return bytes;
}

static Py_ssize_t
str_bytes(PyObject *text, Py_ssize_t fixed)
{
    PyASCIIObject *ascii = (PyASCIIObject *)text;
#if PY_VERSION_HEX < 0x030c0000
    if (!ascii->state.ready) {
        return fixed; /* a legacy string of an old extension: its length is not known yet */
    }
#endif
    Py_ssize_t data = (PyUnicode_GET_LENGTH(text) + 1) * (Py_ssize_t)PyUnicode_KIND(text);
    if (ascii->state.compact && ascii->state.ascii) {
        /* A str is laid out shorter than its type's basic size. */
        return fixed - PyUnicode_Type.tp_basicsize + (Py_ssize_t)sizeof(PyASCIIObject) + data;
    }
    Py_ssize_t base = ascii->state.compact ? (Py_ssize_t)sizeof(PyCompactUnicodeObject)
                                           : (Py_ssize_t)sizeof(PyUnicodeObject);
    PyCompactUnicodeObject *compact = (PyCompactUnicodeObject *)text;
    Py_ssize_t cached = 0;
    if (!ascii->state.ascii && compact->utf8 != NULL) {
        cached = compact->utf8_length + 1;
    }
    return fixed - PyUnicode_Type.tp_basicsize + base + data + cached;
}

static Py_ssize_t
int_digits(PyObject *number)
{
#if PY_VERSION_HEX >= 0x030c0000
    Py_ssize_t digits = (Py_ssize_t)(((PyLongObject *)number)->long_value.lv_tag >> 3);
    return digits > 0 ? digits : 1;
#else
    Py_ssize_t digits = Py_SIZE(number);
    return digits < 0 ? -digits : digits;
#endif
}

/* Variables and stack of a frame with this code, as __sizeof__() of frames has them. */
static Py_ssize_t
variables_bytes(const PyCodeObject *code)
{
#if PY_VERSION_HEX >= 0x030b0000
    Py_ssize_t words = code->co_nlocalsplus + code->co_stacksize;
#else
    Py_ssize_t words = code->co_nlocals + PyTuple_GET_SIZE(code->co_cellvars) + PyTuple_GET_SIZE(code->co_freevars) +
                       code->co_stacksize - 1; /* one is in the struct */
#endif
    return words * (Py_ssize_t)sizeof(void *);
}

/* A frame holds its code, so the reference taken off is never the last one. */
static Py_ssize_t
frame_bytes(PyObject *frame)
{
    PyCodeObject *code = PyFrame_GetCode((PyFrameObject *)frame);
    Py_ssize_t bytes = variables_bytes(code);
    Py_DECREF(code);
    return bytes;
}

/* The frame in a generator, beside its fixed part.  Of coroutines too: their struct is the same, and only builds with
 * assertions look at the type. */
static Py_ssize_t
generator_bytes(PyObject *generator)
{
#if PY_VERSION_HEX < 0x030b0000
    (void)generator;
    return 0; /* its frame is an object by itself */
#elif PY_VERSION_HEX < 0x030c0000
    return variables_bytes(((PyGenObject *)generator)->gi_code);
#else
#ifdef Py_DEBUG
    if (!PyGen_CheckExact(generator)) {
        return 0;
    }
#endif
    PyCodeObject *code = PyGen_GetCode((PyGenObject *)generator);
    Py_ssize_t bytes = variables_bytes(code);
    Py_DECREF(code);
    return bytes;
#endif
}

Py_ssize_t
gco_shallow_bytes(const gco_type_entry *entry, PyObject *object)
{
    Py_ssize_t fixed = entry->fixed_bytes;
    switch (entry->family) {
    case GCO_INT:
        /* The basic size has room for one digit on some versions, for none on others. */
        return fixed - PyLong_Type.tp_basicsize + (Py_ssize_t)sizeof(PyVarObject) +
               int_digits(object) * PyLong_Type.tp_itemsize;
    case GCO_STR:
        return str_bytes(object, fixed);
    case GCO_LIST:
        return fixed + ((PyListObject *)object)->allocated * (Py_ssize_t)sizeof(void *);
    case GCO_DICT:
        return fixed + dict_bytes((PyDictObject *)object);
    case GCO_SET: {
        PySetObject *set = (PySetObject *)object;
        return fixed + (set->table == set->smalltable ? 0 : (set->mask + 1) * (Py_ssize_t)sizeof(setentry));
    }
    case GCO_BYTEARRAY:
#if PY_VERSION_HEX >= 0x030f0000
        fixed += PyBytes_Type.tp_basicsize; /* the bytes live in a bytes object of its own */
#endif
        return fixed + ((PyByteArrayObject *)object)->ob_alloc;
    case GCO_VARIABLE:
        return fixed + Py_SIZE(object) * entry->type->tp_itemsize;
    case GCO_GENERATOR:
        return fixed + generator_bytes(object);
    case GCO_FRAME:
        return fixed + frame_bytes(object);
    default:
        return fixed;
    }
}

/* Whether our idea of this dict's size is the interpreter's. */
static int
agrees(PyObject *dict)
{
    PyObject *truth = PyObject_CallMethod(dict, "__sizeof__", NULL);
    if (truth == NULL) {
        return -1;
    }
    Py_ssize_t bytes = PyLong_AsSsize_t(truth);
    Py_DECREF(truth);
    return bytes == PyDict_Type.tp_basicsize + dict_bytes((PyDictObject *)dict);
}

static int
dicts_agree(void)
{
    static const int lengths[] = {1, 6, 40, 700};
    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        PyObject *dict = PyDict_New();
        int status = dict == NULL ? -1 : 1;
        for (int key = 0; status == 1 && key < lengths[i / 2]; key++) {
            PyObject *name = i % 2 ? PyUnicode_FromFormat("%d", key) : PyLong_FromLong(key);
            if (name == NULL || PyDict_SetItem(dict, name, Py_None) < 0) {
                status = -1;
            }
            Py_XDECREF(name);
        }
        if (status == 1) {
            status = agrees(dict);
        }
        Py_XDECREF(dict);
        if (status != 1) {
            return status;
        }
    }
    return 1;
}

/* Whether our idea of the values in an object is the interpreter's, by an instance of a class made for it.  The class
 * stays: every class is a cycle, and this one would be garbage of ours among the program's. */
static int
inline_values_agree(void)
{
    int status = 0;
#ifdef Py_TPFLAGS_INLINE_VALUES
    PyObject *type = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){ss}", "SizeProbe", "__module__", "gc_otel");
    PyObject *instance = type == NULL ? NULL : PyObject_CallNoArgs(type);
    status = instance == NULL ? -1 : 0;
    if (instance != NULL && PyType_HasFeature(Py_TYPE(instance), Py_TPFLAGS_INLINE_VALUES)) {
        Py_ssize_t ours = Py_TYPE(instance)->tp_basicsize + inline_values_bytes(Py_TYPE(instance));
        status = asked_bytes(instance) == ours;
    }
    Py_XDECREF(instance);
#endif
    return status;
}

bool
gco_sizes_prepare(void)
{
    if (object_sizeof != NULL) {
        return true;
    }
    dict_layout_known = true;
    int status = dicts_agree();
    dict_layout_known = status == 1;
    if (status < 0) {
        return false;
    }
    object_sizeof = PyObject_GetAttrString((PyObject *)&PyBaseObject_Type, "__sizeof__");
    status = object_sizeof == NULL ? -1 : inline_values_agree();
    inline_layout_known = status == 1;
    if (status < 0) {
        Py_CLEAR(object_sizeof);
    }
    return status >= 0;
}
