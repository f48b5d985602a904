/* Names of types and of ways around, written without any code of theirs: no attribute is asked for, nothing is allocated.
 * For the sampler, inside the gc callback, and for the child that examines. */
#include "sampler.h"

#include "keys.h"

#include <string.h>

#define NAMES_MOST 6
#define TYPE_NAME_BYTES 112

/* UTF-8 into `room` bytes with the NUL, cut at a whole character.  Written here, because CPython's own would
 * keep a copy in the str. */
static void
gco_copy_text(PyObject *str, char *text, size_t room)
{
    size_t used = 0;
    Py_ssize_t length = PyUnicode_Check(str) ? PyUnicode_GET_LENGTH(str) : 0;
#if PY_VERSION_HEX < 0x030c0000
    length = length > 0 && PyUnicode_IS_READY(str) ? length : 0;
#endif
    for (Py_ssize_t i = 0; i < length; i++) {
        Py_UCS4 c = PyUnicode_READ_CHAR(str, i);
        if (c >= 0xD800 && c < 0xE000) {
            c = '?';
        }
        unsigned bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (used + bytes >= room) {
            break;
        }
        static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
        for (unsigned k = bytes; k-- > 1; c >>= 6) {
            text[used + k] = (char)(0x80 | (c & 0x3F));
        }
        text[used] = (char)(lead[bytes] | c);
        used += bytes;
    }
    text[used] = '\0';
}

size_t
gco_type_name(PyTypeObject *type, char *text, size_t room)
{
    char module[TYPE_NAME_BYTES], name[TYPE_NAME_BYTES];
    module[0] = '\0';
    const char *dot = strrchr(type->tp_name, '.');
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        if (dot != NULL) {
            snprintf(module, sizeof(module), "%.*s", (int)(dot - type->tp_name), type->tp_name);
        }
        snprintf(name, sizeof(name), "%s", dot == NULL ? type->tp_name : dot + 1);
    }
    else {
        gco_copy_text(((PyHeapTypeObject *)type)->ht_qualname, name, sizeof(name));
        /* A walk, because a lookup may compare keys by code of theirs. */
        PyObject *key, *value;
        Py_ssize_t position = 0;
        while (type->tp_dict != NULL && PyDict_Next(type->tp_dict, &position, &key, &value)) {
            if (PyUnicode_CheckExact(key) && gco_is_plain(key) && GCO_KEY_IS(key, "__module__")) {
                if (PyUnicode_CheckExact(value)) {
                    gco_copy_text(value, module, sizeof(module));
                }
                break;
            }
        }
    }
    bool shown = module[0] != '\0' && strcmp(module, "builtins") != 0;
    int length = snprintf(text, room, "%s%s%s", shown ? module : "", shown ? "." : "", name);
    return (size_t)length < room ? (size_t)length : room - 1;
}

/* Names around, turned so that the alphabetically least way of writing it is taken: heap/cycles.py does the same. */
static unsigned
least_turn(char names[][TYPE_NAME_BYTES], unsigned count)
{
    unsigned best = 0;
    for (unsigned turn = 1; turn < count; turn++) {
        for (unsigned i = 0; i < count; i++) {
            int order = strcmp(names[(turn + i) % count], names[(best + i) % count]);
            if (order != 0) {
                best = order < 0 ? turn : best;
                break;
            }
        }
    }
    return best;
}

void
gco_write_signature(char *text, gco_type_entry *const *types, size_t shown, size_t length)
{
    char names[GCO_LONGEST_SIGNATURE][TYPE_NAME_BYTES];
    unsigned count = (unsigned)(shown < GCO_LONGEST_SIGNATURE ? shown : GCO_LONGEST_SIGNATURE);
    for (unsigned i = 0; i < count; i++) {
        gco_type_name(types[i]->type, names[i], TYPE_NAME_BYTES);
    }
    unsigned turn = length == count ? least_turn(names, count) : 0;
    size_t used = 0;
    memset(text, 0, GCO_SIGNATURE_BYTES);
    for (unsigned i = 0; i < count && i < NAMES_MOST && used < GCO_SIGNATURE_BYTES; i++) {
        used += (size_t)snprintf(text + used, GCO_SIGNATURE_BYTES - used, "%s%s", i == 0 ? "" : " -> ",
                                 names[(turn + i) % count]);
    }
    if (used < GCO_SIGNATURE_BYTES && length > NAMES_MOST) {
        used += (size_t)snprintf(text + used, GCO_SIGNATURE_BYTES - used, " -> ...");
    }
    if (used >= GCO_SIGNATURE_BYTES) { /* cut: at a whole character, and said so */
        size_t end = GCO_SIGNATURE_BYTES - 4;
        while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) {
            end--;
        }
        memset(text + end, 0, GCO_SIGNATURE_BYTES - end);
        memcpy(text + end, "...", 3);
    }
}
