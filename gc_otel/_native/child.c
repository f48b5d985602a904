/* HAZARD ZONE 2: the whole heap's garbage, examined in a cloned child.
 *
 * What the parent does, with the GIL and the collector off: it gathers pointers (the one pause that it sees),
 * clones itself, and gives the memory back.  What the child does: gco_heap_examine(), write(2), _exit(2).
 *
 * - *No SIGCHLD, no wait of the program meets it.*  A raw clone with exit signal 0: who waits without __WALL does not
 *   see it, and it announces nothing.  The number of the call is the only thing that depends on the machine, and
 *   with all arguments 0 their order does not.
 * - *No hook.*  Neither os.register_at_fork() nor pthread_atfork() is run, since nothing in the child needs what they mend.
 * - *No lock.*  Other threads are not there, and what they held stays held.  So the child calls no malloc, no stdio,
 *   nothing of Python but tp_traverse, and system calls whose wrappers take no lock.
 * - *No signal handler.*  All signals are blocked before the clone, and stay so in the child.
 * - *No shared cell.*  The flight file is not mapped there (MADV_DONTFORK).
 * - *No descriptor.*  All but the pipe are closed first: a connection that the parent closes meanwhile must end, and
 *   a port that it frees must be free.  Closing a copy releases no lock of the parent's, POSIX or flock.
 * - *No page of the heap is written by the child*: no reference count changes there.  What the parent writes
 *   meanwhile is copied, at worst the whole heap: the caller has looked for that much room.
 * - *It ends.*  With the thread that made it (PR_SET_PDEATHSIG), at a limit of CPU time, when nobody reads the pipe, or by
 *   gco_end_child().  Where memory runs out it is the first to go (oom_score_adj), and it leaves no core. */
#include "heap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

#define MESSAGE_PROGRESS 1
#define MESSAGE_GROUP 2
#define MESSAGE_END 3
#define MESSAGE_FAILED 4

#define LONGEST_SIGNATURE 64
#define GROUPS_MOST 16384
#define GROUP_SLOTS (4 * GROUPS_MOST)
#define DESCRIPTORS_MOST 65536
#define NICEST 19

/* Components of one signature, summed up: a heap may have a million of them. */
typedef struct group {
    uint64_t cycles, objects, length, shown;
    double bytes;
    uint32_t slots[LONGEST_SIGNATURE]; /* of the types' table */
} group;

typedef struct {
    int fd;
    gco_heap *heap;
    group **groups; /* open addressing */
    size_t used;
    group others; /* beyond GROUPS_MOST signatures */
} child;

typedef struct {
    uint64_t kind, first, second, third, fourth, slots;
} message;

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

static void
send_message(int fd, uint64_t kind, uint64_t first, uint64_t second, uint64_t third, uint64_t fourth, uint64_t slots)
{
    message message = {kind, first, second, third, fourth, slots};
    send_bytes(fd, &message, sizeof(message));
}

static void
send_progress(void *context, unsigned phase, uint64_t done, uint64_t total)
{
    send_message(((child *)context)->fd, MESSAGE_PROGRESS, phase, done, total, 0, 0);
}

static bool
is_group(const group *group, const uint32_t *slots, size_t shown, size_t length)
{
    return group->length == length && group->shown == shown &&
           memcmp(group->slots, slots, shown * sizeof(uint32_t)) == 0;
}

static group *
find_group(child *child, const uint32_t *slots, size_t shown, size_t length)
{
    uint64_t hash = length;
    for (size_t i = 0; i < shown; i++) {
        hash = (hash ^ slots[i]) * 0x9E3779B97F4A7C15ull;
        hash ^= hash >> 29;
    }
    for (size_t i = hash % GROUP_SLOTS;; i = (i + 1) % GROUP_SLOTS) {
        if (child->groups[i] == NULL) {
            group *made = child->used < GROUPS_MOST ? gco_arena_take(&child->heap->arena, sizeof(group)) : NULL;
            if (made == NULL) {
                return &child->others;
            }
            made->length = length;
            made->shown = shown;
            memcpy(made->slots, slots, shown * sizeof(uint32_t));
            child->groups[i] = made;
            child->used++;
            return made;
        }
        if (is_group(child->groups[i], slots, shown, length)) {
            return child->groups[i];
        }
    }
}

