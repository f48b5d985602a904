/* HAZARD ZONE 2: a cloned child of the process, in which the whole heap is read.
 *
 * What the parent does, with the GIL: it takes the memory that the job needs, clones itself, and gives the memory back.
 * What the child does: its job, which is gco_heap_gather() and gco_heap_examine(), or the walk of the census, write(2),
 * _exit(2).
 *
 * - *No SIGCHLD, no wait of the program meets it.*  A raw clone with exit signal 0: who waits without __WALL does not
 *   see it, and it announces nothing.  The number of the call is the only thing that depends on the machine, and
 *   with all arguments 0 their order does not.
 * - *No hook.*  Neither os.register_at_fork() nor pthread_atfork() is run, since nothing in the child needs what they mend.
 * - *No lock.*  Other threads are not there, and what they held stays held.  So the child calls no malloc, no stdio but
 *   snprintf() of text, nothing of Python but tp_traverse, PyDict_Next(), PyFrame_GetCode(), PyGen_GetCode() and, for a
 *   census where CPython walks, PyUnstable_GC_VisitObjects(), which take none where there is a GIL, and system calls whose
 *   wrappers take no lock.
 * - *No signal handler.*  All signals are blocked before the clone, and stay so in the child.
 * - *No shared cell.*  The flight file is not mapped there (MADV_DONTFORK).
 * - *No descriptor.*  All but the pipe are closed first: a connection that the parent closes meanwhile must end, and
 *   a port that it frees must be free.  Closing a copy releases no lock of the parent's, POSIX or flock.
 * - *Memory.*  What either of the two writes meanwhile is copied, at worst the whole heap: the caller has looked for that
 *   much room.  The child that looks for cycles writes to no page of the heap but those of the code of frames and generators; so does the
 *   one that counts, unless CPython walks for it (tracked.c): that adds a reference to each object while it is visited, and
 *   takes it off again.
 * - *It ends.*  With the thread that made it (PR_SET_PDEATHSIG), at a limit of CPU time, when nobody reads the pipe, or by
 *   gco_end_child().  Where memory runs out it is the first to go (oom_score_adj), and it leaves no core. */
#include "child.h"

#include <string.h>

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9; the same on all machines */
#endif

#define DESCRIPTORS_MOST 65536
#define NICEST 19

static void
send_bytes(int fd, const void *bytes, size_t count)
{
    for (const char *at = bytes; count > 0;) {
        ssize_t written = write(fd, at, count);
        if (written < 0 && errno != EINTR) {
            _exit(1); /* nobody reads any more */
        }
        if (written > 0) {
            at += written;
            count -= (size_t)written;
        }
    }
}

void
gco_child_send(int fd, uint64_t kind, const uint64_t numbers[4], const uint64_t *more, size_t count)
{
    uint64_t head[6] = {kind, numbers[0], numbers[1], numbers[2], numbers[3], count};
    send_bytes(fd, head, sizeof(head));
    send_bytes(fd, more, count * sizeof(uint64_t));
}

static void
close_all_but(int fd)
{
    bool below = fd == 0 || syscall(SYS_close_range, 0u, (unsigned)fd - 1, 0u) == 0;
    if (below && syscall(SYS_close_range, (unsigned)fd + 1, ~0u, 0u) == 0) {
        return;
    }
    struct rlimit limit;
    rlim_t most = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : DESCRIPTORS_MOST;
    for (int each = 0; each < (int)(most < DESCRIPTORS_MOST ? most : DESCRIPTORS_MOST); each++) {
        if (each != fd) {
            close(each);
        }
    }
}

/* The first things: to end with the parent, to hold nothing of it, to be the one that gives way. */
static void
become_harmless(int fd, pid_t parent, const char *name, unsigned seconds)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (syscall(SYS_getppid) != parent) {
        _exit(1); /* it has ended before it was asked to tell */
    }
    close_all_but(fd);
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        send_bytes(score, "1000", 4);
        close(score);
    }
    setpriority(PRIO_PROCESS, 0, NICEST);
    struct rlimit cpu = {seconds, seconds};
    setrlimit(RLIMIT_CPU, &cpu);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static pid_t
