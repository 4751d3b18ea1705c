"""Ranking: all documents scored for one question, by words, codes and vectors; `score.py` adds the parts up."""

from hashret.ranking.codes import Codes
from hashret.ranking.score import PARTS, Question, Ranking, Scored, Scoring, checked_parts, default_weights
from hashret.ranking.vectors import Originals, QuantizedVectors
from hashret.ranking.words import Field, Words

__all__ = [
    "PARTS",
    "Codes",
    "Field",
    "Originals",
    "QuantizedVectors",
    "Question",
    "Ranking",
    "Scored",
    "Scoring",
    "Words",
    "checked_parts",
    "default_weights",
]
