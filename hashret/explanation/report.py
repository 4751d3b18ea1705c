"""The report of `hashret health` as one HTML page, with plots as SVG; it loads nothing."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

import numpy as np

from hashret.explanation.health import Health
from hashret.loops import Doubles

WIDTH, HEIGHT = 640, 180  # of a plot
MOST_BITS = 64  # rows of the plot of correlations

STYLE = """
:root{color-scheme:light dark;--line:#8886;--bar:#3a6ea5;--bad:#b3261e;--good:#2e7d32}
@media (prefers-color-scheme:dark){:root{--bar:#7fb2e5;--bad:#ff8a80;--good:#81c784}}
body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line)}
td{vertical-align:top}.no{color:var(--bad);font-weight:600}.yes{color:var(--good)}svg{width:100%;height:auto}
rect{fill:var(--bar)}text{font:12px system-ui,sans-serif;fill:currentColor}line{stroke:var(--line)}
"""


def health_page(health: Health, name: str) -> str:
    """Return the page."""
    rows = "".join(
        f'<tr><td class="{"yes" if finding.ok else "no"}">{"ok" if finding.ok else "look"}</td>'
        f"<td>{html.escape(finding.check)}</td><td>{_number(finding.value)}</td><td>{finding.limit:g}</td>"
        f"<td>{html.escape(finding.what)}{html.escape(f'; {finding.advice}') if finding.advice else ''}</td></tr>"
        for finding in health.findings
    )
    plots = [
        ("Share of documents with a 1, by bit", bars(health.balances, "bit", top=1.0)),
        ("Correlation of bits", heat(health.correlations)),
        ("Documents with the same code, largest groups first", bars(health.buckets[:100], "group")),
        ("Distance of documents to the nearest other one", histogram(health.distances)),
    ]
    if health.query_distances:
        plots.append(("Distance of queries to the nearest document", histogram(health.query_distances)))
    drawn = "".join(f"<h2>{title}</h2>{plot}" for title, plot in plots)
    title = f"Health of {html.escape(name)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{health.documents:,} documents</p>"
        f"<table><tr><th></th><th>check</th><th>value</th><th>limit</th><th>finding</th></tr>{rows}</table>"
        f"{drawn}</html>\n"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def bars(values: Sequence[float], what: str, top: float | None = None) -> str:
    """A bar per value, by position."""
    if not values:
        return "<p>no data</p>"
    highest = top or max(values) or 1.0
    step = WIDTH / len(values)
    drawn = "".join(
        f'<rect x="{place * step:.2f}" y="{HEIGHT * (1 - value / highest):.2f}" width="{max(step * 0.9, 0.5):.2f}" '
        f'height="{HEIGHT * value / highest:.2f}"><title>{what} {place}: {value:.4g}</title></rect>'
        for place, value in enumerate(values)
    )
    return _svg(drawn + f'<text x="0" y="12">{highest:.4g}</text>', HEIGHT)


def histogram(values: Sequence[int]) -> str:
    """How often each whole number occurs."""
    counts = Counter(values)
    return bars([counts[value] for value in range(max(counts) + 1)], "distance") if counts else "<p>no data</p>"


def heat(values: Doubles) -> str:
    """A matrix of values from -1 to 1 as squares; of more than MOST_BITS rows, the first."""
    size = min(len(values), MOST_BITS)
    if not size:
        return "<p>no data</p>"
    step = WIDTH / 2 / size
    drawn = "".join(
        f'<rect x="{column * step:.2f}" y="{row * step:.2f}" width="{step:.2f}" height="{step:.2f}" '
        f'opacity="{abs(float(values[row, column])):.2f}"><title>bits {row} and {column}: {values[row, column]:.2f}'
        "</title></rect>"
        for row, column in np.argwhere(np.abs(values[:size, :size]) >= 0.05)
    )
    return _svg(drawn, WIDTH // 2)


def _svg(drawn: str, height: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img"><line x1="0" y1="{height}" x2="{WIDTH}" y2="{height}"/>'
        f"{drawn}</svg>"
    )
