/* What the extensions check of the buffers that they are given. */

#ifndef HASHRET_BUFFERS_H
#define HASHRET_BUFFERS_H

#include <Python.h>
#include <stdint.h>

/* Whether a buffer holds `count` values of `size` bytes at an aligned address; sets an error if not. */
static int holds(const Py_buffer *buffer, Py_ssize_t count, Py_ssize_t size, const char *what) {
    if (buffer->len == count * size && (!count || (uintptr_t)buffer->buf % (size_t)size == 0)) return 1;
    PyErr_Format(PyExc_ValueError, "%s must hold %zd aligned values of %zd bytes, got %zd bytes", what, count, size,
                 buffer->len);
    return 0;
}

#endif
