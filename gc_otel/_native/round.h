/* One life of the monitor's thread.
 *
 * A pthread of our own rather than Python's: it must be made with every signal
 * blocked (an unblocked one would take the SIGTERM that the program waits for in
 * sigwait(), and the process dies), and it must be a real thread under gevent.
 *
 * A round is never used again: a stop meant for one thread cannot miss it for the next.  Its `mutex`
 * guards its `stopping` and is never held while Python runs or the GIL is taken.
 */
#ifndef GC_OTEL_ROUND_H
#define GC_OTEL_ROUND_H

#include "native.h"

#include <pthread.h>
#include <sys/types.h>

/* A word of the flight file on which another process can wake the thread (Linux), and what the thread calls then.
 *
 * Who rings maps the file read-only and changes nothing: FUTEX_WAKE needs no more.  A ring while the thread is not
 * waiting is lost, so it is repeated until there is an answer; a wait costs nothing while nobody rings.  Only a stop
 * changes the word, so that one between the look at `stopping` and the wait is not slept through. */
typedef struct {
    Py_buffer memory; /* keeps the word mapped; `obj` is NULL where there is none */
    void (*rung)(PyObject *owner);
} gco_bell;

typedef struct {
    PyObject *owner; /* a reference of its own, as long as the thread lives */
    void (*tick)(PyObject *owner);
    uint64_t interval_ns;
    gco_bell bell;
    _Atomic(uint32_t) *word; /* inside bell.memory; NULL: nobody can ring */
    pthread_t thread;
    pid_t owner_pid; /* whose thread it is: a child forked without hooks has only the words of it */
    long thread_id;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping;  /* under mutex */
    bool abandoned; /* stopped by its own tick: nobody joins it; only the thread itself uses this */
} gco_round;

/* Starts a thread that calls tick(owner), without the GIL, at once and after every interval.  Returns an errno.
 *
 * `bell` may be NULL; what it holds of the buffer is the round's from a success on. */
int gco_round_start(gco_round **round, PyObject *owner, void (*tick)(PyObject *), uint64_t interval_ns,
                    const gco_bell *bell);

/* Whether the calling thread is this round's. */
bool gco_round_is_here(const gco_round *round);

/* From its own tick: it ends after it, and frees itself. */
void gco_round_abandon(gco_round *round);

/* Ends the thread and waits until the kernel has forgotten it.  To be called without the GIL, which its tick may need. */
void gco_round_join(gco_round *round);

/* After the join, with the GIL: frees the round and lets its owner go. */
void gco_round_free(gco_round *round);

#endif
