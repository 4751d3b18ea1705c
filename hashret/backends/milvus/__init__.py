"""Milvus."""

from hashret.backends.milvus.engine import Milvus

__all__ = ["Milvus"]
