"""The file ``model.sktrain``: one checked zip.

Every member is stored, named in the manifest with its size and SHA-256, and the whole file ends in
the SHA-256 of all that stands before it, so a single flipped bit is noticed before anything is
decoded. Probe rows are predicted again after opening.
"""

from contextlib import contextmanager
import hashlib
import hmac
from io import BytesIO
import json
import os
from pathlib import Path
import struct
from typing import Any, Literal
import warnings
import zipfile

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import InconsistentVersionWarning

from .._io import atomic_write, read_file, sha256
from .._typing import Estimator
from .._validation import check_count
from ..exceptions import (
    CorruptFileError,
    MissingDependencyError,
    NotReplayedWarning,
    PersistenceError,
    SktrainError,
)
from ..reproducibility import unmoved_generators
from . import _facts, _probes
from ._arrays import Budget
from ._decoder import Decoder, ValueDecoder
from ._encoder import Encoder
from ._skops import CONTAINS_ITSELF

__all__ = ["load", "read_manifest", "save"]

# version of the file's format, one more with every change that older versions cannot read
FORMAT = 2
_READS = (1, 2)  # versions of the format that are opened
# bytes of a file, and of what may be made of it: a judgment, below the 4 GiB of a ZIP's fields
_LARGEST = 2**31
# what may be inflated: 32 MiB and four times the file, judgments; tests/attack/mutate.py holds
# memory to twice that
_FLOOR, _MULTIPLE = 2**25, 4
_MOST = 20_000  # members, a judgment, below the 65,535 of a ZIP's field
_DIGEST = 64  # hexadecimal digits of a SHA-256
_HEADER = struct.Struct("<4s22xHH")  # of a member (APPNOTE.TXT 4.3.7): its mark, two lengths
_UTF8 = 0x800  # the only flag of a member that this library's names may need
_EPOCH = (2020, 1, 1, 0, 0, 0)  # fixed, so equal models give equal files


def save(
    estimator: Estimator,
    path: str | os.PathLike,
    *,
    probe: Literal["auto"] | ArrayLike | None = "auto",
    scores: dict | None = None,
    data: ArrayLike | None = None,
    label_horizon: int | None = None,
    key: bytes | None = None,
    optimizer: bool = False,
    replay_rows: bool = True,
) -> Path:
    """Save a fitted estimator so that it opens safely anywhere.

    Parameters
    ----------
    estimator : estimator
        Any of this library (nets, pipelines, drift detectors and guards, searches, compressed and
        resampled classifiers) and of scikit-learn, alone or inside one another.
    path : path
        File to write, whole or not at all; its folder must exist. The usual suffix is ``.sktrain``.
    probe : "auto", DataFrame, array or None, default="auto"
        A few rows; their probabilities are kept and compared when the file is opened. ``"auto"``
        makes eight rows of the kind the estimator takes, where that can be told: for the whole,
        else for the last step of a pipeline alone, else none (the manifest says which). None keeps
        no rows.
    scores : dict, optional
        Numbers to keep in the manifest.
    data : DataFrame, Series or array, optional
        The rows it was trained on; not they, but their :func:`fingerprint` and the types of their
        columns go into the manifest.
    label_horizon : int, optional
        Bars a label looks ahead, for the manifest; default the ``horizon`` the net was given.
    key : bytes, optional
        Secret that signs the file (HMAC-SHA256); it opens only with the same key. Not empty.
    optimizer : bool, default=False
        Whether to keep the state of nets' optimizers, so that ``partial_fit`` goes on as if the net
        had never been saved. It makes a net about three times as large.
    replay_rows : bool, default=True
        Whether to keep the training rows that ``partial_fit`` of a net trains on again. A file that
        only predicts is small without them; updates of what it opens to see new rows alone.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    PersistenceError
        No estimator; a part that cannot be rebuilt safely (it is named); live pruning masks; a
        folder that cannot be written. An old file stays as it was.
    ValueError
        A ``label_horizon`` that is no whole number, an empty ``key``.

    Notes
    -----
    What a file does not hold is listed under ``left_out`` in its manifest: devices, folders of
    checkpoints, the storage of a search, functions that only training needs.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sktrain import load, save
    >>> model = LogisticRegression().fit([[0], [1]], [0, 1])
    >>> path = save(model, getfixture("tmp_path") / "model.sktrain")
    >>> load(path).predict([[2]])
    array([1])
    """
    _check_key(key)
    check_count("label_horizon", label_horizon, minimum=0, optional=True)
    if not _is_estimator(estimator):
        raise PersistenceError(
            f"save takes an estimator, got {type(estimator).__name__} {_short(estimator)}. Keep "
            "plain values in scores=, or as JSON."
        )
    encoder = Encoder(optimizer, replay_rows)
    try:
        tree = encoder.encode(estimator)
    except RecursionError as error:
        raise PersistenceError(f"model ({type(estimator).__name__}) {CONTAINS_ITSELF}") from error
    accelerated = encoder.elsewhere  # accelerators round in their own way
    subject = Decoder(encoder.members).decode(tree) if accelerated else estimator
    given = None if isinstance(probe, str) and probe == "auto" else probe
    manifest = {
        "format": FORMAT,
        "versions": _facts.versions(encoder.needs),
        "class": f"{type(estimator).__module__}.{type(estimator).__qualname__}",
        "parameters": _facts.parameters_of(estimator),
        "classes": encoder.encode(getattr(estimator, "classes_", None), "classes_"),
        "features": encoder.encode(
            getattr(estimator, "feature_names_in_", None), "feature_names_in_"
        ),
        "dtypes": _facts.dtypes_of(data, given, _probes.remembered(estimator)),
        "label_horizon": _facts.horizon_of(estimator)
        if label_horizon is None
        else int(label_horizon),
        "data_fingerprint": None if data is None else _facts.fingerprint(data),
        "scores": encoder.encode(scores or {}, "scores"),
        "left_out": sorted(set(encoder.left)),
        "model": tree,
        **(_guessed(subject, encoder) if given is not probe else _asked(subject, given, encoder)),
        "signed": key is not None,
    }
    try:
        return atomic_write(path, _pack(manifest, encoder.members, key))
    except OSError as error:
        raise PersistenceError(
            f"{os.fspath(path)!r} cannot be written: {error.strerror or error}."
        ) from error


