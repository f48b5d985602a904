/* The seqlock of a block: readers take a copy between two equal, even numbers. */
#ifndef GC_OTEL_SEQUENCE_H
#define GC_OTEL_SEQUENCE_H

#include "native.h"

static inline void
gco_begin_write(uint64_t *sequence)
{
    __atomic_store_n(sequence, *sequence | 1, __ATOMIC_RELAXED);
    /* No cell written from here on may become visible before the odd number: a release fence
     * orders every store before it with every store after it.  A full one is not needed, as the
     * writer reads nothing that a reader writes; it would cost more than all the stores. */
    atomic_thread_fence(memory_order_release);
}

static inline void
gco_end_write(uint64_t *sequence)
{
    /* Nor any of them after the even one. */
    __atomic_store_n(sequence, (*sequence | 1) + 1, __ATOMIC_RELEASE);
}

#endif
