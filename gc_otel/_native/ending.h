/* What exit() was given, noted in the flight file. */
#ifndef GC_OTEL_ENDING_H
#define GC_OTEL_ENDING_H

#include "native.h"

/* watch_exit(mapping): note the exit code there, if the process ends by exit(). */
PyObject *gco_watch_exit(PyObject *module, PyObject *mapping);

/* Whether the exit code is to be noted in that mapping. */
bool gco_exit_is_watched(const gco_mapping *mapping);

/* Its memory is about to be unmapped, or is not this process's own. */
void gco_forget_exit(const gco_mapping *mapping);

#endif
