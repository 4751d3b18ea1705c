"""The one extension: search in C, for every Python from 3.11 on; without a compiler FAISS serves instead."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "hashret._kernel",
            ["hashret/_kernel.c"],
            extra_compile_args=["-O3"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
