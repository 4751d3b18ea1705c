/* The inner loops of Hamming search: full scan and multi-index hashing (Norouzi, Punjani and Fleet, 2012).

   In this order: distances of a block of codes; the k nearest by counting; the full scan; tables of buckets; the
   search in tables; the interface to Python.

   Codes are rows of `width` bytes, as packed by hashret.codes, at any alignment. The code is plain C. The compiler
   vectorizes the loops for several instruction sets, and the best one is selected at run time.

   Calls release the GIL, so other threads may write to any buffer during a call. Queries and small arrays are copied
   first. An index that is read from a large buffer is read once (ONCE) and then checked. A concurrent write can make a
   result wrong, but never causes an access outside a buffer. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "_variants.h"

#define INLINE static inline __attribute__((always_inline))
#define BLOCK 1024          /* codes per block: block and distances fit in the L1 cache */
#define GROUP 64            /* distances that are tested together */
#define QUERIES 64          /* queries per pass over the codes */
#define ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)                 /* a load that the compiler must not repeat */

/* --- failures and interrupts --------------------------------------------------------------------------------------- */

#define NO_MEMORY (-1)
#define STOPPED (-2)        /* a signal handler raised an exception, or the stop flag was set */
#define UNCHECKED (4 << 20) /* bytes of codes compared before the clock is read again: 0.2 to 4 ms */
#define PAUSE 50000000      /* nanoseconds between checks for signals */

/* Interrupts long searches. Python runs signal handlers only in its main thread and with the GIL held. Searches in
   other threads are interrupted by the stop flag, which search/threads.py sets. */
typedef struct {
    const uint8_t *stop;    /* stop flag, or NULL */
    PyThreadState *state;   /* thread state, to acquire the GIL again */
    int64_t next;           /* time of the next check for signals */
    size_t work;            /* bytes compared since the clock was read */
} Watch;

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static Watch watch_begin(const Py_buffer *stop) {                       /* releases the GIL */
    Watch watch = {stop ? stop->buf : NULL, NULL, nanoseconds() + PAUSE, 0};
    watch.state = PyEval_SaveThread();
    return watch;
}

static void watch_end(Watch *watch) { PyEval_RestoreThread(watch->state); }

static int look(Watch *watch) {                                         /* returns 0 or STOPPED */
    watch->work = 0;
    if (watch->stop && ONCE(*watch->stop)) return STOPPED;
    if (nanoseconds() < watch->next) return 0;
    PyEval_RestoreThread(watch->state);
    int raised = PyErr_CheckSignals();
    watch->state = PyEval_SaveThread();
    watch->next = nanoseconds() + PAUSE;
    return raised ? STOPPED : 0;
}

INLINE int tick(Watch *watch, size_t bytes) {                           /* counts work; returns 0 or STOPPED */
    watch->work += bytes;
    return watch->work < UNCHECKED ? 0 : look(watch);
}

static PyObject *failure(int failed) {                                  /* sets an exception and returns NULL */
    if (failed == NO_MEMORY) return PyErr_NoMemory();
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_InterruptedError, "the search was stopped");
    return NULL;
}

/* --- distances of a block of codes --------------------------------------------------------------------------------- */

INLINE uint64_t word(const uint8_t *at) { uint64_t x; memcpy(&x, at, 8); return x; }
INLINE uint32_t half(const uint8_t *at) { uint32_t x; memcpy(&x, at, 4); return x; }

INLINE void distances_of_words(const uint8_t *codes, size_t n, size_t words, const uint8_t *query, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        unsigned sum = 0;
        for (size_t j = 0; j < words; j++)
            sum += (unsigned)__builtin_popcountll(word(codes + 8 * (i * words + j)) ^ word(query + 8 * j));
        out[i] = (uint16_t)sum;
    }
}

INLINE void distances_of_bytes(const uint8_t *codes, size_t n, size_t width, const uint8_t *query, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        const uint8_t *code = codes + i * width;
        unsigned sum = 0;
        size_t j = 0;
        for (; j + 8 <= width; j += 8) sum += (unsigned)__builtin_popcountll(word(code + j) ^ word(query + j));
        for (; j < width; j++) sum += (unsigned)__builtin_popcount(code[j] ^ query[j]);
        out[i] = (uint16_t)sum;
    }
}

/* out[i] = Hamming distance of code i to the query. The common widths have specialized loops. */
INLINE void distances(const uint8_t *codes, size_t n, size_t width, const uint8_t *query, uint16_t *out) {
    if (width == 8) {
        uint64_t q = word(query);
        for (size_t i = 0; i < n; i++) out[i] = (uint16_t)__builtin_popcountll(word(codes + 8 * i) ^ q);
    } else if (width == 4) {
        uint32_t q = half(query);
        for (size_t i = 0; i < n; i++) out[i] = (uint16_t)__builtin_popcount(half(codes + 4 * i) ^ q);
    } else if (width == 16) distances_of_words(codes, n, 2, query, out);
    else if (width == 32) distances_of_words(codes, n, 4, query, out);
    else if (width == 64) distances_of_words(codes, n, 8, query, out);
    else distances_of_bytes(codes, n, width, query, out);
}

/* Compute the distances of n <= BLOCK codes, and write the indices of those within `limit` to `where`. Returns their
   number. */
