"""Other packages add classes, and test them with the suites of hashret.testing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "plugin"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment variables with which Python finds the example as if it were installed."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {where}" for name, where in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    paths = [str(tmp_path), str(EXAMPLE), str(ROOT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def pytest_in(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_example_plug_in_passes_its_tests(environment: dict[str, str]) -> None:
    run = pytest_in(EXAMPLE, environment)
    assert run.returncode == 0, run.stdout
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 50


def test_the_example_is_listed_like_any_encoder(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "hashret", "encoders", "noisy"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "share of the input set to zero" in run.stdout


def test_an_encoder_that_breaks_the_contract_fails_the_suite(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text(
        "from hashret.testing import EncoderSuite\n"
        "from hashret_noisy import Noisy\n\n"
        "class Broken(Noisy):\n"
        "    @classmethod\n"
        "    def from_params(cls, params):\n"
        "        return cls()\n\n"
        "class TestBroken(EncoderSuite):\n"
        "    encoder = Broken\n"
    )
    run = pytest_in(tmp_path, environment, "-k", "option")
    assert run.returncode == 1
    assert "FAILED test_broken.py::TestBroken::test_options_survive - " in run.stdout
    assert "FAILED test_broken.py::TestBroken::test_an_unknown_option_is_refused - " in run.stdout
    assert "2 failed, 1 passed" in run.stdout


def test_the_walk_through_is_the_example() -> None:
    [source] = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), flags=re.DOTALL)
    assert (EXAMPLE / "hashret_noisy.py").read_text("utf-8").endswith(source)


@pytest.mark.parametrize("module", ["pytest", "hypothesis"])
def test_the_suites_name_what_is_missing(module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; import hashret.testing"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    wanted = f"MissingExtra: hashret.testing needs {module}; install it with: pip install 'hashret[test]'"
    assert run.stderr.splitlines()[-1].endswith(wanted)