clone_child(gco_child_job job, void *context, const char *name, const int fds[2], unsigned seconds)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    long pid = syscall(SYS_clone, 0L, 0L, 0L, 0L, 0L);
    if (pid == 0) {
        become_harmless(fds[1], parent, name, seconds);
        job(context, fds[1]);
        _exit(0);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return (pid_t)pid;
}

bool
gco_child_start(gco_child *child, gco_child_job job, void *context, const char *name, unsigned seconds)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return false;
    }
    pid_t pid = clone_child(job, context, name, fds, seconds);
    if (pid < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        close(fds[0]);
    }
    close(fds[1]);
    *child = (gco_child){pid, fds[0]};
    return pid > 0;
}

void
gco_child_give_up(const gco_child *child)
{
    close(child->fd);
    kill((pid_t)child->pid, SIGKILL);
    waitpid((pid_t)child->pid, NULL, __WALL);
}

PyObject *
gco_read_child(PyObject *Py_UNUSED(module), PyObject *args)
{
    int fd, timeout_ms;
    char bytes[65536];
    ssize_t count = -1;
    if (!PyArg_ParseTuple(args, "ii:read_child", &fd, &timeout_ms)) {
        return NULL;
    }
    int ready;
    Py_BEGIN_ALLOW_THREADS
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    ready = poll(&waited, 1, timeout_ms);
    if (ready > 0) {
        count = read(fd, bytes, sizeof(bytes));
    }
    Py_END_ALLOW_THREADS
    if (count >= 0) {
        return PyBytes_FromStringAndSize(bytes, count);
    }
    if (ready == 0 || errno == EINTR) {
        Py_RETURN_NONE;
    }
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* Kills it only while it is surely ours: not waited for yet, so its pid is nobody else's. */
PyObject *
gco_end_child(PyObject *Py_UNUSED(module), PyObject *args)
{
    long pid;
    int fd, status = 0;
    struct rusage used;
    if (!PyArg_ParseTuple(args, "li:end_child", &pid, &fd)) {
        return NULL;
    }
    close(fd);
    memset(&used, 0, sizeof(used));
    pid_t ended;
    Py_BEGIN_ALLOW_THREADS
    ended = wait4((pid_t)pid, &status, __WALL | WNOHANG, &used);
    if (ended == 0) {
        kill((pid_t)pid, SIGKILL);
        do {
            ended = wait4((pid_t)pid, &status, __WALL, &used);
        } while (ended < 0 && errno == EINTR);
    }
    Py_END_ALLOW_THREADS
    if (ended < 0) {
        status = 0; /* somebody waited for it, with __WALL */
    }
    long long cpu_ns = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000000ll +
                       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000ll;
    return Py_BuildValue("(iLL)", status, cpu_ns, (long long)used.ru_minflt);
}

#else

bool
gco_child_start(gco_child *Py_UNUSED(child), gco_child_job Py_UNUSED(job), void *Py_UNUSED(context),
                const char *Py_UNUSED(name), unsigned Py_UNUSED(seconds))
{
    PyErr_SetString(PyExc_OSError, "it needs Linux");
    return false;
}

void
gco_child_give_up(const gco_child *Py_UNUSED(child))
{
}

void
gco_child_send(int Py_UNUSED(fd), uint64_t Py_UNUSED(kind), const uint64_t Py_UNUSED(numbers)[4],
               const uint64_t *Py_UNUSED(more), size_t Py_UNUSED(count))
{
}

static PyObject *
not_here(void)
{
    PyErr_SetString(PyExc_OSError, "it needs Linux");
    return NULL;
}

PyObject *
gco_read_child(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(args))
{
    return not_here();
}

PyObject *
gco_end_child(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(args))
{
    return not_here();
}

#endif