INLINE size_t near_body(const uint8_t *codes, size_t n, size_t width, const uint8_t *query, uint16_t limit,
                        uint16_t *out, uint16_t *where) {
    size_t found = 0, i = 0;
    distances(codes, n, width, query, out);
    for (; i + GROUP <= n; i += GROUP) {
        uint16_t any = 0;
        for (size_t j = 0; j < GROUP; j++) any |= out[i + j] <= limit;
        if (!any) continue;
        for (size_t j = 0; j < GROUP; j++) { where[found] = (uint16_t)(i + j); found += out[i + j] <= limit; }
    }
    for (; i < n; i++) { where[found] = (uint16_t)i; found += out[i] <= limit; }
    return found;
}

typedef size_t (*Near)(const uint8_t *, size_t, size_t, const uint8_t *, uint16_t, uint16_t *, uint16_t *);

#define VARIANT(NAME, TARGET)                                                                                          \
    TARGET static size_t near_##NAME(const uint8_t *codes, size_t n, size_t width, const uint8_t *query,               \
                                     uint16_t limit, uint16_t *out, uint16_t *where) {                                 \
        return near_body(codes, n, width, query, limit, out, where);                                                   \
    }

EACH_VARIANT

static struct { const char *name; Near near; int set, here; } variants[] = {   /* fastest first; here: supported */
#ifdef X86
    {"avx512", near_avx512, AVX512, 0}, {"avx2", near_avx2, AVX2, 0}, {"popcnt", near_popcnt, POPCNT, 0},
#endif
    {"plain", near_plain, PLAIN, 1},
};
#define VARIANTS (sizeof variants / sizeof *variants)
static Near near_codes = near_plain;

/* --- results ------------------------------------------------------------------------------------------------------- */

typedef struct { int64_t *positions; uint16_t *distances; size_t count, room; } List;

static int push(List *list, int64_t position, uint16_t distance) {      /* returns 0 or NO_MEMORY */
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 256;
        int64_t *positions = realloc(list->positions, room * sizeof *positions);
        if (positions) list->positions = positions;
        uint16_t *distances = positions ? realloc(list->distances, room * sizeof *distances) : NULL;
        if (!distances) return NO_MEMORY;
        list->distances = distances;
        list->room = room;
    }
    list->positions[list->count] = position;
    list->distances[list->count++] = distance;
    return 0;
}

static void drop(List *list) { free(list->positions); free(list->distances); memset(list, 0, sizeof *list); }

/* Stable counting sort of the entries from `from` on, by distance. Returns 0 or NO_MEMORY. */
static int sort_by_distance(List *list, size_t from, size_t bits) {
    size_t n = list->count - from;
    if (n < 2) return 0;
    int64_t *positions = malloc(n * sizeof *positions);
    uint16_t *distances = malloc(n * sizeof *distances);
    size_t *next = calloc(bits + 2, sizeof *next);
    int done = positions && distances && next;
    if (done) {
        for (size_t i = from; i < list->count; i++) next[list->distances[i] + 1]++;
        for (size_t d = 0; d < bits; d++) next[d + 1] += next[d];
        for (size_t i = from; i < list->count; i++) {
            size_t to = next[list->distances[i]]++;
            positions[to] = list->positions[i];
            distances[to] = list->distances[i];
        }
        memcpy(list->positions + from, positions, n * sizeof *positions);
        memcpy(list->distances + from, distances, n * sizeof *distances);
    }
    free(positions); free(distances); free(next);
    return done ? 0 : NO_MEMORY;
}

/* The k nearest documents of a stream. `edge` never increases, and `counts` is complete up to it. */
typedef struct {
    int64_t k, closer;      /* closer: number of documents nearer than the edge, always less than k */
    int edge;               /* k-th distance so far; farther documents are skipped */
    int64_t *counts;        /* [bits + 1], number of documents at each distance */
    List found;
} Top;

static int top_begin(Top *top, int64_t k, size_t bits) {
    memset(top, 0, sizeof *top);
    top->k = k;
    top->edge = (int)bits;
    top->counts = calloc(bits + 1, sizeof *top->counts);
    return top->counts ? 0 : NO_MEMORY;
}

static void top_end(Top *top) { free(top->counts); drop(&top->found); }

INLINE int full(const Top *top) { return top->closer + top->counts[top->edge] >= top->k; }

static void count(Top *top, uint16_t distance, int64_t documents) {
    top->counts[distance] += documents;
    if (distance >= top->edge) return;
    top->closer += documents;
    while (top->closer >= top->k) top->closer -= top->counts[--top->edge];
}

/* --- the full scan ------------------------------------------------------------------------------------------------- */

typedef struct { const uint8_t *codes; size_t n, width; } Codes;

/* Documents arrive in order of position. So once there are k, further ones at the edge are only counted as ties. */
static int scan_block(const Codes *all, size_t start, size_t n, const uint8_t *query, Top *top) {
    uint16_t distance[BLOCK], where[BLOCK + GROUP];
    size_t found = near_codes(all->codes + start * all->width, n, all->width, query, (uint16_t)top->edge, distance, where);
    for (size_t i = 0; i < found; i++) {
        uint16_t d = distance[where[i]];
        if (d > top->edge) continue;
        if ((d < top->edge || !full(top)) && push(&top->found, (int64_t)(start + where[i]), d)) return NO_MEMORY;
        count(top, d, 1);
    }
    return 0;
}

static size_t block_of(size_t width) {                                  /* number of codes in about 16 KiB */
    size_t n = 16384 / width / GROUP * GROUP;
    return n < GROUP ? GROUP : n > BLOCK ? BLOCK : n;
}

/* Output buffers of all queries: positions and distances [m, k], ties [m]. */
typedef struct { int64_t k, *positions; uint16_t *distances; int64_t *ties; } Answers;

