"""Indexes that another engine stores: PostgreSQL with pgvector, or Milvus. `base.py` has the interface of an engine."""

from hashret.backends.copying import pull, push
from hashret.backends.remote import RemoteIndex

__all__ = ["RemoteIndex", "pull", "push"]
