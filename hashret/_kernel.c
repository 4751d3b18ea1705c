/* The hot loops of Hamming search: codes are read once, at the speed of memory, by any number of threads.

   Read top down: distances of a block of codes; the k nearest by counting; the full scan; then tables of buckets, and
   the search that looks into them alone (multi-index hashing: Norouzi, Punjani and Fleet 2012).

   Codes are rows of `width` bytes, as hashret.codes packs them, at any alignment. Only plain C: the compiler makes
   vector code of the loops, once for each kind of processor, and `use` picks at run time. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define BLOCK 1024          /* codes looked at together: they and their distances stay in the first cache */
#define GROUP 64            /* distances that one comparison passes over */
#define QUERIES 64          /* that share one reading of the codes */

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

/* out[i] = number of bits in which code i differs from the query. The widths named are those worth a loop of their own. */
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

/* Distances of n <= BLOCK codes, and in `where` the numbers of those at most `limit` away; how many they are. */
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

VARIANT(plain, )            /* on ARM this is NEON's CNT, part of every 64-bit processor */
#if defined(__x86_64__) || defined(__i386__)
#define X86 1
VARIANT(popcnt, __attribute__((target("popcnt"))))
VARIANT(avx2, __attribute__((target("avx2,popcnt"))))
#ifdef __clang__
VARIANT(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,popcnt"))))
#else
VARIANT(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,popcnt,"
                                      "prefer-vector-width=512"))))
#endif
#endif

static struct { const char *name; Near near; int here; } variants[] = {   /* the best first */
#ifdef X86
    {"avx512", near_avx512, 0}, {"avx2", near_avx2, 0}, {"popcnt", near_popcnt, 0},
#endif
    {"plain", near_plain, 1},
};
#define VARIANTS (sizeof variants / sizeof *variants)
static Near near_codes = near_plain;

/* --- what was found ------------------------------------------------------------------------------------------------ */

typedef struct { int64_t *positions; uint16_t *distances; size_t count, room; } List;

static int push(List *list, int64_t position, uint16_t distance) {      /* 0, or -1 where memory is lacking */
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 256;
        int64_t *positions = realloc(list->positions, room * sizeof *positions);
        if (positions) list->positions = positions;
        uint16_t *distances = positions ? realloc(list->distances, room * sizeof *distances) : NULL;
        if (!distances) return -1;
        list->distances = distances;
        list->room = room;
    }
    list->positions[list->count] = position;
    list->distances[list->count++] = distance;
    return 0;
}

static void drop(List *list) { free(list->positions); free(list->distances); memset(list, 0, sizeof *list); }

/* The entries from `from` on put in order of distance, keeping the order among equals; -1 where memory is lacking. */
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
    return done ? 0 : -1;
}

/* The k nearest among documents that come one by one. `edge` only falls; up to it `counts` misses nothing. */
typedef struct {
    int64_t k, closer;      /* closer: how many lie within less than the edge, always fewer than k */
    int edge;               /* the k-th distance so far: what is farther is of no use */
    int64_t *counts;        /* [bits + 1], documents at each distance */
    List found;
} Top;

