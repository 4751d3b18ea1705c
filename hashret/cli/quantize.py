"""The command that makes vectors small, and measures what that costs."""

from __future__ import annotations

from typing import Annotated

import typer

from hashret.cli import options as o
from hashret.cli.build import create
from hashret.cli.output import emit
from hashret.cli.session import command

PANEL = "Measure"
COLUMNS = ("method", "bytes", "recall@1", "recall@10", "recall@100", "queries_per_second", "fit_seconds")


@command(
    "quantize",
    PANEL,
    """
hashret quantize vectors.npy
hashret quantize vectors.npy --queries questions.npy --vectors 24 -i indexes/small
hashret quantize vectors.faiss --method additive --method opq --bytes 16 --encoder itq
""",
    writes=True,
)
def quantize(
    vectors_file: Annotated[str, typer.Argument(metavar="VECTORS", help="A file of vectors.")],
    queries: Annotated[
        str | None,
        typer.Option("--queries", help="Vectors used as queries; by default some of VECTORS.", metavar="FILE"),
    ] = None,
    index: o.IndexAt = None,
    methods: Annotated[
        list[str] | None,
        o.many(
            "--method",
            help="Method: float, int8, signs, additive, rescored, itq, pq, opq or rabitq; repeatable; all by default.",
            metavar="NAME",
        ),
    ] = None,
    sizes: Annotated[
        list[int] | None,
        o.many("--bytes", help="Bytes of a vector in the report, repeatable [8, 16, 24, 48].", metavar="N"),
    ] = None,
    oversample: Annotated[
        int | None, o.opt("--oversample", help="Vectors that `rescored` ranks again [100].", metavar="N")
    ] = None,
    vectors: o.Vectors = None,
    rescore: o.Rescore = None,
    bits: o.Bits = None,
    encoder: o.EncoderName = None,
    settings: o.Settings = None,
    seed: o.Seed = None,
    device: o.Device = None,
    force: o.Force = False,
    id: o.IdField = None,
    text: o.TextField = None,
    label: o.LabelField = None,
    source: o.SourceName = None,
) -> None:
    """Build an index of vectors, and compare ways to make them small by the nearest vectors that each finds.

    The report measures methods on the vectors alone; the index has codes and vectors, and all of VECTORS.
    """
    from hashret.evaluation.quantize import OVERSAMPLE, read_vectors, report
    from hashret.readers import Fields

    path = index or o.default_index([vectors_file])
    documents = o.read_sources([vectors_file], source, o.field_names(id, text, label))
    fields = Fields(text=documents.fields.text)
    asked = None if queries is None else read_vectors(o.read_sources([queries], None, {}, fields))
    rows = report(
        read_vectors(documents),
        asked,
        methods=methods,
        sizes=sizes,
        oversample=OVERSAMPLE if oversample is None else oversample,
        seed=seed or 0,
    )
    fit = o.fitting(bits, encoder, None, settings, seed, device)
    create(path, documents, force=force, **o.deriving(vectors, rescore, None), **fit)
    emit(rows, COLUMNS, key="method")


COMMANDS = (quantize,)
