"""The folder of a run: its files, who may write it, and how one run takes the place of another.

``model.sktrain`` the fitted model · ``result.json`` what ``train`` returned · ``drift.sktrain``
the drift reference · ``trained.sktrain`` the float model an incremental run continues ·
``evidence.json`` numbers of the report · ``report.html`` the report. While a run lasts:
``.sktrain-lock``, ``.sktrain-checkpoints/``, ``.sktrain-next/``.

A run prepares all of its files in ``.sktrain-next`` and ends with one rename of that folder to
``.sktrain-whole``; its files then take the places of the old ones. A process killed before the
rename leaves the old run, one killed after it a whole new one, which whoever opens the folder next
puts in place.

A folder may come from anybody: what a run keeps for itself is never a symbolic link, which would
have files elsewhere moved, emptied or written over.
"""

from contextlib import contextmanager
from datetime import UTC, datetime
import hashlib
import json
import os
from pathlib import Path
import reprlib
import shutil
import tempfile

from sklearn.pipeline import Pipeline

from .._io import atomic_write, read_file, to_plain
from ..exceptions import PersistenceError, SktrainError

try:
    import fcntl
except ModuleNotFoundError:  # no flock on this system: the lock file alone says who is at work
    fcntl = None  # type: ignore[assignment]  # looked at before use

__all__ = [
    "checked_model",
    "commit",
    "find_model",
    "hash_of",
    "instance",
    "load_detector",
    "load_drift_reference",
    "locked",
    "prepare_next",
    "read_evidence",
    "read_result",
    "record_in",
    "refusing_others",
    "said",
    "write_json",
]

MODEL, RESULT, DRIFT, TRAINED = "model.sktrain", "result.json", "drift.sktrain", "trained.sktrain"
EVIDENCE, REPORT = "evidence.json", "report.html"
FILES = (
    MODEL,
    DRIFT,
    TRAINED,
    EVIDENCE,
    REPORT,
    RESULT,
)  # the result last: it vouches for the others
CHECKPOINTS, LOCK = ".sktrain-checkpoints", ".sktrain-lock"
_NEXT, _WHOLE = ".sktrain-next", ".sktrain-whole"
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200  # characters of a value in a message, a judgment
_SHORT.maxlist = _SHORT.maxdict = 20  # parts of it, a judgment
# what reading values of other kinds than a run writes ends in
_OF_OTHERS = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
_OLD_FILES = ("drift.joblib", "trained.joblib")  # pickles of earlier versions
# bytes of a record: a judgment, of a million bars a report holds some 60 MB
_RECORD = 2**27
_FILE = 2**31  # bytes of a file that is hashed: what ``sktrain.load`` opens


# -- who may write ---------------------------------------------------------------------------------


@contextmanager
def locked(folder):
    """Hold ``folder`` for one training; a folder made for nothing is removed again.

    Raises
    ------
    PersistenceError
        When it cannot be written, another training is at work in it (its pid and start are named),
        or it holds files by our names that no run wrote.
    """
    folder = Path(folder)
    made = _make(folder)
    handle = None
    try:
        _refuse_links(folder, LOCK, CHECKPOINTS, _NEXT, _WHOLE)
        _refuse_other_kinds(folder)
        handle = _acquire(folder)
        finish(folder)
        _refuse_foreign(folder)
        yield folder
    finally:
        if handle is not None:
            shutil.rmtree(folder / _NEXT, ignore_errors=True)
            (folder / LOCK).unlink(missing_ok=True)
            os.close(handle)
        for one in made:
            if one.is_dir() and not any(one.iterdir()):
                one.rmdir()


def _make(folder):
    """Make the folder, prove that it can be written, and say which folders were made, the innermost
    first."""
    try:
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PersistenceError(
            f"model_dir {str(folder)!r} cannot be written: {reason}. Choose another folder."
        ) from error
    return made


def _acquire(folder):
    """The open lock file of ``folder``; the kernel lets go of it when this process dies."""
    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        if not _lock(handle):
            owner = os.read(handle, 4096)
            os.close(handle)
            raise PersistenceError(
                f"{_at_work(folder, owner)} Wait for it, or choose another folder."
            )
        try:
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                break
        except FileNotFoundError:
            pass
        os.close(handle)  # the one before us removed the file we hold
    os.ftruncate(handle, 0)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    os.write(handle, json.dumps({"pid": os.getpid(), "started": started}).encode())
    return handle


