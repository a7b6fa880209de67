"""The database behind a study: opened, told from other files, and its failures told as ours.

A file may come from anybody. What SQLite would compute while it is read or written (views,
triggers, expressions in tables) or read without end (pages that stand for several) can keep a
process busy for ever, and a journal may name a file to delete, so each is refused before Optuna
opens the file, in time linear in its size.
"""

from contextlib import closing, contextmanager, suppress
from functools import partial
import os
from pathlib import Path
import re
import sqlite3
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError

from .._io import check_regular
from ..exceptions import SktrainError

try:
    import fcntl
except ModuleNotFoundError:  # no flock on this system
    fcntl = None  # type: ignore[assignment]  # looked at before use

__all__ = ["Reported", "folder_lock", "open_storage"]

_WAIT = 60  # seconds for another process to finish its write, a judgment
# steps of SQLite's machine for one byte of a file, a judgment: of 20,000 trials, the check of every
# row took 0.2 for each byte
_STEPS = 16
_PAGE = 65_536  # bytes of the largest page of a file, in SQLite's file format
_NAMES_ANOTHER = bytes.fromhex("d9d505f920a163d7")  # its last bytes, in SQLite's file format
_SCHEMA = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master"
_OURS = re.compile(  # Optuna's tables; SQLite's names are the same in any case
    r"studies|study_\w+|trials|trial_\w+|version_info|alembic_version", re.IGNORECASE
)
# what rows that no search wrote end in; SQLAlchemy's and Optuna's own errors are none of these
_ODD = (ArithmeticError, AssertionError, LookupError, RecursionError, TypeError, ValueError)
_CALL = re.compile(r"(\w+)[^\w\s]?\s*\(")  # a name, quoted or not, before a bracket
_SIZED = {"key", "unique", "check", "in", "varchar", "float", "numeric"}  # of Optuna's tables
_EXPRESSION = re.compile(
    r"--|/\*|\b(?:as|generated|glob|like|match|regexp|select)\b", re.IGNORECASE
)


@contextmanager
def folder_lock(folder):
    """One process at a time in ``folder``; tables are made once."""
    if fcntl is None or folder is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def open_storage(storage):
    """The Optuna storage behind ``storage`` and, for a local file, its folder."""
    if not isinstance(storage, (str, os.PathLike)):
        if not hasattr(storage, "create_new_trial"):
            raise SktrainError(
                f"storage must be None, a path, a URL or an Optuna storage, got {storage!r}."
            )
        return optuna.storages.get_storage(storage), None
    text = os.fspath(storage)
    path = None if "://" in text else Path(text).expanduser().resolve()
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise SktrainError(
            f"storage={text!r} cannot be written: "
            f"{'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}."
        )
    url, wait = text, {"connect_args": {"timeout": _WAIT}}
    options: dict[str, Any] = wait if text.startswith("sqlite") else {}
    # a path is a path, whatever a URL or a template would make of its ?, % and braces
    if path is not None:
        url = "sqlite:///of-the-creator"
        creator = partial(sqlite3.connect, path, timeout=_WAIT, check_same_thread=False)
        options = {"creator": creator}
    try:
        if (file := path or _file_of(text)) is not None and file.exists():
            _check_file(file)
        with folder_lock(path and path.parent):
            return optuna.storages.get_storage(
                optuna.storages.RDBStorage(url, engine_kwargs=options)
            ), path and path.parent
    except SktrainError:
        raise
    except Exception as error:  # drivers raise errors of their own
        if type(error) is sqlite3.DatabaseError or "file is not a database" in str(error):
            raise SktrainError(
                f"storage={text!r} is no SQLite file, or a damaged one: {error}. Name another "
                "file, or move this one away to begin anew."
            ) from error
        raise SktrainError(
            f"storage={text!r} cannot be written: {type(error).__name__}: {error}"
        ) from error


def _file_of(url):
    """The file a URL of SQLite names, or None."""
    if not url.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(url).database
    return Path(name) if name and name != ":memory:" else None


def _check_file(path):
    """Refuse a file, or one that SQLite opens beside it, that is none, or that never ends."""
    size = 0
    for suffix in ("", "-journal", "-wal", "-shm"):
        beside = path.with_name(f"{path.name}{suffix}")
        if os.path.lexists(beside):
            size += check_regular(beside).st_size
    _check_journal(path)
    if size == 1:  # somebody's, though SQLite takes it for an empty one
        raise sqlite3.DatabaseError("file is not a database")
    with closing(sqlite3.connect(path, timeout=_WAIT)) as connection:
        # asked after so many steps of one statement, and says that it is to end
        connection.set_progress_handler(lambda: True, _STEPS * (size + _PAGE))
        try:
            schema = connection.execute(_SCHEMA).fetchall()
            for kind, name, table, page, sql in schema:
                if _OURS.fullmatch(table) and (not page or _computes(sql or "")):
                    raise SktrainError(
                        f"storage={os.fspath(path)!r} was altered: its {kind} {name!r} computes "
                        "something, which Optuna has no need of. Name another file, or move this "
                        "one away to begin anew."
                    )
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if str(error) != "interrupted":
                raise
            found = "it has more rows than its size can hold"
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _check_journal(path):
    """Refuse a journal that names another file, which SQLite would open and delete.

    Transactions over several databases leave such a one. A study is one database.
    """
    with suppress(FileNotFoundError), open(f"{path}-journal", "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(_NAMES_ANOTHER)))
        if file.read() == _NAMES_ANOTHER:
            raise SktrainError(
                f"'{path}-journal' names another file, which SQLite would delete: no search wrote "
                "it. Delete it, or name another storage."
            )


def _computes(sql):
    """Whether the text of a table or index holds an expression, which a row would have worked
    out."""
    calls = {name.lower() for name in _CALL.findall(sql)}
    return bool(_EXPRESSION.search(sql)) or not all(
        name in _SIZED or _OURS.fullmatch(name) for name in calls
    )


def _is_failure(error):
    """Whether a storage failed to read or write, and did not merely answer.

    Databases raise errors of their drivers, here SQLAlchemy's, which is imported only where used.
    """
    own = (StorageInternalError, OSError, sqlite3.Error)
    return isinstance(error, own) or type(error).__module__.partition(".")[0] == "sqlalchemy"


class Reported:
    """An Optuna storage whose failures to read or write are errors of ours.

    A disk may be full, or a database locked or gone, in any call and not only while it is opened.
    What a storage says about trials and studies (taken, finished, unknown) passes as it is.
    """

    def __init__(self, storage, label):
        self._storage, self._label = storage, label

    def __getattr__(self, name):
        method = getattr(self._storage, name)

        def call(*args, **kwargs):
            try:
                return method(*args, **kwargs)
            except _ODD as error:
                raise SktrainError(
                    f"storage={self._label} cannot be read: it holds what no search wrote "
                    f"({type(error).__name__}: {error}). Use another study_name or storage."
                ) from error
            except Exception as error:
                if not _is_failure(error):
                    raise
                cause = error.__cause__ or error
                raise SktrainError(
                    f"storage={self._label} cannot be read or written: "
                    f"{getattr(cause, 'orig', None) or cause}. Trials that finished before are "
                    "kept. Free space on the disk, or do what else the message asks for, and run "
                    "the same search again."
                ) from error

        return call

    def disconnect(self):
        """Close the connections of a storage that was opened here."""
        backend = getattr(self._storage, "_backend", self._storage)
        if hasattr(backend, "engine"):
            with suppress(Exception):  # a transaction of a disk that failed cannot be rolled back
                backend.remove_session()
            backend.engine.dispose()
