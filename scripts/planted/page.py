"""The page with the figures of `bench_duplicates.py`."""

from __future__ import annotations

from statistics import mean

from figures import Run, method_table
from planted import images, texts
from planted.common import PRECISION

TITLES = {
    "20news": "20 Newsgroups",
    "reuters": "Reuters-21578",
    "demo": "Python's documentation",
    "cifar10": "CIFAR-10 (JPEG)",
    "coil20": "COIL-20",
    "photographs": "photographs",
    "icons": "icons and glyphs",
}
TEXTS = f"""\
{texts.DOCUMENTS:,} texts of a corpus and {texts.COPIES} copies for each kind of edit: words replaced by words of the
corpus, sentences in another order, the first 60 to 90 % of the words, quoted in a mail with an answer. Texts with less
than {texts.SHORTEST} words are left out. Pairs of originals whose sets of words have a Jaccard similarity of
{texts.REAL} or more count neither for nor against a method, nor do those one of which quotes the other, that is, has
{texts.QUOTED:.0%} of its pairs of neighbouring words, nor copies of both. All other pairs count as wrong.

datasketch and rensa give the candidates of their index at a threshold of {texts.LOWEST}, with the similarity that their
signatures estimate. SemHash has exact search and word vectors distilled from MiniLM; its own model is a download."""
IMAGES = f"""\
Up to {images.IMAGES:,} images of a corpus and {images.COPIES} copies for each kind of edit. CIFAR-10 and COIL-20 have
32 pixels a side, COIL-20 shows 20 objects from every 10 degrees. The photographs are those of matplotlib, scikit-image
and scikit-learn; icons and glyphs are drawn by matplotlib at 48 pixels. Pairs of originals whose grey pixels have a
correlation of {images.REAL} or more at 16 x 16 count neither for nor against a method. All other pairs count as wrong,
also neighbouring views of symmetric objects, and letters such as c and C, which are one image at two sizes.

The other methods are hashes of 64 bits by ImageHash; their default is that of imagededup, 10 bits."""
MIRRORED = f"""\
Mirror images are not duplicates. The share of {images.COPIES} images of each corpus, without the symmetric ones, whose
mirror image is called a duplicate at the default threshold:"""
SCALE = """\
Texts of 12 to 25 words, drawn from two texts of one topic of AG News or of web snippets. 5 % are copies with one or two
words changed. The index has codes by `lsh` and no vectors. `seconds` is `Index.duplicates()`, `MiB` its peak of memory
above that of the open index. Pairs missed are those within the radius that only one of the join and brute force in
NumPy finds."""


def page(found: list[Run]) -> str:
    """Return the page."""
    lines = [
        "# Near-duplicates",
        "",
        "Written by `scripts/bench_duplicates.py` from `figures/duplicates.jsonl`. `hashret` is "
        "`hashret.duplicates`. Mean ± standard deviation of three seeds, which draw the documents and the edits.",
    ]
    for part, title, text, corpora, edits in (
        ("texts", "Texts", TEXTS, list(texts.CORPORA), list(texts.EDITS)),
        ("images", "Images", IMAGES, list(images.CORPORA), list(images.EDITS)),
    ):
        own = [run for run in found if run["part"] == part]
        if own:
            lines += ["", f"## {title}", "", *text.splitlines(), *_of_part(own, corpora, edits)]
    if own := [run for run in found if run["part"] == "scale"]:
        lines += _scale(own)
    return "\n".join([*lines, ""])


def _of_part(own: list[Run], cases: list[str], edits: list[str]) -> list[str]:
    """The tables of texts or of images."""
    best = [run for run in own if run["at"] == "best"]
    default = [run for run in own if run["at"] == "default" and run["measure"] != "mirrored"]
    mirrored = [run for run in own if run["measure"] == "mirrored"]
    columns = {TITLES[case]: {"case": case, "measure": "recall"} for case in cases}
    each = {TITLES[case]: {"case": case} for case in cases}
    both = {
        f"{TITLES[case]}: {measure}": {"case": case, "measure": measure}
        for case in cases
        for measure in ("recall", "precision")
    }
    return [
        "",
        "Recall at the threshold with the highest recall among those with a precision of "
        f"{PRECISION} or more; 0 if there is none:",
        *method_table(best, columns),
        "",
        "The same by kind of edit, mean of the corpora:",
        *_by_kind([run for run in best if "kinds" in run], edits),
        "",
        "Recall and precision at the default threshold:",
        *method_table(default, both),
        *(["", MIRRORED, *method_table(mirrored, each)] if mirrored else []),
    ]


def _by_kind(best: list[Run], kinds: list[str]) -> list[str]:
    lines = ["", "| | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * len(kinds)]
    for method in dict.fromkeys(run["method"] for run in best):
        cells = [mean(run["kinds"][kind] for run in best if run["method"] == method) for kind in kinds]
        lines.append(f"| {method} | {' | '.join(f'{value:.3f}' for value in cells)} |")
    return lines


def _scale(own: list[Run]) -> list[str]:
    measures = list(dict.fromkeys(run["measure"] for run in own))
    cores = " or ".join(sorted({f"{run['cores']} cores" for run in own}))
    lines = ["", "## Time and memory", "", *SCALE.splitlines(), "", f"| {cores} | " + " | ".join(measures) + " |"]
    lines += ["| --- |" + " --- |" * len(measures)]
    for case in dict.fromkeys(run["case"] for run in own):
        values = {run["measure"]: run["value"] for run in own if run["case"] == case}
        cells = [_number(values[measure]) if measure in values else "-" for measure in measures]
        lines.append(f"| {case} documents | {' | '.join(cells)} |")
    return lines


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
