"""`Job`: what other processes need to encode the shards of a corpus, so that the index equals that of a single process.

It is a folder beside the index, `.NAME.shards/KEY/`:

    job.json             the source, the shards with the digests of their documents, and how to encode them
    hasher/              the hasher, and vectors-*.safetensors, what the quantizer learned
    documents.jsonl      the documents, if they are not in files
    shard-000001/        an encoded shard: a small index, whose folder is renamed to this name when it is complete

The key is a digest of the documents, the hasher and the settings, so that a run finds the shards of an interrupted run
and those of no other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from hashret import files
from hashret.documents import Document, batches, bytes_of
from hashret.errors import DataError, HashretError
from hashret.files import Root
from hashret.hasher import BATCH, Hasher
from hashret.ingest import BATCH_BYTES, add_ones, append, as_record
from hashret.parts import Parts, vocabulary_of
from hashret.plan import Plan, Shard, line_of
from hashret.readers.archives import container_ids
from hashret.readers.base import Source, Stamped
from hashret.readers.recipes import Recipe, has_recipe, paths_of, pieces_of, recipe_of, source_of, write_packed
from hashret.store import Store, Transaction

FORMAT = 1
JOB, HASHER, DOCUMENTS = "job.json", "hasher", "documents.jsonl"


class _Wanted:
    """The ids of the current shard, and those of files whose entries they are."""

    def __init__(self) -> None:
        self.choose(())

    def choose(self, ids: Iterable[str]) -> None:
        """Set the ids."""
        self.ids = frozenset(ids)
        self.files = {file for id in self.ids for file in container_ids(id)}

    def __contains__(self, id: Any) -> bool:
        return id in self.ids or id in self.files


class Job:
    """The folder of a run, from which each process reads what it needs to encode shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / JOB).read_bytes())
        self.shards = [Shard(**own) for own in self.about["shards"]]
        self._reading: tuple[int, int, Iterator[Document]] | None = None  # piece, documents read, the rest
        self._walk: tuple[int, Iterator[Document]] | None = None  # number of the shard read last, the rest
        self._wanted = _Wanted()

    @classmethod
    def prepare(
        cls, index: Path, plan: Plan, hasher: Hasher, parts: Parts, about: Mapping[str, Any], cache: Path
    ) -> Self:
        """Write the folder of a job beside an index, or continue the one of an interrupted run."""
        same = {
            "format": FORMAT,
            "fingerprint": hasher.fingerprint,
            "root": about["root"],
            "parts": parts.about(),
            "shards": [asdict(shard) for shard in plan.shards],
        }
        key = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]
        folder = index.parent / f".{index.name}.shards" / key
        files.make_root(folder)
        hasher.save(folder / HASHER)
        with Root(folder) as root:
            for name, data in parts.files.items():
                root.replace(name, data)
            source = plan.source
            if not has_recipe(source):
                partial = folder / f".{DOCUMENTS}.tmp"
                write_packed(source, partial)
                partial.replace(folder / DOCUMENTS)
                source = source_of({**PACKED, "path": str(folder / DOCUMENTS)})
            job = {**same, "recipe": recipe_of(source), "cache": str(cache)}
            root.replace(JOB, json.dumps(job).encode())
            root.sync()
        return cls(folder)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the source."""
        return dict(self.about["recipe"])

    @property
    def paths(self) -> list[str]:
        """The local paths that a process needs to encode shards, other than the job's folder."""
        return paths_of(self.recipe)

    @cached_property
    def hasher(self) -> Hasher:
        """The hasher."""
        hasher = Hasher.load(self.folder / HASHER)
        cache = Path(self.about["cache"])
        hasher.vectorizer.use("auto", cache if cache.parent.is_dir() else None)
        return hasher

    @cached_property
    def parts(self) -> Parts:
        """The derived parts."""
        return Parts.restore(
            self.about["parts"], lambda name: (self.folder / name).read_bytes(), vocabulary_of(self.hasher)
        )

    @cached_property
    def source(self) -> Source:
        """The source."""
        return source_of(self.recipe)

    def documents(self, shard: Shard) -> Iterator[Document]:
        """Yield the documents of a shard. Raises DataError after the last one if they are not those of the plan."""
        digest, count = hashlib.sha256(), 0
        for document in self._read(shard):
            digest.update(line_of(document))
            count += 1
            yield document
        if (count, digest.hexdigest()[:32]) != (shard.count, shard.digest):
            raise DataError(f"the source has changed since it was first read ({self._where(shard)}); start again")

    def _where(self, shard: Shard) -> str:
        first = f"document {shard.offset + 1:,}"
        return f"{self.source.address}, file {shard.piece + 1:,}, from {first}, {shard.count:,} documents"

    def _read(self, shard: Shard) -> Iterator[Document]:
        if shard.ids:
            yield from islice(self._chosen(shard), shard.count)
            return
        left, piece, offset = shard.count, shard.piece, shard.offset
        while left and piece < len(self.pieces):
            before = left
            for document in islice(self._from(piece, offset), left):
                yield document
                left -= 1
            self._reading = (piece, offset + before - left, self._rest) if not left else None
            piece, offset = piece + 1, 0

    def _chosen(self, shard: Shard) -> Iterator[Document]:
        """Return the documents of a folder from a shard on. Going on after an earlier shard walks no folder twice."""
        if self._walk is None or shard.number <= self._walk[0]:
            assert isinstance(self.source, Stamped)
            walk = iter(self.source.only(self._wanted))
        else:
            walk = self._walk[1]
        self._wanted.choose(shard.ids)
        self._walk = (shard.number, walk)
        return walk

    def _from(self, piece: int, offset: int) -> Iterator[Document]:
        """Return the documents of a piece from an offset. Going on where the last shard ended reads nothing twice."""
        skip = offset
        if self._reading and self._reading[0] == piece and self._reading[1] <= offset:
            skip = offset - self._reading[1]
            self._rest = self._reading[2]
        else:
            self._rest = iter(self.pieces[piece])
        self._reading = None
        next(islice(self._rest, skip, skip), None)
        return self._rest

    @cached_property
    def pieces(self) -> list[Source]:
        """The files of the source."""
        return pieces_of(self.source)

    # Encoded shards

    def path(self, number: int) -> Path:
        """Path of an encoded shard."""
        return self.folder / f"shard-{number:06d}"

    def attempt(self, number: int) -> Path:
        """Return a new path to encode a shard at; each attempt has its own."""
        return self.folder / f".shard-{number:06d}.{uuid.uuid4().hex}.part"

    def encode(self, number: int, path: Path) -> None:
        """Encode a shard to a small index at this path."""
        shard, root = self.shards[number], self.about["root"]
        with Store.new(path).write() as change:
            change.start_over(self.hasher.bits, self.hasher.fingerprint, {"root": root}, {})
            for batch in batches(self.documents(shard), BATCH, bytes_of, BATCH_BYTES):
                append(change, self.hasher, self.parts, batch, [as_record(own, root) for own in batch], "fitted")

    def commit(self, number: int, attempt: Path) -> None:
        """Make an attempt the encoded shard, unless another attempt was faster."""
        try:
            attempt.rename(self.path(number))
        except OSError:
            if not self.path(number).exists():
                raise
            shutil.rmtree(attempt, ignore_errors=True)
        files.sync_path(self.folder)

    def missing(self) -> list[int]:
        """Return the numbers of the shards that are not encoded; damaged ones are removed."""
        missing = []
        for shard in self.shards:
            path = self.path(shard.number)
            if path.exists() and not _is_intact(path):
                shutil.rmtree(path)
            missing += [] if path.exists() else [shard.number]
        return missing

    def add_to(self, change: Transaction, number: int) -> None:
        """Append the documents of an encoded shard."""
        store = Store.open(self.path(number))
        for segment in store.segments:
            codes, derived = segment.codes(), segment.derived()
            for start in range(0, segment.rows, BATCH):
                rows = np.arange(start, min(start + BATCH, segment.rows))
                change.add(codes[rows], segment.some(rows), derived.take(rows))
        counted, own = dict(change.about.get("words") or {}), store.manifest.about["words"]["fitted"]
        before = counted.get("fitted", [0, 0])
        many, *each = store.manifest.about["ones"]["fitted"]
        change.about = {
            **change.about,
            "words": {**counted, "fitted": [before[0] + own[0], before[1] + own[1]]},
            "ones": add_ones(change.about, "fitted", many, each),
        }
        store.close()

    def remove(self) -> None:
        """Remove the folder, with all that a run writes to it."""
        names = [JOB, HASHER, DOCUMENTS, *self.parts.files]
        names += [path.name for path in self.folder.iterdir() if _is_shard(path.name)]
        for name in names:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for folder in (self.folder, self.folder.parent):
            with suppress(OSError):  # not empty: another run was interrupted, or others put files there
                folder.rmdir()


PACKED: Recipe = {"source": "packed", "fields": {}, "strict": False}


def _is_shard(name: str) -> bool:
    return name.startswith(("shard-", ".shard-")) and name.lstrip(".")[6:12].isdecimal()


def _is_intact(path: Path) -> bool:
    try:
        return not Store.open(path).verify()
    except HashretError:
        return False


def in_order(finished: Iterator[int], job: Job, missing: Sequence[int]) -> Iterator[int]:
    """Yield the numbers of all shards in order, each as soon as it and those before it are there."""
    waiting, numbers = set(missing), iter(job.shards)
    ahead = next(numbers, None)
    while ahead is not None:
        while ahead is not None and ahead.number not in waiting:
            yield ahead.number
            ahead = next(numbers, None)
        if ahead is not None:
            waiting.discard(next(finished))