static int top_begin(Top *top, int64_t k, size_t bits) {
    memset(top, 0, sizeof *top);
    top->k = k;
    top->edge = (int)bits;
    top->counts = calloc(bits + 1, sizeof *top->counts);
    return top->counts ? 0 : -1;
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

/* Documents come in order of position, so one at the edge is of no use once there are k: it only ties. */
static int scan_block(const Codes *all, size_t start, size_t n, const uint8_t *query, Top *top) {
    uint16_t distance[BLOCK], where[BLOCK + GROUP];
    size_t found = near_codes(all->codes + start * all->width, n, all->width, query, (uint16_t)top->edge, distance, where);
    for (size_t i = 0; i < found; i++) {
        uint16_t d = distance[where[i]];
        if (d > top->edge) continue;
        if ((d < top->edge || !full(top)) && push(&top->found, (int64_t)(start + where[i]), d)) return -1;
        count(top, d, 1);
    }
    return 0;
}

static size_t block_of(size_t width) {                                  /* codes of at most 16 KiB */
    size_t n = 16384 / width / GROUP * GROUP;
    return n < GROUP ? GROUP : n > BLOCK ? BLOCK : n;
}

/* The answers of all queries: positions and distances [m, k], ties [m]. */
typedef struct { int64_t k, *positions; uint16_t *distances; int64_t *ties; } Answers;

/* One query's answer: the first k of a list that holds at least as many. */
static void answer(Answers *to, size_t query, const List *found, int64_t ties) {
    size_t k = (size_t)to->k;
    memcpy(to->positions + query * k, found->positions, k * sizeof *to->positions);
    memcpy(to->distances + query * k, found->distances, k * sizeof *to->distances);
    to->ties[query] = ties;
}

/* Ask for the next codes while these are counted: the processor by itself does not look ahead far enough. */
static void fetch(const Codes *all, size_t start, size_t n) {
    const uint8_t *at = all->codes + start * all->width;
    for (size_t i = 0; start + n <= all->n && i < n * all->width; i += 64) __builtin_prefetch(at + i);
}

static int scan(const Codes *all, const uint8_t *queries, const size_t *which, size_t m, Answers *to) {
    Top tops[QUERIES];
    size_t block = block_of(all->width);
    int failed = 0;
    for (size_t q = 0; q < m; q++) failed |= top_begin(&tops[q], to->k, 8 * all->width);
    for (size_t start = 0; start < all->n && !failed; start += block) {
        size_t n = all->n - start < block ? all->n - start : block;
        fetch(all, start + block, block);
        for (size_t q = 0; q < m && !failed; q++)
            failed = scan_block(all, start, n, queries + which[q] * all->width, &tops[q]);
    }
    for (size_t q = 0; q < m; q++) {
        if (!failed && !(failed = sort_by_distance(&tops[q].found, 0, 8 * all->width)))
            answer(to, which[q], &tops[q].found, tops[q].counts[tops[q].edge]);
        top_end(&tops[q]);
    }
    return failed;
}

/* The same for all queries but those done already. */
static int scan_rest(const Codes *all, const uint8_t *queries, const uint8_t *done, size_t m, Answers *to) {
    size_t which[QUERIES], n = 0;
    int failed = 0;
    for (size_t q = 0; q < m && !failed; q++) {
        if (!done || !done[q]) which[n++] = q;
        if (n == QUERIES || (n && q + 1 == m)) { failed = scan(all, queries, which, n, to); n = 0; }
    }
    return failed;
}

static int scan_within(const Codes *all, const uint8_t *query, uint16_t radius, List *list) {
    uint16_t distance[BLOCK], where[BLOCK + GROUP];
    size_t block = block_of(all->width), from = list->count;
    for (size_t start = 0; start < all->n; start += block) {
        size_t n = all->n - start < block ? all->n - start : block;
        fetch(all, start + block, block);
        size_t found = near_codes(all->codes + start * all->width, n, all->width, query, radius, distance, where);
        for (size_t i = 0; i < found; i++)
            if (push(list, (int64_t)(start + where[i]), distance[where[i]])) return -1;
    }
    return sort_by_distance(list, from, 8 * all->width);
}

/* --- tables -------------------------------------------------------------------------------------------------------- */

/* The distinct codes, once a chunk: in order of the bits of the chunk, so that those that share them lie together.
   Bucket b of a chunk is entries offsets[b] to offsets[b + 1] of its codes and members. */
typedef struct {
    size_t chunks, n, width;
    const uint8_t *codes;       /* [chunks, n, width] */
    const uint32_t *members;    /* [chunks, n], which distinct code each entry is */
    const uint32_t *offsets;    /* [sum over chunks of 2^size + 1] */
    const uint16_t *bits;       /* [sum of sizes], the chunks' bits one chunk after the other */
    const uint16_t *sizes;      /* [chunks] */
    const uint8_t *masks;       /* [chunks, width], the same bits as a code that has them set */
    const int64_t *starts;      /* [n + 1], where each distinct code's documents begin */
    const int64_t *positions;   /* [documents], in order for each code */
} Tables;

INLINE uint32_t key_of(const uint8_t *code, const uint16_t *bits, size_t size) {
    uint32_t key = 0;
    for (size_t i = 0; i < size; i++) key |= (uint32_t)(code[bits[i] >> 3] >> (bits[i] & 7) & 1) << i;
    return key;
}

/* Fill one chunk's part of the tables: offsets [2^size + 1], members [n], sorted codes [n, width]. */
static int fill_chunk(const Codes *all, const uint16_t *bits, size_t size, uint32_t *offsets, uint32_t *members,
                      uint8_t *sorted) {
    size_t buckets = (size_t)1 << size;
    uint32_t *keys = malloc((all->n + 1) * sizeof *keys);
    if (!keys) return -1;
    memset(offsets, 0, (buckets + 1) * sizeof *offsets);
    for (size_t i = 0; i < all->n; i++) offsets[1 + (keys[i] = key_of(all->codes + i * all->width, bits, size))]++;
    for (size_t b = 0; b < buckets; b++) offsets[b + 1] += offsets[b];
    for (size_t i = 0; i < all->n; i++) {                               /* offsets[b] runs to the start of b + 1 ... */
        uint32_t to = offsets[keys[i]]++;
        members[to] = (uint32_t)i;
        memcpy(sorted + to * all->width, all->codes + i * all->width, all->width);
    }
    memmove(offsets + 1, offsets, buckets * sizeof *offsets);           /* ... and is moved back to its place */
    offsets[0] = 0;
    free(keys);
    return 0;
}

/* --- the search in buckets ----------------------------------------------------------------------------------------- */

#define AHEAD 64            /* buckets asked of memory before the first is looked into */

typedef struct {            /* one query on its way */
    const Tables *tables;
    const uint8_t *query;
    size_t chunk, apart;    /* the buckets looked at now: of which chunk, in how many of its bits they differ */
    double work, budget, per_bucket;        /* in codes of a full scan */
    int limit;              /* what is farther is of no use */
    Top *top;               /* of the k nearest, or NULL within a radius */
    List *found;            /* distinct codes and their distances */
} Probe;

/* Whether an entry was met before, through a chunk in which it is nearer, or an earlier one in which it is as near. */
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
            uint32_t member = members[entry];
            uint16_t d = distance[where[i]];
            if (d > probe->limit || met(probe, codes + entry * t->width)) continue;
            if (push(probe->found, member, d)) return -1;
            if (probe->top) {
                count(probe->top, d, t->starts[member + 1] - t->starts[member]);
                probe->limit = probe->top->edge;
            }
        }
    }
    return 0;
}

