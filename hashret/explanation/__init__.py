"""Explanations: what a score is made of, what bits stand for, and whether an index is healthy."""

from hashret.explanation.bits import Bit, describe_bits
from hashret.explanation.explain import explain
from hashret.explanation.health import Finding, Health, check_health
from hashret.explanation.report import health_page
from hashret.explanation.results import Explanation, Share, WordEffect

__all__ = [
    "Bit",
    "Explanation",
    "Finding",
    "Health",
    "Share",
    "WordEffect",
    "check_health",
    "describe_bits",
    "explain",
    "health_page",
]