def _lock(handle):
    if fcntl is None:
        known = _owner(os.read(handle, 4096))
        return known is None or not _alive(known["pid"])
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _owner(text):
    try:
        found = json.loads(text)
        return {"pid": int(found["pid"]), "started": str(found["started"])}
    except (ValueError, TypeError, KeyError):
        return None


def _at_work(folder, text):
    known = _owner(text)
    who = "" if known is None else f": process {known['pid']}, started {known['started']}"
    return f"Another training is at work in {str(folder)!r}{who}."


def _refuse_other_kinds(folder):
    """A folder where a file of ours would stand, or the other way round, is found before any
    training, not after it."""
    for name in (*FILES, LOCK, CHECKPOINTS, _NEXT, _WHOLE):
        path, is_file = folder / name, name in FILES or name == LOCK
        if path.exists() and not (path.is_file() if is_file else path.is_dir()):
            raise PersistenceError(
                f"{str(path)!r} is {'no regular file' if is_file else 'no folder'}, a run would "
                "write "
                f"{'one' if is_file else 'into one'} of that name. Move it away, or choose another "
                "folder."
            )


def _refuse_links(folder, *names):
    """What a run keeps for itself lies in its folder, and holds files and folders only."""
    for name in names:
        path = folder / name
        inside = ((one, [*dirs, *files]) for one, dirs, files in os.walk(path))
        every = [path, *(Path(one, each) for one, found in inside for each in found)]
        for one in every:
            if one.is_symlink() or not (one.is_dir() or one.is_file() or not one.exists()):
                raise PersistenceError(
                    f"{str(one)!r} is a link, a pipe or a device, which no run leaves behind. "
                    f"Delete {str(path)!r}, or choose another folder."
                )


def _refuse_foreign(folder):
    """Nothing that no run wrote is overwritten."""
    ours = _result_of(folder) is not None
    present = [name for name in FILES if (folder / name).exists()]
    if present and not ours:
        raise PersistenceError(
            f"{str(folder)!r} holds {present[0]}, but no result.json of a run: it is not "
            "overwritten. Choose another folder."
        )


def _result_of(folder):
    """The result of the run in ``folder``, or None where there is none or it is not ours."""
    found = record_in(folder / RESULT)
    return found if found and "config" in found and "model_path" in found else None


def record_in(path):
    """What a file of JSON holds, or None where it holds no record."""
    try:
        found = json.loads(read_file(path, limit=_RECORD))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


# -- one run takes the place of another ------------------------------------------------------------


def prepare_next(folder):
    """An empty folder for the files of the run to come."""
    path = Path(folder) / _NEXT
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def commit(folder):
    """Make the prepared files those of the run: all of them, or none."""
    folder = Path(folder)
    os.replace(folder / _NEXT, folder / _WHOLE)
    finish(folder)


def finish(folder):
    """Put the files of a run that was whole when its process died in place."""
    folder = Path(folder)
    whole = folder / _WHOLE
    _refuse_links(folder, _WHOLE)
    if (whole / RESULT).is_file():  # moved last: without it all others are in place
        own = _read_json(whole, RESULT).get("files")
        if not isinstance(own, list):
            raise PersistenceError(
                f"{str(whole)!r}, left by a run that was killed, is damaged: its {RESULT} names no "
                "files. Delete it, or choose another folder."
            )
        for name in (*FILES, *_OLD_FILES):
            if name not in own:
                (folder / name).unlink(missing_ok=True)  # of the old run
            elif (whole / name).exists():
                os.replace(whole / name, folder / name)
    shutil.rmtree(whole, ignore_errors=True)


# -- reading ---------------------------------------------------------------------------------------


def find_model(path):
    """The model file in a run folder, or the file itself; refused when it is not the one its run's
    result tells of."""
    path = Path(path)
    if path.is_dir():
        finish(path)
    found = path / MODEL if path.is_dir() else path
    if not found.is_file():
        what = (
            f"the folder {str(path)!r} holds no {MODEL}"
            if path.is_dir()
            else f"{str(path)!r} does not exist"
        )
        raise PersistenceError(
            f"No model: {what}. Train one with: sktrain train --out "
            f"{path.parent if path.suffix else path}"
        )
    if found.name == MODEL and (found.parent / RESULT).exists():
        _read_json(found.parent, RESULT)  # a damaged one vouches for nothing
        if result := _result_of(found.parent):
            checked_model(found.parent, result)
    return found


