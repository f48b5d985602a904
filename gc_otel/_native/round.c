/* The monitor's thread, from its start to its end: see round.h. */
#include "round.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

static bool
is_stopping(gco_round *round)
{
    pthread_mutex_lock(&round->mutex);
    bool stopping = round->stopping;
    pthread_mutex_unlock(&round->mutex);
    return stopping;
}

#ifdef __linux__
/* Waits until then; true when asked to stop.  Where futexes are not to be had, `word` is NULL afterwards. */
static bool
wait_at_bell(gco_round *round, const struct timespec *until)
{
    for (;;) {
        uint32_t before = atomic_load(round->word);
        if (is_stopping(round)) {
            return true;
        }
        long status = syscall(SYS_futex, round->word, FUTEX_WAIT_BITSET, before, until, NULL, FUTEX_BITSET_MATCH_ANY);
        if (status == 0) {
            if (is_stopping(round)) {
                return true;
            }
            round->bell.rung(round->owner);
        }
        else if (errno == ETIMEDOUT) {
            return is_stopping(round);
        }
        else if (errno != EAGAIN && errno != EINTR) {
            round->word = NULL;
            return false;
        }
    }
}

/* After `stopping` was set: whoever reads the word from now on sees `stopping` first. */
static void
ring(_Atomic(uint32_t) *word)
{
    atomic_fetch_add(word, 2);
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static _Atomic(uint32_t) *
word_of(const gco_bell *bell)
{
    uint64_t *cells = bell->memory.buf;
    return (_Atomic(uint32_t) *)(cells + GCO_MONITOR_FIRST + GCO_MONITOR_REQUESTS);
}
#endif

/* Waits one interval; true when asked to stop. */
static bool
wait_for_stop(gco_round *round)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t due_ns = (uint64_t)until.tv_nsec + round->interval_ns;
    until.tv_sec += (time_t)(due_ns / GCO_NS_PER_S);
    until.tv_nsec = (long)(due_ns % GCO_NS_PER_S);
#ifdef __linux__
    if (round->word != NULL) {
        bool stopping = wait_at_bell(round, &until);
        if (round->word != NULL) {
            return stopping;
        }
    }
#endif
    pthread_mutex_lock(&round->mutex);
    int status = 0;
    while (!round->stopping && status != ETIMEDOUT) {
        status = pthread_cond_timedwait(&round->wake, &round->mutex, &until);
    }
    bool stopping = round->stopping;
    pthread_mutex_unlock(&round->mutex);
    return stopping;
}

void
gco_round_free(gco_round *round)
{
    PyObject *owner = round->owner;
    PyBuffer_Release(&round->bell.memory);
    pthread_cond_destroy(&round->wake);
    pthread_mutex_destroy(&round->mutex);
    PyMem_RawFree(round);
    Py_DECREF(owner);
}

static void *
round_main(void *argument)
{
    gco_round *round = argument;
#ifdef __linux__
    __atomic_store_n(&round->thread_id, syscall(SYS_gettid), __ATOMIC_RELEASE);
#endif
    bool stopping = false;
    while (!stopping) {
        round->tick(round->owner);
        stopping = wait_for_stop(round);
    }
    if (round->abandoned) {
        PyGILState_STATE gil = PyGILState_Ensure();
        gco_round_free(round);
        PyGILState_Release(gil);
    }
    return NULL;
}

static gco_round *
make_round(void)
{
    gco_round *round = PyMem_RawCalloc(1, sizeof(gco_round));
    pthread_condattr_t monotonic;
    if (round == NULL) {
        return NULL;
    }
    if (pthread_condattr_init(&monotonic) != 0) {
        PyMem_RawFree(round);
        return NULL;
    }
#ifndef __APPLE__
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
#endif
    int status = pthread_mutex_init(&round->mutex, NULL) | pthread_cond_init(&round->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (status != 0) {
        PyMem_RawFree(round);
        return NULL;
    }
    return round;
}

/* Signals are blocked around the creation, so that the thread
 * is born with all of them blocked; what arrives meanwhile stays pending for
 * the process and is delivered when the mask comes back. */
int
gco_round_start(gco_round **started, PyObject *owner, void (*tick)(PyObject *), uint64_t interval_ns,
                const gco_bell *bell)
{
    gco_round *round = make_round();
    if (round == NULL) {
        return ENOMEM;
    }
    round->owner = Py_NewRef(owner);
    round->tick = tick;
    round->interval_ns = interval_ns;
    round->owner_pid = getpid();
#ifdef __linux__
    if (bell != NULL) {
        round->bell = *bell;
        round->word = word_of(bell);
    }
#endif
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&round->thread, NULL, round_main, round);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0) {
        round->bell.memory.obj = NULL; /* still the caller's */
        gco_round_free(round);
        return status;
    }
    *started = round;
    return 0;
}

bool
gco_round_is_here(const gco_round *round)
{
    return round->owner_pid == getpid() && pthread_equal(round->thread, pthread_self());
}

static void
tell_to_stop(gco_round *round)
{
    pthread_mutex_lock(&round->mutex);
    round->stopping = true;
    pthread_cond_signal(&round->wake);
    pthread_mutex_unlock(&round->mutex);
#ifdef __linux__
    if (round->word != NULL) {
        ring(round->word);
    }
#endif
}

void
gco_round_abandon(gco_round *round)
{
    tell_to_stop(round);
    round->abandoned = true;
    pthread_detach(round->thread);
}

/* pthread_join returns when the thread has left user space; the kernel counts it a
 * little longer, and CPython 3.12+ warns at a fork by that count. */
static void
wait_until_gone(long thread_id)
{
#ifdef __linux__
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%ld", thread_id);
    for (int i = 0; i < 500 && access(path, F_OK) == 0; i++) {
        usleep(20);
    }
#endif
}

void
gco_round_join(gco_round *round)
{
    tell_to_stop(round);
    pthread_join(round->thread, NULL);
    wait_until_gone(__atomic_load_n(&round->thread_id, __ATOMIC_ACQUIRE));
}
