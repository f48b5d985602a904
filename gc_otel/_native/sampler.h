/* The cycle sampler: which garbage cycles a young collection is about to free. */
#ifndef GC_OTEL_SAMPLER_H
#define GC_OTEL_SAMPLER_H

#include "heap.h"
#include "native.h"

/* Generations that are sampled: 0 and 1. */
#define GCO_SAMPLED 2

/* Rows of the file, and one for what has none. */
#define GCO_NAMELESS GCO_CYCLE_SIGNATURE_ENTRIES
#define GCO_ROWS (GCO_CYCLE_SIGNATURE_ENTRIES + 1)

/* Signatures met in one sample, by a hash of the types around: the name is made once for all cycles of a kind. */
#define GCO_KINDS 64

typedef struct {
    /* What every collection asks of it, side by side: see recorder.h. */
    uint64_t attend_ns;        /* the first stop from then on calls gco_attend(); UINT64_MAX while nothing is sampled */
    bool due[GCO_GENERATIONS]; /* the next automatic collection of it is examined; decided when one ends */

    bool wanted;
    bool active; /* a sample was taken at the start of the collection in progress */
    uint64_t due_ns[GCO_SAMPLED];
    /* The file's totals when they were weighed last. */
    uint64_t weighed_collections[GCO_SAMPLED], weighed_collected[GCO_SAMPLED];
    unsigned taken[GCO_SAMPLED]; /* samples, counted up to some */
    uint64_t random;
    uint64_t cost_factor, least_interval_ns, objects_most;

    gco_tracked tracked; /* where the young objects are, found by the recorder, whose callback asks it too */
    gco_arena arena;
    gco_types types;

    uint64_t garbage;
    uint64_t cycles[GCO_ROWS], objects[GCO_ROWS];
    struct {
        uint64_t hash;
        unsigned row;
    } kinds[GCO_KINDS];
    uint64_t *cells; /* while a sample is taken */

    /* What the last samples had, each counting less than the one after it: cycles, what CPython then freed, samples. */
    double seen[GCO_ROWS][GCO_SAMPLED], seen_collected[GCO_SAMPLED], seen_samples[GCO_SAMPLED];
    double seen_garbage[GCO_SAMPLED];
    double estimate[GCO_ROWS];
} gco_sampler;

/* Begins to sample: at most one part in `cost_factor` of the time, no sample of a generation sooner than
 * `least_interval_ns` after the one before, none of more than `objects_most` objects.  False without memory, and where the
 * collector's lists cannot be read. */
bool gco_sampler_begin(gco_sampler *sampler, const uint64_t *cells, uint64_t cost_factor, uint64_t least_interval_ns,
                       uint64_t objects_most);
void gco_sampler_free(gco_sampler *sampler);

/* In the start callback of an automatic collection of generation 0 or 1 that is due; `objects` are young. */
void gco_sample(gco_sampler *sampler, uint64_t *cells, unsigned generation, uint64_t objects);

/* In the stop callback from `attend_ns` on, behind the totals: weighs what was collected since, and says what is due. */
void gco_attend(gco_sampler *sampler, uint64_t *cells, unsigned generation, uint64_t collected, uint64_t now_ns);

/* The cells of a signature. */
static inline uint64_t *
gco_row_at(uint64_t *cells, unsigned row)
{
    return cells + GCO_CYCLE_SIGNATURE_FIRST + row * GCO_CYCLE_SIGNATURE_STRIDE;
}

/* What was collected since it was called last, in the proportions of the samples. */
void gco_add_pending(gco_sampler *sampler, uint64_t *cells, unsigned generation);

/* What the sample of this collection found, beside what CPython then freed. */
void gco_add_sample(gco_sampler *sampler, uint64_t *cells, unsigned generation, uint64_t collected, uint64_t now_ns);

/* The signature of a way around of `length` types, of which `shown` are given: GCO_SIGNATURE_BYTES, padded with NUL. */
void gco_write_signature(char *text, gco_type_entry *const *types, size_t shown, size_t length);

#endif
