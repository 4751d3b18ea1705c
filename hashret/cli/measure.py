"""Commands that measure retrieval quality."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashret.cli import options as o
from hashret.cli.output import emit
from hashret.cli.session import command
from hashret.errors import GateError, UsageError, unknown

if TYPE_CHECKING:
    from hashret.documents import Document
    from hashret.readers import Source

PANEL = "Measure"
USUAL = ("P@10", "P@100", "AP")
COLUMNS = ("measure", "value", "worst", "best", "queries", "empty")


@command(
    "eval",
    PANEL,
    """
hashret eval test.jsonl -m P@100 -m AP
hashret eval questions.jsonl --qrels qrels.tsv -m nDCG@10
hashret eval questions.jsonl --qrels qrels.tsv -m nDCG@10 --by words
hashret eval news.jsonl --exclude-self --min P@10=0.6
""",
)
def evaluate(
    queries: Annotated[
        str, typer.Argument(metavar="QUERIES", help="Documents used as queries, with labels or with --qrels.")
    ],
    index: o.IndexAt = None,
    qrels: o.QrelsAt = None,
    measures: o.Measures = None,
    least: Annotated[
        list[str] | None, o.many("--min", help="Exit with 3 if the measure is lower.", metavar="MEASURE=VALUE")
    ] = None,
    by: o.By = None,
    weights: o.Weights = None,
    oversample: o.Oversample = None,
    exclude_self: o.ExcludeSelf = False,
    run: Annotated[Path | None, typer.Option("--run", help="Write the rankings as a TREC run.", metavar="FILE")] = None,
    from_run: Annotated[
        Path | None, typer.Option("--from-run", help="Measure a TREC run instead of searching.", metavar="FILE")
    ] = None,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    source: o.SourceName = None,
) -> None:
    """Measure retrieval quality: expected, worst and best values over the orders of ties."""
    from hashret.evaluation.evaluate import evaluate_run, evaluate_run_labels
    from hashret.evaluation.measures import parse
    from hashret.evaluation.queries import RankedQueries, evaluate_index, rankings
    from hashret.evaluation.trec import read_run, write_run
    from hashret.index import Index

    named = o.field_names(id, text, label, encoding, no_header)
    gates = {parse(name).name: value for name, value in _gates(least)}
    names = [parse(name).name for name in measures or (() if gates else USUAL)]
    names += [name for name in gates if name not in names]
    rank = o.ranking(by, weights, oversample)
    if from_run is not None and any(given is not None for given in rank.values()):
        raise UsageError("--from-run measures a ranking as it is: leave out --by, --weights and --oversample")
    with Index.open(o.find_index(index)) as opened:
        asked, judged = _queries(o.read_sources([queries], source, named, opened.fields), qrels)
        if from_run is not None:
            ranked = read_run(from_run)
            if judged is not None:
                rows = evaluate_run(ranked, judged, names, exclude_self=exclude_self)
            else:
                own = dict(zip(opened.ids, opened.labels, strict=True))
                wanted = {document.id: document.labels for document in asked}
                rows = evaluate_run_labels(ranked, own, wanted, names, exclude_self=exclude_self)
        else:
            if judged is None and all(given is None for given in rank.values()):
                rank = {"by": "codes"}  # labels say what kind a document is, which is what codes know
            ranked_queries = RankedQueries(opened, asked, **rank, likeness=judged is None)
            rows = evaluate_index(opened, ranked_queries, names, judged, exclude_self)
            if run is not None:
                ranked_now = rankings(opened, ranked_queries, exclude_self)
                write_run(run, ranked_now, queries=ranked_queries.ids, documents=opened.ids)
    emit(rows, COLUMNS, key="value")
    if missed := [row for row in rows if row["value"] < gates.get(row["measure"], float("-inf"))]:
        told = ", ".join(f"{row['measure']} is {row['value']:.4f}, below {gates[row['measure']]}" for row in missed)
        raise GateError(told)


def _gates(least: Sequence[str] | None) -> list[tuple[str, float]]:
    """Return `MEASURE=VALUE` texts as pairs, split at the last `=`, as in P(r=2)=.5. Raises UsageError if invalid."""
    pairs = []
    for gate in least or ():
        name, _, value = gate.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise UsageError(f"--min must be MEASURE=VALUE, got {gate!r}; for example --min P@10=0.6") from None
        if not 0 <= number <= 1:  # also rejects NaN
            raise UsageError(f"the value of --min must be 0 to 1, got {gate!r}; for example --min P@10=0.6")
        pairs.append((name, number))
    return pairs


def _queries(source: Source, qrels: str | None) -> tuple[Iterable[Document], dict[str, dict[str, int]] | None]:
    """Return the queries and the judgements, if any; a BEIR folder has both."""
    from hashret.evaluation.trec import read_qrels
    from hashret.readers.beir import Beir

    asked: Iterable[Document] = source
    path = qrels
    if isinstance(source, Beir):
        asked = source.queries
        if path is None:
            found = {file.stem: file for file in source.qrels}
            chosen = found.get("test") or (next(iter(found.values())) if len(found) == 1 else None)
            if chosen is None:
                raise UsageError(f"several qrels files; choose one with --qrels: {', '.join(map(str, source.qrels))}")
            path = str(chosen)
    return asked, read_qrels(path) if path is not None else None


@command(
    "compare",
    PANEL,
    """
hashret compare train.jsonl test.jsonl --encoder itq --encoder bernoulli --bits 16 --bits 64 -m P@100
hashret compare train.jsonl test.jsonl --encoder itq --seed 0 --seed 1 --seed 2
""",
)
def compare(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="Documents to learn from and to find.")],
    queries: Annotated[str, typer.Argument(metavar="QUERIES", help="Documents used as queries.")],
    encoders: Annotated[
        list[str] | None, o.many("--encoder", help="Encoder, repeatable; all by default.", metavar="NAME")
    ] = None,
    bits: Annotated[list[int] | None, o.many("--bits", help="Code length, repeatable [64].", metavar="N")] = None,
    seeds: Annotated[list[int] | None, o.many("--seed", help="Random seed, repeatable [0].", metavar="N")] = None,
    vectorizer: o.VectorizerName = None,
    settings: o.Settings = None,
    device: o.Device = None,
    measures: o.Measures = None,
    exclude_self: o.ExcludeSelf = False,
    qrels: o.QrelsAt = None,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    source: o.SourceName = None,
) -> None:
    """Fit each encoder at each length, and print one row per measure."""
    from hashret.encoders import ENCODERS
    from hashret.evaluation.compare import compare

    named = o.field_names(id, text, label, encoding, no_header)
    for name in encoders or ():
        if name not in ENCODERS.names():
            raise unknown("encoder", name, ENCODERS.names(), "hashret encoders lists them")
    asked, judged = _queries(o.read_sources([queries], source, named), qrels)
    rows = compare(
        o.read_sources([corpus], source, named),
        asked,
        encoders or ENCODERS.names(),
        bits or [64],
        seeds or [0],
        measures or ["P@100"],
        vectorizer=vectorizer,
        device=device or "auto",
        options=o.key_values(settings),
        qrels=judged,
        exclude_self=exclude_self,
    )
    emit(rows, ("encoder", "bits", "seed", *COLUMNS, "fit_seconds", "encode_seconds"), key="value")


COMMANDS = (evaluate, compare)
