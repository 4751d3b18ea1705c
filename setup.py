"""The extensions: search and ranking in C, for every Python from 3.11 on; without a compiler FAISS and NumPy serve."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            f"hashret.{name}",
            [f"hashret/{name}.c"],
            depends=["hashret/_buffers.h", "hashret/_variants.h"],
            extra_compile_args=["-O3", "-ffp-contract=off"],  # sums are the same on every processor
            py_limited_api=True,
            optional=True,
        )
        for name in ("_kernel", "_ranking", "_codebooks", "_pairs")
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