def _is_estimator(value):
    return not isinstance(value, type) and hasattr(value, "get_params")


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _check_key(key):
    if key is not None and (not isinstance(key, bytes) or not key):
        raise SktrainError(f"key must be None or bytes, and not empty, got {key!r}.")


def load(
    path: str | os.PathLike,
    *,
    key: bytes | None = None,
    max_bytes: int | None = None,
    replay: bool = True,
) -> Any:
    """Open a file that :func:`save` wrote. No code in the file is run, whoever wrote it.

    Parameters
    ----------
    path : path
        File to read.
    key : bytes, optional
        The secret a signed file was saved with.
    max_bytes : int, optional
        Bytes that the contents may take in memory; default 32 MiB and four times the file's size.
    replay : bool, default=True
        Whether to predict the probe rows again and compare. Only estimators that compute on rows
        alone, within bounds, are replayed; of others a ``NotReplayedWarning`` tells.

    Returns
    -------
    estimator
        Fitted, as it was saved.

    Raises
    ------
    CorruptFileError
        Not such a file, truncated, altered, signed with another key, larger inside than
        ``max_bytes``, or probe rows that are predicted differently here.
    PersistenceError
        No file there, or written by a newer format; the message says what to do.

    Warns
    -----
    VersionDriftWarning
        Written with another minor version of scikit-learn, or with a newer sktrain.
    NotReplayedWarning
        The file has probe rows, and they were not replayed.

    Notes
    -----
    The random generators of the caller are as they were afterwards.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sktrain import load, save
    >>> model = LogisticRegression().fit([[0], [1]], [0, 1])
    >>> path = save(model, getfixture("tmp_path") / "model.sktrain", key=b"our secret")
    >>> load(path, key=b"our secret").predict([[2]])
    array([1])
    """
    _check_key(key)
    check_count("max_bytes", max_bytes, optional=True)
    manifest, members, budget = _unpack(path, key, max_bytes)
    with unmoved_generators(), _blamed(path, "cannot be rebuilt"):
        decoder = Decoder(members, budget)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # said below
            estimator = decoder.decode(manifest["model"])
            probe, last = (
                decoder.decode(manifest["probe"]),
                decoder.decode(manifest.get("last_step")),
            )
            changed = _facts.drift(manifest["versions"])
            _compare(manifest, estimator, decoder)
        probed = replay and _replay(estimator, probe, changed, path)
        if replay:
            probed |= _replay(_probes.last_step(estimator), last, changed, path)
    _facts.tell(changed, path, probed=probed)
    return estimator


@contextmanager
def _blamed(path, what):
    """Whatever a hostile file provokes is the file's fault."""
    try:
        yield
    except PersistenceError:
        raise
    except Exception as error:
        if isinstance(error, (MissingDependencyError, ModuleNotFoundError)):
            raise
        raise CorruptFileError(
            f"{os.fspath(path)!r} {what}: {type(error).__name__}: {error}"
        ) from error