static double binomial(size_t n, size_t r) {
    double ways = 1;
    for (size_t i = 0; i < r; i++) ways = ways * (double)(n - i) / (double)(i + 1);
    return r > n ? 0 : ways;
}

/* All buckets of one chunk that differ from the query in `apart` bits. 1: done; 0: it would take too long; -1: no memory. */
static int probe_step(Probe *probe, const uint16_t *bits, const uint32_t *offsets) {
    size_t size = probe->tables->sizes[probe->chunk];
    const uint8_t *codes = probe->tables->codes + probe->chunk * probe->tables->n * probe->tables->width;
    if (probe->apart > size) return 1;
    probe->work += binomial(size, probe->apart) * probe->per_bucket;
    if (probe->work > probe->budget) return 0;
    uint64_t key = key_of(probe->query, bits, size), flips = ((uint64_t)1 << probe->apart) - 1, end = (uint64_t)1 << size;
    while (flips < end) {
        uint32_t from[AHEAD], to[AHEAD];
        size_t n = 0;
        for (; n < AHEAD && flips < end; n++) {
            from[n] = offsets[key ^ flips];
            to[n] = offsets[(key ^ flips) + 1];
            __builtin_prefetch(codes + from[n] * probe->tables->width);
            __builtin_prefetch(codes + to[n] * probe->tables->width - 1);
            uint64_t low = flips & -flips, ripple = flips + low;        /* the next number with as many bits set (Gosper) */
            flips = flips ? ripple | ((flips ^ ripple) >> (2 + __builtin_ctzll(low))) : end;
        }
        for (size_t i = 0; i < n; i++) {
            probe->work += to[i] - from[i];
            if (probe->work > probe->budget) return 0;
            if (look_into(probe, from[i], to[i])) return -1;
        }
    }
    return 1;
}

