/* The inner loops of near-duplicates: 1-bit MinHash (Li and Koenig, 2010), all pairs of 128-bit codes within a radius, and
   the number of items that two sets share. Calls release the GIL; results do not depend on the instruction set. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_buffers.h"
#include "_variants.h"

#define INLINE static inline __attribute__((always_inline))
#define BITS 128  /* of a sketch: two words */
#define GROUP 64  /* codes that are compared before the result is looked at */
#define CHUNKS 8  /* of a code, 16 bits each */
#define VALUES 65536 /* of a chunk */
#define ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/* --- sketches ------------------------------------------------------------------------------------------------------ */

static uint32_t factors[BITS], offsets_of[BITS];

INLINE uint64_t mixed(uint64_t x) { /* the finalizer of splitmix64 */
    x ^= x >> 30; x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27; x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void make_functions(void) {
    for (uint64_t bit = 0; bit < BITS; bit++) {
        uint64_t drawn = mixed((bit + 1) * 0x9e3779b97f4a7c15u);
        factors[bit] = (uint32_t)drawn | 1;
        offsets_of[bit] = (uint32_t)(drawn >> 32);
    }
}

/* least[bit] = the smallest of its hashes so far and the one of x. */
WIDE static void take(uint32_t *least, uint64_t x) {
    uint32_t low = (uint32_t)x, high = (uint32_t)(x >> 32);
    for (int bit = 0; bit < BITS; bit++) {
        uint32_t y = low * factors[bit] + (high ^ offsets_of[bit]);
        y ^= y >> 15; y *= 0x2c1b3c6du;
        y ^= y >> 13; y *= 0x297a2d39u;
        y ^= y >> 16;
        least[bit] = y < least[bit] ? y : least[bit];
    }
}

static void sketch(const uint64_t *items, const uint8_t *weights, const int32_t *terms, int64_t n, uint8_t *out) {
    uint32_t least[BITS];
    memset(least, 255, sizeof least);
    for (int64_t place = 0; place < n; place++)
        for (uint64_t copy = 0; copy < weights[terms[place]]; copy++) take(least, mixed(items[terms[place]] + copy * 0x9e3779b97f4a7c15u));
    memset(out, 0, BITS / 8);
    for (int bit = 0; n && bit < BITS; bit++) out[bit / 8] |= (uint8_t)((least[bit] * 0x9e3779b1u >> 31) << bit % 8);
}

static PyObject *py_sketch(PyObject *self, PyObject *args) {
    Py_buffer items, weights, terms, offsets, out;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*", &items, &weights, &terms, &offsets, &out)) return NULL;
    Py_ssize_t n = offsets.len / 8 - 1, vocabulary = weights.len, total = terms.len / 4;
    if (n < 0) PyErr_SetString(PyExc_ValueError, "offsets are empty");
    else if (holds(&items, vocabulary, 8, "items") && holds(&terms, total, 4, "terms")
             && holds(&offsets, n + 1, 8, "offsets") && holds(&out, n, BITS / 8, "sketches")) {
        const int64_t *edge = offsets.buf;
        const int32_t *term = terms.buf;
        int fits = edge[0] == 0 && edge[n] == total;
        for (Py_ssize_t row = 0; row < n; row++) fits &= edge[row] <= edge[row + 1];
        for (Py_ssize_t place = 0; place < total; place++) fits &= term[place] >= 0 && term[place] < vocabulary;
        if (!fits) PyErr_SetString(PyExc_ValueError, "offsets must ascend to the number of terms, and terms be in the vocabulary");
        else {
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < n; row++)
                sketch(items.buf, weights.buf, term + edge[row], edge[row + 1] - edge[row], (uint8_t *)out.buf + row * (BITS / 8));
            Py_END_ALLOW_THREADS
            Py_INCREF(Py_None);
            result = Py_None;
        }
    }
    PyBuffer_Release(&items); PyBuffer_Release(&weights); PyBuffer_Release(&terms); PyBuffer_Release(&offsets);
    PyBuffer_Release(&out);
    return result;
}

/* --- pairs --------------------------------------------------------------------------------------------------------- */

typedef struct { uint32_t first, second, distance; } Pair;
typedef struct { Pair *pairs; size_t count, room, most; } List;
typedef struct { const uint64_t *low, *high; const uint32_t *rows; } Part; /* words of some codes; rows: their numbers, or NULL */

#define NO_MEMORY 1
#define TOO_MANY 2
#define STOPPED 3

INLINE int bits_of(uint64_t x) { return __builtin_popcountll(x); }