/* Write the results of one query: the first k entries of a list, or all if there are fewer. */
static void answer(Answers *to, size_t query, const List *found, int64_t ties) {
    size_t k = (size_t)to->k, n = found->count < k ? found->count : k;
    if (n) {
        memcpy(to->positions + query * k, found->positions, n * sizeof *to->positions);
        memcpy(to->distances + query * k, found->distances, n * sizeof *to->distances);
    }
    to->ties[query] = ties;
}

/* Prefetch the next block. The hardware prefetcher does not look ahead far enough. */
static void fetch(const Codes *all, size_t start, size_t n) {
    const uint8_t *at = all->codes + start * all->width;
    for (size_t i = 0; start + n <= all->n && i < n * all->width; i += 64) __builtin_prefetch(at + i);
}

static int scan(const Codes *all, const uint8_t *queries, const size_t *which, size_t m, Answers *to, Watch *watch) {
    Top tops[QUERIES];
    size_t block = block_of(all->width);
    int failed = 0;
    for (size_t q = 0; q < m; q++) if (top_begin(&tops[q], to->k, 8 * all->width)) failed = NO_MEMORY;
    for (size_t start = 0; start < all->n && !failed; start += block) {
        size_t n = all->n - start < block ? all->n - start : block;
        fetch(all, start + block, block);
        for (size_t q = 0; q < m && !failed; q++)
            failed = scan_block(all, start, n, queries + which[q] * all->width, &tops[q]);
        if (!failed) failed = tick(watch, m * n * all->width);
    }
    for (size_t q = 0; q < m; q++) {
        if (!failed && !(failed = sort_by_distance(&tops[q].found, 0, 8 * all->width)))
            answer(to, which[q], &tops[q].found, tops[q].counts[tops[q].edge]);
        top_end(&tops[q]);
    }
    return failed;
}

/* Scan for all queries that are not marked in `done`. */
static int scan_rest(const Codes *all, const uint8_t *queries, const uint8_t *done, size_t m, Answers *to, Watch *watch) {
    size_t which[QUERIES], n = 0;
    int failed = 0;
    for (size_t q = 0; q < m && !failed; q++) {
        if (!done || !done[q]) which[n++] = q;
        if (n == QUERIES || (n && q + 1 == m)) { failed = scan(all, queries, which, n, to, watch); n = 0; }
    }
    return failed;
}

static int scan_within(const Codes *all, const uint8_t *query, uint16_t radius, List *list, Watch *watch) {
    uint16_t distance[BLOCK], where[BLOCK + GROUP];
    size_t block = block_of(all->width), from = list->count;
    for (size_t start = 0; start < all->n; start += block) {
        size_t n = all->n - start < block ? all->n - start : block;
        fetch(all, start + block, block);
        size_t found = near_codes(all->codes + start * all->width, n, all->width, query, radius, distance, where);
        for (size_t i = 0; i < found; i++)
            if (push(list, (int64_t)(start + where[i]), distance[where[i]])) return NO_MEMORY;
        if (tick(watch, n * all->width)) return STOPPED;
    }
    return sort_by_distance(list, from, 8 * all->width);
}

/* --- tables -------------------------------------------------------------------------------------------------------- */

/* The tables, one per chunk of bits. Each contains all distinct codes, sorted by the bits of the chunk.
   Bucket b of a chunk is the range offsets[b] to offsets[b + 1] of its codes and members. */
typedef struct {
    size_t chunks, n, width, documents;
    const uint8_t *codes;       /* [chunks, n, width] */
    const uint32_t *members;    /* [chunks, n], index of the distinct code of each entry */
    const uint32_t *offsets;    /* [sum over chunks of 2^size + 1] */
    const uint16_t *bits;       /* [sum of sizes], bits of all chunks, concatenated; a copy */
    const uint16_t *sizes;      /* [chunks], number of bits; a copy */
    const uint8_t *masks;       /* [chunks, width], bits of each chunk as a bit mask */
    const int64_t *starts;      /* [n + 1], offsets of the documents of each distinct code */
    const int64_t *positions;   /* [documents], ascending for each code */
} Tables;

typedef struct { size_t start, stop; } Span;

/* Return the range of a distinct code's documents in `positions`, or an empty range if the offsets are invalid. */
INLINE Span documents_of(const Tables *t, size_t member) {
    Span none = {0, 0};
    if (member >= t->n) return none;
    int64_t start = ONCE(t->starts[member]), stop = ONCE(t->starts[member + 1]);
    if (start < 0 || stop < start || (uint64_t)stop > t->documents) return none;
    return (Span){(size_t)start, (size_t)stop};
}

INLINE uint32_t key_of(const uint8_t *code, const uint16_t *bits, size_t size) {
    uint32_t key = 0;
    for (size_t i = 0; i < size; i++) key |= (uint32_t)(code[bits[i] >> 3] >> (bits[i] & 7) & 1) << i;
    return key;
}