/* Everything up to a distance is found when `apart` has grown so far: a code that differs in at most chunks * apart + c
   bits differs in at most `apart` in one of the chunks 0 to c, or in less in one of the others. As probe_step. */
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

/* Distinct codes within the limit -> their documents, at most `most` of each, by (distance, position), onto `list`. */
static int expand(const Tables *t, List *found, int limit, int64_t most, List *list) {
    size_t from = list->count;
    if (sort_by_distance(found, 0, 8 * t->width)) return -1;
    for (size_t i = 0; i < found->count && found->distances[i] <= limit;) {
        uint16_t d = found->distances[i];
        size_t begin = list->count;
        for (; i < found->count && found->distances[i] == d; i++) {
            int64_t start = t->starts[found->positions[i]], stop = t->starts[found->positions[i] + 1];
            for (int64_t j = start; j < stop && j - start < most; j++)
                if (push(list, t->positions[j], d)) return -1;
        }
        if (list->count > begin) qsort(list->positions + begin, list->count - begin, sizeof *list->positions, ascending);
        if ((int64_t)(list->count - from) >= most) break;
    }
    return 0;
}

/* The k nearest of one query. 1: found; 0: a full scan is faster, nothing was written; -1: no memory. */
static int probe_search(const Tables *t, const uint8_t *queries, size_t q, double budget, double per_bucket, Answers *to) {
    Top top;
    List list = {0};
    if (top_begin(&top, to->k, 8 * t->width)) return -1;
    Probe probe = {t, queries + q * t->width, 0, 0, 0, budget, per_bucket, top.edge, &top, &top.found};
    int done = probe_all(&probe);
    if (done == 1 && expand(t, &top.found, top.edge, to->k, &list)) done = -1;
    if (done == 1) answer(to, q, &list, top.counts[top.edge]);
    drop(&list);
    top_end(&top);
    return done;
}

static int probe_within(const Tables *t, const uint8_t *query, uint16_t radius, double budget, double per_bucket, List *list) {
    List found = {0};
    Probe probe = {t, query, 0, 0, 0, budget, per_bucket, radius, NULL, &found};
    int done = probe_all(&probe);
    if (done == 1 && expand(t, &found, radius, INT64_MAX, list)) done = -1;
    drop(&found);
    return done;
}

/* Whether buckets have served of late. Where they seldom do, as with codes that have no near ones, most queries go
   straight to the scan, and one in SCOUT tries whether that is still so. */
typedef struct { double served, asked; } Luck;

#define SCOUT 16
#define ENOUGH 0.4          /* share served from which trying costs less than it saves */

static int hopeful(Luck *luck) { return luck->served >= ENOUGH || (uint64_t)luck->asked % SCOUT == 0; }

static int learn(Luck *luck, int done) {
    if (hopeful(luck)) luck->served += ((done == 1) - luck->served) / SCOUT;
    luck->asked++;
    return done;
}

/* --- for Python: buffers are checked here, values in search/ ------------------------------------------------------- */

static int fits(const Py_buffer *buffer, size_t bytes, const char *what) {
    if ((size_t)buffer->len == bytes) return 1;
    PyErr_Format(PyExc_ValueError, "%s must hold %zu bytes, got %zd", what, bytes, buffer->len);
    return 0;
}

/* How many codes a buffer holds; -1 with an error set where it holds no whole number, or the width is impossible. */
static Py_ssize_t rows(const Py_buffer *codes, Py_ssize_t width) {
    if (width >= 1 && width <= 512 && codes->len % width == 0) return codes->len / width;
    PyErr_Format(PyExc_ValueError, "%zd bytes are no codes of %zd bytes, of which 1 to 512 are allowed", codes->len, width);
    return -1;
}

