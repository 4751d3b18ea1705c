"""The files of an index: immutable segments and a manifest that is replaced atomically. One writer, many readers.

This package stores bytes and names only. It does not know how a code was made or what it means. Start with `store.py`.
"""

from hashret.store.derived import Derived
from hashret.store.segment import Record
from hashret.store.store import Store
from hashret.store.transaction import Transaction

__all__ = ["Derived", "Record", "Store", "Transaction"]