/* Fill the table of one chunk: offsets [2^size + 1], members [n], sorted codes [n, width]. */
static int fill_chunk(const Codes *all, const uint16_t *bits, size_t size, uint32_t *offsets, uint32_t *members,
                      uint8_t *sorted, Watch *watch) {
    size_t buckets = (size_t)1 << size;
    uint32_t *keys = malloc((all->n + 1) * sizeof *keys);
    int failed = keys ? 0 : NO_MEMORY;
    if (!failed) memset(offsets, 0, (buckets + 1) * sizeof *offsets);
    for (size_t i = 0; i < all->n && !failed; i++) {
        offsets[1 + (keys[i] = key_of(all->codes + i * all->width, bits, size))]++;
        failed = tick(watch, all->width);
    }
    for (size_t b = 0; b < buckets && !failed; b++) offsets[b + 1] += offsets[b];
    for (size_t i = 0; i < all->n && !failed; i++) {                    /* advances offsets[b] to the start of b + 1 */
        uint32_t to = ONCE(offsets[keys[i]]);
        offsets[keys[i]] = to + 1;
        if (to >= all->n) continue;                                     /* another thread wrote to the offsets */
        members[to] = (uint32_t)i;
        memcpy(sorted + to * all->width, all->codes + i * all->width, all->width);
        failed = tick(watch, all->width);
    }
    if (!failed) {
        memmove(offsets + 1, offsets, buckets * sizeof *offsets);       /* offsets[b] is the start of b again */
        offsets[0] = 0;
    }
    free(keys);
    return failed;
}

/* --- the search in tables ------------------------------------------------------------------------------------------ */

#define AHEAD 64            /* buckets to prefetch at once */
#define BUCKET_BYTES 256    /* bytes of codes whose comparison takes as long as probing an empty bucket */

typedef struct {            /* the state of one query */
    const Tables *tables;
    const uint8_t *query;
    size_t chunk, apart;    /* current buckets: the chunk, and the number of its bits in which they differ */
    double work, budget, per_bucket;        /* unit: one code of a full scan */
    int limit;              /* farther codes are skipped */
    Top *top;               /* the k nearest, or NULL for a search within a radius */
    List *found;            /* distinct codes and their distances */
    Watch *watch;
} Probe;

/* Whether an earlier probe found this code: in a chunk with fewer differing bits, or with as many and probed before. */
static int met(const Probe *probe, const uint8_t *code) {
    const Tables *t = probe->tables;
    for (size_t chunk = 0; chunk < t->chunks; chunk++) {
        const uint8_t *mask = t->masks + chunk * t->width;
        size_t apart = 0, j = 0;
        for (; j + 8 <= t->width; j += 8)
            apart += (size_t)__builtin_popcountll((word(code + j) ^ word(probe->query + j)) & word(mask + j));
        for (; j < t->width; j++) apart += (size_t)__builtin_popcount((code[j] ^ probe->query[j]) & mask[j]);
        if (apart < probe->apart || (apart == probe->apart && chunk < probe->chunk)) return 1;
    }
    return 0;
}

/* Compare the query with entries start to stop (exclusive, at most n) of the current chunk. */
static int look_into(Probe *probe, size_t start, size_t stop) {
    const Tables *t = probe->tables;
    uint16_t distance[BLOCK], where[BLOCK + GROUP];
    const uint8_t *codes = t->codes + probe->chunk * t->n * t->width;
    const uint32_t *members = t->members + probe->chunk * t->n;
    for (; start < stop; start += BLOCK) {
        size_t n = stop - start < BLOCK ? stop - start : BLOCK;
        size_t found = near_codes(codes + start * t->width, n, t->width, probe->query, (uint16_t)probe->limit, distance, where);
        for (size_t i = 0; i < found; i++) {
            size_t entry = start + where[i];
            uint16_t d = distance[where[i]];
            if (d > probe->limit || met(probe, codes + entry * t->width)) continue;
            uint32_t member = ONCE(members[entry]);
            if (push(probe->found, member, d)) return NO_MEMORY;
            if (probe->top) {
                Span own = documents_of(t, member);
                count(probe->top, d, (int64_t)(own.stop - own.start));
                probe->limit = probe->top->edge;
            }
        }
        if (tick(probe->watch, n * t->width)) return STOPPED;
    }
    return 0;
}

static double binomial(size_t n, size_t r) {
    double ways = 1;
    for (size_t i = 0; i < r; i++) ways = ways * (double)(n - i) / (double)(i + 1);
    return r > n ? 0 : ways;
}

/* Probe all buckets of the current chunk that differ from the query in `apart` bits. Returns 1 when done, 0 if the
   budget is exceeded, or an error code < 0. */
static int probe_step(Probe *probe, const uint16_t *bits, const uint32_t *offsets) {
    size_t size = probe->tables->sizes[probe->chunk];
    const uint8_t *codes = probe->tables->codes + probe->chunk * probe->tables->n * probe->tables->width;
    if (probe->apart > size) return 1;
    probe->work += binomial(size, probe->apart) * probe->per_bucket;
    if (probe->work > probe->budget) return 0;
    uint64_t key = key_of(probe->query, bits, size), flips = ((uint64_t)1 << probe->apart) - 1, end = (uint64_t)1 << size;
    while (flips < end) {
        size_t from[AHEAD], to[AHEAD], last = probe->tables->n;
        size_t n = 0;
        for (; n < AHEAD && flips < end; n++) {
            from[n] = ONCE(offsets[key ^ flips]);
            to[n] = ONCE(offsets[(key ^ flips) + 1]);
            if (to[n] > last) to[n] = last;
            if (from[n] > to[n]) from[n] = to[n];
            __builtin_prefetch(codes + from[n] * probe->tables->width);
            if (to[n]) __builtin_prefetch(codes + to[n] * probe->tables->width - 1);
            uint64_t low = flips & -flips, ripple = flips + low;        /* next number with as many bits set (Gosper) */
            flips = flips ? ripple | ((flips ^ ripple) >> (2 + __builtin_ctzll(low))) : end;
        }
        for (size_t i = 0; i < n; i++) {
            probe->work += (double)(to[i] - from[i]);
            if (probe->work > probe->budget) return 0;
            int failed = look_into(probe, from[i], to[i]);
            if (failed) return failed;
        }
        if (tick(probe->watch, n * BUCKET_BYTES)) return STOPPED;
    }
    return 1;
}

