"""The file ``model.sktrain``: a tree and members enter, one checked zip leaves, and back.

Every member is stored, named in the manifest with its size and SHA-256, and the whole file ends in the SHA-256 of all that stands
before it, so a single flipped bit is noticed before anything is decoded. Probe rows are predicted again after opening.
"""

import hashlib
import hmac
from io import BytesIO
import json
import os
from pathlib import Path
import warnings
import zipfile

import numpy as np
from sklearn.exceptions import InconsistentVersionWarning

from .._io import atomic_write, sha256
from .._optional import postponed
from ..exceptions import CorruptFileError, PersistenceError, VersionDriftWarning
from . import _facts, _probes
from ._codec import Decoder, Encoder, ValueDecoder

__all__ = ["load", "read_manifest", "save"]

FORMAT = 1
_LARGEST = 2**31  # bytes of a file
_MOST = 20_000  # members
_DIGEST = 64
_EPOCH = (2020, 1, 1, 0, 0, 0)  # fixed, so equal models give equal files


def save(estimator, path, *, probe="auto", scores=None, data=None, label_horizon=None, key=None):
    """Save a fitted estimator so that it opens safely anywhere.

    Parameters
    ----------
    estimator : estimator
        A net, pipeline, voting ensemble, quantized classifier, or scikit-learn estimator.
    path : path
        File to write, whole or not at all; its folder must exist. The usual suffix is ``.sktrain``.
    probe : "auto", DataFrame, array or None, default="auto"
        A few rows; their probabilities are kept and compared when the file is opened. ``"auto"`` makes eight rows of the kind the
        estimator takes, where that can be told: for the whole, else for the last step of a pipeline alone, else none (the manifest
        says which). None keeps no rows.
    scores : dict, optional
        Numbers to keep in the manifest.
    data : DataFrame, Series or array, optional
        The rows it was trained on; not they, but their :func:`fingerprint` and the types of their columns go into the manifest.
    label_horizon : int, optional
        Bars a label looks ahead, for the manifest; default the ``horizon`` the net was given.
    key : bytes, optional
        Secret that signs the file (HMAC-SHA256); it opens only with the same key.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    PersistenceError
        A part that cannot be rebuilt safely (it is named), or a folder that cannot be written; an old file stays as it was.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sktrain import load, save
    >>> path = save(LogisticRegression().fit([[0], [1]], [0, 1]), getfixture("tmp_path") / "model.sktrain")
    >>> load(path).predict([[2]])
    array([1])
    """
    encoder = Encoder()
    tree = encoder.encode(estimator)
    subject = Decoder(encoder.members).decode(tree) if encoder.elsewhere else estimator  # accelerators round in their own way
    given = None if isinstance(probe, str) and probe == "auto" else probe
    manifest = {
        "format": FORMAT,
        "versions": _facts.versions(encoder.needs),
        "class": f"{type(estimator).__module__}.{type(estimator).__qualname__}",
        "parameters": _facts.parameters_of(estimator),
        "classes": encoder.encode(getattr(estimator, "classes_", None), "classes_"),
        "features": encoder.encode(getattr(estimator, "feature_names_in_", None), "feature_names_in_"),
        "dtypes": _facts.dtypes_of(data, given, _probes.remembered(estimator)),
        "label_horizon": _facts.horizon_of(estimator) if label_horizon is None else int(label_horizon),
        "data_fingerprint": None if data is None else _facts.fingerprint(data),
        "scores": encoder.encode(scores or {}, "scores"),
        "model": tree,
        **(_guessed(subject, encoder) if given is not probe else _asked(subject, given, encoder)),
        "signed": key is not None,
    }
    try:
        return atomic_write(path, _pack(manifest, encoder.members, key))
    except OSError as error:
        raise PersistenceError(f"{os.fspath(path)!r} cannot be written: {error.strerror or error}.") from error


def load(path, *, key=None):
    """Open a file that :func:`save` wrote. No code in the file is run, whoever wrote it.

    Parameters
    ----------
    path : path
    key : bytes, optional
        The secret a signed file was saved with.

    Returns
    -------
    estimator

    Raises
    ------
    CorruptFileError
        Not such a file, truncated, altered, signed with another key, or probe rows that are predicted differently here.
    PersistenceError
        No file there, or written by a newer format; the message says what to do.

    Warns
    -----
    VersionDriftWarning
        Written with another minor version of scikit-learn, or with a newer sktrain.
    """
    manifest, members = _unpack(path, key)
    decoder = Decoder(members)
    try:
        with postponed("scipy.stats"), warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # said below
            estimator = decoder.decode(manifest["model"])
            probe, last = decoder.decode(manifest["probe"]), decoder.decode(manifest.get("last_step"))
            changed = _facts.drift(manifest["versions"])
    except (PersistenceError, MemoryError):
        raise
    except Exception as error:  # whatever a hostile tree provokes is the file's fault
        raise CorruptFileError(f"{os.fspath(path)!r} cannot be rebuilt: {type(error).__name__}: {error}") from error
    with postponed("scipy.stats"):
        _replay(estimator, probe, changed, path)
        _replay(_probes.last_step(estimator), last, changed, path)
    _tell(changed, path, probed=probe is not None or last is not None)
    return estimator


