/* The time of a collection: the monotonic clock, read by the shortest way that is as true.
 *
 * The kernel keeps CLOCK_MONOTONIC by the processor's time stamp counter, if it has found it to run at one
 * rate on all processors; clock_gettime() then reads that counter, behind a barrier that holds up what CPython does
 * next, and converts it under the kernel's own scale.  Two such reads are most of what the callback costs.  Where the
 * kernel trusts the counter, so does this: it is read without the barrier (which moves a start or
 * a stop by some ten nanoseconds, and a collection takes five hundred at least), and converted by a scale of our own.
 *
 * The monitor's rounds find the scale, clock.c: it holds between two comparisons that agreed and a few intervals
 * later.  Whenever there is none, at the start of a process, without a monitor, after a suspension, the clock
 * itself is read.  A duration is a difference of two readings of the same kind.
 *
 * Everything here is done under the GIL, the comparison too, so no field is seen half changed.  Without a
 * GIL, and on other systems and processors, there is only the clock.
 */
#ifndef GC_OTEL_CLOCK_H
#define GC_OTEL_CLOCK_H

#include "native.h"

#if defined(__linux__) && defined(__x86_64__) && defined(__GNUC__) && !defined(Py_GIL_DISABLED)
#define GCO_HAS_COUNTER 1
#include <x86intrin.h>
#endif

/* Above this a duration read from the counter is confirmed by the clock, which then costs nothing in proportion. */
#define GCO_CONFIRMED_NS 1000000ull

typedef struct {
    bool is_trusted;      /* the kernel keeps its own clock by the counter */
    uint64_t ticks;       /* the counter at the last comparison; 0 before the first */
    uint64_t ns;          /* the clock at the same moment */
    uint64_t fresh_ticks; /* so long after it the scale may be used */
    uint64_t scale;       /* ns of a tick, times 2^32; 0 while there is none */
    uint64_t candidate;   /* the scale of the last interval, to be confirmed by the next */
} gco_clock;

/* One moment: `ticks` is 0 where the clock itself was read. */
typedef struct {
    uint64_t ticks, ns;
} gco_moment;

/* Finds out whether the counter is to be trusted. */
void gco_clock_init(gco_clock *clock);

/* Compares the counter with the clock; to be called every few seconds. */
void gco_clock_compare(gco_clock *clock);

/* The duration between two readings of the counter, by the clock if the counter turns out not to have kept its pace. */
uint64_t gco_clock_confirm(gco_clock *clock, const gco_moment *since, uint64_t duration_ns);

#ifdef GCO_HAS_COUNTER

static inline uint64_t
gco_ticks_to_ns(const gco_clock *clock, uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * clock->scale) >> 32);
}

static inline gco_moment
gco_clock_now(const gco_clock *clock)
{
    if (clock->scale != 0) {
        uint64_t ticks = __rdtsc();
        uint64_t since = ticks - clock->ticks;
        if (since < clock->fresh_ticks) {
            return (gco_moment){ticks, clock->ns + gco_ticks_to_ns(clock, since)};
        }
    }
    return (gco_moment){0, gco_clock_ns(CLOCK_MONOTONIC)};
}

/* Nanoseconds since that moment. */
static inline uint64_t
gco_clock_elapsed(gco_clock *clock, const gco_moment *since)
{
    if (since->ticks == 0 || clock->scale == 0) {
        return gco_clock_ns(CLOCK_MONOTONIC) - since->ns;
    }
    uint64_t duration_ns = gco_ticks_to_ns(clock, __rdtsc() - since->ticks);
    if (GCO_UNLIKELY(duration_ns >= GCO_CONFIRMED_NS)) { /* a counter that was set back is seen here too */
        return gco_clock_confirm(clock, since, duration_ns);
    }
    return duration_ns;
}

#else

static inline gco_moment
gco_clock_now(const gco_clock *Py_UNUSED(clock))
{
    return (gco_moment){0, gco_clock_ns(CLOCK_MONOTONIC)};
}

static inline uint64_t
gco_clock_elapsed(gco_clock *Py_UNUSED(clock), const gco_moment *since)
{
    return gco_clock_ns(CLOCK_MONOTONIC) - since->ns;
}

#endif
#endif