/* Probe chunk by chunk with increasing `apart`, until no nearer code can exist. A code at a distance of at most
   chunks * apart + c differs in at most `apart` bits in one of the chunks 0 to c, or in fewer in one of the others. So
   after chunk c, all codes up to this distance are found. Returns the same values as probe_step. */
static int probe_all(Probe *probe) {
    const Tables *t = probe->tables;
    for (probe->apart = 0;; probe->apart++) {
        const uint16_t *bits = t->bits;
        const uint32_t *offsets = t->offsets;
        for (probe->chunk = 0; probe->chunk < t->chunks; probe->chunk++) {
            size_t sure = t->chunks * probe->apart + probe->chunk, size = t->sizes[probe->chunk];
            int done = probe_step(probe, bits, offsets);
            if (done != 1) return done;
            if (sure >= 8 * t->width || (sure >= (size_t)probe->limit && (!probe->top || full(probe->top)))) return 1;
            bits += size;
            offsets += ((size_t)1 << size) + 1;
        }
    }
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Append the documents of the distinct codes within the limit to `list`, sorted by (distance, position), at most `most`
   of each code. Returns 0 or an error code. */
static int expand(const Tables *t, List *found, int limit, int64_t most, List *list, Watch *watch) {
    size_t from = list->count;
    if (sort_by_distance(found, 0, 8 * t->width)) return NO_MEMORY;
    for (size_t i = 0; i < found->count && found->distances[i] <= limit;) {
        uint16_t d = found->distances[i];
        size_t begin = list->count;
        for (; i < found->count && found->distances[i] == d; i++) {
            Span own = documents_of(t, (size_t)found->positions[i]);
            for (size_t j = own.start; j < own.stop && (int64_t)(j - own.start) < most; j++) {
                int64_t position = ONCE(t->positions[j]);
                if (position < 0 || (uint64_t)position >= t->documents) continue;
                if (push(list, position, d)) return NO_MEMORY;
            }
            if (tick(watch, (own.stop - own.start) * sizeof *t->positions)) return STOPPED;
        }
        if (list->count > begin) qsort(list->positions + begin, list->count - begin, sizeof *list->positions, ascending);
        if ((int64_t)(list->count - from) >= most) break;
    }
    return 0;
}

/* Search the k nearest of one query. Returns 1 if they were written, 0 if a full scan is needed (it is faster, or
   another thread changed the tables and documents are missing), or an error code < 0. */
static int probe_search(const Tables *t, const uint8_t *queries, size_t q, double budget, double per_bucket, Answers *to,
                        Watch *watch) {
    Top top;
    List list = {0};
    if (top_begin(&top, to->k, 8 * t->width)) return NO_MEMORY;
    Probe probe = {t, queries + q * t->width, 0, 0, 0, budget, per_bucket, top.edge, &top, &top.found, watch};
    int done = probe_all(&probe);
    if (done == 1) {
        int failed = expand(t, &top.found, top.edge, to->k, &list, watch);
        done = failed ? failed : (int64_t)list.count >= to->k;
    }
    if (done == 1) answer(to, q, &list, top.counts[top.edge]);
    drop(&list);
    top_end(&top);
    return done;
}

static int probe_within(const Tables *t, const uint8_t *query, uint16_t radius, double budget, double per_bucket, List *list,
                        Watch *watch) {
    List found = {0};
    Probe probe = {t, query, 0, 0, 0, budget, per_bucket, radius, NULL, &found, watch};
    int done = probe_all(&probe);
    if (done == 1) {
        int failed = expand(t, &found, radius, INT64_MAX, list, watch);
        if (failed) done = failed;
    }
    drop(&found);
    return done;
}

/* How often recent queries were answered in tables (a moving average), and the number of queries. If this is rare, as
   for codes without near neighbors, queries use the full scan, except that one in SCOUT tries the tables again. */
typedef struct { double served, asked; } Luck;

#define SCOUT 16
#define ENOUGH 0.4          /* use the tables if at least this share of queries was answered in them */

/* Read the state of earlier calls. Starts again if the values are invalid. */
static Luck luck_from(const Py_buffer *buffer) {
    Luck luck;
    memcpy(&luck, buffer->buf, sizeof luck);
    return luck.asked >= 0 && luck.asked < 1e15 ? luck : (Luck){1, 0};
}

static int hopeful(Luck *luck) { return luck->served >= ENOUGH || (uint64_t)luck->asked % SCOUT == 0; }

static int learn(Luck *luck, int done) {
    if (hopeful(luck)) luck->served += ((done == 1) - luck->served) / SCOUT;
    luck->asked++;
    return done;
}

/* --- Python interface: checks sizes of buffers; hashret/search checks values --------------------------------------- */

/* Check that a buffer holds count * times aligned values of `bytes` bytes. Returns 0 with an exception set if not. */
static int fits(const Py_buffer *buffer, size_t count, size_t times, size_t bytes, const char *what) {
    size_t values, all;
    if (__builtin_mul_overflow(count, times, &values) || __builtin_mul_overflow(values, bytes, &all)
        || (size_t)buffer->len != all) {
        PyErr_Format(PyExc_ValueError, "%s must have %zu * %zu values of %zu bytes, got %zd bytes", what, count, times,
                     bytes, buffer->len);
        return 0;
    }
    if (!all || (uintptr_t)buffer->buf % bytes == 0) return 1;
    PyErr_Format(PyExc_ValueError, "%s must be aligned to %zu bytes", what, bytes);
    return 0;
}

/* Return the number of codes in a buffer, or -1 with an exception set if its length or the width is invalid. */
static Py_ssize_t rows(const Py_buffer *codes, Py_ssize_t width) {
    if (width >= 1 && width <= 512 && codes->len % width == 0) return codes->len / width;
    PyErr_Format(PyExc_ValueError, "%zd bytes are not a multiple of the code width %zd (1 to 512)", codes->len, width);
    return -1;
}

static int in_range(Py_ssize_t value, Py_ssize_t low, Py_ssize_t high, const char *what) {
    if (low <= value && value <= high) return 1;
    PyErr_Format(PyExc_ValueError, "%s must be %zd to %zd, got %zd", what, low, high, value);
    return 0;
}

static void *allocated(size_t bytes) {                                  /* returns NULL with an exception set on failure */
    void *room = malloc(bytes ? bytes : 1);
    return room ? room : PyErr_NoMemory();
}

/* Return a copy that no other thread can write to, or NULL with an exception set. */
static void *copied(const void *from, size_t bytes) {
    void *copy = allocated(bytes);
    return copy && bytes ? memcpy(copy, from, bytes) : copy;
}

static PyObject *both(List *list) {
    PyObject *answer = Py_BuildValue("(NN)",
        PyByteArray_FromStringAndSize((char *)list->positions, (Py_ssize_t)(list->count * sizeof *list->positions)),
        PyByteArray_FromStringAndSize((char *)list->distances, (Py_ssize_t)(list->count * sizeof *list->distances)));
    drop(list);
    return answer;
}

static PyObject *py_scan(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, positions, distances, ties, stop;
    Py_ssize_t width, k;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*nw*w*w*y*", &codes, &width, &queries, &k, &positions, &distances, &ties, &stop))
        return NULL;
    Py_ssize_t n = rows(&codes, width), m = n < 0 ? -1 : rows(&queries, width);
    uint8_t *asked = NULL;
    if (m >= 0 && in_range(k, 1, n, "k") && fits(&positions, (size_t)m, (size_t)k, 8, "positions")
        && fits(&distances, (size_t)m, (size_t)k, 2, "distances") && fits(&ties, (size_t)m, 1, 8, "ties")
        && fits(&stop, 1, 1, 1, "stop") && (asked = copied(queries.buf, (size_t)queries.len))) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        Answers to = {k, positions.buf, distances.buf, ties.buf};
        Watch watch = watch_begin(&stop);
        int failed = scan_rest(&all, asked, NULL, (size_t)m, &to, &watch);
        watch_end(&watch);
        answer = failed ? failure(failed) : Py_NewRef(Py_None);
    }
    free(asked);
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&stop);
    PyBuffer_Release(&positions); PyBuffer_Release(&distances); PyBuffer_Release(&ties);
    return answer;
}

