"""Store: what lies on disk. Immutable segments, one manifest replaced atomically, one writer, any number of readers.

It knows bytes and names only: what a code means and how it was made is told by others. Read `store.py` first.
"""

from hashret.store.derived import Derived
from hashret.store.segment import Record
from hashret.store.store import Store
from hashret.store.transaction import Transaction

__all__ = ["Derived", "Record", "Store", "Transaction"]
