"""Measure whether explanations are faithful: removing the words that they name lowers the score more than random words.

    HASHRET_DATA=/path/to/data python scripts/bench_explain.py

A pair is a query of 12 words of a test document of 20 Newsgroups, and one of its three best documents. From the query,
the three words with the largest effect are removed, or three random ones; from the document five, or five random ones.
Each run is appended to docs/figures/explain.jsonl and skipped when it is there; docs/explain.md is written from them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from bench_encoders import corpus
from figures import add_run, data_folder, machine, read_runs
from hashret.analyzer import Analyzer
from hashret.codes import hamming
from hashret.explanation.spans import SpannedText
from hashret.index import Index

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "explain.jsonl"
PAGE = DOCS / "explain.md"

PAIRS, LENGTH, BEST = 500, 12, 3
FROM_QUERY, FROM_DOCUMENT, DRAWS = 3, 5, 5
ENCODERS = ("neighborhood", "itq")

HEAD = """# Explanations

Written by `scripts/bench_explain.py` from `figures/explain.jsonl`.

`hashret explain QUERY ID` and `Index.explain` show what the score of a document is made of. The score is a sum over
parts of weight (value - mean) / deviation, so it is split into summands, which add up to the score:

- `words`: the BM25 of each term that query and document share, and of each pair of neighbouring terms.
- `vectors`: the Shapley value of each word of the query in the cosine, which is what the word adds on average, over the
  orders in which words may come.
- `codes`: each bit by the certainty of the query, negative where query and document differ; with the words that the bit
  stands for, and the words of both texts that push it.
- `constant`: what standardizing subtracts, the score of an average document.

For texts, `query_words` and `document_words` rank words by their effect on the score by all parts. The effect of a word
of the document is what is lost when it is removed. For images, `query_map` and `document_map` have the effect of 8 x 8
regions: what is lost when a region takes on the mean colour. Of a text with more than 200 different words, the first
200 are looked at one by one.

`hashret bits` lists what bits stand for: the words that distinguish documents with a 1 from those with a 0 (log odds
with a prior), or the regions of images that are brighter. `hashret health` checks balance, dead bits, correlation, the
largest group of equal codes, unseen words, the drift of added documents against those of the fit, and, with
`--queries`, the share of queries that are far from all documents. It exits with 3 if a value is past its limit, and
`--report` writes a page with plots.

## Are explanations faithful?

If an explanation names the right words, the score falls more without them than without as many random words, and the
code changes more. {pairs} pairs on 20 Newsgroups, 64 bits; a query of {length} words of a test document, and one of its
{best} best documents. The words with the largest effect are removed, {from_query} from the query or {from_document}
from the document. Random words are drawn {draws} times. `better` is the share of pairs in which the named words do
strictly more than random ones on average; a pair in which no bit flips counts against the explanation.
"""


def main() -> None:
    """Run what is missing."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    data = data_folder("20newsgroups/")
    done = {run["encoder"] for run in read_runs(RUNS)}
    documents, tests = corpus("20news", data)
    for encoder in ENCODERS:
        if encoder in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            index = Index.create(Path(folder) / "index", documents, bits=64, encoder=encoder)
            add_run(RUNS, {"encoder": encoder, **measure(index, tests), **machine("torch")})
    PAGE.write_text(table(read_runs(RUNS)), "utf-8")


def measure(index: Index, tests: Sequence[Any]) -> dict[str, Any]:
    """Remove words of queries and documents of pairs, and return means."""
    rng, rows = np.random.default_rng(0), list[dict[str, float]]()
    analyzer = Analyzer(index.language or "none")
    seconds = 0.0
    for number in rng.permutation(len(tests)).tolist():
        query = " ".join(str(tests[number].content).split()[-LENGTH:])
        if len(SpannedText(query, analyzer).words) < 2 * FROM_QUERY:
            continue
        hits = index.search(query, k=BEST)
        if len(hits) < BEST or any(hit.distance is None for hit in hits):
            continue
        hit = hits[len(rows) % BEST]
        began = time.perf_counter()
        why = index.explain(query, hit.id)
        seconds += time.perf_counter() - began
        if len(why.document_words) < 2 * FROM_DOCUMENT:
            continue
        rows.append(pair(index, query, hit.id, why, analyzer, rng))
        if len(rows) == PAIRS:
            break
    found = {name: mean(row[name] for row in rows) for name in rows[0] if "better" not in name}
    better = {name: mean(row[name] for row in rows) for name in rows[0] if "better" in name}
    return {"pairs": len(rows), "seconds": seconds / len(rows), **found, **better}


def pair(index: Index, query: str, id: str, why: Any, analyzer: Analyzer, rng: np.random.Generator) -> dict[str, float]:
    """What is lost of the score, and which bits flip, without named and without random words."""
    text, content = SpannedText(query, analyzer), SpannedText(str(index[id].content), analyzer)
    named = [effect.word for effect in why.query_words[:FROM_QUERY]]
    queries = [text.without(named), *(text.without(draw(rng, text.words, FROM_QUERY)) for _ in range(DRAWS))]
    position = index.ids.index(id)
    score = [float(index.scores(own).scores[position]) for own in (query, *queries)]
    codes = index.encode([query, *queries])
    flips = hamming(codes[:1], codes[1:])[0]
    named = [effect.word for effect in why.document_words[:FROM_DOCUMENT]]
    words = [effect.word for effect in why.document_words]
    variants = [content.without(named), *(content.without(draw(rng, words, FROM_DOCUMENT)) for _ in range(DRAWS))]
    own = index.encode([content.text, *variants])
    changed = hamming(own[:1], own[1:])[0]
    lost = [score[0] - value for value in score[1:]]
    return {
        "score": score[0],
        "query_lost": lost[0],
        "query_lost_random": mean(lost[1:]),
        "query_flips": float(flips[0]),
        "query_flips_random": float(flips[1:].mean()),
        "document_flips": float(changed[0]),
        "document_flips_random": float(changed[1:].mean()),
        "query_lost_better": float(lost[0] > mean(lost[1:])),
        "query_flips_better": float(flips[0] > flips[1:].mean()),
        "document_flips_better": float(changed[0] > changed[1:].mean()),
    }


def draw(rng: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    """Some random words."""
    return [words[place] for place in rng.permutation(len(words))[:count].tolist()]


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The page."""
    values = {"pairs": runs[0]["pairs"], "length": LENGTH, "best": BEST, "from_query": FROM_QUERY}
    lines = [HEAD.format(**values, from_document=FROM_DOCUMENT, draws=DRAWS)]
    lines.append("| encoder | what changes | named words | random words | better |\n| --- | --- | --- | --- | --- |")
    titles = {
        "query_lost": "loss of the score, words of the query",
        "query_flips": "bits of the query's code that flip",
        "document_flips": "bits of the document's code that flip",
    }
    for run in runs:
        for name, title in titles.items():
            cells = (f"{run[name]:.2f}", f"{run[f'{name}_random']:.2f}", f"{run[f'{name}_better']:.0%}")
            lines.append(f"| {run['encoder']} | {title} | {' | '.join(cells)} |")
    lines.append("")
    lines += [
        f"With `{run['encoder']}`, the mean score is {run['score']:.2f}, and an explanation takes "
        f"{1000 * run['seconds']:.0f} ms."
        for run in runs
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
