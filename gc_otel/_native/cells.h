/* What one collection changes in the gc, generation, latest and longest blocks.
 *
 * Only the callback writes these blocks, one call at a time (callback.c says why); readers, in
 * this process and in others, are kept out by the sequence number.  In a header so that
 * the compiler sees it inside the callback.
 */
#ifndef GC_OTEL_CELLS_H
#define GC_OTEL_CELLS_H

#include "info.h"
#include "sequence.h"

/* `kind` is generation and flags as the cells hold them. */
static inline void
gco_fill_event(uint64_t *event, const uint64_t *gc, uint64_t number, uint64_t start_ns, uint64_t duration_ns,
               uint64_t kind, const gco_counts *counts)
{
    event[GCO_LATEST_NUMBER] = number;
    event[GCO_LATEST_START_NS] = start_ns;
    event[GCO_LATEST_DURATION_NS] = duration_ns;
    event[GCO_LATEST_WALL_NS] = duration_ns;
    event[GCO_LATEST_KIND] = kind;
    event[GCO_LATEST_COLLECTED] = counts->collected;
    event[GCO_LATEST_UNCOLLECTABLE] = counts->uncollectable;
    event[GCO_LATEST_CANDIDATES] = counts->candidates;
    event[GCO_LATEST_THREAD_ID] = gc[GCO_GC_COLLECTING_THREAD_ID];
}

static inline unsigned
gco_bucket_of(uint64_t duration_ns)
{
    static const uint64_t bounds_ns[GCO_BUCKETS - 1] = GCO_DURATION_BOUNDS_NS;
    unsigned bucket = 0;
    while (bucket < GCO_BUCKETS - 1 && duration_ns > bounds_ns[bucket]) {
        bucket++;
    }
    return bucket;
}

static inline void
gco_add_to_generation(uint64_t *generation, uint64_t duration_ns, uint64_t flags, const gco_counts *counts)
{
    unsigned bucket = gco_bucket_of(duration_ns);
    generation[GCO_GENERATION_COLLECTIONS]++;
    generation[GCO_GENERATION_COLLECTED] += counts->collected;
    generation[GCO_GENERATION_CANDIDATES] += counts->candidates;
    generation[GCO_GENERATION_DURATION_SUM_NS] += duration_ns;
    if (GCO_UNLIKELY((flags | counts->uncollectable) != 0)) {
        generation[GCO_GENERATION_EXPLICIT_COLLECTIONS] += (flags & GCO_EXPLICIT_FLAG) != 0;
        generation[GCO_GENERATION_UNCOLLECTABLE] += counts->uncollectable;
    }
    if (duration_ns > generation[GCO_GENERATION_DURATION_MAX_NS]) {
        generation[GCO_GENERATION_DURATION_MAX_NS] = duration_ns;
    }
    generation[GCO_GENERATION_BUCKETS + bucket]++;
    generation[GCO_GENERATION_BUCKET_SUM_NS + bucket] += duration_ns;
    if (GCO_UNLIKELY((flags & GCO_OWN_FLAG) != 0)) {
        generation[GCO_GENERATION_OWN_BUCKETS + bucket]++;
        generation[GCO_GENERATION_OWN_BUCKET_SUM_NS + bucket] += duration_ns;
    }
}

/* The maximum since the monitor opened its window; a new number opens a new one. */
static inline void
gco_add_to_window(uint64_t *gc, uint64_t window, uint64_t duration_ns)
{
    if (window != gc[GCO_GC_WINDOW]) {
        gc[GCO_GC_WINDOW] = window;
        gc[GCO_GC_WINDOW_MAX_NS] = 0;
    }
    if (duration_ns > gc[GCO_GC_WINDOW_MAX_NS]) {
        gc[GCO_GC_WINDOW_MAX_NS] = duration_ns;
    }
}

static inline uint64_t
gco_longest_duration_ns(const uint64_t *table, uint64_t place)
{
    return table[place * GCO_LONGEST_STRIDE + GCO_LATEST_DURATION_NS];
}

static inline uint64_t
gco_shortest_place(const uint64_t *table)
{
    uint64_t place = 0;
    for (uint64_t i = 1; i < GCO_LONGEST_ENTRIES; i++) {
        if (gco_longest_duration_ns(table, i) < gco_longest_duration_ns(table, place)) {
            place = i;
        }
    }
    return place;
}

/* Keep the longest events: fill the table, then replace its shortest.  Seldom called once the table is full. */
GCO_SELDOM static void
gco_keep_longest(uint64_t *cells, const uint64_t *event)
{
    uint64_t *gc = cells + GCO_GC_FIRST;
    uint64_t *table = cells + GCO_LONGEST_FIRST;
    uint64_t place = gc[GCO_GC_LONGEST_ENTRIES];
    if (place < GCO_LONGEST_ENTRIES) {
        gc[GCO_GC_LONGEST_ENTRIES] = place + 1;
    }
    else {
        place = gco_shortest_place(table);
    }
    memcpy(table + place * GCO_LONGEST_STRIDE, event, GCO_LONGEST_STRIDE * sizeof(uint64_t));
    if (gc[GCO_GC_LONGEST_ENTRIES] == GCO_LONGEST_ENTRIES) {
        gc[GCO_GC_LONGEST_FLOOR_NS] = gco_longest_duration_ns(table, gco_shortest_place(table));
    }
}

#endif