def hash_of(path):
    """Hexadecimal SHA-256 of a file.

    Raises
    ------
    PersistenceError
        It is larger than any that is opened.
    """
    size = os.path.getsize(path)
    if size > _FILE:
        raise PersistenceError(
            f"{str(path)!r} has {size:,} bytes, more than {_FILE:,}: no run wrote it."
        )
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_model(folder, result):
    """The model file of a run; refused unless it is the one the result tells of."""
    path = Path(folder) / MODEL
    if not path.is_file():
        raise PersistenceError(
            f"{str(folder)!r} holds a {RESULT}, but no {MODEL}: part of the run is missing. Train "
            "again."
        )
    said = result.get("model_sha256")
    if said is not None and hash_of(path) != said:
        raise PersistenceError(
            f"{str(folder)!r} is a mixture of two runs: {MODEL} is not the model that {RESULT} "
            "tells of. Take both from one run, or train again."
        )
    return path


def read_result(folder):
    """The result of a run as a dict; its model must be the one it tells of."""
    folder = Path(folder)
    if folder.is_dir():
        finish(folder)
    result = _read_json(folder, RESULT)
    checked_model(folder, result)
    return result


def read_evidence(folder, result):
    """Numbers behind the report, of the same run as ``result``."""
    evidence = _read_json(Path(folder), EVIDENCE)
    if evidence.get("model_sha256") != result.get("model_sha256"):
        raise PersistenceError(
            f"{str(folder)!r} is a mixture of two runs: {EVIDENCE} and {RESULT} tell of two "
            "models. Take both from one run, or train again."
        )
    return evidence


def _read_json(folder, name):
    path = folder / name
    if not path.is_file():
        raise PersistenceError(
            f"{str(folder)!r} is not the folder of a finished run: it holds no {name}."
        )
    try:
        found = json.loads(read_file(path, limit=_RECORD))
    except (OSError, ValueError, RecursionError) as error:
        raise PersistenceError(f"{str(path)!r} is damaged: {error}.") from error
    if not isinstance(found, dict):
        raise PersistenceError(
            f"{str(path)!r} is damaged: it holds {type(found).__name__}, not a record."
        )
    return found


@contextmanager
def refusing_others(path):
    """What is said of a record or a model in ``path`` that no run wrote so is an error of ours."""
    try:
        yield
    except SktrainError:
        raise
    except _OF_OTHERS as error:
        raise PersistenceError(
            f"{str(path)!r} holds what no run of this version wrote, or was changed: "
            f"{type(error).__name__} {said(str(error))}. Train again."
        ) from error


def said(value):
    """A value of a record as a message shows it, at most some hundred characters of it."""
    return _SHORT.repr(value)


def load_detector(folder, result):
    """The drift detector of the run in ``folder`` that ``result`` tells of."""
    from ..drift import DriftDetector
    from ..persistence import load

    file = folder / DRIFT
    if result.get("drift_sha256") != hash_of(file):
        raise PersistenceError(
            f"{str(folder)!r} is a mixture of two runs: {DRIFT} is not of the run {RESULT} tells "
            "of. Train again."
        )
    with refusing_others(file):
        return instance(load(file), DriftDetector)


def instance(found, kind):
    """``found``, of that kind; else a TypeError."""
    if not isinstance(found, kind):
        raise TypeError(f"a {type(found).__name__} in place of a {kind.__name__}")
    return found


def load_drift_reference(path):
    """The drift detector of a run, and the transformer whose output it knows; no code in the files
    is run."""
    from ..persistence import load

    if not Path(path).exists():
        raise PersistenceError(f"No run: {str(path)!r} does not exist.")
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    alone = Path(path).is_file() and not (folder / RESULT).is_file()
    result = {} if alone else read_result(folder)
    if Path(path).is_file() and hash_of(path) != result.get("model_sha256"):
        raise PersistenceError(
            f"{str(path)!r} is not the model of a run. Name the folder of a run, or the {MODEL} in "
            "it."
        )
    file = folder / DRIFT
    if not file.is_file():
        raise PersistenceError(
            f"{str(folder)!r} holds no {DRIFT}: train with use_drift_detection=True."
        )
    detector = load_detector(folder, result)
    with refusing_others(folder / MODEL):
        return detector, instance(load(folder / MODEL), Pipeline)[0]


# -- writing ---------------------------------------------------------------------------------------


def write_json(path, document):
    """Write a document of plain values, NumPy and pandas objects atomically."""
    atomic_write(path, (json.dumps(to_plain(document), indent=2, allow_nan=False) + "\n").encode())
