/* What of the garbage is in cycles: components, and the shortest way around in one.  See garbage.h. */
#include "garbage.h"

/* Tarjan's strongly connected components, with a stack of our own: garbage may be a list a million long. */
bool
gco_find_components(gco_arena *arena, gco_garbage *garbage)
{
    size_t count = garbage->count;
    uint32_t *memory = gco_arena_take(arena, (4 * count + 1) * sizeof(uint32_t));
    size_t *next = gco_arena_take(arena, (count + 1) * sizeof(size_t));
    garbage->component = gco_arena_take(arena, (count + 1) * sizeof(uint32_t));
    garbage->order = gco_arena_take(arena, (count + 1) * sizeof(uint32_t));
    garbage->starts = gco_arena_take(arena, (count + 1) * sizeof(size_t));
    if (memory == NULL || next == NULL || garbage->component == NULL || garbage->order == NULL ||
        garbage->starts == NULL) {
        return false;
    }
    uint32_t *number = memory, *low = memory + count, *open = memory + 2 * count, *path = memory + 3 * count;
    uint32_t numbered = 0;
    size_t opened = 0, length = 0, placed = 0;
    for (uint32_t root = 0; root < count; root++) {
        if (number[root] != 0) {
            continue;
        }
        path[length++] = root;
        while (length > 0) {
            uint32_t node = path[length - 1];
            if (number[node] == 0) {
                number[node] = low[node] = ++numbered;
                next[node] = garbage->first[node];
                garbage->component[node] = GCO_NO_NODE;
                open[opened++] = node;
            }
            bool deeper = false;
            while (next[node] < garbage->first[node + 1] && !deeper) {
                uint32_t child = garbage->edges[next[node]++];
                if (number[child] == 0) {
                    path[length++] = child;
                    deeper = true;
                }
                else if (garbage->component[child] == GCO_NO_NODE && number[child] < low[node]) {
                    low[node] = number[child];
                }
            }
            if (deeper) {
                continue;
            }
            length--;
            if (length > 0 && low[node] < low[path[length - 1]]) {
                low[path[length - 1]] = low[node];
            }
            if (low[node] == number[node]) {
                garbage->starts[garbage->components] = placed;
                uint32_t member;
                do {
                    member = open[--opened];
                    garbage->component[member] = garbage->components;
                    garbage->order[placed++] = member;
                } while (member != node);
                garbage->components++;
            }
        }
    }
    garbage->starts[garbage->components] = placed;
    return true;
}

size_t
gco_shortest_cycle(const gco_garbage *garbage, uint32_t start, uint32_t *before, uint32_t *queue, uint32_t *cycle)
{
    uint32_t component = garbage->component[start];
    size_t head = 0, tail = 0;
    queue[tail++] = start;
    before[start] = start;
    while (head < tail) {
        uint32_t node = queue[head++];
        for (size_t k = garbage->first[node]; k < garbage->first[node + 1]; k++) {
            uint32_t child = garbage->edges[k];
            if (child == start) {
                size_t length = 1;
                for (uint32_t at = node; at != start; at = before[at]) {
                    length++;
                }
                size_t place = length;
                for (uint32_t at = node;; at = before[at]) {
                    place--;
                    if (place < GCO_LONGEST_SIGNATURE) {
                        cycle[place] = at;
                    }
                    if (at == start) {
                        return length;
                    }
                }
            }
            if (garbage->component[child] == component && before[child] == GCO_NO_NODE) {
                before[child] = node;
                queue[tail++] = child;
            }
        }
    }
    return 0;
}

bool
gco_holds_itself(const gco_garbage *garbage, uint32_t node)
{
    for (size_t k = garbage->first[node]; k < garbage->first[node + 1]; k++) {
        if (garbage->edges[k] == node) {
            return true;
        }
    }
    return false;
}
