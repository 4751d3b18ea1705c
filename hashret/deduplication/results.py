"""The results: pairs, groups with the document to keep, and how much was compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Pair:
    """Two documents that are near-duplicates."""

    first: str
    """Id of the document that comes first."""
    second: str
    """Id of the other document."""
    distance: int
    """Hamming distance of their sketches of 128 bits."""
    similarity: float
    """Similarity of their contents, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Member:
    """A document of a group, compared with the one to keep."""

    id: str
    distance: int
    similarity: float
    keep: bool = False
    new: bool = False
    """Whether it comes from the source that was compared with an index."""


@dataclass(frozen=True, slots=True)
class Group:
    """Documents that are near-duplicates of the first of them, the one to keep."""

    members: tuple[Member, ...]

    @property
    def keep(self) -> str:
        """The id of the document to keep."""
        return self.members[0].id

    @property
    def drop(self) -> list[str]:
        """The ids of the others."""
        return [member.id for member in self.members[1:]]

    def __len__(self) -> int:
        return len(self.members)


@dataclass(frozen=True)
class Duplicates(Sequence[Group]):
    """The groups of near-duplicates among documents, a sequence of `Group`.

    Example:
        >>> texts = ["wheat was dear that year", "a ship sailed north", "Wheat was dear, that year."]
        >>> found = hashret.duplicates(texts)
        >>> found
        Duplicates(1 group, 1 document to drop, of 3)
        >>> found[0].keep, found[0].drop
        ('0', ['2'])
    """

    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    """Pairs of documents that were verified. Of documents with equal contents, each is paired with the first only."""
    documents: int
    """Number of documents compared."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Type of the documents, threshold, radius, the number of pairs within it, and of those that differ in numbers."""
    places: frozenset[int] = frozenset()
    """Positions of the documents to drop, in the order in which the documents were given."""

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: Any) -> Any:
        return self.groups[place]

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __repr__(self) -> str:
        dropped = sum(len(group) - 1 for group in self.groups)
        return (
            f"Duplicates({len(self)} group{'s' * (len(self) != 1)}, {dropped} document{'s' * (dropped != 1)} to drop, "
            f"of {self.documents:,})"
        )

    @property
    def drop(self) -> list[str]:
        """The ids of all documents but those to keep, in order of the groups."""
        return [id for group in self.groups for id in group.drop]

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict for each member of each group: group, id, distance, similarity, keep."""
        return [
            {
                "group": number,
                "id": member.id,
                "distance": member.distance,
                "similarity": round(member.similarity, 4),
                "keep": member.keep,
            }
            for number, group in enumerate(self.groups)
            for member in group.members
        ]

    def cleaned(self, documents: Any) -> Any:
        """Return the documents without those to drop.

        Args:
            documents: What was given to `duplicates`: a list or array, a data frame of pandas or polars, a table of
                Arrow, or a dataset of Hugging Face. The result has the same type.

        Example:
            >>> texts = ["wheat was dear that year", "a ship sailed north", "Wheat was dear, that year."]
            >>> hashret.duplicates(texts).cleaned(texts)
            ['wheat was dear that year', 'a ship sailed north']
        """
        kept = [place for place in range(len(documents)) if place not in self.places]
        if hasattr(documents, "select") and hasattr(documents, "features"):  # a dataset of Hugging Face
            return documents.select(kept)
        if hasattr(documents, "iloc"):  # pandas
            return documents.iloc[kept]
        if hasattr(documents, "take") and hasattr(documents, "column_names"):  # Arrow
            return documents.take(kept)
        if hasattr(documents, "shape"):  # NumPy, polars
            return documents[kept]
        return [documents[place] for place in kept]
