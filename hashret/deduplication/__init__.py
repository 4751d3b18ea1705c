"""Groups of near-duplicates: candidates by sketches, then verified by what the documents contain."""

from hashret.deduplication.finding import Settings, find
from hashret.deduplication.results import Duplicates, Group, Member, Pair

__all__ = ["Duplicates", "Group", "Member", "Pair", "Settings", "find"]