static int push(List *list, uint32_t first, uint32_t second, int distance) {
    if (list->count == list->most) return TOO_MANY;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 1024;
        Pair *pairs = realloc(list->pairs, room * sizeof *pairs);
        if (!pairs) return NO_MEMORY;
        list->pairs = pairs;
        list->room = room;
    }
    list->pairs[list->count++] = (Pair){first, second, (uint32_t)distance};
    return 0;
}

/* Whether one of n codes is within the radius; n is at most GROUP. */
INLINE int any_near(const uint64_t *low, const uint64_t *high, size_t n, uint64_t a, uint64_t b, int64_t radius) {
    uint64_t any = 0; /* its first bit is set if so */
    for (size_t place = 0; place < n; place++)
        any |= (uint64_t)__builtin_popcountll(low[place] ^ a) + (uint64_t)__builtin_popcountll(high[place] ^ b) - (uint64_t)radius - 1;
    return any >> 63 != 0;
}

/* The groups of codes that have one near the query: their numbers in `found`. Returns how many. n is a multiple of GROUP. */
INLINE size_t near_groups_body(const uint64_t *low, const uint64_t *high, size_t n, uint64_t a, uint64_t b, int64_t radius,
                               uint32_t *found) {
    size_t count = 0;
    for (size_t start = 0; start < n; start += GROUP) {
        found[count] = (uint32_t)(start / GROUP);
        count += (size_t)any_near(low + start, high + start, GROUP, a, b, radius);
    }
    return count;
}

/* The codes of one value of a chunk against those of another (or the same). A pair is taken in the first chunk that differs
   in at most `limit` bits, so that it is found once. */
INLINE int buckets_body(const Part *codes, size_t a_start, size_t a_stop, size_t b_start, size_t b_stop, int chunk, int limit,
                        int radius, List *list) {
    for (size_t i = a_start; i < a_stop; i++) {
        uint64_t low = codes->low[i], high = codes->high[i];
        size_t from = a_start == b_start ? i + 1 : b_start;
        for (size_t start = from; start < b_stop; start += GROUP) {
            size_t size = b_stop - start < GROUP ? b_stop - start : GROUP;
            if (!any_near(codes->low + start, codes->high + start, size, low, high, radius)) continue;
            for (size_t j = start; j < start + size; j++) {
                uint64_t x = codes->low[j] ^ low, y = codes->high[j] ^ high;
                int distance = bits_of(x) + bits_of(y), earlier = 0;
                if (distance > radius) continue;
                for (int other = 0; other < chunk && !earlier; other++)
                    earlier = bits_of((other < 4 ? x >> 16 * other : y >> 16 * (other - 4)) & 0xffff) <= limit;
                if (earlier) continue;
                uint32_t first = codes->rows[i], second = codes->rows[j];
                int failed = first < second ? push(list, first, second, distance) : push(list, second, first, distance);
                if (failed) return failed;
            }
        }
    }
    return 0;
}

typedef size_t (*NearGroups)(const uint64_t *, const uint64_t *, size_t, uint64_t, uint64_t, int64_t, uint32_t *);
typedef int (*Buckets)(const Part *, size_t, size_t, size_t, size_t, int, int, int, List *);

#define VARIANT(NAME, TARGET)                                                                                          \
    TARGET static size_t near_groups_##NAME(const uint64_t *low, const uint64_t *high, size_t n, uint64_t a,           \
                                            uint64_t b, int64_t radius, uint32_t *found) {                             \
        return near_groups_body(low, high, n, a, b, radius, found);                                                    \
    }                                                                                                                  \
    TARGET static int buckets_##NAME(const Part *codes, size_t a_start, size_t a_stop, size_t b_start, size_t b_stop,  \
                                     int chunk, int limit, int radius, List *list) {                                   \
        return buckets_body(codes, a_start, a_stop, b_start, b_stop, chunk, limit, radius, list);                      \
    }

EACH_VARIANT

static NearGroups near_groups = near_groups_plain;
static Buckets buckets = buckets_plain;

static void choose_variant(void) {
#ifdef X86
    static const NearGroups groups[] = {near_groups_plain, near_groups_popcnt, near_groups_avx2, near_groups_avx512};
    static const Buckets all[] = {buckets_plain, buckets_popcnt, buckets_avx2, buckets_avx512};
    int best = best_variant();
    near_groups = groups[best];
    buckets = all[best];
#endif
}

#define BLOCK 1024 /* codes that stay in the L1 cache while several queries are compared with them */

