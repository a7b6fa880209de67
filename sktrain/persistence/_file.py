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
import platform
import warnings
import zipfile

import numpy as np

from .._io import atomic_write, sha256
from ..exceptions import CorruptFileError, PersistenceError
from ._codec import Decoder, Encoder

__all__ = ["load", "read_manifest", "save"]

FORMAT = 1
_LARGEST = 2**31  # bytes of a file
_MOST = 20_000  # members
_TOLERANCE = 1e-5  # of a probability, between machines
_DIGEST = 64
_EPOCH = (2020, 1, 1, 0, 0, 0)  # fixed, so equal models give equal files


def save(estimator, path, *, probe=None, scores=None, key=None):
    """Save a fitted estimator so that it opens safely anywhere.

    Parameters
    ----------
    estimator : estimator
        A net, pipeline, voting ensemble, quantized classifier, or scikit-learn estimator.
    path : path
        File to write, whole or not at all; its folder must exist. The usual suffix is ``.sktrain``.
    probe : DataFrame or array, optional
        A few rows; their probabilities are kept and compared when the file is opened.
    scores : dict, optional
        Numbers to keep in the manifest.
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
    manifest = {
        "format": FORMAT,
        "versions": versions(),
        "class": f"{type(estimator).__module__}.{type(estimator).__qualname__}",
        "classes": encoder.encode(getattr(estimator, "classes_", None), "classes_"),
        "features": encoder.encode(getattr(estimator, "feature_names_in_", None), "feature_names_in_"),
        "scores": encoder.encode(scores or {}, "scores"),
        "model": tree,
        "probe": None if probe is None else _probe(estimator, probe, encoder),
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
    """
    manifest, members = _unpack(path, key)
    decoder = Decoder(members)
    try:
        estimator = decoder.decode(manifest["model"])
        probe = decoder.decode(manifest["probe"])
    except (PersistenceError, MemoryError):
        raise
    except Exception as error:  # whatever a hostile tree provokes is the file's fault
        raise CorruptFileError(f"{os.fspath(path)!r} cannot be rebuilt: {type(error).__name__}: {error}") from error
    if probe is not None:
        _replay(estimator, probe, manifest["versions"], path)
    return estimator


def read_manifest(path, *, key=None):
    """The manifest of a saved model: format, versions, class, scores, sizes. Nothing is rebuilt."""
    manifest, _ = _unpack(path, key)
    return {name: value for name, value in manifest.items() if name not in ("model", "probe")}


def versions():
    """What the file was written with."""
    import sklearn

    from .. import __version__

    return {"sktrain": __version__, "python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__}


def _probe(estimator, rows, encoder):
    rows = rows.copy(deep=False) if hasattr(rows, "attrs") else np.asarray(rows)
    if hasattr(rows, "attrs"):
        rows.attrs = {}
    return encoder.encode({"X": rows, "expected": _predict(estimator, rows)}, "probe")


def _predict(estimator, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # probe rows start cold on purpose
        method = "predict_proba" if hasattr(estimator, "predict_proba") else "predict" if hasattr(estimator, "predict") else "transform"
        return np.asarray(getattr(estimator, method)(rows))


def _replay(estimator, probe, written_with, path):
    try:
        got = _predict(estimator, probe["X"])
    except Exception as error:
        raise CorruptFileError(f"{os.fspath(path)!r} opened, but cannot predict its probe rows: {error}") from error
    expected = probe["expected"]
    same = got.shape == expected.shape and (
        np.allclose(got, expected, rtol=0, atol=_TOLERANCE, equal_nan=True) if expected.dtype.kind in "fiu" else np.array_equal(got, expected)
    )
    if not same:
        here = versions()
        drift = ", ".join(f"{name} {old} -> {here[name]}" for name, old in written_with.items() if name in here and here[name] != old)
        raise CorruptFileError(f"{os.fspath(path)!r} predicts its probe rows differently here ({drift or 'the same versions'}). Save it again.")


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