static PyObject *py_scan_within(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, counts, stop;
    Py_ssize_t width, radius;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*nw*y*", &codes, &width, &queries, &radius, &counts, &stop)) return NULL;
    Py_ssize_t n = rows(&codes, width), m = n < 0 ? -1 : rows(&queries, width);
    uint8_t *asked = NULL;
    if (m >= 0 && in_range(radius, 0, 8 * width, "radius") && fits(&counts, (size_t)m, 1, 8, "counts")
        && fits(&stop, 1, 1, 1, "stop") && (asked = copied(queries.buf, (size_t)queries.len))) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        List list = {0};
        int failed = 0;
        Watch watch = watch_begin(&stop);
        for (Py_ssize_t q = 0; q < m && !failed; q++) {
            size_t before = list.count;
            failed = scan_within(&all, asked + q * width, (uint16_t)radius, &list, &watch);
            ((int64_t *)counts.buf)[q] = (int64_t)(list.count - before);
        }
        watch_end(&watch);
        if (failed) { drop(&list); failure(failed); }
        else answer = both(&list);
    }
    free(asked);
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&counts); PyBuffer_Release(&stop);
    return answer;
}

#define MOST_SIZE 30        /* maximum bits of a chunk */

/* Check that all bits are within codes of `width` bytes. Returns 0 with an exception set if not. */
static int bits_fit(const uint16_t *bits, size_t n, Py_ssize_t width) {
    for (size_t i = 0; i < n; i++)
        if (bits[i] >= 8 * width) {
            PyErr_Format(PyExc_ValueError, "a bit of a chunk exceeds the code width of %zd bytes", width);
            return 0;
        }
    return 1;
}

static PyObject *py_fill(PyObject *self, PyObject *args) {
    Py_buffer codes, bits, offsets, members, sorted;
    Py_ssize_t width;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*w*w*w*", &codes, &width, &bits, &offsets, &members, &sorted)) return NULL;
    Py_ssize_t n = rows(&codes, width), size = bits.len / 2;
    uint16_t chunk[MOST_SIZE];
    if (n >= 0 && in_range(n, 0, UINT32_MAX - 1, "the number of codes") && in_range(size, 1, MOST_SIZE, "a chunk's size")
        && fits(&bits, (size_t)size, 1, 2, "bits") && fits(&offsets, ((size_t)1 << size) + 1, 1, 4, "offsets")
        && fits(&members, (size_t)n, 1, 4, "members") && fits(&sorted, (size_t)n, (size_t)width, 1, "sorted codes")
        && bits_fit(memcpy(chunk, bits.buf, (size_t)bits.len), (size_t)size, width)) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        Watch watch = watch_begin(NULL);
        int failed = fill_chunk(&all, chunk, (size_t)size, offsets.buf, members.buf, sorted.buf, &watch);
        watch_end(&watch);
        answer = failed ? failure(failed) : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&bits); PyBuffer_Release(&offsets);
    PyBuffer_Release(&members); PyBuffer_Release(&sorted);
    return answer;
}