def _compare(manifest, estimator, decoder):
    """Refuse a manifest that tells of another model than the one that was rebuilt."""
    if not _is_estimator(estimator):
        raise CorruptFileError(
            f"the file holds a {type(estimator).__name__}, which is no estimator."
        )
    root, name = str(manifest["class"]).partition(".")[0], str(manifest["class"]).rpartition(".")[2]
    kind = type(estimator)
    if (root, name) != (kind.__module__.partition(".")[0], kind.__qualname__):
        raise CorruptFileError(
            f"the manifest tells of a {manifest['class']}, the file holds a {kind.__name__}."
        )
    for told, attribute in (("classes", "classes_"), ("features", "feature_names_in_")):
        if told in manifest:
            values, own = decoder.decode(manifest[told]), getattr(estimator, attribute, None)
            if not _equal(values, own):
                raise CorruptFileError(f"the manifest tells of other {told} than the model has.")


def _equal(told, own):
    if type(told) is not type(own):
        return False
    if isinstance(told, (list, tuple)):  # classes of several outputs
        return len(told) == len(own) and all(map(_equal, told, own))
    if isinstance(told, np.ndarray):  # as they are: objects of numbers would take many times more
        return told.dtype == own.dtype and np.array_equal(told, own)
    return told.equals(own) if hasattr(told, "equals") else bool(told == own)


def read_manifest(path: str | os.PathLike, *, key: bytes | None = None) -> dict:
    """What a saved model's file tells about it. Nothing is rebuilt.

    Parameters
    ----------
    path : path
        File to read.
    key : bytes, optional
        The secret a signed file was saved with.

    Returns
    -------
    dict
        Plain values: ``format``, ``versions``, ``class``, ``parameters`` (texts), ``classes``,
        ``features``, ``dtypes``, ``label_horizon``, ``data_fingerprint``, ``scores``, ``probe``
        (``rows``, and whether they are ``of`` the whole ``"model"`` or its ``"last step"``; None
        without), ``signed``, and ``members`` with the ``size`` and ``sha256`` of each. Files of
        older versions tell less.

    Raises
    ------
    CorruptFileError, PersistenceError
        As :func:`load`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sktrain import save
    >>> from sktrain.persistence import read_manifest
    >>> model = LogisticRegression(C=0.5).fit([[0], [1]], [0, 1])
    >>> path = save(model, getfixture("tmp_path") / "model.sktrain", scores={"accuracy": 0.51})
    >>> manifest = read_manifest(path)
    >>> manifest["classes"], manifest["scores"], manifest["parameters"]["C"]
    ([0, 1], {'accuracy': 0.51}, '0.5')
    """
    _check_key(key)
    manifest, members, budget = _unpack(path, key, None)
    decoder = ValueDecoder(members, budget)
    with _blamed(path, "has a manifest that cannot be read"):
        told = {
            name: value
            for name, value in manifest.items()
            if name not in ("model", "probe", "last_step")
        }
        told.update(
            (name, _facts.plain(decoder.decode(told[name])))
            for name in ("classes", "features", "scores")
            if name in told
        )
        kept = (
            (decoder.decode(manifest.get(name)), of)
            for name, of in (("probe", "model"), ("last_step", "last step"))
        )
        told["probe"] = next(
            ({"rows": len(probe["expected"]), "of": of} for probe, of in kept if probe is not None),
            None,
        )
    return told


def _guessed(estimator, encoder):
    """Probe rows of the whole, else of its last step, else none."""
    none = {"probe": None, "last_step": None}
    last = _probes.last_step(estimator)
    for name, one in (("probe", estimator), ("last_step", last))[: 1 if last is estimator else 2]:
        tried = _probes.tried(one)
        if tried is not None:
            return {**none, name: encoder.encode(tried, name)}
    return none


def _asked(estimator, rows, encoder):
    if rows is None:
        return {"probe": None, "last_step": None}
    rows = rows.copy(deep=False) if hasattr(rows, "attrs") else np.asarray(rows)
    if hasattr(rows, "attrs"):
        rows.attrs = {}
    return {
        "probe": encoder.encode({"X": rows, "expected": _probes.predict(estimator, rows)}, "probe"),
        "last_step": None,
    }


