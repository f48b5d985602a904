/* The estimate of the cycle sampler.
 *
 * A sample says how many cycles of each signature stand against how many objects that the collection then freed, and
 * every collection says how many it freed.  So that is multiplied, every few collections, with the proportion in
 * the last ten or so samples of its generation, and added: no estimate ever falls.  Called by gco_attend() alone, between
 * its gco_begin_write() and gco_end_write(). */
#include "sampler.h"

#ifndef Py_GIL_DISABLED

#define REMEMBERED 0.9
#define COUNTED_LEAST 0.25

/* What was collected since, in the proportions of the samples.
 *
 * By the objects that the collections freed, against what those that were sampled freed.  Where CPython counts few of the
 * objects that were found, because finalizers free them before it does (generators, coroutines), by the number of
 * collections. */
void
gco_add_pending(gco_sampler *sampler, uint64_t *cells, unsigned generation)
{
    uint64_t *head = cells + GCO_CYCLES_FIRST;
    double samples = sampler->seen_samples[generation], collected = sampler->seen_collected[generation], all = 0;
    if (sampler->seen_garbage[generation] <= 0) {
        return; /* it waits for the first sample with garbage in it */
    }
    const uint64_t *totals = cells + GCO_GENERATION_FIRST + generation * GCO_GENERATION_STRIDE;
    uint64_t collections_now = totals[GCO_GENERATION_COLLECTIONS], collected_now = totals[GCO_GENERATION_COLLECTED];
    bool is_counted = collected >= COUNTED_LEAST * sampler->seen_garbage[generation] && collected > 0;
    double weight = is_counted ? (double)(collected_now - sampler->weighed_collected[generation]) / collected
                               : (double)(collections_now - sampler->weighed_collections[generation]) / samples;
    for (unsigned row = 0; row < GCO_ROWS; row++) {
        sampler->estimate[row] += weight * sampler->seen[row][generation];
        all += sampler->estimate[row];
        if (row != GCO_NAMELESS) {
            gco_row_at(cells, row)[GCO_CYCLE_SIGNATURE_CYCLES] = (uint64_t)sampler->estimate[row];
        }
    }
    head[GCO_CYCLES_UNNAMED] = (uint64_t)sampler->estimate[GCO_NAMELESS];
    head[GCO_CYCLES_CYCLES] = (uint64_t)all;
    sampler->weighed_collections[generation] = collections_now;
    sampler->weighed_collected[generation] = collected_now;
}

static void
remember(double *sum, uint64_t newest)
{
    *sum = *sum * REMEMBERED + (double)newest;
}

void
gco_add_sample(gco_sampler *sampler, uint64_t *cells, unsigned generation, uint64_t collected, uint64_t now_ns)
{
    uint64_t *head = cells + GCO_CYCLES_FIRST;
    remember(&sampler->seen_garbage[generation], sampler->garbage);
    remember(&sampler->seen_collected[generation], collected);
    remember(&sampler->seen_samples[generation], 1);
    for (unsigned row = 0; row < GCO_ROWS; row++) {
        remember(&sampler->seen[row][generation], sampler->cycles[row]);
        if (sampler->cycles[row] != 0 && row != GCO_NAMELESS) {
            uint64_t *cell = gco_row_at(cells, row);
            cell[GCO_CYCLE_SIGNATURE_SAMPLES]++;
            cell[GCO_CYCLE_SIGNATURE_SAMPLED_CYCLES] += sampler->cycles[row];
            cell[GCO_CYCLE_SIGNATURE_SAMPLED_OBJECTS] += sampler->objects[row];
            cell[GCO_CYCLE_SIGNATURE_LAST_NS] = now_ns;
        }
    }
    head[GCO_CYCLES_SAMPLES + generation]++;
    head[GCO_CYCLES_GARBAGE + generation] += sampler->garbage;
}

#endif
