"""The documentation is correct: examples run, lists are complete, figures come from recorded runs."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import shutil
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import hashret
from hashret.cli.app import app
from hashret.encoders.base import Encoder
from hashret.features import Features
from hashret.training import Schedule

from .test_index import corpus

ROOT = Path(__file__).parent.parent
PAGES = {
    "bench_search": "performance.md",
    "bench_encode": "encoding.md",  # pages in docs, by the script that writes them
    "bench_encoders": "figures.md",
    "bench_quality": "quality.md",
    "bench_images": "images.md",
    "bench_graph": "graph.md",
    "reproduce_semantic_hashing": "semantic-hashing.md",
    "reproduce_encoders": "encoders.md",
    "bench_training": "training.md",
    "bench_browse": "browse.md",
    "bench_questions": "questions.md",
    "bench_embeddings": "embeddings.md",
    "bench_image_models": "image-models.md",
    "bench_filters": "filtering.md",
    "bench_scale": "scale.md",
    "bench_encodings": "text-encodings.md",
    "bench_large": "scaling.md",
    "bench_explain": "explain.md",
    "bench_server": "server-speed.md",
    "bench_duplicates": "duplicates-figures.md",
}
FIRST = "# data of the commands below\n"  # a line of examples that run before the commands of a page


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of the README: letters by year, and labelled JSON lines."""
    folder = tmp_path_factory.mktemp("desk")
    for number, document in enumerate(corpus(60)):
        year = folder / "letters" / str(1871 + number % 3)
        year.mkdir(parents=True, exist_ok=True)
        opening = "the harvest of that year, " if number % 3 == 0 else ""
        (year / f"{number}.txt").write_text(f"{opening}{document.content}")
    (folder / "letters" / "1871" / "march.txt").write_text("wheat was dear, and the plough stood in the barn")
    for name, seed in (("train", 0), ("test", 1)):
        lines = [{"id": f"{name}-{d.id}", "topic": d.labels[0], "text": d.content} for d in corpus(90, seed)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks train for a few steps only, because the results of the examples are not checked."""
    monkeypatch.setattr(Schedule, "steps", lambda self, documents: 20)


def run_commands(page: str, forced: bool = False) -> int:
    """Run the commands of a page in order; return their number. With `forced`, existing indexes are replaced."""
    commands = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line[:2] == "$ "]
    for command in commands:
        name, *words = shlex.split(command)
        assert name == "hashret"
        words += ["--force"] if forced and words[0] == "index" else []
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{page}: {command}\n{result.output}"
    return len(commands)


@pytest.mark.usefixtures("briefly")
def test_the_readmes_commands_run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    assert run_commands("README.md", forced=True) > 8  # the page shows the first command twice


@pytest.mark.usefixtures("briefly")
def test_the_readmes_python_runs(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(desk)
    [example] = blocks("README.md", "python")
    names: dict[str, object] = {}
    exec(example, names)
    assert len(capsys.readouterr().out.splitlines()) == 6
    names["index"].close()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "guide").iterdir()))
def test_the_guide_runs(page: str, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(desk / "letters", "letters")
    for name in ("train.jsonl", "test.jsonl"):
        shutil.copy(desk / name, name)
    rng = np.random.default_rng(0)
    for number in range(20):
        for channel, color in enumerate(("red", "green")):
            Path("photos", color).mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 60, (16, 16, 3), np.uint8)
            pixels[..., channel] += 160
            Image.fromarray(pixels).save(f"photos/{color}/{number}.png")
    x = rng.standard_normal((60, 40)).astype(np.float32)
    np.savez("vectors.npz", x=x, ids=np.array([f"v{number}" for number in range(60)]))
    names: dict[str, object] = {}
    for example in (own for own in blocks(f"docs/guide/{page}", "python") if FIRST in own):
        exec(example, names)
    assert run_commands(f"docs/guide/{page}") >= 1
    for example in (own for own in blocks(f"docs/guide/{page}", "python") if FIRST not in own):
        exec(example, names)


def test_the_report_of_the_guide_is_that_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashret.evaluation.quantize import report

    monkeypatch.chdir(tmp_path)
    exec(next(own for own in blocks("docs/guide/vectors.md", "python") if FIRST in own), {})
    table = blocks("docs/guide/vectors.md", "text")[0].splitlines()[2:]
    told = {name: list(map(float, numbers)) for name, *numbers in map(str.split, table)}
    for row in report(np.load("embeddings.npy"), methods=[name for name in told if name != "opq"], sizes=[8]):
        assert told[row["method"]][:4] == pytest.approx([*row.values()][1:5], abs=0.01)  # libraries round differently


def test_links_between_pages_lead_to_files() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [
        (page.relative_to(ROOT), target)
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
        if "://" not in target
    ]
    assert len(links) > 20
    assert [(page, target) for page, target in links if not (ROOT / page.parent / target).exists()] == []


def test_the_reference_is_what_the_commands_say() -> None:
    assert (ROOT / "docs" / "cli.md").read_text("utf-8") == import_module("write_reference").reference()


def test_the_api_page_is_what_the_docstrings_say() -> None:
    assert (ROOT / "docs" / "api.md").read_text("utf-8") == import_module("write_api").reference()


@pytest.mark.usefixtures("briefly")
def test_every_public_name_has_an_example_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    api, finder, runner = import_module("write_api"), doctest.DocTestFinder(), doctest.DocTestRunner()
    assert api.names() == list(api.ORDER)
    output: list[str] = []
    for name in api.names():
        thing = getattr(hashret, name)
        names = {"hashret": hashret, "np": np, "Path": Path}
        tests = []
        for own in (thing, *(part for part in getattr(thing, "__mro__", ()) if part.__module__ in api.SPLIT)):
            found = [test for test in finder.find(own, name, module=False, globs=names) if test.examples]
            tests += sorted(found, key=lambda test: test.lineno or 0)
        assert any(test.name == name for test in tests), f"{name} has no example"
        for test in tests:
            runner.run(test, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


def test_the_figures_are_those_of_the_runs() -> None:
    read_runs = import_module("figures").read_runs
    for name, page in PAGES.items():
        bench = import_module(name)
        assert (ROOT / "docs" / page).read_text("utf-8") == bench.table(read_runs(bench.RUNS))
    encoders = import_module("reproduce_encoders")
    assert encoders.MEASURED.read_text("utf-8") == encoders.as_json(read_runs(encoders.RUNS))
    store = import_module("bench_store")
    assert (ROOT / "docs" / "durability.md").read_text("utf-8").endswith(f"\n{store.summary(read_runs(store.RUNS))}\n")
    files = import_module("bench_files")
    assert (ROOT / "docs" / "files.md").read_text("utf-8").endswith(f"\n{files.summary(read_runs(files.RUNS))}\n")
    soak = import_module("soak_readers")
    assert (ROOT / "docs" / "limits.md").read_text("utf-8").endswith(f"\n{soak.summary(read_runs(soak.RUNS))}\n")
    quality = import_module("bench_quality")
    assert quality.summary(read_runs(quality.RUNS)) in (ROOT / "README.md").read_text("utf-8")


def test_the_page_of_encoders_can_be_written_before_all_starts_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders, starts = import_module("reproduce_encoders"), import_module("bench_restarts")
    recorded = starts.RUNS.read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_text("".join(row for row in recorded if json.loads(row)["share"] < 1), "utf-8")
    monkeypatch.setattr(starts, "RUNS", tmp_path / "runs.jsonl")
    page = encoders.table([])
    assert "## dec" in page
    assert "Rank correlation" not in page


def test_the_walk_through_makes_an_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    [source] = blocks("CONTRIBUTING.md", "python")
    module = ModuleType("noisy")
    monkeypatch.setitem(sys.modules, "noisy", module)
    exec(compile(source, "noisy.py", "exec"), module.__dict__)
    kind: type[Encoder] = module.__dict__["Noisy"]
    images = np.random.default_rng(0).random((60, 16), np.float32)
    schedule = Schedule(epochs=2, min_steps=20)
    encoder = kind.from_params({"noise": "0.5"}).fit(Features(images, (1, 4, 4), "unit"), 6, schedule)
    assert encoder.params() == {"noise": 0.5}
    assert encoder.program().encode(images).shape == (60, 1)
    assert torch.is_grad_enabled()


def test_the_architecture_lists_all_modules_and_layers() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rooms = re.findall(r"^      ([a-z_]+(?:\.py|/)) ", page, flags=re.MULTILINE)
    there = {p.name + ("/" if p.is_dir() else "") for p in (ROOT / "hashret").iterdir() if p.name[0] not in "_."}
    assert set(rooms) - {"__init__.py"} == there - {"py.typed"}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [contract] = [each for each in contracts if each["type"] == "layers"]
    held = [", ".join(name.strip().removeprefix("hashret.") for name in line.split("|")) for line in contract["layers"]]
    drawn = re.search(r"import-linter checks this\.\n\n((?:    .*\n)+)", page)
    assert drawn is not None
    assert [line.strip() for line in drawn.group(1).splitlines()] == held
