/* The inner loops of ranking by words, codes and vectors. Each works through all documents in one fixed order, so equal
   input gives equal bits, whatever else is asked at the same time and however the documents are cut into segments.

   Postings of one term, as hashret/postings.py writes them: for each document that has the term, in ascending order, a
   variable-length integer 2 * (number - number of the previous one) + (1 if the term occurs once), followed by the
   count if it occurs more often. Positions of one term: for each posting, the positions in ascending order, each as the
   difference from the previous one. Both come from files that may be damaged: every read is checked. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_buffers.h"

#define LANES 8 /* partial sums of a mean: value i goes to sum i % 8 */

typedef struct { const uint8_t *next, *end; } Bytes;

static Bytes bytes_of(const Py_buffer *buffer) {
    Bytes bytes = {buffer->buf, (const uint8_t *)buffer->buf + buffer->len};
    return bytes;
}

/* Reads one variable-length integer, 7 bits a byte, lowest first. Returns 0 if there is none of at most 32 bits. */
static inline int read_int(Bytes *from, uint32_t *value) {
    uint32_t result = 0;
    for (int shift = 0; shift < 35 && from->next < from->end; shift += 7) {
        uint8_t byte = *from->next++;
        if (shift == 28 && byte > 15) return 0;
        result |= (uint32_t)(byte & 127) << shift;
        if (byte < 128) {
            *value = result;
            return 1;
        }
    }
    return 0;
}

/* Reads one posting. `row` is the previous document, -1 before the first. Returns 1, 0 at the end, -1 if damaged. */
static inline int read_posting(Bytes *from, int64_t rows, int64_t *row, uint32_t *count) {
    uint32_t head;
    if (from->next == from->end) return 0;
    if (!read_int(from, &head)) return -1;
    int64_t step = head >> 1;
    if (*row >= 0 && step == 0) return -1;
    *row = (*row < 0 ? 0 : *row) + step;
    if (*row >= rows) return -1;
    *count = 1;
    return (head & 1) || (read_int(from, count) && *count > 1) ? 1 : -1;
}

static PyObject *damaged(void) {
    PyErr_SetString(PyExc_ValueError, "postings are damaged");
    return NULL;
}

/* A growing list of 32-bit integers. */
typedef struct { uint32_t *values; size_t count, room; } Ints;

static int append(Ints *list, uint32_t value) {
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 1024;
        uint32_t *values = realloc(list->values, room * sizeof *values);
        if (!values) return 0;
        list->values = values;
        list->room = room;
    }
    list->values[list->count++] = value;
    return 1;
}

static PyObject *as_bytes(Ints *list) {
    PyObject *bytes = PyByteArray_FromStringAndSize((char *)list->values, (Py_ssize_t)(list->count * 4));
    free(list->values);
    memset(list, 0, sizeof *list);
    return bytes;
}

/* --- words --------------------------------------------------------------------------------------------------------- */

static PyObject *py_bm25(PyObject *self, PyObject *args) {
    Py_buffer postings, norms, scores;
    double weight;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*y*dw*", &postings, &norms, &weight, &scores)) return NULL;
    Py_ssize_t rows = norms.len / 8;
    if (holds(&norms, rows, 8, "norms") && holds(&scores, rows, 8, "scores")) {
        const double *norm = norms.buf;
        double *score = scores.buf;
        Bytes from = bytes_of(&postings);
        int64_t row = -1, documents = 0;
        uint32_t count;
        int more;
        Py_BEGIN_ALLOW_THREADS
        for (; (more = read_posting(&from, rows, &row, &count)) > 0; documents++)
            score[row] += weight * (count / (count + norm[row]));
        Py_END_ALLOW_THREADS
        answer = more < 0 ? damaged() : PyLong_FromLongLong(documents);
    }
    PyBuffer_Release(&postings); PyBuffer_Release(&norms); PyBuffer_Release(&scores);
    return answer;
}

static PyObject *py_count(PyObject *self, PyObject *args) {
    Py_buffer postings, live;
    if (!PyArg_ParseTuple(args, "y*y*", &postings, &live)) return NULL;
    const uint8_t *counts = live.buf;
    Bytes from = bytes_of(&postings);
    int64_t row = -1, documents = 0;
    uint32_t count;
    int more;
    Py_BEGIN_ALLOW_THREADS
    while ((more = read_posting(&from, live.len, &row, &count)) > 0) documents += counts[row] != 0;
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&postings); PyBuffer_Release(&live);
    return more < 0 ? damaged() : PyLong_FromLongLong(documents);
}

