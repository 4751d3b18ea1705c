"""Hasher: a vectorizer and a program, which together compute the code of a document.

    documents --vectorizer--> features --program--> codes

A hasher is saved as config.json, weights and vocabulary, in formats that cannot run code. Another file has the tensors
that are not needed for codes (`encoder_state.py`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from hashret import encoder_state, files
from hashret.codes import Codes, check_bits, width
from hashret.documents import Document, Documents, Sample, as_documents, batches
from hashret.encoders import DEFAULT, ENCODERS
from hashret.encoders.base import Encoder
from hashret.errors import DataError, StoreError, UsageError, unknown
from hashret.features import CSRMatrix, Features, Floats
from hashret.files import Root
from hashret.lengths import long_enough
from hashret.progress import track
from hashret.runtime import Program
from hashret.vectorizers import DEFAULTS, VECTORIZERS
from hashret.vectorizers.base import State, Vectorizer

if TYPE_CHECKING:
    from hashret.training import Schedule

log = logging.getLogger("hashret")

KIND = "hashret hasher"
FORMAT = 1
CONFIG = "config.json"
NAMES = re.compile(r"(vocabulary|weights|encoder)-[0-9a-f]{16}\.(json|safetensors)")
MOST_CONFIG = 4 << 20  # bytes of config.json
BATCH = 1000  # documents encoded at once


class Hasher:
    """Computes codes of documents. `fit` learns a hasher, `save` and `load` keep it in a folder.

    Example:
        >>> hasher = hashret.Hasher.fit(["wheat was dear", "a ship sailed north"], bits=16)
        >>> hasher.encode(["wheat"]).shape  # uint8 [documents, bytes]
        (1, 2)
        >>> hasher.save("hashers/mine")
        >>> hashret.Hasher.load("hashers/mine").fingerprint == hasher.fingerprint
        True
    """

    def __init__(
        self,
        vectorizer: Vectorizer,
        program: Program,
        encoder: str,
        params: Mapping[str, Any],
        state: Callable[[], Mapping[str, Floats]] = dict,
        training: Mapping[str, Any] | None = None,
        starts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.vectorizer = vectorizer
        self.program = program
        self.encoder = encoder  # name of the encoder
        self.params = dict(params)  # options of the encoder
        self._state = state  # returns the state of the encoder, which is read when needed
        self.training = dict(training or {})  # seed and options of the schedule used to fit it
        self.starts = [dict(start) for start in starts]  # what `n_init` compared: seed, share of the steps, objective

    @classmethod
    def fit(
        cls,
        documents: Documents,
        *,
        bits: int | Literal["auto"] = 64,
        encoder: str = DEFAULT,
        vectorizer: str | None = None,
        seed: int = 0,
        device: str = "auto",
        options: Mapping[str, Any] | None = None,
        cache: str | Path | None = None,
    ) -> Self:
        """Learn a hasher from documents, or from a sample of a very large collection.

        Args:
            documents: A source, or a collection of documents, texts, image paths or arrays.
            bits: Length of the codes, 1 to 4096, or "auto", which chooses it by the documents.
            encoder: Name of the encoder, of `hashret.encoders.ENCODERS`.
            vectorizer: Name of the vectorizer, of `hashret.vectorizers.VECTORIZERS`; None chooses it by the documents.
                A vectorizer that uses a model is written "name:model", such as "sentence:minilm".
            seed: Seed of the random numbers.
            device: "auto", "cpu" or "cuda".
            options: Options of the encoder, the vectorizer and the schedule. A name that two of them share needs a
                prefix, such as "vectorizer.size".
            cache: File in which the embeddings of a model are kept, so that they are computed once.

        Raises:
            UsageError: An option is wrong, or a model is not found.
            DataError: There are no documents, or some are not valid for the vectorizer.
        """
        if bits != "auto":
            check_bits(bits)
        settings = Settings(encoder, vectorizer, {"seed": seed, "device": device} | dict(options or {}))
        if settings.named:
            settings.vectorizer("").find()
        sample = settings.draw(as_documents(documents))
        vectors = settings.vectorizer(sample[0].kind)
        vectors.use(device, None if cache is None else Path(cache))
        features = vectors.fit(sample)
        return cls.learn(vectors, features, settings.encoder, bits, settings.schedule)

    @classmethod
    def learn(
        cls,
        vectorizer: Vectorizer,
        features: Features,
        encoder: Encoder,
        bits: int | Literal["auto"],
        schedule: Schedule,
    ) -> Self:
        """Learn a hasher from the features of a fitted vectorizer. Raises UsageError if the encoder rejects them."""
        check_wanted(encoder, features.feature_type, vectorizer.name)
        if schedule.checkpoint and not encoder.trained:
            log.info(f"encoder {encoder.name!r} is not trained in steps, so there is no checkpoint to keep")

        fitted: dict[int, tuple[Mapping[str, Floats], Sequence[Mapping[str, Any]]]] = {}  # by length

        def fit(length: int) -> Program:
            encoder.fit(features, check_bits(length), schedule)
            fitted[length] = encoder.state(), encoder.starts()
            return encoder.program()

        program = long_enough(fit, features, schedule.seed) if bits == "auto" else fit(bits)
        state, starts = fitted[program.bits]
        return cls(vectorizer, program, encoder.name, encoder.params(), lambda: state, schedule.learned(), starts)

    @cached_property
    def fitted(self) -> Encoder:
        """The fitted encoder, which may have other capabilities than codes, see `encoders.base.CAPABILITIES`.

        Raises StoreError if the state of the encoder is missing or damaged.
        """
        encoder = ENCODERS.get(self.encoder).from_params(self.params)
        like = self.vectorizer.transform([])
        try:
            return encoder.restore(Features(like.input, like.shape, like.feature_type), self.bits, self._state())
        except FileNotFoundError:
            raise StoreError("this hasher was saved without the state of its encoder; fit it again") from None
        except OSError as error:
            raise StoreError(f"the state of the encoder cannot be read: {files.reason(error)}") from error
        except (RuntimeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(f"the state does not fit the encoder ({error}); build the index again") from error

    @property
    def bits(self) -> int:
        """Length of the codes in bits."""
        return self.program.bits

    @property
    def document_type(self) -> str:
        """The type of the documents: "text", "image" or "vector"."""
        return self.vectorizer.document_type

    def features(self, documents: Documents) -> Iterator[Floats | CSRMatrix]:
        """Iterate over the features of documents, [n, dim] per batch."""
        return (self.vectorizer.transform(batch).input for batch in batches(as_documents(documents), BATCH))

    def query_features(self, queries: Documents) -> Iterator[Floats | CSRMatrix]:
        """Iterate over the features of queries, [n, dim] per batch; some models embed queries in another way."""
        return (self.vectorizer.transform_queries(batch).input for batch in batches(as_documents(queries), BATCH))

    def encode(self, documents: Documents) -> Codes:
        """Return the codes of documents, uint8 [n, ceil(bits / 8)]; n is 1 for one text, path, vector or Document."""
        parts = [self.program.encode(features) for features in self.features(documents)]
        return np.concatenate(parts) if parts else np.zeros((0, width(self.bits)), np.uint8)

    def logits(self, documents: Documents) -> Floats:
        """Return the logits of documents, float32 [n, bits]; bit j of the code is 1 if logit j is above threshold j."""
        parts = [self.program.logits(features) for features in self.features(documents)]
        return np.concatenate(parts) if parts else np.zeros((0, self.bits), np.float32)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything that affects the codes; hashers with equal fingerprints compute the same codes."""
        digest = hashlib.sha256(json.dumps(self._config(), sort_keys=True).encode())
        digest.update(json.dumps(self.vectorizer.state().vocabulary).encode())
        for name, tensor in sorted(self._tensors().items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()[:32]

    def _config(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "bits": self.bits,
            "vectorizer": {"name": self.vectorizer.name, "options": self.vectorizer.params()},
            "facts": dict(self.vectorizer.state().facts),
            "encoder": {"name": self.encoder, "options": self.params},
            "shape": list(self.program.shape),
            "program": [dict(line) for line in self.program.lines],
        }

    def _tensors(self) -> dict[str, Floats]:
        own = {f"vectorizer.{name}": tensor for name, tensor in self.vectorizer.state().tensors.items()}
        return own | {f"program.{name}": tensor for name, tensor in self.program.tensors.items()}

    def files(self) -> dict[str, bytes]:
        """Return the files that `save` writes, by name. config.json lists the others, which are named by checksum."""
        from safetensors.numpy import save

        vocabulary = list(self.vectorizer.state().vocabulary)
        weights = save({name: np.ascontiguousarray(tensor) for name, tensor in self._tensors().items()})
        encoder, shared = encoder_state.split(self._state(), self.program.tensors)
        parts = {
            "vocabulary": ("json", json.dumps(vocabulary, ensure_ascii=False).encode("utf-8", "surrogatepass")),
            "weights": ("safetensors", weights),
            "encoder": ("safetensors", encoder),
        }
        names = {part: f"{part}-{files.sha256_of(data)[:16]}.{kind}" for part, (kind, data) in parts.items()}
        config = {"kind": KIND, **self._config(), "training": self.training, "files": names, "shared": shared}
        if self.starts:
            config["starts"] = self.starts
        found = {names[part]: data for part, (_, data) in parts.items()}
        return found | {CONFIG: json.dumps(config, indent=1, ensure_ascii=False).encode()}

    def save(self, path: str | Path) -> None:
        """Write the hasher to the folder `path`, which is created if missing; an existing hasher is replaced.

        If the process is killed, the folder contains either the old hasher or the new one.

        Raises:
            UsageError: The folder holds other files.
        """
        folder, new = Path(path).resolve(), self.files()
        files.make_root(folder)
        with Root(folder) as root:
            old = _names_of(root, folder)
            for name, data in new.items():
                if name != CONFIG and not (root.exists(name) and root.read(name) == data):
                    root.write(name, data)
            root.sync()
            root.replace(CONFIG, new[CONFIG])
            root.sync()
            for name in old - new.keys():
                root.remove(name)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Load a hasher that `save` wrote.

        Raises:
            UsageError: There is no hasher at `path`.
            StoreError: A file is damaged or missing.
        """
        folder = Path(path).resolve()
        try:
            with Root(folder) as root:
                if not root.exists(CONFIG):
                    raise FileNotFoundError
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"no hasher at {str(path)!r}: {CONFIG} not found") from None

        def read(name: str) -> bytes:
            with Root(folder) as root:
                return root.read(name)

        return cls.from_files(read, str(path))

    @classmethod
    def from_files(cls, read: Callable[[str], bytes], where: str) -> Self:
        """Create a hasher from its files; `read(name)` returns their bytes. The encoder state is read when needed.

        Raises:
            StoreError: A file is damaged or missing; the message names `where`.
        """
        try:
            if len(data := read(CONFIG)) > MOST_CONFIG:
                raise ValueError(f"{CONFIG} has {len(data):,} bytes")
            config = json.loads(data.decode("utf-8"))
            if config["format"] > FORMAT:
                raise StoreError(
                    f"the hasher at {where!r} has format {config['format']}, this hashret reads {FORMAT}; upgrade it"
                )
            names = config["files"]
            if config["kind"] != KIND or not all(NAMES.fullmatch(name) for name in names.values()):
                raise ValueError(f"{CONFIG} does not describe a hasher")
            vocabulary = json.loads(read(names["vocabulary"]).decode("utf-8", "surrogatepass"))
            tensors = tensors_in(read(names["weights"]))
            return cls._assemble(config, vocabulary, tensors, lambda: read(names["encoder"]))
        except FileNotFoundError as error:
            raise StoreError(f"the hasher at {where!r} has a missing file ({error}); build the index again") from error
        except OSError as error:
            raise StoreError(f"the hasher at {where!r} cannot be read: {files.reason(error)}") from error
        except (LookupError, TypeError, ValueError, AttributeError, EOFError, RecursionError) as error:
            raise StoreError(f"the hasher at {where!r} is damaged ({error!r:.200}); build the index again") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the hasher as its files."""
        return _from_bytes, (self.files(),)

    @classmethod
    def _assemble(
        cls, config: dict[str, Any], vocabulary: Any, tensors: dict[str, Floats], encoder: Callable[[], bytes]
    ) -> Self:
        def named(prefix: str) -> dict[str, Floats]:
            return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

        if not isinstance(vocabulary, list) or not all(isinstance(word, str) for word in vocabulary):
            raise StoreError("the hasher's vocabulary must be a list of strings")
        if not all(isinstance(config.get(name, {}), dict) for name in ("facts", "shared", "training")):
            raise StoreError("the hasher's facts, shared and training must be objects")
        starts = config.get("starts", [])
        if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
            raise StoreError("the hasher's starts must be a list of objects")
        described = config["vectorizer"]
        vectorizer = VECTORIZERS.get(described["name"]).from_params(described["options"])
        vectorizer.restore(State(config["facts"], named("vectorizer."), tuple(vocabulary)))
        program = Program(tuple(config["program"]), named("program."), tuple(config["shape"]))
        if program.bits != config["bits"]:
            raise StoreError(f"the hasher claims {config['bits']} bits, but its program has {program.bits}")
        if program.shape != vectorizer.transform([]).shape:
            raise StoreError(f"the hasher's encoder reads rows of {program.shape}, its vectorizer returns others")
        if program.logits(np.zeros((1, prod(program.shape)), np.float32)).shape != (1, program.bits):
            raise StoreError(f"the hasher's encoder does not return {program.bits} bits")
        described = config["encoder"]
        shared = config.get("shared", {})
        return cls(
            vectorizer,
            program,
            described["name"],
            described["options"],
            lambda: encoder_state.join(encoder(), shared, program.tensors),
            config.get("training", {}),
            starts,
        )


def tensors_in(data: bytes) -> dict[str, Floats]:
    """The float32 tensors of a safetensors file, in place: the library would map the file, or copy all of it."""
    size = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:size]).items():
        if name != "__metadata__":
            (start, stop), shape = entry["data_offsets"], entry["shape"]
            if entry["dtype"] != "F32" or not 0 <= start <= stop <= len(data) - size:
                raise ValueError(f"tensor {name!r} is not float32 inside the file")
            tensors[name] = np.frombuffer(data, "<f4", (stop - start) // 4, size + start).reshape(shape)
    return tensors


def _from_bytes(found: Mapping[str, bytes]) -> Hasher:
    return Hasher.from_files(found.__getitem__, "a pickle")


def _names_of(root: Root, folder: Path) -> set[str]:
    """Return the names of the files of a hasher in a folder. Raises UsageError if there are other files."""
    names = set(root.names())
    temporary = {name for name in names if re.fullmatch(rf"\.{CONFIG}\.\d+\.tmp", name)}
    ours = {name for name in names if NAMES.fullmatch(name)} | temporary
    if CONFIG in names:
        with suppress(OSError, EOFError, StoreError):
            if root.stat(CONFIG).st_size <= MOST_CONFIG and KIND.encode() in root.read(CONFIG)[:64]:
                return ours
    if strange := sorted(names - ours):
        raise UsageError(
            f"folder {str(folder)!r} holds other files, such as {strange[0]!r}; name a new folder for the hasher"
        )
    return ours


def check_wanted(encoder: Encoder, feature_type: str, vectorizer: str) -> None:
    """Raise UsageError if an encoder does not accept the features of a vectorizer."""
    if feature_type not in encoder.accepted_types:
        raise UsageError(
            f"encoder {encoder.name!r} needs {' or '.join(encoder.accepted_types)} features, "
            f"but vectorizer {vectorizer!r} returns {feature_type}; choose another encoder or vectorizer"
        )


class Settings:
    """Assigns options to the encoder, the vectorizer and the schedule by their names.

    Raises UsageError if an option is unknown, ambiguous or has an invalid value.
    """

    def __init__(self, encoder: str, vectorizer: str | None, options: Mapping[str, Any]) -> None:
        from hashret.training import Schedule

        self.named, _, model = (vectorizer or "").partition(":")
        kind = ENCODERS.get(encoder)
        vectorizers = [VECTORIZERS.get(name) for name in ([self.named] if self.named else DEFAULTS.values())]
        self.parts: dict[str, dict[str, Any]] = {"encoder": {}, "vectorizer": {}, "schedule": {}}
        known = {
            "encoder": kind.options(),
            "vectorizer": {name: None for v in vectorizers for name in v.options()},
            "schedule": Schedule.options(),
        }
        if model:
            if "model" not in known["vectorizer"]:
                raise UsageError(f"vectorizer {self.named!r} uses no model, got {vectorizer!r}")
            options = {**options, "vectorizer.model": model}
        for key, value in options.items():
            part, dot, name = key.rpartition(".")
            owners = [part] if dot else [owner for owner, names in known.items() if name in names]
            if not owners or owners[0] not in known or name not in known[owners[0]]:
                raise unknown("option", key, sorted({name for names in known.values() for name in names}))
            if len(owners) > 1:
                raise UsageError(f"option {key!r} is known to {' and '.join(owners)}; use {owners[0]}.{key}=...")
            self.parts[owners[0]][name] = value
        self.encoder: Encoder = kind.from_params(self.parts["encoder"])
        self.schedule = Schedule.from_params(self.parts["schedule"])

    def vectorizer(self, kind: str) -> Vectorizer:
        """Return the named vectorizer, or the default one for documents of this kind."""
        return VECTORIZERS.get(self.named or DEFAULTS[kind]).from_params(self.parts["vectorizer"])

    def draw(self, documents: Iterable[Document]) -> list[Document]:
        """Return all documents, or a random sample of the size that the schedule allows, in order.

        Raises DataError if there are no documents.
        """
        sample = Sample(self.schedule.sample, self.schedule.seed)
        for _ in sample.drawn_from(track(documents, "reading")):
            pass
        if not sample.kept:
            raise DataError("no documents to learn from; give at least one")
        return sample.documents