static PyObject *both(List *list) {
    PyObject *answer = Py_BuildValue("(NN)",
        PyByteArray_FromStringAndSize((char *)list->positions, (Py_ssize_t)(list->count * sizeof *list->positions)),
        PyByteArray_FromStringAndSize((char *)list->distances, (Py_ssize_t)(list->count * sizeof *list->distances)));
    drop(list);
    return answer;
}

static PyObject *py_scan(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, positions, distances, ties;
    Py_ssize_t width, k;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*nw*w*w*", &codes, &width, &queries, &k, &positions, &distances, &ties)) return NULL;
    Py_ssize_t n = rows(&codes, width), m = n < 0 ? -1 : rows(&queries, width);
    if (m >= 0 && (k < 1 || k > n)) PyErr_Format(PyExc_ValueError, "k must be 1 to %zd, got %zd", n, k);
    else if (m >= 0 && fits(&positions, (size_t)m * (size_t)k * 8, "positions")
             && fits(&distances, (size_t)m * (size_t)k * 2, "distances") && fits(&ties, (size_t)m * 8, "ties")) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        Answers to = {k, positions.buf, distances.buf, ties.buf};
        int failed;
        Py_BEGIN_ALLOW_THREADS
        failed = scan_rest(&all, queries.buf, NULL, (size_t)m, &to);
        Py_END_ALLOW_THREADS
        answer = failed ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&queries);
    PyBuffer_Release(&positions); PyBuffer_Release(&distances); PyBuffer_Release(&ties);
    return answer;
}

static PyObject *py_scan_within(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, counts;
    Py_ssize_t width, radius;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*nw*", &codes, &width, &queries, &radius, &counts)) return NULL;
    Py_ssize_t n = rows(&codes, width), m = n < 0 ? -1 : rows(&queries, width);
    if (m >= 0 && (radius < 0 || radius > 8 * width)) PyErr_Format(PyExc_ValueError, "radius must be 0 to %zd, got %zd", 8 * width, radius);
    else if (m >= 0 && fits(&counts, (size_t)m * 8, "counts")) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        List list = {0};
        int failed = 0;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t q = 0; q < m && !failed; q++) {
            size_t before = list.count;
            failed = scan_within(&all, (uint8_t *)queries.buf + q * width, (uint16_t)radius, &list);
            ((int64_t *)counts.buf)[q] = (int64_t)(list.count - before);
        }
        Py_END_ALLOW_THREADS
        if (failed) { drop(&list); PyErr_NoMemory(); }
        else answer = both(&list);
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&counts);
    return answer;
}

static PyObject *py_fill(PyObject *self, PyObject *args) {
    Py_buffer codes, bits, offsets, members, sorted;
    Py_ssize_t width;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*w*w*w*", &codes, &width, &bits, &offsets, &members, &sorted)) return NULL;
    Py_ssize_t n = rows(&codes, width), size = bits.len / 2;
    int fine = n >= 0;
    if (fine && (size < 1 || size > 30 || n >= (Py_ssize_t)UINT32_MAX)) {
        PyErr_Format(PyExc_ValueError, "a chunk has 1 to 30 bits, got %zd", size);
        fine = 0;
    }
    for (Py_ssize_t i = 0; fine && i < size; i++)
        if (((uint16_t *)bits.buf)[i] >= 8 * width) { PyErr_SetString(PyExc_ValueError, "a chunk's bit lies beyond the code"); fine = 0; }
    if (fine && fits(&offsets, (((size_t)1 << size) + 1) * 4, "offsets") && fits(&members, (size_t)n * 4, "members")
        && fits(&sorted, (size_t)n * (size_t)width, "sorted codes")) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        int failed;
        Py_BEGIN_ALLOW_THREADS
        failed = fill_chunk(&all, bits.buf, (size_t)size, offsets.buf, members.buf, sorted.buf);
        Py_END_ALLOW_THREADS
        answer = failed ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&bits); PyBuffer_Release(&offsets);
    PyBuffer_Release(&members); PyBuffer_Release(&sorted);
    return answer;
}