/* Passes over `count` positions. Returns 0 if there are fewer. */
static inline int skip(Bytes *from, uint32_t count) {
    while (count && from->next < from->end) count -= *from->next++ < 128;
    return count == 0;
}

/* How often a position of the first is followed by one of the second. Returns -1 if damaged. */
static int64_t neighbors(Bytes *first, uint32_t a, Bytes *second, uint32_t b) {
    int64_t found = 0;
    uint32_t left = 0, right = 0, step;
    int has_right = 0;
    while (a--) {
        if (!read_int(first, &step)) return -1;
        left += step;
        while (b && (!has_right || right < left + 1)) {
            if (!read_int(second, &step)) return -1;
            right += step;
            has_right = 1;
            b--;
        }
        found += has_right && right == left + 1;
    }
    return skip(second, b) ? found : -1;
}

static int find_pairs(Bytes first, Bytes first_at, Bytes second, Bytes second_at, int64_t rows, Ints *list) {
    int64_t a = -1, b = -1;
    uint32_t a_count, b_count;
    int a_more = read_posting(&first, rows, &a, &a_count), b_more = read_posting(&second, rows, &b, &b_count);
    while (a_more > 0 && b_more > 0) {
        if (a < b) {
            if (!skip(&first_at, a_count)) return -1;
            a_more = read_posting(&first, rows, &a, &a_count);
        } else if (b < a) {
            if (!skip(&second_at, b_count)) return -1;
            b_more = read_posting(&second, rows, &b, &b_count);
        } else {
            int64_t found = neighbors(&first_at, a_count, &second_at, b_count);
            if (found < 0) return -1;
            if (found && (!append(list, (uint32_t)a) || !append(list, (uint32_t)found))) return -2;
            a_more = read_posting(&first, rows, &a, &a_count);
            b_more = read_posting(&second, rows, &b, &b_count);
        }
    }
    return a_more < 0 || b_more < 0 ? -1 : 0;
}

static PyObject *py_pairs(PyObject *self, PyObject *args) {
    Py_buffer a, a_at, b, b_at;
    Py_ssize_t rows;
    Ints list = {0};
    if (!PyArg_ParseTuple(args, "y*y*y*y*n", &a, &a_at, &b, &b_at, &rows)) return NULL;
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = find_pairs(bytes_of(&a), bytes_of(&a_at), bytes_of(&b), bytes_of(&b_at), rows, &list);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&a); PyBuffer_Release(&a_at); PyBuffer_Release(&b); PyBuffer_Release(&b_at);
    if (!failed) return as_bytes(&list);
    free(list.values);
    return failed == -2 ? PyErr_NoMemory() : damaged();
}

static PyObject *py_unpack(PyObject *self, PyObject *args) {
    Py_buffer postings, offsets;
    Py_ssize_t rows;
    if (!PyArg_ParseTuple(args, "y*y*n", &postings, &offsets, &rows)) return NULL;
    Py_ssize_t terms = offsets.len / 4 - 1;
    PyObject *answer = NULL;
    Ints documents = {0}, counts = {0}, each = {0};
    if (terms >= 0 && holds(&offsets, terms + 1, 4, "offsets")) {
        const uint32_t *edges = offsets.buf;
        int failed = 0;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t term = 0; term < terms && !failed; term++) {
            uint32_t start = edges[term], stop = edges[term + 1], count, before = (uint32_t)documents.count;
            if (start > stop || stop > postings.len) { failed = -1; break; }
            Bytes from = {(const uint8_t *)postings.buf + start, (const uint8_t *)postings.buf + stop};
            int64_t row = -1;
            int more;
            while (!failed && (more = read_posting(&from, rows, &row, &count)) > 0)
                if (!append(&documents, (uint32_t)row) || !append(&counts, count)) failed = -2;
            if (!failed && more < 0) failed = -1;
            if (!failed && !append(&each, (uint32_t)documents.count - before)) failed = -2;
        }
        Py_END_ALLOW_THREADS
        answer = failed == -2 ? PyErr_NoMemory() : failed ? damaged()
            : Py_BuildValue("(NNN)", as_bytes(&documents), as_bytes(&counts), as_bytes(&each));
    }
    free(documents.values); free(counts.values); free(each.values);
    PyBuffer_Release(&postings); PyBuffer_Release(&offsets);
    return answer;
}

static PyObject *py_integers(PyObject *self, PyObject *args) {
    Py_buffer bytes;
    Ints list = {0};
    if (!PyArg_ParseTuple(args, "y*", &bytes)) return NULL;
    Bytes from = bytes_of(&bytes);
    uint32_t value;
    int failed = 0;
    Py_BEGIN_ALLOW_THREADS
    while (!failed && from.next < from.end)
        if (!read_int(&from, &value)) failed = -1;
        else if (!append(&list, value)) failed = -2;
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&bytes);
    if (!failed) return as_bytes(&list);
    free(list.values);
    return failed == -2 ? PyErr_NoMemory() : damaged();
}

