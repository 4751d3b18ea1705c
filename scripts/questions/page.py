"""The page: the default against BM25 first, then a table a part, then what beats the default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from figures import cell
from questions.common import BITS, DEFAULT, Row

COMPARED, SURE, SEEDS = "bm25s", 0.05, 3
SAME_WAY = ("codes", "itq")  # both rank by Hamming distance
PARTS = {  # with a table of methods: the title, and the method that others are compared with
    "judged": ("Questions with judgements", DEFAULT),
    "mixed": ("The same questions among posts and news", DEFAULT),
    "known": ("Known items", DEFAULT),
    "resized": ("The same image at another size", DEFAULT),
    "labelled": ("More like this", "codes + vectors"),
    "nearest": ("Vectors", "vectors"),
}
CASES = {
    ("judged", "cranfield"): "Cranfield",
    ("judged", "scifact"): "SciFact",
    ("mixed", "scifact"): "SciFact in a mixed corpus",
    ("known", "left in"): "docstrings, line left in",
    ("known", "taken out"): "docstrings, line taken out",
    ("resized", "icons"): "icons and glyphs",
    ("labelled", "websnippets"): "search snippets",
    ("labelled", "20news"): "20 Newsgroups",
    ("nearest", "websnippets"): "search snippets",
    ("nearest", "mnist"): "MNIST",
    ("size", "20news"): "20 Newsgroups",
    ("size", "cranfield"): "Cranfield",
    ("time", "20news"): "20 Newsgroups, 18,846 posts",
    ("time", "million"): "a million synthetic documents",
}
ABOUT = {
    "judged": "Cranfield: 1,400 abstracts, 225 questions with grades. SciFact: 5,183 abstracts, the 300 claims of the "
    "test part. All methods read title and text. `codes` and `itq` rank by Hamming distance. p is that of a paired "
    "randomisation test (10,000 permutations) of the default against bm25s.",
    "mixed": "The abstracts of SciFact, 18,846 posts of 20 Newsgroups and 21,578 stories of Reuters in one index.",
    "known": "The corpus is Python's documentation, as in `hashret demo`. The first line of a docstring is the "
    "question, and only that docstring is right. 300 questions, drawn from docstrings of several lines whose first "
    "line has at least 3 words. `left in`: documents are as they are. `taken out`: every document has lost its first "
    "line, and those that become shorter than 40 characters are left out.",
    "resized": "11 icons of matplotlib's tool bar and 400 glyphs of its fonts, each at 16, 24, 32, 48 and 64 pixels, "
    "are in one index. Each image is a query once. It counts as found if the same image at another size is among the "
    "first five. The default ranks by codes and vectors; `codes` and `itq` by Hamming distance; grey pixels by cosine "
    "at 32 x 32.",
    "labelled": "The training documents are indexed, and the test documents are the queries, as examples of what is "
    "sought. A document is relevant if it has the label of the query. `codes` ranks by Hamming distance; codes and "
    "vectors have weights 1 and .25.",
    "nearest": "Recall@10: how many of the ten documents with the highest cosine of the features are among the first "
    "ten by vectors. The features of snippets are those of the default vectorizer, those of images are pixels less "
    "their mean. 1,000 queries are held out. `itq`, `pca` and `lsh` encode the same features in as many bits, and rank "
    "by the asymmetric distance. A dash: more bits than features, which pca cannot do.",
}


def page(found: Sequence[Row]) -> str:
    """The page."""
    lines = [
        "# Questions",
        "",
        "Written by `scripts/bench_questions.py` from `figures/questions.jsonl`. A text as query is a question: "
        "documents are ranked by words, codes and vectors together. The default is measured here against BM25, against "
        f"its parts alone, and against other codes. No option is set: {BITS} bits, vectors of 16 bytes. Mean ± "
        f"standard deviation of {SEEDS} seeds; a method without ± does not depend on chance. `bm25s` is BM25 (method "
        "lucene, k1 1.2, b .75) on the stems that hashret uses, `FTS5` is SQLite's full-text search with Porter's "
        "stems and any of a question's words, `itq` is iterative quantization of the same features.",
        *_seeds(found),
        *_against(found),
    ]
    for part, (title, _) in PARTS.items():
        if any(row["part"] == part for row in found):
            lines += ["", f"## {title}", "", ABOUT[part], *_notes(found, part), *_table(found, part)]
    lines += [*_size(found), *_time(found), *_losses(found)]
    return "\n".join([*lines, ""])


def _seeds(found: Sequence[Row]) -> Iterator[str]:
    """Which cases have fewer seeds than others."""
    seeds = {case: len({row["seed"] for row in found if (row["part"], row["case"]) == case}) for case in CASES}
    fewer = [f"{PARTS[case[0]][0]}, {CASES[case]}: {n}" for case, n in seeds.items() if case[0] in PARTS and n < SEEDS]
    if fewer:
        yield from ("", f"Fewer seeds than {SEEDS} are measured for: {'; '.join(fewer)}.")


def _against(found: Sequence[Row]) -> Iterator[str]:
    """The default against BM25, case by case."""
    yield from ("", "## The default against BM25", "")
    rows = [row for row in found if row["method"] == DEFAULT and "p" in row]
    kinds = list(dict.fromkeys((row["part"], row["case"], row["measure"]) for row in rows))
    lines, lower, better, worse = [], [], 0, 0
    for part, case, measure in sorted(kinds, key=lambda kind: [*CASES].index(kind[:2])):
        own, other = (_values(found, part, case, method, measure) for method in (DEFAULT, COMPARED))
        largest = max(row["p"] for row in rows if (row["part"], row["case"], row["measure"]) == (part, case, measure))
        difference = mean(own) - mean(other)
        better += difference > 0 and largest < SURE
        worse += difference < 0 and largest < SURE
        lower += [f"{CASES[part, case]}, {measure}"] if difference < 0 else []
        cells = (CASES[part, case], measure, cell(own), cell(other), f"{difference:+.3f}", f"{largest:.4f}")
        lines.append(f"| {' | '.join(cells)} |")
    yield (
        f"In {better} of {len(kinds)} comparisons the default is better than BM25 with p below {SURE} for every seed, "
        f"in {worse} it is worse. p is the largest of the seeds. Its mean is lower than BM25's for: "
        f"{'; '.join(lower) or 'none'}."
    )
    yield from ("", "| | | default | bm25s | difference | p |", "| --- | --- | --- | --- | --- | --- |", *lines)


def _notes(found: Sequence[Row], part: str) -> Iterator[str]:
    """The number of documents of each case, where it is not in the text."""
    if part == "known":
        sizes = {row["case"]: f"{row['documents']:,} {row['case']}" for row in found if row["part"] == part}
        [row, *_] = (row for row in found if row["part"] == part)
        python = f"Python {row['python']}: documents {', '.join(sizes.values())}."
        yield from ("", f"{python} {row['shared']} of the {row['questions']} lines also begin another docstring.")
    if part == "nearest":
        dims = {row["case"]: (row["documents"], row["dim"]) for row in found if row["part"] == part}
        each = (f"{CASES[part, case]}: {n:,} documents, {dim} features" for case, (n, dim) in dims.items())
        yield from ("", "; ".join(each) + ".")


def _table(found: Sequence[Row], part: str) -> Iterator[str]:
    """Methods by cases and measures."""
    own = [row for row in found if row["part"] == part]
    kinds = list(dict.fromkeys((row["case"], row["measure"]) for row in own))
    heads = (f"{CASES[part, case]}, {measure}" for case, measure in kinds)
    yield from ("", f"| | {' | '.join(heads)} |", "| --- |" + " --- |" * len(kinds))
    for method in dict.fromkeys(row["method"] for row in own):
        cells = (cell(_values(found, part, case, method, measure)) for case, measure in kinds)
        yield f"| {method} | {' | '.join(cells)} |"


def _size(found: Sequence[Row]) -> Iterator[str]:
    own = [row for row in found if row["part"] == "size"]
    if not own:
        return
    cases = list(dict.fromkeys(row["case"] for row in own))
    yield from ("", "## Size", "")
    yield (
        "Bytes of the words of an index on disk, as a share of the bytes of its texts (UTF-8, not compressed). Texts "
        "without titles still have their lengths stored."
    )
    yield from ("", f"| | {' | '.join(CASES['size', case] for case in cases)} |", "| --- |" + " --- |" * len(cases))
    for method in dict.fromkeys(row["method"] for row in own):
        values = {row["case"]: row["value"] for row in own if row["method"] == method}
        yield f"| {method} | {' | '.join(f'{100 * values[case]:.1f}%' for case in cases)} |"


def _time(found: Sequence[Row]) -> Iterator[str]:
    own = [row for row in found if row["part"] == "time"]
    if not own:
        return
    yield from ("", "## Time", "")
    yield (
        "Milliseconds of one question of four words, median, with the 10th and 90th percentile. `hashret query` is a "
        "new process, in turn with one that only imports three of its libraries. `search` is `Index.search` in a "
        "process that has the index open, from the text to ten hits, by all parts; by codes alone it ranks by Hamming "
        "distance. For a million documents it is the ranking alone, "
        "without encoding the question or reading hits: random codes and vectors, and documents of 8 to 16 words drawn "
        "by Zipf's law from 100,000; the words of a question are neighbours in one of them."
    )
    yield from ("", "| | | median | 10% | 90% | calls |", "| --- | --- | --- | --- | --- | --- |")
    for row in own:
        numbers = (f"{row[name]:.3g}" if row[name] < 100 else f"{row[name]:.0f}" for name in ("value", "p10", "p90"))
        name = f"`{row['method']}`" if row["method"][:3] != "by " else row["method"]
        yield f"| {CASES['time', row['case']]} | {name} | {' | '.join(numbers)} | {row['calls']} |"


def _losses(found: Sequence[Row]) -> Iterator[str]:
    """What has a higher mean than the method that a part is about."""
    yield from ("", "## Where it loses", "", "All that has a higher mean in the tables above:", "")
    for part, (title, usual) in PARTS.items():
        for case, measure in dict.fromkeys((row["case"], row["measure"]) for row in found if row["part"] == part):
            means = _means(found, part, case, measure)
            above = [f"{name} {value:.3f}" for name, value in means.items() if value > means[usual]]
            if above:
                yield f"- {title}, {CASES[part, case]}, {measure}: {usual} {means[usual]:.3f}; {', '.join(above)}."
    yield from ("", "Codes alone against `itq`, both by Hamming distance:", "")
    for part in PARTS:
        for case, measure in dict.fromkeys((row["case"], row["measure"]) for row in found if row["part"] == part):
            means = _means(found, part, case, measure)
            if {*SAME_WAY} <= means.keys():
                codes, other = (means[name] for name in SAME_WAY)
                verdict = "lose" if codes < other else "win"
                yield f"- {CASES[part, case]}, {measure}: codes {codes:.3f}, itq {other:.3f}: codes {verdict}."


def _means(found: Sequence[Row], part: str, case: str, measure: str) -> dict[str, float]:
    """The mean of each method that was measured."""
    methods = dict.fromkeys(row["method"] for row in found if row["part"] == part)
    return {name: mean(own) for name in methods if (own := _values(found, part, case, name, measure))}


def _values(found: Sequence[Row], part: str, case: str, method: str, measure: str) -> list[float]:
    wanted = (part, case, method, measure)
    return [row["value"] for row in found if (row["part"], row["case"], row["method"], row["measure"]) == wanted]
