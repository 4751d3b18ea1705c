"""PostgreSQL with pgvector."""

from hashret.backends.postgres.engine import Postgres

__all__ = ["Postgres"]