/* --- codes and vectors --------------------------------------------------------------------------------------------- */

static PyObject *py_table_scores(PyObject *self, PyObject *args) {
    Py_buffer codes, table, norms, scores;
    Py_ssize_t width;
    double scale, offset;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*ny*ddy*w*", &codes, &width, &table, &scale, &offset, &norms, &scores)) return NULL;
    Py_ssize_t n = width > 0 ? codes.len / width : 0;
    if (width < 1) PyErr_Format(PyExc_ValueError, "width must be at least 1, got %zd", width);
    else if (holds(&codes, n * width, 1, "codes") && holds(&table, 256 * width, 4, "table")
             && holds(&scores, n, 8, "scores") && (!norms.len || holds(&norms, n, 4, "norms"))) {
        const uint8_t *code = codes.buf;
        const uint32_t *entries = table.buf;   /* unsigned: sums that do not fit wrap around instead of being undefined */
        const float *norm = norms.len ? norms.buf : NULL;
        double *score = scores.buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < n; i++, code += width) {
            uint32_t a = 0, b = 0, c = 0, d = 0;
            Py_ssize_t j = 0;
            for (; j + 4 <= width; j += 4) {
                a += entries[256 * j + code[j]];
                b += entries[256 * j + 256 + code[j + 1]];
                c += entries[256 * j + 512 + code[j + 2]];
                d += entries[256 * j + 768 + code[j + 3]];
            }
            for (; j < width; j++) a += entries[256 * j + code[j]];
            double value = (double)(int32_t)(a + b + c + d) * scale + offset;
            score[i] = !norm ? value : norm[i] > 0 ? value / (double)norm[i] : 0;
        }
        Py_END_ALLOW_THREADS
        answer = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&table); PyBuffer_Release(&norms); PyBuffer_Release(&scores);
    return answer;
}

/* --- the score ----------------------------------------------------------------------------------------------------- */

static double total(const double sums[LANES]) {
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* Adds weight * (value - mean) / deviation to each score; values that are absent (1) count nowhere and add nothing. */
/* Returns the deviation, or 0 where nothing is added. */
static double standardize(const double *values, const uint8_t *absent, Py_ssize_t n, double weight, double *scores) {
    double sums[LANES] = {0}, squares[LANES] = {0}, largest = 0;
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (absent && absent[i]) continue;
        sums[i % LANES] += values[i];
        if (fabs(values[i]) > largest) largest = fabs(values[i]);
        count++;
    }
    if (!count) return 0;
    double mean = total(sums) / (double)count;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (absent && absent[i]) continue;
        double off = values[i] - mean;
        squares[i % LANES] += off * off;
    }
    double deviation = sqrt(total(squares) / (double)count);
    if (!(deviation > 1e-6 * largest)) return 0;                        /* equal up to rounding */
    for (Py_ssize_t i = 0; i < n; i++)
        if (!(absent && absent[i])) scores[i] += weight * ((values[i] - mean) / deviation);
    return deviation;
}

static PyObject *py_standardize(PyObject *self, PyObject *args) {
    Py_buffer values, absent, scores;
    double weight, deviation;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*y*dw*", &values, &absent, &weight, &scores)) return NULL;
    Py_ssize_t n = values.len / 8;
    if (holds(&values, n, 8, "values") && holds(&scores, n, 8, "scores")
        && (!absent.len || holds(&absent, n, 1, "absent"))) {
        Py_BEGIN_ALLOW_THREADS
        deviation = standardize(values.buf, absent.len ? absent.buf : NULL, n, weight, scores.buf);
        Py_END_ALLOW_THREADS
        answer = PyFloat_FromDouble(deviation);
    }
    PyBuffer_Release(&values); PyBuffer_Release(&absent); PyBuffer_Release(&scores);
    return answer;
}

typedef struct { double score; int64_t position; } Entry;

static inline int worse(Entry a, Entry b) {                             /* by (score, descending; position) */
    return a.score < b.score || (a.score == b.score && a.position > b.position);
}

static void sink(Entry *heap, Py_ssize_t n, Py_ssize_t i) {             /* the worst entry is at the top */
    for (Py_ssize_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(heap[child + 1], heap[child])) child++;
        if (!worse(heap[child], heap[i])) return;
        Entry entry = heap[i]; heap[i] = heap[child]; heap[child] = entry;
    }
}

