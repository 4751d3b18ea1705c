"""The class `Index`, the main entry point: create, open, change, verify and repair an index.

index = Index.create("indexes/news", documents, bits=64)     # learn a hasher, encode, store
index.search("a text", k=10)                                 # encode, search, read the hits
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from hashret.address import is_address
from hashret.analyzer import checked_language
from hashret.cleaning import DIFFERENT, Cleaning
from hashret.documents import Document, Documents, Records, Sample, as_ids, batches, bytes_of
from hashret.errors import CorruptIndex, DataError, HashretError, StoreError, UsageError
from hashret.hasher import BATCH, Hasher
from hashret.ingest import (
    BATCH_BYTES,
    Change,
    append,
    as_record,
    changed,
    describe,
    each_once,
    expected,
    gone,
    placed,
    select,
)
from hashret.parts import SAMPLE, Parts, vocabulary_of
from hashret.plan import Plan
from hashret.pools import Pool, pool
from hashret.progress import report, track
from hashret.quantizer import checked_kind, checked_rescore
from hashret.readers import as_source
from hashret.readers.base import Source, Stamped
from hashret.reading import kind_of
from hashret.shards import Job, in_order
from hashret.snapshot import Made, become, snapshot
from hashret.store import Derived, Record, Store, Transaction
from hashret.store.manifest import Manifest
from hashret.store.reader import resolved
from hashret.vectorizers import VECTORIZERS

if TYPE_CHECKING:
    from hashret.store.check import Problem
    from hashret.store.repair import Repaired


log = logging.getLogger("hashret")


class Index(Cleaning):
    """An open index. Make one with `create`, open one with `open`; usable in a `with` statement.

    Example:
        >>> texts = ["wheat was dear", "the harvest of that year", "a ship sailed north"]
        >>> with hashret.Index.create("indexes/texts", texts, bits=16) as index:
        ...     index.add([hashret.Document("note", "the wheat of that year", ("1873",))])
        ...     print(index.search("wheat was dear", k=1)[0].id)
        ...     print(index["note"].labels, "note" in index, len(index))
        ...     index.delete("note")
        1
        0
        ('1873',) True 4
        1
    """

    @classmethod
    def create(
        cls,
        path: str | Path,
        documents: Source | Documents | Records,
        *,
        bits: int | Literal["auto"] | None = None,
        encoder: str | None = None,
        vectorizer: str | None = None,
        seed: int | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        hasher: Hasher | None = None,
        vectors: int | str | None = "auto",
        rescore: str | None = None,
        language: str = "auto",
        workers: int | str | None = None,
        force: bool = False,
        id: str | None = None,
        text: str | Sequence[str] | None = None,
        label: str | None = None,
    ) -> Self:
        """Learn a hasher from documents (or use a fitted one), encode them and store everything in a folder.

        Args:
            path: The folder of the index, which is locked during the call, so that no other process can write to it; or
                the address of an engine that stores it, see docs/backends.md.
            documents: A path of files, a source, a data frame, an array, or a collection of documents, texts,
                mappings, image paths or arrays.
            bits: Length of the codes, 1 to 4096, or "auto" to choose it from the documents. 64 by default.
            encoder: Name of the encoder, one of `hashret.encoders.ENCODERS`.
            vectorizer: Name of the vectorizer, one of `hashret.vectorizers.VECTORIZERS`. A vectorizer that uses a model
                is written "name:model", such as "sentence:minilm"; its embeddings are cached in a hidden file beside
                the index.
            seed: Seed of all random numbers, 0 by default.
            device: "auto", "cpu" or "cuda".
            options: Options of the encoder, the vectorizer and the schedule by name.
            hasher: A fitted hasher, to skip training.
            vectors: How to store the vector of a document: a number of bytes, "auto" (16 bytes, or one bit per
                dimension for embeddings), "int8" (1 byte per dimension), "float" (4 bytes per dimension), or None to
                store no vectors.
            rescore: Also store the features on disk, as "int8" or "float". The best documents of a query are scored
                again by them, see `search`. They are not read into memory.
            language: Language of the texts, for stemming. "auto" detects it, "none" disables stemming.
            workers: Processes that encode the documents: a number of them on this machine, "ray" for Ray on this
                machine, or "ray:ADDRESS" for a cluster (`hashret[ray]`). If the run is interrupted, the same call
                encodes only what is missing. None encodes in this process; the index is the same.
            force: Replace an existing index. It can be searched until the new one is complete.
            id, text, label: Names of the fields of records, if they differ from the defaults. The label "folder" is
                the name of the folder of a file.

        Raises:
            IndexExists: The folder holds an index, and `force` is not set.
            UsageError: An argument is invalid, or the folder contains other files.
            IndexLocked: Another process is writing to an index in this folder.
            DataError: There are no documents, or some are invalid.

        Example:
            >>> index = hashret.Index.create("indexes/mine", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> len(index)
            2
        """
        fit = _given(
            bits=bits, encoder=encoder, vectorizer=vectorizer, seed=seed, device=device, options=options or None
        )
        if hasher is not None and fit:
            raise UsageError(f"a fitted hasher cannot be combined with training options; leave out {', '.join(fit)}")
        kind = checked_kind(vectors)
        rescore = checked_rescore(rescore, kind)
        language = language if language == "auto" else checked_language(language)
        processes = None if workers is None else pool(workers)
        if is_address(path):
            _check_local(rescore=rescore, workers=workers)
            fields = _given(id=id, text=text, label=label)
            return cast(
                "Self",
                _remote().learn(path, as_source(documents, **fields), fit, hasher, kind, language, force),
            )
        store = Store.new(path, force)
        source = as_source(documents, **_given(id=id, text=text, label=label)).without(store.path)
        plan, job = Plan(source), None
        with store.write() as change:
            read = source if processes is None else plan
            fit["cache"] = cache_of(store.path)
            hasher, parts = learn(read, hasher, fit, kind, language, rescore)
            about = describe(source, hasher) | parts.about()
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files() | parts.files)
            index = cls(store, hasher, parts)
            if processes is not None:
                job = Job.prepare(store.path, plan, hasher, parts, about, cache_of(store.path))
                _take_shards(change, job, processes)
            else:
                index._take_in(change, source, "refuse")
        if job is not None:
            job.remove()
        return index

    @classmethod
    def open(cls, path: str | Path, *, search: str = "auto", threads: int | None = None) -> Self:
        """Open an index.

        Args:
            path: The folder of the index, or the address of an engine that stores it.
            search: Name of the searcher, one of `hashret.search.SEARCHERS`; see `search_by`.
            threads: Number of threads for search; by default one for few queries and all cores for many.

        Raises:
            IndexNotFound: The path holds no index.
            CorruptIndex: A file of the index is damaged or missing.
            FormatTooNew: A newer version of hashret wrote it.

        Example:
            >>> with hashret.Index.open("indexes/mine") as index:
            ...     print(index)
            Index('indexes/mine', 2 documents, 16 bits)
        """
        if is_address(path):
            return cast("Self", _remote().connect(path, search, threads))
        store, hasher = _opened(Path(path))
        if hasher.bits != store.manifest.bits:
            words = f"index {str(path)!r} has codes of {store.manifest.bits} bits, but its hasher has {hasher.bits}"
            raise CorruptIndex(words, path=str(path))
        index = cls(store, hasher, _parts_of(store, hasher))
        if (search, threads) != ("auto", None):
            index.search_by(search, threads)
        return index

    def reopened(self) -> Self:
        """Return the index at its newest generation, without reading again what has not changed.

        This object keeps its generation. Another process may have changed the index, or built it again.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> len(index.reopened()) == len(index)
            True
        """
        try:
            store = Store.open(self.path)
            if store.manifest.hasher != self.store.manifest.hasher:
                return type(self).open(self.path)
            index = type(self)(store, self.hasher, self._parts)
            index._follow()
        except HashretError:  # the index was built again in between, or is damaged
            return type(self).open(self.path)
        index._way = dict(self._way)
        return index

    def verify(self) -> list[Problem]:
        """Check all files of the index. Returns the problems found, or [] if there are none."""
        return verify(self.path)

    def add(
        self, documents: Source | Documents | Records, *, replace: bool = False, skip: bool = False, prune: bool = False
    ) -> int:
        """Encode and append documents in one transaction. Returns the number of documents added.

        Logs the number of documents that were added, replaced and skipped. Files of a folder that was indexed before
        get the same ids again.

        Args:
            documents: A source, a Path, or documents, texts or arrays. A str is one text, never a path, because it may
                come from a user. Texts without an id get their position as id; use Document or mappings to set it.
            replace: Replace stored documents with the same ids. In a folder, only files with a changed size or
                modification time are read.
            skip: Skip documents whose id is already in the index.
            prune: Delete the documents of files that no longer exist. By default, they are only logged.

        Raises:
            DuplicateIds: An id is already in the index and neither `replace` nor `skip` is set, or it occurs twice.
            IndexLocked: Another process is changing the index.
            DataError: A document has another type than the index, or cannot be read.
            UsageError: `replace` and `skip` are both set, or `prune` is set and the source is not a folder.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.add([{"id": "barley", "text": "barley was cheap that year"}])
            1
        """
        if replace and skip:
            raise UsageError("replace and skip cannot be combined; choose one")
        policy = "replace" if replace else "skip" if skip else "refuse"
        source = as_source([documents] if isinstance(documents, str) else documents).without(self.path)
        if prune and not isinstance(source, Stamped):
            raise UsageError("prune needs a folder as source")
        with self._changing() as (change, now):
            about, source = placed(source, change.about)
            change.about = about
            if isinstance(source, Stamped) and (replace or prune):
                lost = gone(source, now.store, about)
                if prune:
                    change.delete([row for row, _ in lost])
                _report_gone([id for _, id in lost], prune)
            unchanged = 0
            if isinstance(source, Stamped) and replace:
                fresh, known, unchanged = changed(source, now.store)
                source = source.only(fresh, known)
            deleted = int(change.deleted.sum())
            added, left = now._take_in(change, source, policy)
            replaced = int(change.deleted.sum()) - deleted
        log.info(f"documents added: {added - replaced:,}, replaced: {replaced:,}, skipped: {left + unchanged:,}")
        return added

    def delete(self, ids: str | Iterable[str]) -> int:
        """Delete one or more documents by id. Returns the number of deleted documents.

        Raises:
            UnknownId: An id is not in the index. Nothing is deleted.
            IndexLocked: Another process is changing the index.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.delete("barley")
            1
        """
        with self._changing() as (change, now):
            rows = {now._row(id) for id in as_ids(ids)}
            change.delete(sorted(rows))
            return len(rows)

    def mark_different(self, first: str, second: str, *, different: bool = True) -> None:
        """Remember that two documents are not duplicates, so that `duplicates` does not group one with the other.

        Args:
            first, second: The ids of the documents.
            different: If not set, forget it.

        Raises:
            UnknownId: An id is not in the index.
            UsageError: The two ids are the same.
            IndexLocked: Another process is changing the index.

        Example:
            >>> hashret.Index.open("indexes/mine").mark_different("0", "1")
        """
        pair = sorted(as_ids([first, second]))
        if pair[0] == pair[1]:
            raise UsageError(f"a document cannot be different from itself: {first!r}")
        with self._changing() as (change, now):
            for id in pair:
                now._row(id)
            others = [own for own in change.about.get(DIFFERENT) or () if own != pair]
            change.about = {**change.about, DIFFERENT: [*others, pair] if different else others}

    def compact(self) -> None:
        """Merge segments and free the space of deleted documents. Search results do not change."""
        with self._changing() as (change, _):
            change.compact()

    def refit(
        self,
        *,
        bits: int | Literal["auto"] | None = None,
        encoder: str | None = None,
        vectorizer: str | None = None,
        seed: int | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        language: str | None = None,
    ) -> None:
        """Learn a new hasher from the stored documents and encode them again.

        The arguments are those of `create`. Omitted arguments and training options keep their values. Queries use
        the old codes until the new ones are complete. Images are read from the stored thumbnails, which are exact up to
        64 pixels per side; for a model, they are read from the original files that still exist.

        Raises:
            UsageError: An option is invalid, or the documents are vectors, which are not stored exactly.
            IndexLocked: Another process is changing the index.
            StoreError: Another process changed the index during the training.
        """
        if self.hasher.document_type == "vector":
            raise UsageError("cannot refit an index of vectors, which are not stored exactly; create it again")
        fit = _given(
            bits=bits, encoder=encoder, vectorizer=vectorizer, seed=seed, device=device, options=options or None
        )
        before = self.store.manifest.generation
        sample, settings = Sample(SAMPLE), self._as_before(fit)
        pretrained = VECTORIZERS.get(settings["vectorizer"].partition(":")[0]).pretrained
        drawn = sample.drawn_from(self._inputs(self.store.records(), pretrained))
        hasher = Hasher.fit(drawn, cache=cache_of(self.store.path), **settings)
        kind = kind_of(self._parts.quantizer)
        if hasher.vectorizer.pretrained != self.hasher.vectorizer.pretrained and isinstance(kind, int):
            kind = "auto"
        parts = Parts.fit(hasher, sample.documents, kind, language or self.language or "auto", self._parts.rescore)
        with self._changing() as (change, now):
            if now.store.manifest.generation != before:
                raise StoreError("another process changed the index during training; refit again")
            about = dict(now.store.manifest.about) | parts.about() | {"words": {}, "ones": {}}
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files() | parts.files, new=False)
            for records in batches(track(now.store.records(), "encoding", len(now)), BATCH):
                append(change, hasher, parts, list(now._inputs(records, pretrained)), records, "fitted")
            now.hasher, now._parts = hasher, parts

    def _as_before(self, fit: Mapping[str, Any]) -> dict[str, Any]:
        """Merge the given arguments for training with those the index was created with."""
        old = self.hasher
        options: dict[str, Any] = {}
        if fit.get("vectorizer", old.vectorizer.name) == old.vectorizer.name:
            options |= {f"vectorizer.{name}": value for name, value in old.vectorizer.params().items()}
        if fit.get("encoder", old.encoder) == old.encoder:
            options |= {f"encoder.{name}": value for name, value in old.params.items()}
        options |= {f"schedule.{name}": value for name, value in old.training.items() if name != "seed"}
        options |= fit.get("options") or {}
        before = {"bits": self.bits, "encoder": old.encoder, "vectorizer": old.vectorizer.name}
        before |= {"seed": old.training["seed"]} if "seed" in old.training else {}
        return {**before, **fit, "options": options}

    @contextmanager
    def _changing(self) -> Iterator[tuple[Transaction, Index]]:
        """Start a transaction. Yields it with a copy of this index at the current generation.

        Afterwards this index takes over the state of the copy. Running queries in other threads keep their generation.
        """
        now = snapshot(self)
        now.store = copy(self.store)
        try:
            with now.store.write() as change:
                now._follow()
                yield change, now
        finally:
            now._follow()
            become(self, vars(now), lambda old: old.store.manifest.generation <= now.store.manifest.generation)

    def _follow(self) -> None:
        """Switch to the generation of the store. Loads its hasher and parts if they differ."""
        self._made = Made()
        about = self.store.manifest.about
        if self.hasher.fingerprint != self.store.manifest.fingerprint:
            self.hasher = _hasher_of(self.store)
        if self._parts.about() != {name: about[name] for name in ("analyzer", "vectors") if name in about}:
            self._parts = _parts_of(self.store, self.hasher)

    def _take_in(self, change: Change, documents: Iterable[Document], policy: str) -> tuple[int, int]:
        """Encode and append documents in batches. Returns the number of added and of skipped documents.

        `policy` for existing ids: "refuse", "replace" or "skip".
        """
        seen: set[str] = set()
        root = str(change.about.get("root") or "")
        added = left = 0
        for batch in batches(track(documents, "encoding", expected(documents)), BATCH, bytes_of, BATCH_BYTES):
            fresh = select(change, batch, seen, policy)
            records = [as_record(document, root) for document in fresh]
            append(change, self.hasher, self._parts, fresh, records, "fitted" if change.started_over else "added")
            added += len(fresh)
            left += len(batch) - len(fresh)
        return added, left

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path only. Unpickling opens the index again."""
        return type(self).open, (str(self.path),)


def _check_local(**arguments: object) -> None:
    """Raise UsageError if an argument is set that only an index in a folder takes."""
    for name, value in arguments.items():
        if value is not None:
            raise UsageError(f"{name} is for an index in a folder, not for one in an engine; leave it out")


def _take_shards(change: Transaction, job: Job, processes: Pool) -> None:
    """Encode the shards of a job that are missing, and append all of them in order."""
    missing, added = job.missing(), 0
    finished = processes.run(job, missing)
    total = sum(shard.count for shard in job.shards)
    with closing(finished):
        for number in in_order(finished, job, missing):
            job.add_to(change, number)
            added += job.shards[number].count
            report("encoding", added, total)


def _remote() -> Any:
    """The class of indexes in an engine. It is a subclass of `Index`, so this module cannot import it at the top."""
    return importlib.import_module("hashret.backends").RemoteIndex


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def learn(
    source: Iterable[Document],
    hasher: Hasher | None,
    fit: Mapping[str, Any],
    vectors: int | str | None,
    language: str,
    rescore: str | None = None,
) -> tuple[Hasher, Parts]:
    """Learn a hasher (or take the given one) and the parts from documents. Raises DataError if there are none.

    `fit` are arguments of `Hasher.fit`, the others are as for `Index.create`, and checked.
    """
    sample = Sample(SAMPLE)
    read = sample.drawn_from(each_once(source))
    hasher = hasher or Hasher.fit(read, **fit)
    for _ in read:  # draw the rest of the sample if no training has read it
        pass
    if not sample.kept:
        raise DataError("the source contains no documents; choose another source")
    return hasher, Parts.fit(hasher, sample.documents, vectors, language, rescore)


def _opened(path: Path) -> tuple[Store, Hasher]:
    """Open the store and the hasher of an index, both of the same generation."""
    while True:
        store = Store.open(path)
        try:
            return store, _hasher_of(store)
        except HashretError:
            if Store.open(path).manifest.hasher == store.manifest.hasher:
                raise  # otherwise a writer replaced the hasher in between: try again


def _hasher_of(store: Store) -> Hasher:
    """Load the hasher of the generation of a store."""
    hasher = Hasher.from_files(store.hasher_reader(), f"{store.path / store.manifest.hasher}")
    hasher.vectorizer.use("auto", cache_of(store.path))
    return hasher


def cache_of(path: Path) -> Path:
    """Return the file beside an index that caches embeddings of its documents. It is hidden, so it is not indexed."""
    return path.parent / f".{path.name}.embeddings"


def _parts_of(store: Store, hasher: Hasher) -> Parts:
    """Load the parts of the generation of a store."""
    return Parts.restore(store.manifest.about, store.hasher_reader(), vocabulary_of(hasher))


def _derive(manifest: Manifest, read: Callable[[str], bytes]) -> Callable[[Sequence[Record]], Derived]:
    """Return a function that computes words, titles and (for texts only) vectors from records. Others are None."""
    hasher = None
    try:
        parts = Parts.restore(manifest.about, read)
        hasher = Hasher.from_files(read, manifest.hasher)
    except (StoreError, UsageError):
        parts = Parts.restore({name: own for name, own in manifest.about.items() if name != "vectors"}, read)

    def derive(records: Sequence[Record]) -> Derived:
        features = None
        if hasher is not None and hasher.document_type == "text":
            with suppress(UsageError):  # the model that the vectorizer needs may be missing
                transformed = hasher.vectorizer.transform([Document(record.id, record.content) for record in records])
                features = hasher.vectorizer.for_vectors(transformed.input)
        return parts.derive(features, records)

    return derive


def _report_gone(ids: Sequence[str], pruned: bool) -> None:
    if ids:
        named = ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")
        what = "their documents were deleted" if pruned else "their documents are kept; use prune to delete them"
        log.warning("missing files: %d; %s: %s", len(ids), what, named)


def verify(path: str | Path) -> list[Problem]:
    """Return the problems of the index at a path, even if it cannot be opened, or [] if there are none.

    Each problem has a `file`, `what` (the problem) and `means` (its consequences). Raises IndexNotFound if the path
    holds no index.

    Example:
        >>> hashret.verify("indexes/mine")
        []
    """
    from hashret.store.check import Problem, problems

    if is_address(path):
        with Index.open(path) as index:
            return index.verify()
    place = resolved(path)
    wrong = problems(place)
    if not wrong:
        try:
            with Index.open(place) as index:
                if index.hasher.fingerprint == index.store.manifest.fingerprint:
                    return []
            what = "did not create the codes: its fingerprint does not match"
        except HashretError as error:
            what = f"cannot be used: {error}"
        wrong.append(Problem("hasher", what, "queries cannot be trusted; index the source again, or restore a backup"))
    return wrong


def repair(path: str | Path) -> Repaired:
    """Repair the index at a path as far as possible, and return a report.

    The report has the lists `done` (file, action), `lost` (file, id), `nameless` (file, number of lost documents with
    unknown ids) and `left` (remaining problems). Raises IndexNotFound if the path holds no index, and CorruptIndex if
    both manifests or both lists of deleted documents are unreadable.

    Example:
        >>> report = hashret.repair("indexes/mine")
        >>> report.done, report.lost, report.left
        ([], [], [])
    """
    from hashret.store.repair import repair

    if is_address(path):
        raise UsageError("repair is for an index in a folder; restore a backup of the engine, or push the index again")
    return repair(resolved(path), _derive)