/* The Python buffers of the fields of Tables; `own_bits` and `own_sizes` are copies. */
typedef struct {
    Py_buffer codes, members, offsets, bits, sizes, masks, starts, positions;
    uint16_t *own_bits, *own_sizes;
    int taken;
} Held;

/* Read the tables from a tuple of buffers. Returns 1, or 0 with an exception set. Call `release_tables` in both cases. */
static int take_tables(PyObject *tuple, Py_ssize_t width, Py_ssize_t documents, Held *held, Tables *t) {
    memset(held, 0, sizeof *held);
    if (!PyArg_ParseTuple(tuple, "y*y*y*y*y*y*y*y*", &held->codes, &held->members, &held->offsets, &held->bits, &held->sizes,
                          &held->masks, &held->starts, &held->positions)) return 0;
    held->taken = 1;
    if (!(held->own_bits = copied(held->bits.buf, (size_t)held->bits.len))
        || !(held->own_sizes = copied(held->sizes.buf, (size_t)held->sizes.len))) return 0;
    size_t chunks = (size_t)held->sizes.len / 2, n = held->starts.len >= 8 ? (size_t)held->starts.len / 8 - 1 : 0;
    size_t bits = 0, offsets = 0;
    for (size_t i = 0; i < chunks; i++) {
        if (!in_range(held->own_sizes[i], 1, MOST_SIZE, "a chunk's size")) return 0;
        bits += held->own_sizes[i];
        offsets += ((size_t)1 << held->own_sizes[i]) + 1;
    }
    *t = (Tables){chunks, n, (size_t)width, (size_t)documents, held->codes.buf, held->members.buf, held->offsets.buf,
                  held->own_bits, held->own_sizes, held->masks.buf, held->starts.buf, held->positions.buf};
    return in_range((Py_ssize_t)chunks, 1, 8 * width, "the number of chunks") && fits(&held->sizes, chunks, 1, 2, "sizes")
        && fits(&held->codes, chunks * n, (size_t)width, 1, "codes") && fits(&held->members, chunks, n, 4, "members")
        && fits(&held->offsets, offsets, 1, 4, "offsets") && fits(&held->bits, bits, 1, 2, "bits")
        && fits(&held->masks, chunks, (size_t)width, 1, "masks") && fits(&held->starts, n + 1, 1, 8, "starts")
        && fits(&held->positions, (size_t)documents, 1, 8, "the tables' positions")
        && bits_fit(held->own_bits, bits, width);
}

static void release_tables(Held *held) {
    free(held->own_bits); free(held->own_sizes);
    if (!held->taken) return;                                           /* PyArg_ParseTuple released its buffers */
    PyBuffer_Release(&held->codes); PyBuffer_Release(&held->members); PyBuffer_Release(&held->offsets);
    PyBuffer_Release(&held->bits); PyBuffer_Release(&held->sizes); PyBuffer_Release(&held->starts);
    PyBuffer_Release(&held->positions); PyBuffer_Release(&held->masks);
}

static PyObject *py_probe(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, luck, positions, distances, ties, stop;
    PyObject *tuple, *answer = NULL;
    Py_ssize_t width, k;
    double budget, per_bucket;
    Held held = {0};
    Tables tables;
    if (!PyArg_ParseTuple(args, "y*O!ny*nddw*w*w*w*y*", &codes, &PyTuple_Type, &tuple, &width, &queries, &k, &budget,
                          &per_bucket, &luck, &positions, &distances, &ties, &stop)) return NULL;
    Py_ssize_t n = rows(&codes, width), m = n < 0 ? -1 : rows(&queries, width);
    uint8_t *asked = NULL, *done = NULL;
    if (m >= 0 && in_range(k, 1, n, "k") && take_tables(tuple, width, n, &held, &tables)
        && fits(&positions, (size_t)m, (size_t)k, 8, "positions") && fits(&distances, (size_t)m, (size_t)k, 2, "distances")
        && fits(&ties, (size_t)m, 1, 8, "ties") && fits(&luck, 2, 1, 8, "luck") && fits(&stop, 1, 1, 1, "stop")
        && (asked = copied(queries.buf, (size_t)queries.len)) && (done = allocated((size_t)m))) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        Answers to = {k, positions.buf, distances.buf, ties.buf};
        Luck now = luck_from(&luck);
        int one = 1;
        Watch watch = watch_begin(&stop);
        for (Py_ssize_t q = 0; q < m && one >= 0; q++) {
            one = hopeful(&now) ? probe_search(&tables, asked, (size_t)q, budget, per_bucket, &to, &watch) : 0;
            done[q] = (uint8_t)learn(&now, one);
        }
        int failed = one < 0 ? one : scan_rest(&all, asked, done, (size_t)m, &to, &watch);
        watch_end(&watch);
        memcpy(luck.buf, &now, sizeof now);
        answer = failed ? failure(failed) : Py_NewRef(Py_None);
    }
    free(asked); free(done);
    release_tables(&held);
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&luck); PyBuffer_Release(&stop);
    PyBuffer_Release(&positions); PyBuffer_Release(&distances); PyBuffer_Release(&ties);
    return answer;
}

