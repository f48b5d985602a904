/* Whether the processor's counter may stand for the clock, and at what scale: see clock.h. */
#include "clock.h"

#ifdef GCO_HAS_COUNTER

#include <cpuid.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define INVARIANT_TSC_LEAF 0x80000007u
#define INVARIANT_TSC_BIT (1u << 8)

#define ATTEMPTS 5
#define LONGEST_READING_NS 2000ull       /* a reading that took longer was interrupted */
#define SHORTEST_INTERVAL_NS 250000000ull /* so a reading's error is less than a hundred thousandth of the interval */
#define LONGEST_INTERVAL_NS (24ull * 3600 * GCO_NS_PER_S)
#define FRESH_INTERVALS 4

/* The clock is slewed by 500 millionths at most; twice that is another rate. */
#define TOLERANCE_SHIFT 10

static bool
is_invariant(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(INVARIANT_TSC_LEAF, &eax, &ebx, &ecx, &edx) != 0 && (edx & INVARIANT_TSC_BIT) != 0;
}

/* The kernel watches the counter against other clocks, and takes another source where it is not steady, or
 * where a hypervisor intercepts its reading. */
static bool
is_clocksource(void)
{
    char name[8] = "";
    int fd = open(CLOCKSOURCE, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t length = read(fd, name, sizeof(name) - 1);
    close(fd);
    return length >= 4 && strcmp(name, "tsc\n") == 0;
}

static bool
is_permitted(void)
{
    int mode = 0;
    return prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE;
}

void
gco_clock_init(gco_clock *clock)
{
    memset(clock, 0, sizeof(*clock));
    clock->is_trusted = is_invariant() && is_clocksource() && is_permitted();
}

/* Both at one moment, as near as can be told, and between how many ticks it was. */
static uint64_t
read_both(uint64_t *ticks, uint64_t *ns)
{
    uint64_t uncertain_ticks = UINT64_MAX;
    for (int i = 0; i < ATTEMPTS; i++) {
        uint64_t before = __rdtsc();
        uint64_t now_ns = gco_clock_ns(CLOCK_MONOTONIC);
        uint64_t after = __rdtsc();
        if (after - before < uncertain_ticks) {
            uncertain_ticks = after - before;
            *ticks = before + (after - before) / 2;
            *ns = now_ns;
        }
    }
    return uncertain_ticks;
}

static bool
is_near(uint64_t one, uint64_t other)
{
    uint64_t apart = one > other ? one - other : other - one;
    return apart <= other >> TOLERANCE_SHIFT;
}

void
gco_clock_compare(gco_clock *clock)
{
    if (!clock->is_trusted) {
        return;
    }
    uint64_t ticks = 0, ns = 0;
    uint64_t uncertain_ticks = read_both(&ticks, &ns);
    if (clock->ticks != 0) {
        uint64_t elapsed_ns = ns - clock->ns, elapsed_ticks = ticks - clock->ticks;
        if (elapsed_ns < SHORTEST_INTERVAL_NS) {
            return;
        }
        if (elapsed_ns > LONGEST_INTERVAL_NS) { /* a process that was frozen for days, or a clock set back: no interval */
            clock->ticks = clock->scale = clock->candidate = 0;
            return;
        }
        /* Division of 96 bits by 64; a counter that was set back makes elapsed_ticks huge and the scale 0. */
        uint64_t scale = (uint64_t)(((unsigned __int128)elapsed_ns << 32) / (elapsed_ticks != 0 ? elapsed_ticks : 1));
        bool is_interrupted = (uint64_t)(((unsigned __int128)uncertain_ticks * scale) >> 32) > LONGEST_READING_NS;
        if (is_interrupted) {
            return; /* the next round compares over a longer interval */
        }
        clock->scale = is_near(scale, clock->candidate) ? scale : 0;
        clock->candidate = scale;
        clock->fresh_ticks = FRESH_INTERVALS * elapsed_ticks;
    }
    clock->ticks = ticks;
    clock->ns = ns;
}

/* The clock is read between two readings of the counter, since the process may lose its processor anywhere.
 *
 * Where they have come apart, the shorter duration is the true one: a suspension within the collection,
 * which the clock leaves out, is in the counter's; one before it, since the last comparison, is in the clock's. */
uint64_t
gco_clock_confirm(gco_clock *clock, const gco_moment *since, uint64_t duration_ns)
{
    uint64_t before_ns = gco_ticks_to_ns(clock, __rdtsc() - clock->ticks);
    uint64_t now_ns = gco_clock_ns(CLOCK_MONOTONIC);
    uint64_t after_ns = gco_ticks_to_ns(clock, __rdtsc() - clock->ticks);
    uint64_t clock_ns = now_ns - clock->ns;
    uint64_t tolerance_ns = (clock_ns >> TOLERANCE_SHIFT) + LONGEST_READING_NS;
    if (before_ns <= clock_ns + tolerance_ns && clock_ns <= after_ns + tolerance_ns) {
        return duration_ns;
    }
    clock->scale = clock->candidate = 0; /* two comparisons that agree are wanted again */
    uint64_t by_clock_ns = now_ns - since->ns; /* huge where the start seems to be in the future */
    return by_clock_ns < duration_ns ? by_clock_ns : duration_ns;
}

#else

void
gco_clock_init(gco_clock *clock)
{
    clock->is_trusted = false;
}

void
gco_clock_compare(gco_clock *Py_UNUSED(clock))
{
}

#endif