/* The tables as Python holds them: one buffer a field of Tables. */
typedef struct { Py_buffer codes, members, offsets, bits, sizes, masks, starts, positions; } Held;

static int take_tables(PyObject *tuple, Py_ssize_t width, Held *held, Tables *t) {
    if (!PyArg_ParseTuple(tuple, "y*y*y*y*y*y*y*y*", &held->codes, &held->members, &held->offsets, &held->bits, &held->sizes,
                          &held->masks, &held->starts, &held->positions)) return -1;
    size_t chunks = (size_t)held->sizes.len / 2, n = held->starts.len >= 8 ? (size_t)held->starts.len / 8 - 1 : 0;
    size_t bits = 0, offsets = 0;
    Tables made = {chunks, n, (size_t)width, held->codes.buf, held->members.buf, held->offsets.buf, held->bits.buf,
                   held->sizes.buf, held->masks.buf, held->starts.buf, held->positions.buf};
    *t = made;
    for (size_t i = 0; i < chunks; i++) {
        bits += t->sizes[i];
        offsets += ((size_t)1 << (t->sizes[i] & 31)) + 1;
    }
    return fits(&held->codes, chunks * n * (size_t)width, "codes") && fits(&held->members, chunks * n * 4, "members")
        && fits(&held->offsets, offsets * 4, "offsets") && fits(&held->bits, bits * 2, "bits")
        && fits(&held->masks, chunks * (size_t)width, "masks") ? 0 : -2;
}

static void release_tables(Held *held) {
    PyBuffer_Release(&held->codes); PyBuffer_Release(&held->members); PyBuffer_Release(&held->offsets);
    PyBuffer_Release(&held->bits); PyBuffer_Release(&held->sizes); PyBuffer_Release(&held->starts);
    PyBuffer_Release(&held->positions); PyBuffer_Release(&held->masks);
}

static PyObject *py_probe(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, luck, positions, distances, ties;
    PyObject *tuple, *answer = NULL;
    Py_ssize_t width, k;
    double budget, per_bucket;
    Held held;
    Tables tables;
    if (!PyArg_ParseTuple(args, "y*O!ny*nddw*w*w*w*", &codes, &PyTuple_Type, &tuple, &width, &queries, &k, &budget,
                          &per_bucket, &luck, &positions, &distances, &ties)) return NULL;
    int taken = take_tables(tuple, width, &held, &tables);
    Py_ssize_t m = taken ? -1 : rows(&queries, width), n = m < 0 ? -1 : rows(&codes, width);
    if (n >= 0 && (k < 1 || k > n)) PyErr_Format(PyExc_ValueError, "k must be 1 to %zd, got %zd", n, k);
    else if (n >= 0 && fits(&held.positions, (size_t)n * 8, "the tables' positions")
             && fits(&positions, (size_t)m * (size_t)k * 8, "positions")
             && fits(&distances, (size_t)m * (size_t)k * 2, "distances") && fits(&ties, (size_t)m * 8, "ties")
             && fits(&luck, sizeof(Luck), "luck")) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        Answers to = {k, positions.buf, distances.buf, ties.buf};
        uint8_t *done = calloc((size_t)m + 1, 1);
        Luck now = *(Luck *)luck.buf;
        int one = done ? 1 : -1;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t q = 0; q < m && one >= 0; q++) {
            one = hopeful(&now) ? probe_search(&tables, queries.buf, (size_t)q, budget, per_bucket, &to) : 0;
            done[q] = (uint8_t)learn(&now, one);
        }
        if (one >= 0 && scan_rest(&all, queries.buf, done, (size_t)m, &to)) one = -1;
        Py_END_ALLOW_THREADS
        free(done);
        *(Luck *)luck.buf = now;
        answer = one < 0 ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    if (taken != -1) release_tables(&held);
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&luck);
    PyBuffer_Release(&positions); PyBuffer_Release(&distances); PyBuffer_Release(&ties);
    return answer;
}