def _replay(estimator, probe, changed, path):
    """Whether probe rows were there, and were predicted as when they were saved."""
    if probe is None:
        return False
    why = _probes.replayable(estimator, probe["X"])
    if why is not None:
        warnings.warn(
            f"The probe rows of {os.fspath(path)!r} were not replayed: {why}. Predict rows that "
            "you know, or say replay=False.",
            NotReplayedWarning,
            stacklevel=3,
        )
        return False
    try:
        got = _probes.predict(estimator, probe["X"])
    except Exception as error:  # the model came from the file: it may fail in any way
        raise CorruptFileError(
            f"{os.fspath(path)!r} opened, but cannot predict its probe rows "
            f"({_facts.said(changed)}): {error}"
        ) from error
    if not _probes.same(got, np.asarray(probe["expected"])):
        raise CorruptFileError(
            f"{os.fspath(path)!r} predicts its probe rows differently here "
            f"({_facts.said(changed)}). Save it again."
        )
    return True


def _pack(manifest, members, key):
    listing = {name: {"size": len(data), "sha256": sha256(data)} for name, data in members.items()}
    text = json.dumps({**manifest, "members": listing}, allow_nan=False).encode()
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, data in [("manifest.json", text), *members.items()]:
            file.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        file.comment = b"0" * _DIGEST
    body = buffer.getvalue()[:-_DIGEST]
    return body + _digest(body, key).encode()


def _digest(body, key):
    return sha256(body) if key is None else hmac.new(key, body, hashlib.sha256).hexdigest()


def _unpack(path, key, max_bytes):
    shown = repr(os.fspath(path))
    try:
        data = read_file(path, limit=_LARGEST)
    except OSError as error:
        raise PersistenceError(f"{shown} cannot be read: {error.strerror or error}.") from error
    if data[:2] != b"PK":
        raise CorruptFileError(f"{shown} is not a file that sktrain.save wrote.")
    body, mark = memoryview(data)[:-_DIGEST], data[-_DIGEST:]
    if not hmac.compare_digest(_digest(body, key).encode(), mark):
        what = (
            "altered or truncated"
            if key is None
            else "altered, truncated or signed with another key"
        )
        raise CorruptFileError(
            f"{shown} is {what}: its checksum does not fit. (A file saved with a key needs "
            "load(path, key=...).)"
        )
    limit = min(_FLOOR + _MULTIPLE * len(data), _LARGEST) if max_bytes is None else max_bytes
    budget = Budget(limit)
    with _blamed(path, "is not a model file"):
        return *_read(data, shown, budget), budget


def _stored(data, entry):
    """The bytes of a member that is not compressed; their checksum is the manifest's."""
    mark, length, more = _HEADER.unpack_from(data, entry.header_offset)
    start = entry.header_offset + _HEADER.size + length + more
    if mark != b"PK\x03\x04" or entry.flag_bits & ~_UTF8 or start + entry.file_size > len(data):
        raise CorruptFileError(f"member {entry.filename!r} has a damaged header.")
    return data[start : start + entry.file_size]


def _read(data, shown, budget):
    with zipfile.ZipFile(BytesIO(data)) as file:
        entries = file.infolist()
        names = [one.filename for one in entries]
        if len(names) > _MOST or len(set(names)) < len(names) or "manifest.json" not in names:
            raise CorruptFileError(
                f"{shown} has {len(names)} members, doubled names or no manifest."
            )
        if sum(one.file_size for one in entries) > len(data):
            raise CorruptFileError(f"{shown} has members that overlap.")
        for one in entries:
            plain = one.compress_type == zipfile.ZIP_STORED and one.file_size == one.compress_size
            if not plain or "/" in one.filename or "\\" in one.filename:
                raise CorruptFileError(
                    f"{shown}: member {one.filename!r} is compressed or has a path; this library "
                    "writes neither."
                )
        text = _stored(data, file.getinfo("manifest.json"))
        budget.spend_text(text)
        manifest = json.loads(text)
        if manifest["format"] not in _READS or type(manifest["format"]) is not int:
            raise PersistenceError(
                f"{shown} has format {manifest['format']!r}, this sktrain reads {FORMAT}. Install "
                "a newer sktrain to open it."
            )
        listing = manifest["members"]
        if set(listing) != set(names) - {"manifest.json"}:
            raise CorruptFileError(f"{shown}: the members are not those the manifest lists.")
    members = {one.filename: _stored(data, one) for one in entries}
    del members["manifest.json"]
    for name, member in members.items():
        if len(member) != listing[name]["size"] or sha256(member) != listing[name]["sha256"]:
            raise CorruptFileError(f"{shown}: member {name!r} is altered.")
    return manifest, members
