/* Memory taken piece by piece from one mapping: heap.h says what for. */
#include "heap.h"

#include <sys/mman.h>

#define LARGEST_ARENA ((size_t)1 << 35)
#define SMALLEST_ARENA ((size_t)1 << 24)

bool
gco_arena_map(gco_arena *arena)
{
    /* The address space is asked for generously and given in halves: a limit on it (RLIMIT_AS) may be in force. */
    for (size_t bytes = LARGEST_ARENA; bytes >= SMALLEST_ARENA; bytes /= 2) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED) {
            *arena = (gco_arena){memory, bytes, 0};
            return true;
        }
    }
    *arena = (gco_arena){NULL, 0, 0};
    return false;
}

void
gco_arena_unmap(gco_arena *arena)
{
    if (arena->memory != NULL) {
        munmap(arena->memory, arena->capacity);
    }
    arena->memory = NULL;
}

void *
gco_arena_take(gco_arena *arena, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes > arena->capacity - arena->used) {
        return NULL;
    }
    void *memory = arena->memory + arena->used;
    arena->used += bytes;
    return memory;
}

bool
gco_arena_grow_last(gco_arena *arena, const void *memory, size_t bytes)
{
    size_t from = (size_t)((const char *)memory - arena->memory);
    if (bytes > arena->capacity - from) {
        return false;
    }
    size_t end = from + ((bytes + 15) & ~(size_t)15);
    arena->used = end > arena->used ? end : arena->used;
    return true;
}