/* Pairs of the queries start to stop with all codes, or, `within` one set, with the codes after them. */
static int join(const Part *queries, const Part *codes, size_t n, size_t start, size_t stop, int within, int radius,
                const uint8_t *halt, List *list) {
    uint32_t groups[BLOCK / GROUP];
    for (size_t block = within ? start / GROUP * GROUP : 0; block < n; block += BLOCK) {
        if (ONCE(*halt)) return STOPPED;
        size_t size = n - block < BLOCK ? n - block : BLOCK, even = size / GROUP * GROUP;
        size_t end = within && block + size < stop ? block + size : stop;
        for (size_t query = start; query < end; query++) {
            uint64_t a = queries->low[query], b = queries->high[query];
            size_t count = near_groups(codes->low + block, codes->high + block, even, a, b, radius, groups);
            if (size > even) groups[count++] = (uint32_t)(even / GROUP);
            for (size_t number = 0; number < count; number++) {
                size_t from = groups[number] * GROUP, to = from + GROUP < size ? from + GROUP : size;
                for (size_t place = block + from; place < block + to; place++) {
                    int distance = bits_of(codes->low[place] ^ a) + bits_of(codes->high[place] ^ b);
                    if (distance > radius || (within && place <= query)) continue;
                    int failed = push(list, (uint32_t)query, (uint32_t)place, distance);
                    if (failed) return failed;
                }
            }
        }
    }
    return 0;
}

static PyObject *answer(int failed, List *list) {
    PyObject *result = NULL;
    if (failed == NO_MEMORY) PyErr_NoMemory();
    else if (failed == TOO_MANY) PyErr_Format(PyExc_OverflowError, "more than %zd pairs", (Py_ssize_t)list->most);
    else if (failed == STOPPED) PyErr_SetString(PyExc_InterruptedError, "the join was stopped");
    else result = PyByteArray_FromStringAndSize((const char *)list->pairs, (Py_ssize_t)(list->count * sizeof(Pair)));
    free(list->pairs);
    return result;
}

static PyObject *py_join(PyObject *self, PyObject *args) {
    Py_buffer a_low, a_high, low, high, halt;
    Py_ssize_t start, stop, most;
    int within, radius;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*nnpiny*", &a_low, &a_high, &low, &high, &start, &stop, &within, &radius, &most, &halt))
        return NULL;
    Py_ssize_t queries = a_low.len / 8, n = low.len / 8;
    if (holds(&a_low, queries, 8, "queries") && holds(&a_high, queries, 8, "queries") && holds(&low, n, 8, "codes")
        && holds(&high, n, 8, "codes")) {
        if (start < 0 || start > stop || stop > queries || n > UINT32_MAX || queries > UINT32_MAX || most < 0 || halt.len < 1
            || (within && n != queries))
            PyErr_SetString(PyExc_ValueError, "the arguments do not fit");
        else {
            List list = {NULL, 0, 0, (size_t)most};
            Part asked = {a_low.buf, a_high.buf, NULL}, codes = {low.buf, high.buf, NULL};
            int failed;
            Py_BEGIN_ALLOW_THREADS
            failed = join(&asked, &codes, (size_t)n, (size_t)start, (size_t)stop, within, radius, halt.buf, &list);
            Py_END_ALLOW_THREADS
            result = answer(failed, &list);
        }
    }
    PyBuffer_Release(&a_low); PyBuffer_Release(&a_high); PyBuffer_Release(&low); PyBuffer_Release(&high);
    PyBuffer_Release(&halt);
    return result;
}

static PyObject *py_join_chunk(PyObject *self, PyObject *args) {
    Py_buffer low, high, rows, starts, masks, halt;
    Py_ssize_t first, last, most;
    int chunk, limit, radius;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*nniiiny*", &low, &high, &rows, &starts, &masks, &first, &last, &chunk, &limit, &radius,
                          &most, &halt))
        return NULL;
    Py_ssize_t n = rows.len / 4, count = masks.len / 2;
    if (holds(&low, n, 8, "codes") && holds(&high, n, 8, "codes") && holds(&rows, n, 4, "rows")
        && holds(&starts, VALUES + 1, 8, "starts") && holds(&masks, count, 2, "masks")) {
        const int64_t *edge = starts.buf;
        const uint16_t *mask = masks.buf;
        int fits = edge[0] == 0 && edge[VALUES] == n && first >= 0 && first <= last && last <= VALUES && chunk >= 0 && chunk < CHUNKS
                   && most >= 0 && halt.len > 0;
        for (Py_ssize_t value = 0; value < VALUES; value++) fits &= edge[value] <= edge[value + 1];
        if (!fits) PyErr_SetString(PyExc_ValueError, "the arguments do not fit");
        else {
            List list = {NULL, 0, 0, (size_t)most};
            Part codes = {low.buf, high.buf, rows.buf};
            int failed = 0;
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t value = first; value < last && !failed; value++) {
                if (edge[value] == edge[value + 1]) continue;
                if (ONCE(*(const uint8_t *)halt.buf)) failed = STOPPED;
                for (Py_ssize_t place = 0; place < count && !failed; place++) {
                    Py_ssize_t other = value ^ mask[place];
                    if (other < value || edge[other] == edge[other + 1]) continue;
                    failed = buckets(&codes, (size_t)edge[value], (size_t)edge[value + 1], (size_t)edge[other],
                                     (size_t)edge[other + 1], chunk, limit, radius, &list);
                }
            }
            Py_END_ALLOW_THREADS
            result = answer(failed, &list);
        }
    }
    PyBuffer_Release(&low); PyBuffer_Release(&high); PyBuffer_Release(&rows); PyBuffer_Release(&starts); PyBuffer_Release(&masks);
    PyBuffer_Release(&halt);
    return result;
}

