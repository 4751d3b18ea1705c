"""Commands that explore an index."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from hashret.cli import options as o
from hashret.cli.ask import preview
from hashret.cli.output import counted, emit
from hashret.cli.session import command

PANEL = "Explore an index"
log = logging.getLogger("hashret")

By = Annotated[
    str | None,
    typer.Option(
        "--encoder", help="Use an encoder: that of the index, or another one that is fitted first.", metavar="NAME"
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Random seed.", metavar="N")]


@command(
    "outliers",
    PANEL,
    """
hashret outliers -i indexes/news -k 20
hashret outliers new/ -i indexes/news
hashret outliers -i indexes/news --encoder density
""",
)
def outliers(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="Other documents to compare with the index.")
    ] = None,
    index: o.IndexAt = None,
    k: Annotated[int, typer.Option("-k", "--k", help="Number of documents to show.", metavar="N")] = 10,
    neighbors: Annotated[
        int, typer.Option("--neighbors", help="Number of nearest documents to compare with.", metavar="N")
    ] = 10,
    codes: Annotated[bool, typer.Option("--codes", help="Use only the codes: faster, less accurate.")] = False,
    encoder: By = None,
    settings: o.Settings = None,
    seed: Seed = 0,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    encoding: o.EncodingName = None,
    no_header: o.NoHeader = False,
    kind: o.SourceName = None,
) -> None:
    """Find the documents that differ most from the rest, or other documents that differ most from the index.

    The score is the mean distance to the nearest other documents by features, or by codes for an index of vectors,
    which are not stored. docs/browse.md compares its accuracy with that of encoders that score outliers.
    """
    from hashret.analysis.outliers import outliers as find
    from hashret.index import Index

    named = o.field_names(id, text, label, encoding, no_header)
    with Index.open(o.find_index(index)) as opened:
        documents = None if source is None else o.read_sources([source], kind, named, opened.fields)
        found = find(
            opened,
            documents,
            k,
            neighbors=neighbors,
            codes=codes,
            encoder=encoder,
            options=o.key_values(settings),
            seed=seed,
        )
        rows = (
            {"rank": f.rank, "id": f.document.id, "score": round(f.score, 4), "method": f.method}
            | {"labels": list(f.document.labels), "text": preview(f.document)}
            for f in found
        )
        emit(rows, ("rank", "score", "id", "labels", "text"))


@command(
    "clusters",
    PANEL,
    """
hashret clusters -i indexes/news -n 20
hashret clusters -i indexes/news -n 20 --encoder dec
hashret clusters -i indexes/photos --out groups/
""",
)
def clusters(
    index: o.IndexAt = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of clusters.", metavar="N")] = 10,
    encoder: By = None,
    settings: o.Settings = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the documents to this folder, one subfolder per cluster.", metavar="PATH"),
    ] = None,
) -> None:
    """Group similar documents, with the words that describe each group.

    By default with k-means over the codes, which takes seconds. An encoder that finds clusters is fitted first.
    """
    from hashret.analysis.clusters import clusters as find
    from hashret.analysis.clusters import write
    from hashret.cli import output
    from hashret.index import Index

    with Index.open(o.find_index(index)) as opened:
        found = find(opened, count, encoder=encoder, options=o.key_values(settings), seed=seed)
        if out is not None:
            write(found, opened, out)
        few = output.is_table()
        emit(
            (
                {"cluster": c.number, "size": len(c.ids), "words": c.words, "ids": c.ids[:3] if few else c.ids}
                for c in found
            ),
            key="cluster",
        )


@command(
    "map",
    PANEL,
    """
hashret map -i indexes/news --out news.html
hashret map -i indexes/news --color cluster --out news.png
""",
)
def map_(
    index: o.IndexAt = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw the map to this file: .html, .png or .svg.", metavar="FILE")
    ] = None,
    encoder: By = None,
    color: Annotated[str, typer.Option("--color", help="auto, label or cluster.", metavar="BY")] = "auto",
    count: Annotated[
        int, typer.Option("-n", "--count", help="Number of clusters for --color cluster.", metavar="N")
    ] = 10,
    settings: o.Settings = None,
    seed: Seed = 0,
) -> None:
    """Map all documents to two dimensions, with similar ones close to each other.

    By default with t-SNE of the codes, which preserves neighbours; `--encoder deep` or `pca` preserve distances.
    """
    from hashret.analysis.map import draw, drawable, plane
    from hashret.index import Index

    if out is not None:
        drawable(out)
    with Index.open(o.find_index(index)) as opened:
        points = plane(opened, encoder=encoder, color=color, count=count, options=o.key_values(settings), seed=seed)
        if out is not None:
            draw(points, out, opened)
            log.info(f"drew {counted(len(points), 'document')} in {out}")
            return
        emit({"id": p.id, "x": p.x, "y": p.y, "label": p.label} for p in points)


COMMANDS = (outliers, clusters, map_)