static bool
add_component(void *context, const gco_heap *heap, gco_type_entry *const *types, size_t shown, size_t length,
              size_t objects, double bytes)
{
    uint32_t slots[LONGEST_SIGNATURE];
    for (size_t i = 0; i < shown; i++) {
        slots[i] = (uint32_t)(types[i] - heap->types.entries);
    }
    group *group = find_group(context, slots, shown, length);
    group->cycles++;
    group->objects += objects;
    group->bytes += bytes;
    return true;
}

static void
send_group(int fd, const group *group)
{
    send_message(fd, MESSAGE_GROUP, group->cycles, group->objects, (uint64_t)(group->bytes + 0.5), group->length,
                 group->shown);
    for (size_t i = 0; i < group->shown; i++) {
        uint64_t slot = group->slots[i];
        send_bytes(fd, &slot, sizeof(slot));
    }
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
become_harmless(int fd, pid_t parent, unsigned seconds)
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
    prctl(PR_SET_NAME, "gc-otel-cycles", 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static _Noreturn void
be_the_child(gco_heap *heap, int fd, pid_t parent, unsigned seconds)
{
    become_harmless(fd, parent, seconds);
    child child = {.fd = fd, .heap = heap};
    child.groups = gco_arena_take(&heap->arena, GROUP_SLOTS * sizeof(group *));
    gco_report report = {&child, add_component, send_progress};
    uint64_t garbage = 0;
    double bytes = 0;
    if (child.groups == NULL || !gco_heap_examine(heap, &report, &garbage, &bytes)) {
        send_message(fd, MESSAGE_FAILED, 0, 0, 0, 0, 0);
        _exit(0);
    }
    for (size_t i = 0; i < GROUP_SLOTS; i++) {
        if (child.groups[i] != NULL) {
            send_group(fd, child.groups[i]);
        }
    }
    if (child.others.cycles > 0) {
        send_group(fd, &child.others);
    }
    send_message(fd, MESSAGE_END, heap->count, garbage, (uint64_t)(bytes + 0.5), 0, 0);
    _exit(0);
}

/* Pairs of slot and type: what the child's messages speak of.  Each type is held before anything is allocated. */
static PyObject *
types_of(const gco_types *types)
{
    for (size_t i = 0; i < types->capacity; i++) {
        Py_XINCREF((PyObject *)types->entries[i].type);
    }
    PyObject *pairs = PyList_New(0);
    for (size_t i = 0; i < types->capacity; i++) {
        PyTypeObject *type = types->entries[i].type;
        PyObject *pair = type == NULL || pairs == NULL ? NULL : Py_BuildValue("(nO)", (Py_ssize_t)i, type);
        if (type != NULL && (pair == NULL || PyList_Append(pairs, pair) < 0)) {
            Py_CLEAR(pairs);
        }
        Py_XDECREF(pair);
    }
    for (size_t i = 0; i < types->capacity; i++) {
        Py_XDECREF((PyObject *)types->entries[i].type);
    }
    return pairs;
}

static pid_t
clone_child(gco_heap *heap, const int fds[2], unsigned seconds)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    long pid = syscall(SYS_clone, 0L, 0L, 0L, 0L, 0L);
    if (pid == 0) {
        be_the_child(heap, fds[1], parent, seconds);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return (pid_t)pid;
}

static PyObject *
start(gco_heap *heap, unsigned seconds)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    pid_t pid = clone_child(heap, fds, seconds);
    if (pid < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
    }
    close(fds[1]);
    PyObject *types = pid < 0 ? NULL : types_of(&heap->types);
    PyObject *result = types == NULL ? NULL : Py_BuildValue("(liN)", (long)pid, fds[0], types);
    if (result == NULL) {
        close(fds[0]); /* a child that was made ends when it writes */
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, __WALL);
        }
    }
    return result;
}

PyObject *
gco_start_child(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned seconds;
    gco_heap heap;
    if (!PyArg_ParseTuple(args, "I:start_child", &seconds)) {
        return NULL;
    }
    PyObject *gc = PyImport_ImportModule("gc"), *result = NULL;
    if (gc == NULL) {
        return NULL;
    }
    int was_enabled = PyGC_Disable();
    if (gco_heap_gather(&heap, gc)) {
        result = start(&heap, seconds);
    }
    gco_heap_free(&heap);
    if (was_enabled) {
        PyGC_Enable();
    }
    Py_DECREF(gc);
    return result;
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

static PyObject *
not_here(void)
{
    PyErr_SetString(PyExc_OSError, "it needs Linux");
    return NULL;
}

PyObject *
gco_start_child(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(args))
{
    return not_here();
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