static PyObject *py_probe_within(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, luck, counts, stop;
    PyObject *tuple, *answer = NULL;
    Py_ssize_t width, radius;
    double budget, per_bucket;
    Held held = {0};
    Tables tables;
    if (!PyArg_ParseTuple(args, "y*O!ny*nddw*w*y*", &codes, &PyTuple_Type, &tuple, &width, &queries, &radius, &budget,
                          &per_bucket, &luck, &counts, &stop)) return NULL;
    Py_ssize_t n = rows(&codes, width), m = n < 0 ? -1 : rows(&queries, width);
    uint8_t *asked = NULL;
    if (m >= 0 && in_range(radius, 0, 8 * width, "radius") && take_tables(tuple, width, n, &held, &tables)
        && fits(&counts, (size_t)m, 1, 8, "counts") && fits(&luck, 2, 1, 8, "luck") && fits(&stop, 1, 1, 1, "stop")
        && (asked = copied(queries.buf, (size_t)queries.len))) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        List list = {0};
        int one = 1;
        Luck now = luck_from(&luck);
        Watch watch = watch_begin(&stop);
        for (Py_ssize_t q = 0; q < m && one >= 0; q++) {
            const uint8_t *query = asked + q * width;
            size_t before = list.count;
            one = hopeful(&now) ? probe_within(&tables, query, (uint16_t)radius, budget, per_bucket, &list, &watch) : 0;
            if (!learn(&now, one)) {
                int failed = scan_within(&all, query, (uint16_t)radius, &list, &watch);
                if (failed) one = failed;
            }
            ((int64_t *)counts.buf)[q] = (int64_t)(list.count - before);
        }
        watch_end(&watch);
        memcpy(luck.buf, &now, sizeof now);
        if (one < 0) { drop(&list); failure(one); }
        else answer = both(&list);
    }
    free(asked);
    release_tables(&held);
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&luck); PyBuffer_Release(&counts);
    PyBuffer_Release(&stop);
    return answer;
}

static PyObject *py_variants(PyObject *self, PyObject *args) {
    PyObject *names = PyList_New(0);
    for (size_t i = 0; names && i < VARIANTS; i++)
        if (variants[i].here) {
            PyObject *name = PyUnicode_FromString(variants[i].name);
            if (!name || PyList_Append(names, name)) Py_CLEAR(names);
            Py_XDECREF(name);
        }
    return names;
}

static PyObject *py_use(PyObject *self, PyObject *args) {
    const char *name;
    if (!PyArg_ParseTuple(args, "s", &name)) return NULL;
    for (size_t i = 0; i < VARIANTS; i++)
        if (variants[i].here && !strcmp(variants[i].name, name)) {
            near_codes = variants[i].near;
            Py_RETURN_NONE;
        }
    return PyErr_Format(PyExc_ValueError, "this processor does not support the variant '%s'", name);
}

static PyMethodDef methods[] = {
    {"scan", py_scan, METH_VARARGS,
     "scan(codes, width, queries, k, positions, distances, ties, stop)\n\n"
     "Write the k nearest codes of each query, 1 <= k <= n, to positions int64 [m, k], distances uint16 [m, k] and\n"
     "ties int64 [m], sorted by (distance, position). Checks for signals. Raises InterruptedError soon after another\n"
     "thread sets stop, uint8 [1], to a nonzero value."},
    {"scan_within", py_scan_within, METH_VARARGS,
     "scan_within(codes, width, queries, radius, counts, stop) -> (positions, distances)\n\n"
     "Return positions int64 and distances uint16 of all codes within the radius, as bytearrays, concatenated over\n"
     "queries. Writes the number of results of each query to counts, int64 [m]."},
    {"fill", py_fill, METH_VARARGS,
     "fill(codes, width, bits, offsets, members, sorted)\n\n"
     "Build the table of one chunk of bits, uint16 [size], over distinct codes: writes offsets uint32 [2^size + 1],\n"
     "members uint32 [n] and sorted uint8 [n, width]."},
    {"probe", py_probe, METH_VARARGS,
     "probe(codes, tables, width, queries, k, budget, per_bucket, luck, positions, distances, ties, stop)\n\n"
     "Like scan, but searches in tables of these codes, with a full scan for queries that exceed the budget. luck,\n"
     "float64 [2], is state kept between calls, initially (1, 0): the recent share of queries answered in tables, and\n"
     "the number of queries."},
    {"probe_within", py_probe_within, METH_VARARGS,
     "probe_within(codes, tables, width, queries, radius, budget, per_bucket, luck, counts, stop)\n\n"
     "Like scan_within, but searches in tables, as probe does."},
    {"variants", py_variants, METH_NOARGS,
     "variants() -> list[str]\n\nReturn the instruction sets that this processor supports, the fastest first."},
    {"use", py_use, METH_VARARGS, "use(name)\n\nSelect the instruction set for later calls."},
    {NULL, NULL, 0, NULL},
};

static int begin(PyObject *module) {
    int best = best_variant();
    for (size_t i = 0; i < VARIANTS; i++) variants[i].here = variants[i].set <= best;
    for (size_t i = 0; i < VARIANTS; i++)
        if (variants[i].here) { near_codes = variants[i].near; break; }
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, begin}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "Hamming search on buffers. Use hashret.search instead.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
