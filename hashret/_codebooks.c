/* The inner loops of additive quantization: for each row, an entry of every codebook, chosen by coordinate descent; the sums
   of entries; how often two entries meet. Each row is worked through alone and in one fixed order, so a row gets the same
   entries in any batch. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>

#include "_buffers.h"

#define ENTRIES 16 /* of a codebook */

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default"))) /* the same sums in wider registers */
#else
#define WIDE
#endif

typedef struct {
    const float *gram, *lengths; /* [all, all] and [all]: products of the entries of all codebooks, and their squares */
    Py_ssize_t books, all;       /* all = books * ENTRIES */
} Books;

/* The entry with the largest 2 (left + own) - length; `own` may be NULL. The first of equal ones. */
static inline int best_entry(const float *left, const float *own, const float *lengths) {
    int best = 0;
    float most = 0;
    for (int entry = 0; entry < ENTRIES; entry++) {
        float value = 2 * (own ? left[entry] + own[entry] : left[entry]) - lengths[entry];
        if (entry == 0 || value > most) {
            best = entry;
            most = value;
        }
    }
    return best;
}

/* Works on one row. `left` [all]: products of the row with all entries, on return those of what the entries leave. */
WIDE static void assign_row(const Books *books, float *left, uint8_t *chosen, int given, int sweeps) {
    for (Py_ssize_t book = 0; book < books->books; book++) {
        Py_ssize_t start = book * ENTRIES;
        if (!given) chosen[book] = (uint8_t)best_entry(left + start, NULL, books->lengths + start);
        const float *own = books->gram + (start + chosen[book]) * books->all;
        for (Py_ssize_t place = 0; place < books->all; place++) left[place] -= own[place];
    }
    for (int sweep = 0, changed = 1; sweep < sweeps && changed; sweep++) {
        changed = 0;
        for (Py_ssize_t book = 0; book < books->books; book++) {
            Py_ssize_t start = book * ENTRIES;
            const float *own = books->gram + (start + chosen[book]) * books->all;
            int best = best_entry(left + start, own + start, books->lengths + start);
            if (best == chosen[book]) continue;
            const float *other = books->gram + (start + best) * books->all;
            for (Py_ssize_t place = 0; place < books->all; place++) left[place] -= other[place] - own[place];
            chosen[book] = (uint8_t)best;
            changed = 1;
        }
    }
}

static PyObject *py_assign(PyObject *self, PyObject *args) {
    Py_buffer left, gram, lengths, chosen;
    Py_ssize_t books;
    int given, sweeps;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "w*ny*y*w*pi", &left, &books, &gram, &lengths, &chosen, &given, &sweeps)) return NULL;
    Books all = {gram.buf, lengths.buf, books, books * ENTRIES};
    Py_ssize_t rows = books > 0 ? chosen.len / books : 0;
    if (books < 1 || books > 1 << 16)
        PyErr_SetString(PyExc_ValueError, "there must be 1 to 65536 codebooks");
    else if (holds(&left, rows * all.all, 4, "products") && holds(&gram, all.all * all.all, 4, "gram")
             && holds(&lengths, all.all, 4, "lengths") && holds(&chosen, rows * books, 1, "codes")) {
        int fits = 1;
        for (Py_ssize_t place = 0; given && place < chosen.len; place++) fits &= ((uint8_t *)chosen.buf)[place] < ENTRIES;
        if (!fits)
            PyErr_SetString(PyExc_ValueError, "codes must be less than 16");
        else {
            Py_BEGIN_ALLOW_THREADS
            for (Py_ssize_t row = 0; row < rows; row++)
                assign_row(&all, (float *)left.buf + row * all.all, (uint8_t *)chosen.buf + row * books, given, sweeps);
            Py_END_ALLOW_THREADS
            Py_INCREF(Py_None);
            result = Py_None;
        }
    }
    PyBuffer_Release(&left); PyBuffer_Release(&gram); PyBuffer_Release(&lengths); PyBuffer_Release(&chosen);
    return result;
}

/* out [dim] = the sum of the row's entries, in order of the codebooks. */
WIDE static void sum_row(const float *entries, const uint8_t *chosen, Py_ssize_t books, Py_ssize_t dim, float *out) {
    for (Py_ssize_t place = 0; place < dim; place++) out[place] = 0;
    for (Py_ssize_t book = 0; book < books; book++) {
        const float *own = entries + (book * ENTRIES + chosen[book]) * dim;
        for (Py_ssize_t place = 0; place < dim; place++) out[place] += own[place];
    }
}

static int codes_fit(const Py_buffer *codes, Py_ssize_t books) { /* sets an error if not */
    int fits = books > 0 && books <= 1 << 16 && codes->len % books == 0;
    for (Py_ssize_t place = 0; fits && place < codes->len; place++) fits = ((const uint8_t *)codes->buf)[place] < ENTRIES;
    if (!fits) PyErr_SetString(PyExc_ValueError, "codes must be less than 16, one for each codebook");
    return fits;
}

static PyObject *py_decode(PyObject *self, PyObject *args) {
    Py_buffer codes, entries, out;
    Py_ssize_t books, dim;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*nnw*", &codes, &entries, &books, &dim, &out)) return NULL;
    if (codes_fit(&codes, books) && dim >= 0 && dim <= 1 << 24 && holds(&entries, books * ENTRIES * dim, 4, "entries")
        && holds(&out, codes.len / books * dim, 4, "sums")) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < codes.len / books; row++)
            sum_row(entries.buf, (const uint8_t *)codes.buf + row * books, books, dim, (float *)out.buf + row * dim);
        Py_END_ALLOW_THREADS
        Py_INCREF(Py_None);
        result = Py_None;
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&entries); PyBuffer_Release(&out);
    return result;
}

static PyObject *py_meetings(PyObject *self, PyObject *args) {
    Py_buffer codes, out;
    Py_ssize_t books;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nw*", &codes, &books, &out)) return NULL;
    Py_ssize_t all = books * ENTRIES;
    if (codes_fit(&codes, books) && holds(&out, all * all, 8, "counts")) {
        double *counts = out.buf;
        Py_BEGIN_ALLOW_THREADS
        for (const uint8_t *row = codes.buf, *end = row + codes.len; row < end; row += books)
            for (Py_ssize_t first = 0; first < books; first++) {
                double *line = counts + (first * ENTRIES + row[first]) * all;
                for (Py_ssize_t second = 0; second < books; second++) line[second * ENTRIES + row[second]]++;
            }
        Py_END_ALLOW_THREADS
        Py_INCREF(Py_None);
        result = Py_None;
    }
    PyBuffer_Release(&codes); PyBuffer_Release(&out);
    return result;
}

static PyMethodDef methods[] = {
    {"decode", py_decode, METH_VARARGS,
     "decode(codes, entries, books, dim, out): the sums of entries float32 [n, dim] of codes uint8 [n, books]; entries float32\n"
     "[books, 16, dim]."},
    {"meetings", py_meetings, METH_VARARGS,
     "meetings(codes, books, out): add to float64 [16 books, 16 books] how many rows have two entries, of codes uint8 [n, books]."},
    {"assign", py_assign, METH_VARARGS,
     "assign(products, books, gram, lengths, codes, given, sweeps): choose an entry of each codebook for each row, from the\n"
     "products of the rows with all entries float32 [n, 16 books], in place in codes uint8 [n, books]; with `given` they\n"
     "are where it starts. gram float32 [16 books, 16 books], lengths float32 [16 books]. The products are overwritten."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_codebooks", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__codebooks(void) {
    return PyModule_Create(&module);
}