/* --- sets ---------------------------------------------------------------------------------------------------------- */

static int64_t shared(const uint64_t *a, const uint64_t *a_end, const uint64_t *b, const uint64_t *b_end) {
    int64_t count = 0;
    while (a < a_end && b < b_end) {
        uint64_t x = *a, y = *b;
        count += x == y;
        a += x <= y;
        b += y <= x;
    }
    return count;
}

static PyObject *py_shared(PyObject *self, PyObject *args) {
    Py_buffer items, offsets, first, second, out;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*", &items, &offsets, &first, &second, &out)) return NULL;
    Py_ssize_t n = offsets.len / 8 - 1, total = items.len / 8, count = first.len / 8;
    if (n < 0) PyErr_SetString(PyExc_ValueError, "offsets are empty");
    else if (holds(&items, total, 8, "items") && holds(&offsets, n + 1, 8, "offsets") && holds(&first, count, 8, "pairs")
             && holds(&second, count, 8, "pairs") && holds(&out, count, 8, "counts")) {
        const int64_t *edge = offsets.buf, *a = first.buf, *b = second.buf;
        const uint64_t *item = items.buf;
        int fits = edge[0] == 0 && edge[n] == total;
        for (Py_ssize_t row = 0; row < n; row++) fits &= edge[row] <= edge[row + 1];
        for (Py_ssize_t pair = 0; pair < count; pair++) fits &= a[pair] >= 0 && a[pair] < n && b[pair] >= 0 && b[pair] < n;
        if (!fits) PyErr_SetString(PyExc_ValueError, "offsets must ascend to the number of items, and pairs be of the sets");
        else {
            int64_t *counts = out.buf;
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t pair = 0; pair < count; pair++)
                counts[pair] = shared(item + edge[a[pair]], item + edge[a[pair] + 1], item + edge[b[pair]], item + edge[b[pair] + 1]);
            Py_END_ALLOW_THREADS
            Py_INCREF(Py_None);
            result = Py_None;
        }
    }
    PyBuffer_Release(&items); PyBuffer_Release(&offsets); PyBuffer_Release(&first); PyBuffer_Release(&second);
    PyBuffer_Release(&out);
    return result;
}

/* --- the module ---------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"sketch", py_sketch, METH_VARARGS,
     "sketch(items, weights, terms, offsets, out): 1-bit MinHash of weighted sets, uint8 [n, 16]. items uint64 and weights\n"
     "uint8 [vocabulary]; terms int32 [total]; offsets int64 [n + 1]."},
    {"join", py_join, METH_VARARGS,
     "join(query_low, query_high, low, high, start, stop, within, radius, most, halt): the pairs of queries start to stop and\n"
     "codes within the radius, as uint32 [pairs, 3]: query, code, distance. Words are uint64. With `within`, both are one set,\n"
     "and only codes after the query count. Raises OverflowError if there are more than `most`."},
    {"join_chunk", py_join_chunk, METH_VARARGS,
     "join_chunk(low, high, rows, starts, masks, first, last, chunk, limit, radius, most, halt): as `join` within one set, for\n"
     "codes sorted by the value of a chunk: pairs whose values, from first to last, differ by one of the masks uint16 (those\n"
     "with at most `limit` bits). rows uint32 [n]; starts int64 [65537]."},
    {"shared", py_shared, METH_VARARGS,
     "shared(items, offsets, first, second, out): how many items two sets share, int64 [pairs]. items uint64 [total], sorted and\n"
     "distinct in each set; offsets int64 [sets + 1]; first, second int64 [pairs]."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_pairs", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__pairs(void) {
    make_functions();
    choose_variant();
    return PyModule_Create(&module);
}