/* The best k into `heap`, best first; returns how many there are. `ties`: documents with the score of the last. */
static Py_ssize_t best(const double *scores, const uint8_t *allowed, Py_ssize_t n, Py_ssize_t k, Entry *heap, int64_t *ties) {
    Py_ssize_t size = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (allowed && !allowed[i]) continue;
        Entry entry = {scores[i], i};
        if (size < k) {
            heap[size++] = entry;
            if (size == k) for (Py_ssize_t j = k / 2 - 1; j >= 0; j--) sink(heap, k, j);
        } else if (worse(heap[0], entry)) {
            heap[0] = entry;
            sink(heap, k, 0);
        }
    }
    if (size < k) for (Py_ssize_t j = size / 2 - 1; j >= 0; j--) sink(heap, size, j);
    *ties = 0;
    if (size) for (Py_ssize_t i = 0; i < n; i++) *ties += scores[i] == heap[0].score && !(allowed && !allowed[i]);
    for (Py_ssize_t left = size - 1; left > 0; left--) {
        Entry entry = heap[0]; heap[0] = heap[left]; heap[left] = entry;
        sink(heap, left, 0);
    }
    return size;
}

static PyObject *py_top(PyObject *self, PyObject *args) {
    Py_buffer scores, allowed;
    Py_ssize_t k;
    PyObject *answer = NULL;
    Entry *heap = NULL;
    if (!PyArg_ParseTuple(args, "y*y*n", &scores, &allowed, &k)) return NULL;
    Py_ssize_t n = scores.len / 8;
    if (k > n) k = n;
    if (k < 0) PyErr_SetString(PyExc_ValueError, "k must be at least 0");
    else if (holds(&scores, n, 8, "scores") && (!allowed.len || holds(&allowed, n, 1, "allowed"))) {
        Py_ssize_t found = 0;
        int64_t ties = 0;
        if (!(heap = malloc((size_t)(k ? k : 1) * sizeof *heap))) PyErr_NoMemory();
        else {
            Py_BEGIN_ALLOW_THREADS
            if (k) found = best(scores.buf, allowed.len ? allowed.buf : NULL, n, k, heap, &ties);
            Py_END_ALLOW_THREADS
            PyObject *positions = PyByteArray_FromStringAndSize(NULL, found * 8);
            if (positions) {
                int64_t *to = (int64_t *)PyByteArray_AsString(positions);
                for (Py_ssize_t i = 0; i < found; i++) to[i] = heap[i].position;
                answer = Py_BuildValue("(NL)", positions, (long long)ties);
            }
        }
    }
    free(heap);
    PyBuffer_Release(&scores); PyBuffer_Release(&allowed);
    return answer;
}

static PyMethodDef methods[] = {
    {"bm25", py_bm25, METH_VARARGS,
     "bm25(postings, norms, weight, scores) -> documents: adds weight * count / (count + norm) to each document's score;\n"
     "norms and scores are float64 [rows]."},
    {"count", py_count, METH_VARARGS, "count(postings, live) -> documents of the postings whose byte in live is not 0."},
    {"pairs", py_pairs, METH_VARARGS,
     "pairs(postings, positions, postings, positions, rows) -> uint32 [documents, 2] as bytes: the documents in which the\n"
     "second term follows the first, and how often it does."},
    {"unpack", py_unpack, METH_VARARGS,
     "unpack(postings, offsets, rows) -> documents, counts, postings of each term; uint32 as bytes. offsets: uint32\n"
     "[terms + 1]."},
    {"integers", py_integers, METH_VARARGS, "integers(bytes) -> the variable-length integers in them, uint32 as bytes."},
    {"table_scores", py_table_scores, METH_VARARGS,
     "table_scores(codes, width, table, scale, offset, norms, scores): scale * (sum of the table's entries of the bytes of\n"
     "each code) + offset, divided by its norm, 0 where that is 0; table int32 [width, 256], norms float32 [n] or empty,\n"
     "scores float64 [n] is written."},
    {"standardize", py_standardize, METH_VARARGS,
     "standardize(values, absent, weight, scores) -> deviation: adds weight * (value - mean) / deviation to the scores,\n"
     "float64 [n]; absent is uint8 [n], or empty. A deviation that is only rounding is 0, and nothing is added."},
    {"top", py_top, METH_VARARGS,
     "top(scores, allowed, k) -> positions int64 as bytes, best first, ties by position; and how many documents have the\n"
     "score of the last. allowed is uint8 [n], or empty."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_ranking", "Loops over postings, codes and scores; hashret.ranking is what to call.", 0, methods,
    slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__ranking(void) { return PyModuleDef_Init(&definition); }
