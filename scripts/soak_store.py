"""Run the fault injection of the tests for a longer time.

    python scripts/soak_store.py [PART]... [--minutes N]

Parts: kills (200), cuts (at every instant of a long history), flips (1,000), fuzz (N minutes, 10 unless given), creates
(200 pairs of processes that create one index), writers (four at once with kills and readers, N minutes), links (swapped
for folders while two write, N minutes), sectors (500 that cannot be read), truncations (500, while being read). Figures
are appended to docs/figures/store.jsonl; docs/durability.md has them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import pytest
from PIL import Image

import hashret
from figures import add_run
from hashret import Document, HashretError, Index
from hashret.index import repair, verify
from tests.faults import (
    Disk,
    Swapper,
    bad_sectors,
    cut_while_read,
    flip_bits,
    kill_writers,
    lay,
    many_writers,
    race_creations,
    state,
)

RUNS = Path(__file__).parent.parent / "docs" / "figures" / "store.jsonl"
STRANGE = [b"../", b"\0", b"\xed\xa0\x80", b"[" * 2000, b"1e999", b'"' * 3, b"\x1b[2J"]
SECONDS, BYTES = 20, 2 << 30  # that no strange bytes may take, and how much more memory than before


def documents(start: int, stop: int) -> list[Document]:
    """Short texts."""
    return [Document(f"d{n}", f"boat number{n % 5} of harbour{n % 7}", (f"l{n % 2}",)) for n in range(start, stop)]


def made(folder: Path, count: int = 60) -> Path:
    """A small index with two segments and a deletion."""
    with Index.create(folder / "index", documents(0, count), bits=16, encoder="lsh") as index:
        index.add(documents(count, count + 9))
        index.delete(["d2"])
        return index.path


def kills(folder: Path, minutes: float) -> dict[str, float]:
    """Writers killed at random times."""
    changes = kill_writers(made(folder), 200)
    cut = {what: count for what, count in sorted(changes.items()) if what.startswith("cut off")}
    return {"kills": 200, "changes acknowledged, none lost": sum(changes.values()) - sum(cut.values()), **cut}


def cuts(folder: Path, minutes: float) -> dict[str, float]:
    """Power failures at every point of a random history of changes."""
    root, chance, opened = folder / "index", random.Random(0), 0
    disk = Disk(root)
    with pytest.MonkeyPatch.context() as patch:
        with disk.watching(patch):
            index = Index.create(root, documents(0, 20), bits=16, encoder="lsh")
        disk.taken()
        for step in range(60):
            before = state(root)
            with disk.watching(patch):
                change(index, chance, step)
            after = state(root)
            for number, cut in enumerate(disk.taken()):
                place = lay(cut, folder / f"{step}-{number}")
                assert state(place) in (before, after), place
                opened += 1
    return {"changes": 60, "instants and outcomes opened": opened}


def change(index: Index, chance: random.Random, step: int) -> None:
    """One change of those there are."""
    ids = index.ids
    match chance.choice(["add", "add", "add", "replace", "delete", "compact", "refit"]):
        case "add":
            index.add(documents(100 * (step + 1), 100 * (step + 1) + chance.randint(1, 9)))
        case "replace":
            index.add([Document(id, f"boat again {step}") for id in chance.sample(ids, 3)], replace=True)
        case "delete":
            index.delete(chance.sample(ids, min(4, len(ids) - 5)))
        case "compact":
            index.compact()
        case "refit":
            index.refit(bits=chance.choice([8, 16, 24]))


def flips(folder: Path, minutes: float) -> dict[str, float]:
    """Single bits, each flipped and put back."""
    return {"bits flipped": 1000, "found": flip_bits(made(folder), 1000)}


def creates(folder: Path, minutes: float) -> dict[str, float]:
    """Two processes that create the same index at once."""
    return {**race_creations(folder, 200)}


def writers(folder: Path, minutes: float) -> dict[str, float]:
    """Four concurrent writers, killed and restarted, together with readers."""
    return {"minutes": minutes, **many_writers(made(folder), 60 * minutes)}


def links(folder: Path, minutes: float) -> dict[str, float]:
    """Folders of the index replaced by links to another folder during writes."""
    (folder / "precious").mkdir()
    (folder / "precious" / "diary.txt").write_text("dear")
    swap = Swapper(made(folder), folder / "precious")
    figures = many_writers(folder / "index", 60 * minutes, writers=2, meanwhile=swap)
    assert [file.read_text() for file in (folder / "precious").iterdir()] == ["dear"]
    return {"minutes": minutes, "swaps": swap.swaps, **figures}


def sectors(folder: Path, minutes: float) -> dict[str, float]:
    """Sectors that the disk cannot read."""
    return {**bad_sectors(large(folder), 500)}


def truncations(folder: Path, minutes: float) -> dict[str, float]:
    """Files cut short while they are read."""
    return {**cut_while_read(large(folder), 500)}


def large(folder: Path) -> Path:
    """An index of 2,000 documents whose texts do not compress."""
    chance = random.Random(0)
    texts = [Document(f"d{n}", f"boat harbour{n % 7} {chance.randbytes(150).hex()}") for n in range(2000)]
    with Index.create(folder / "index", texts, bits=16, encoder="lsh", vectorizer="tfidf") as index:
        return index.path


def samples(folder: Path) -> dict[str, tuple[bytes, Callable[[Path], Any]]]:
    """For each parser of bytes from outside: bytes that are fine, and what reads a file of such."""
    image, arrays, array = io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.new("RGB", (20, 20)).save(image, "PNG")
    np.savez(arrays, x=np.ones((4, 3)), y=np.arange(4))
    np.save(array, np.ones((4, 3), np.float32))
    idx = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 4, 4)) + bytes(32)
    lines = b'{"id": "a", "text": "one two", "label": ["x"], "n": {"deep": [1, [2]]}}\n{"title": "t", "text": "b"}\n'
    jpeg = io.BytesIO()
    Image.new("L", (9, 9)).save(jpeg, "JPEG")
    plain: dict[str, bytes] = {
        "a.jsonl": lines,
        "b.jsonl.gz": gzip.compress(lines),
        "c.csv": b'id,text,label\n1,"a, b",x\n2,c,y\n',
        "d.tsv": b"id\ttext\n1\ta b\n",
        "e.txt": "Grüße, 世界 and more".encode(),
        "f.png": image.getvalue(),
        "g.jpg": jpeg.getvalue(),
        "h.npz": arrays.getvalue(),
        "i.npy": array.getvalue(),
        "j-images-idx3-ubyte": idx,
    }
    found: dict[str, tuple[bytes, Callable[[Path], Any]]] = {name: (data, read) for name, data in plain.items()}
    index = made(folder)
    for file in sorted(index.rglob("*")):
        if file.is_file() and file.stat().st_size:
            found[f"index/{file.relative_to(index)}"] = (file.read_bytes(), lambda _: use(index))
    return found


def read(path: Path) -> None:
    """All documents of a source."""
    for _ in hashret.read(path):
        pass


def use(index: Path) -> None:
    """Open an index, ask it, read all of it, verify it."""
    verify(index)
    with Index.open(index) as opened:
        opened.search(["boat number3"], k=5)
        list(opened.documents())


def fuzz(folder: Path, minutes: float) -> dict[str, float]:
    """Slightly damaged bytes for all parsers of external data; only HashretError may be raised."""
    chance, tries, refused = random.Random(time.time_ns()), 0, 0
    cases = samples(folder)
    resource.setrlimit(resource.RLIMIT_AS, (_size() + BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it hangs")))
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        name, (data, ask) = chance.choice(list(cases.items()))
        path = folder / name
        strange = mutated(data, chance)
        path.write_bytes(strange)
        signal.alarm(SECONDS)
        try:
            ask(path)
        except HashretError:
            refused += 1
        except BaseException:
            (RUNS.parent / "failing.bin").write_bytes(strange)
            print(f"{name}: these bytes, kept in {RUNS.parent / 'failing.bin'}, are not refused but fail", flush=True)
            raise
        finally:
            signal.alarm(0)
            path.write_bytes(data) if name.startswith("index/") else path.unlink()
        tries += 1
    repair(folder / "index")
    assert verify(folder / "index") == []
    return {"minutes": minutes, "parsers": len(cases), "tries": tries, "refused": refused}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes with random bits flipped, and bytes lost, repeated, enlarged, or text inserted."""
    made_of = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        at = chance.randrange(len(made_of) + 1)
        match chance.randrange(6):
            case 0 if at < len(made_of):
                made_of[at] ^= 1 << chance.randrange(8)
            case 1:
                del made_of[at : at + chance.choice([1, 4, 100])]
            case 2:
                made_of[at:at] = made_of[at : at + chance.choice([1, 8, 64])]
            case 3:
                made_of[at : at + 4] = chance.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
            case 4:
                made_of[at:at] = chance.choice(
                    [b"../", b"\0", b"\xed\xa0\x80", b"[" * 2000, b"1e999", b'"' * 3, b"\x1b[2J"]
                )
            case _:
                made_of[at:] = b""
    return bytes(made_of)


def _size() -> int:
    """The address space of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


PARTS: dict[str, Callable[[Path, float], dict[str, float]]] = {
    "kills": kills,
    "cuts": cuts,
    "flips": flips,
    "fuzz": fuzz,
    "creates": creates,
    "writers": writers,
    "links": links,
    "sectors": sectors,
    "truncations": truncations,
}


def main() -> None:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--minutes", type=float, default=10)
    chosen = parser.parse_args()
    if strange := set(chosen.parts) - set(PARTS):
        sys.exit(f"unknown parts {sorted(strange)}; allowed: {', '.join(PARTS)}")
    for name in chosen.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            figures = PARTS[name](Path(folder), chosen.minutes)
        row = {
            "part": name,
            "figures": figures,
            "seconds": round(time.perf_counter() - started),
            "cores": os.cpu_count(),
        }
        add_run(RUNS, row)


if __name__ == "__main__":
    main()