static PyObject *py_probe_within(PyObject *self, PyObject *args) {
    Py_buffer codes, queries, luck, counts;
    PyObject *tuple, *answer = NULL;
    Py_ssize_t width, radius;
    double budget, per_bucket;
    Held held;
    Tables tables;
    if (!PyArg_ParseTuple(args, "y*O!ny*nddw*w*", &codes, &PyTuple_Type, &tuple, &width, &queries, &radius, &budget, &per_bucket, &luck,
                          &counts))
        return NULL;
    int taken = take_tables(tuple, width, &held, &tables);
    Py_ssize_t m = taken ? -1 : rows(&queries, width), n = m < 0 ? -1 : rows(&codes, width);
    if (n >= 0 && (radius < 0 || radius > 8 * width)) PyErr_Format(PyExc_ValueError, "radius must be 0 to %zd, got %zd", 8 * width, radius);
    else if (n >= 0 && fits(&held.positions, (size_t)n * 8, "the tables' positions") && fits(&counts, (size_t)m * 8, "counts") && fits(&luck, sizeof(Luck), "luck")) {
        Codes all = {codes.buf, (size_t)n, (size_t)width};
        List list = {0};
        int one = 1;
        Luck now = *(Luck *)luck.buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t q = 0; q < m && one >= 0; q++) {
            const uint8_t *query = (uint8_t *)queries.buf + q * width;
            size_t before = list.count;
            one = hopeful(&now) ? probe_within(&tables, query, (uint16_t)radius, budget, per_bucket, &list) : 0;
            if (!learn(&now, one) && scan_within(&all, query, (uint16_t)radius, &list)) one = -1;
            ((int64_t *)counts.buf)[q] = (int64_t)(list.count - before);
        }
        Py_END_ALLOW_THREADS
        *(Luck *)luck.buf = now;
        if (one < 0) { drop(&list); PyErr_NoMemory(); }
        else answer = both(&list);
    }
    if (taken != -1) release_tables(&held);
    PyBuffer_Release(&codes); PyBuffer_Release(&queries); PyBuffer_Release(&luck); PyBuffer_Release(&counts);
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
    return PyErr_Format(PyExc_ValueError, "this processor has no variant '%s'", name);
}

static PyMethodDef methods[] = {
    {"scan", py_scan, METH_VARARGS,
     "scan(codes, width, queries, k, positions, distances, ties): the k nearest of each query, 1 <= k <= n, written into\n"
     "int64 [m, k], uint16 [m, k] and int64 [m], by (distance, position)."},
    {"scan_within", py_scan_within, METH_VARARGS,
     "scan_within(codes, width, queries, radius, counts) -> positions int64, distances uint16, as bytes, query after query;\n"
     "counts int64 [m] is written."},
    {"fill", py_fill, METH_VARARGS,
     "fill(codes, width, bits, offsets, members, sorted): one chunk's tables of distinct codes, written into uint32\n"
     "[2^bits + 1], uint32 [n] and uint8 [n, width]."},
    {"probe", py_probe, METH_VARARGS,
     "probe(codes, tables, width, queries, k, budget, per_bucket, luck, positions, distances, ties): as scan, by the\n"
     "tables of these codes, and by a scan where that would take more work than the budget; luck float64 [2] is what calls\n"
     "before left, at first 1 and 0: the share that the tables served of late, and how many queries were asked."},
    {"probe_within", py_probe_within, METH_VARARGS,
     "probe_within(codes, tables, width, queries, radius, budget, per_bucket, luck, counts): as scan_within, in that way."},
    {"variants", py_variants, METH_NOARGS, "variants() -> the ways to count that this processor has, the best first."},
    {"use", py_use, METH_VARARGS, "use(name): count that way from now on."},
    {NULL, NULL, 0, NULL},
};

static int begin(PyObject *module) {
#ifdef X86
    __builtin_cpu_init();
    variants[2].here = __builtin_cpu_supports("popcnt") != 0;
    variants[1].here = variants[2].here && __builtin_cpu_supports("avx2");
    variants[0].here = variants[1].here && __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bw")
                       && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    for (size_t i = 0; i < VARIANTS; i++)
        if (variants[i].here) { near_codes = variants[i].near; break; }
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, begin}, {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "Hamming search on buffers; hashret.search is what to call.", 0, methods, slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