def read_manifest(path, *, key=None):
    """What a saved model's file tells about it. Nothing is rebuilt.

    Parameters
    ----------
    path : path
    key : bytes, optional
        The secret a signed file was saved with.

    Returns
    -------
    dict
        Plain values: ``format``, ``versions``, ``class``, ``parameters`` (texts), ``classes``, ``features``, ``dtypes``,
        ``label_horizon``, ``data_fingerprint``, ``scores``, ``probe`` (``rows``, and whether they are ``of`` the whole ``"model"`` or
        its ``"last step"``; None without), ``signed``, and ``members`` with the ``size`` and ``sha256`` of each. Files of older
        versions tell less.

    Raises
    ------
    CorruptFileError, PersistenceError
        As :func:`load`.
    """
    manifest, members = _unpack(path, key)
    decoder = ValueDecoder(members)
    try:
        told = {name: value for name, value in manifest.items() if name not in ("model", "probe", "last_step")}
        told.update((name, _facts.plain(decoder.decode(told[name]))) for name in ("classes", "features", "scores") if name in told)
        kept = ((decoder.decode(manifest.get(name)), of) for name, of in (("probe", "model"), ("last_step", "last step")))
        told["probe"] = next(({"rows": len(probe["expected"]), "of": of} for probe, of in kept if probe is not None), None)
    except (PersistenceError, MemoryError):
        raise
    except Exception as error:
        raise CorruptFileError(f"{os.fspath(path)!r} has a manifest that cannot be read: {type(error).__name__}: {error}") from error
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
    return {"probe": encoder.encode({"X": rows, "expected": _probes.predict(estimator, rows)}, "probe"), "last_step": None}


def _replay(estimator, probe, changed, path):
    if probe is None:
        return
    try:
        got = _probes.predict(estimator, probe["X"])
    except Exception as error:
        raise CorruptFileError(f"{os.fspath(path)!r} opened, but cannot predict its probe rows ({_said(changed)}): {error}") from error
    if not _probes.same(got, np.asarray(probe["expected"])):
        raise CorruptFileError(f"{os.fspath(path)!r} predicts its probe rows differently here ({_said(changed)}). Save it again.")


def _said(changed):
    return ", ".join(f"{name} {old} -> {here}" for name, (old, here) in changed.items()) or "the same versions"


def _tell(changed, path, *, probed):
    told = _facts.telling(changed)
    if told:
        says = "Its probe rows are predicted as they were." if probed else "It has no probe rows to compare: check its predictions."
        warnings.warn(f"{os.fspath(path)!r} was written with other versions ({_said(told)}). {says}", VersionDriftWarning, stacklevel=3)


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


def _unpack(path, key):
    path = Path(path)
    shown = repr(os.fspath(path))
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise PersistenceError(f"{shown} is a folder, not a model file.")
        if size > _LARGEST:
            raise CorruptFileError(f"{shown} has {size:,} bytes, more than a model may have.")
        data = path.read_bytes()
    except OSError as error:
        raise PersistenceError(f"{shown} cannot be read: {error.strerror or error}.") from error
    if data[:2] != b"PK":
        raise CorruptFileError(f"{shown} is not a file that sktrain.save wrote.")
    body, mark = data[:-_DIGEST], data[-_DIGEST:]
    if not hmac.compare_digest(_digest(body, key).encode(), mark):
        what = "altered or truncated" if key is None else "altered, truncated or signed with another key"
        raise CorruptFileError(f"{shown} is {what}: its checksum does not fit. (A file saved with a key needs load(path, key=...).)")
    try:
        return _read(data, shown)
    except (zipfile.BadZipFile, KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorruptFileError(f"{shown} is not a model file: {type(error).__name__}: {error}") from error


def _read(data, shown):
    with zipfile.ZipFile(BytesIO(data)) as file:
        entries = file.infolist()
        names = [one.filename for one in entries]
        if len(names) > _MOST or len(set(names)) < len(names) or "manifest.json" not in names:
            raise CorruptFileError(f"{shown} has {len(names)} members, doubled names or no manifest.")
        for one in entries:
            if one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size or "/" in one.filename or "\\" in one.filename:
                raise CorruptFileError(f"{shown}: member {one.filename!r} is compressed or has a path; this library writes neither.")
        manifest = json.loads(file.read("manifest.json"))
        if manifest["format"] != FORMAT:
            raise PersistenceError(f"{shown} has format {manifest['format']!r}, this sktrain reads {FORMAT}. Install a newer sktrain to open it.")
        listing = manifest["members"]
        if set(listing) != set(names) - {"manifest.json"}:
            raise CorruptFileError(f"{shown}: the members are not those the manifest lists.")
        members = {name: file.read(name) for name in listing}
    for name, member in members.items():
        if len(member) != listing[name]["size"] or sha256(member) != listing[name]["sha256"]:
            raise CorruptFileError(f"{shown}: member {name!r} is altered.")
    return manifest, members
