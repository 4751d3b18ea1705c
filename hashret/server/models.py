"""What the API takes and returns, for checks and for the OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Part = Literal["words", "codes", "vectors"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class Strict(BaseModel):
    """A body in which unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class SearchBody(Strict):
    """One or several queries: texts, or vectors for an index of vectors."""

    queries: list[Text | list[float]] = Field(min_length=1, examples=[["the harvest of that year"]])
    k: int = Field(10, ge=1, examples=[10])
    labels: list[str] = Field([], max_length=100, examples=[["1871"]])
    where: str | None = Field(None, max_length=10_000, examples=[None])
    by: list[Part] | None = Field(None, examples=[["words", "codes"]])
    weights: dict[Part, float] | None = Field(None, examples=[{"words": 1.0, "codes": 0.5}])
    radius: int | None = Field(None, ge=0, description="Return all documents within this distance of codes instead.")


class NewDocument(Strict):
    """A document to add: a text, or a vector for an index of vectors."""

    id: Id = Field(examples=["letters/1873-05-01"])
    text: Annotated[str, StringConstraints(max_length=10_000_000)] | None = Field(None, examples=["wheat was dear"])
    vector: list[float] | None = Field(None, examples=[None])
    labels: list[str] = Field([], max_length=1000, examples=[["1873"]])
    metadata: dict[str, Any] = Field({}, examples=[{"author": "Anne"}])


class AddBody(Strict):
    """Documents to add in one transaction."""

    documents: list[NewDocument] = Field(min_length=1, max_length=10_000)
    replace: bool = Field(False, description="Replace documents that have the same ids.")


class HitModel(BaseModel):
    """A result."""

    rank: int
    id: str
    score: float | None = None
    distance: int
    labels: list[str]
    text: str
    marks: list[tuple[int, int]] = []
    parts: dict[str, float] = {}
    metadata: dict[str, Any] = {}


class Answer(BaseModel):
    """The results of one query."""

    exact: bool
    hits: list[HitModel]


class Answers(BaseModel):
    """The results of several queries, in their order."""

    answers: list[Answer]


class DocumentModel(BaseModel):
    """A stored document."""

    id: str
    labels: list[str]
    metadata: dict[str, Any]
    text: str
    path: str | None
    code: str


class ShareModel(BaseModel):
    """A summand of a score."""

    part: str
    what: str
    share: float


class Explained(BaseModel):
    """Why a document has its score."""

    id: str
    score: float
    distance: int
    shares: list[ShareModel]
    query_words: list[dict[str, Any]]
    document_words: list[dict[str, Any]]
    query_map: list[list[float]] | None
    document_map: list[list[float]] | None


class Changed(BaseModel):
    """How many documents were added or deleted, and how many there are now."""

    changed: int
    documents: int


class Lasso(Strict):
    """The points of the map inside a polygon, except those with hidden labels."""

    polygon: list[tuple[float, float]] = Field(
        min_length=3, max_length=20_000, examples=[[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]]
    )
    version: str = Field(max_length=200, description="The version of the map that the polygon was drawn on.")
    hidden: list[int] = Field([], max_length=100_000, description="Numbers of labels that are hidden.")


class Problem(BaseModel):
    """An error."""

    error: str
