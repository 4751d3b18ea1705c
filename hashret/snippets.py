"""Snippets: the part of a text where the words of a question stand, and where in it they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import NamedTuple

from hashret.analyzer import Analyzer
from hashret.tokens import UNSPACED

LENGTH = 200  # characters of a snippet
BEFORE = 24  # of them before the first match
TITLE = 80  # of them for the title
WINDOW = 1 << 18  # characters of a text that are looked at
ASCII_RUN = re.compile("[0-9A-Za-z]+")
NEAR = 16  # how far a cut moves to fall between two words

Mark = tuple[int, int]


class Snippet(NamedTuple):
    """A part of a text on one line, and the matches in it: [from, to) in characters, sorted and disjoint."""

    text: str
    marks: list[Mark]


def snippet(
    text: str,
    terms: Collection[str],
    analyzer: Analyzer,
    title: str = "",
    length: int = LENGTH,
    plain: dict[str, frozenset[str]] | None = None,
) -> Snippet:
    """The part of a text with most of the terms, white space collapsed; the beginning if none of them is in it.

    The title comes first, if the text begins with it and the part does not. `plain` keeps which terms find a word, for
    other texts and the same terms.
    """
    line, plain = " ".join(text[:WINDOW].split()), {} if plain is None else plain
    found = _matches(line, frozenset(terms), analyzer, plain)
    start = _best(found, length)
    start = _cut(line, max(0, start - BEFORE)) if start > BEFORE else 0
    head = " ".join(title.split())
    head = head[: _cut(head, TITLE)].rstrip() if line.startswith(head) and start > len(head) else ""
    stop = _cut(line, start + length - len(head))
    body = line[start:stop].rstrip()
    opening = f"{head} … " if head else "… " if start else ""
    shown = opening + body + (" …" if start + len(body) < len(line) else "")
    marks = [(a, b) for a, b, _ in _matches(head, frozenset(terms), analyzer, plain)] if head else []
    shift = len(opening) - start
    marks += [(a + shift, min(b, start + len(body)) + shift) for a, b, _ in found if start <= a < start + len(body)]
    return Snippet(shown, _disjoint(marks))


def _matches(
    line: str, terms: frozenset[str], analyzer: Analyzer, plain: dict[str, frozenset[str]]
) -> list[tuple[int, int, frozenset[str]]]:
    """Where words of the line are found by one of the terms, and by which."""
    if not terms:
        return []
    if line.isascii():
        runs = ASCII_RUN.finditer(line)
    elif inside := "".join(filter(_in_word, set(line))):
        runs = re.finditer(f"[{re.escape(inside)}]+", line)
    else:
        return []
    found = []
    for run in runs:
        word = run[0]
        known = plain.get(word)  # texts repeat their words
        if known is None and word.isascii() and word[1:] == word[1:].lower():
            known = plain[word] = terms & {analyzer.term(word.lower())}
        if known is not None:
            if known:
                found.append((run.start(), run.end(), known))
            continue
        for part in _scripts(word):
            start = run.start() + part.start()
            if UNSPACED.match(part[0]):
                found += _characters(part[0], start, terms, analyzer)
            elif hit := terms & analyzer.forms(part[0]):
                found.append((start, start + len(part[0]), hit))
    return found


def _scripts(run: str) -> list[re.Match[str]]:
    """The parts of a run of letters in scripts with and without spaces between words."""
    return list(re.finditer(f"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern}).)+", run, re.S))


def _characters(
    run: str, start: int, terms: frozenset[str], analyzer: Analyzer
) -> list[tuple[int, int, frozenset[str]]]:
    """The single characters and pairs of a run that are among the terms."""
    pieces = [(place, place + size) for size in (1, 2) for place in range(len(run) - size + 1)]
    found = [(start + a, start + b, terms & set(analyzer.query(run[a:b]))) for a, b in sorted(pieces)]
    return [match for match in found if match[2]]


def _in_word(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "LNM" or (kind == "Cf" and character != "\u200b")


def _best(found: list[tuple[int, int, frozenset[str]]], length: int) -> int:
    """Where the first match is of those `length` characters that have most different terms."""
    best, start = 0, 0
    room = length - BEFORE
    for place, (at, _, _) in enumerate(found):
        seen: set[str] = set()
        for other, stop, hit in found[place:]:
            if other >= at + room or stop > at + room:
                break
            seen |= hit
        if len(seen) > best:
            best, start = len(seen), at
    return start


def _cut(line: str, place: int) -> int:
    """A place to cut a line at, or just before: between words if there is one near, never inside a character."""
    if place >= len(line):
        return len(line)
    space = line.rfind(" ", max(0, place - NEAR), place + 1)
    if space >= 0:
        return space + 1
    while place > 0 and _joined(line, place):
        place -= 1
    return place


def _joined(line: str, place: int) -> bool:
    """Whether the characters before and after a place make one that people see."""
    before, after = line[place - 1], line[place]
    joins = unicodedata.category(after)[0] == "M" or "\u200d" in (before, after)
    joins = joins or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
    return joins or (_is_flag(after) and _flags_before(line, place) % 2 == 1)


def _flags_before(line: str, place: int) -> int:
    """Number of regional indicators in a row before a place; two of them make a flag."""
    start = place
    while start > 0 and _is_flag(line[start - 1]):
        start -= 1
    return place - start


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _disjoint(marks: list[Mark]) -> list[Mark]:
    """The marks sorted, those that overlap joined."""
    joined: list[Mark] = []
    for start, stop in sorted(marks):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
