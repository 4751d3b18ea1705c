"""Numbers and names out of range are refused with what is allowed, whatever their type or size."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hashret
from hashret.cli.app import app
from hashret.errors import UsageError
from hashret.search import SEARCHERS, available

CODES = np.random.default_rng(0).integers(0, 256, (40, 2), dtype=np.uint8)
HERE = [name for name in SEARCHERS.names() if available(name)]
LONG = pytest.param(10**5000, id="5001 digits")
NO_NUMBERS: list[Any] = [True, 1.0, 2.5, float("nan"), "3", None, [1], np.True_]


@pytest.mark.parametrize("name", [*HERE, "BHNSW8"])
class TestSearching:
    @pytest.mark.parametrize("k", [0, -1, -(10**30), *NO_NUMBERS])
    def test_k_must_be_a_whole_number_from_1(self, name: str, k: Any) -> None:
        with pytest.raises(UsageError, match=r"k must be .*at least 1, got"):
            hashret.searcher(CODES, 16, name).search(CODES[:1], k)

    @pytest.mark.parametrize("radius", [-1, -(10**30), *NO_NUMBERS])
    def test_a_radius_must_be_a_whole_number_from_0(self, name: str, radius: Any) -> None:
        with pytest.raises(UsageError, match=r"radius must be .*at least 0, got"):
            hashret.searcher(CODES, 16, name).within(CODES[:1], radius)

    @pytest.mark.parametrize("threads", [0, -1, 1025, 10**9, 2**63, LONG, *(x for x in NO_NUMBERS if x is not None)])
    def test_threads_must_be_a_whole_number_up_to_1024(self, name: str, threads: Any) -> None:
        with pytest.raises(UsageError, match=r"threads must be .*1 to 1024, got"):
            hashret.searcher(CODES, 16, name, threads)

    @pytest.mark.parametrize("bits", [0, -8, 4097, 10**30, *NO_NUMBERS])
    def test_bits_must_be_a_whole_number_up_to_4096(self, name: str, bits: Any) -> None:
        with pytest.raises(UsageError, match=r"bits must be .*1 to 4096, got"):
            hashret.searcher(CODES, bits, name)

    @pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), 3])
    def test_any_whole_number_will_do(self, name: str, number: Any) -> None:
        bits: Any = np.int64(16)
        made = hashret.searcher(CODES, bits, name, number)
        assert made.search(CODES[:1], number).positions.shape == (1, 3)
        assert made.within(CODES[:1], number).offsets is not None

    @pytest.mark.parametrize("huge", [2**31, 2**32, 2**63, 2**64, 10**30, LONG])
    def test_numbers_beyond_the_codes_take_all(self, name: str, huge: int) -> None:
        made = hashret.searcher(CODES, 16, name)
        assert made.search(CODES[:2], huge).positions.shape == (2, 40)
        assert len(made.within(CODES[:2], huge).positions) == 80

    def test_as_many_threads_as_are_allowed_answer_as_one(self, name: str) -> None:
        one, many = (hashret.searcher(CODES, 16, name, threads).search(CODES, 5) for threads in (1, 1024))
        assert one.positions.tolist() == many.positions.tolist()


@pytest.mark.parametrize("name", ["", "auto ", "SCAN", "b", None, 3])
def test_names_of_no_searcher_are_refused(name: Any) -> None:
    with pytest.raises(UsageError, match=r"unknown searcher .*allowed: auto, scan"):
        hashret.searcher(CODES, 16, name)


MADE = ["BFlat", "BIVF1", "BIVF7", "BIVF4_HNSW4", "BHNSW2", "BHNSW256", "BHash1", "BHash16", "BHash4x4", "BHash16x1"]
REFUSED = [
    *("B", "BFlat0", "BFlatx", "BPQ8", "BLSH"),
    *("BIVF", "BIVF0", "BIVF41", "BIVF999999999", "BIVF99999999999999999999", "BIVF-1", "BIVF1,Flat", "BIVF\u0663"),
    *("BIVF4_HNSW", "BIVF4_HNSW0", "BIVF4_HNSW999999999"),
    *("BHNSW", "BHNSW0", "BHNSW1", "BHNSW257", "BHNSW-1", "BHNSW1e3", "BHNSW32x"),
    *("BHash", "BHash0", "BHash17", "BHash64"),
    *("BHash0x4", "BHash4x0", "BHash5x4", "BHash999999999x999999999", "BHash-1x-1"),
]
ASK = """
import sys
import numpy as np
import hashret

codes = np.random.default_rng(0).integers(0, 256, (int(sys.argv[1]), 2), dtype=np.uint8)
for string in sys.argv[2:]:
    try:
        made = hashret.searcher(codes, 16, string)
        print(made.search(codes[:5], 3).positions.shape, len(made.within(codes[:5], 16).positions))
    except hashret.errors.UsageError as error:
        print("refused" if "allowed: BFlat, BIVF<lists>" in str(error) else error)
"""


@pytest.mark.parametrize(
    ("codes", "strings", "answer"),
    [
        (40, MADE, "(5, 3) 200"),
        (40, REFUSED, "refused"),
        (0, ["BIVF1", "BIVF1_HNSW4"], "refused"),
        (0, ["BFlat", "BHNSW8", "BHash4", "BHash2x4"], "(0, 0) 0"),
        (1, ["BFlat", "BIVF1", "BHNSW8", "BHash4", "BHash2x4"], "(1, 1) 1"),
    ],
)
def test_strings_for_faiss_are_taken_or_refused_and_never_end_the_process(
    codes: int, strings: list[str], answer: str
) -> None:
    done = subprocess.run([sys.executable, "-c", ASK, str(codes), *strings], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [answer] * len(strings)


class TestSeeds:
    @pytest.mark.parametrize("seed", [-1, 2**32, 10**30, LONG, True, 0.5, "x", float("nan"), None])
    def test_a_seed_must_be_a_whole_number_of_32_bits(self, seed: Any) -> None:
        with pytest.raises(UsageError, match=r"seed must be (a whole number|0 to 4294967295), got"):
            hashret.Hasher.fit(["some words", "other words"], bits=8, encoder="lsh", seed=seed)

    @pytest.mark.parametrize("encoder", ["lsh", "itq", "bernoulli"])
    def test_the_largest_seed_will_do(self, encoder: str) -> None:
        texts = [f"some words of number{n % 7}" for n in range(40)]
        short = {"epochs": 1, "min_steps": 2, "max_steps": 2}
        made = hashret.Hasher.fit(texts, bits=8, encoder=encoder, seed=2**32 - 1, options=short)
        assert made.encode(texts).shape == (40, 1)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-0.1", "1.01", "1e999", "", "x"])
def test_a_gate_must_be_a_value_that_a_measure_can_have(value: str) -> None:
    result = CliRunner().invoke(app, ["eval", "queries.jsonl", "--min", f"P@10={value}"])
    assert result.exit_code == 2
    assert "--min must be" in result.stderr
