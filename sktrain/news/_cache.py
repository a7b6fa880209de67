"""Vectors of texts that were encoded before, by digests of the texts.

A cache belongs to one *space*: one set of weights, pooling, length and precision. Nothing here
depends on time: a text has the same vector whenever it is asked for. On disk it is one SQLite file
per space with a write-ahead log, so that many processes may read and write at once and a killed one
leaves only what was committed; every vector carries a checksum.
"""

from collections import OrderedDict
import hashlib
import os
from pathlib import Path
import sqlite3
import threading
from typing import Any
import warnings
import zlib

import numpy as np

from .._io import check_regular
from ..exceptions import CorruptFileError, DataQualityWarning, SktrainError

__all__ = ["DiskCache", "MemoryCache", "clear_memory", "digest"]

_MEMORY_BYTES = 128 * 2**20  # all spaces together, in this process: a judgment
_ASKED_AT_ONCE = 500  # SQLite's oldest limit on variables of a query is 999
_PATIENCE = 60.0  # seconds a writer waits for another, a judgment: a write takes milliseconds

_TABLES = {
    "space": "CREATE TABLE space (name TEXT PRIMARY KEY, width INTEGER)",
    "vectors": "CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB, checksum INTEGER) "
    "WITHOUT ROWID",
}

_memory: OrderedDict[tuple, Any] = OrderedDict()  # (space, digest) -> vector
_memory_lock = threading.Lock()


def digest(text):
    """A 16-byte fingerprint of a text."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def clear_memory():
    """Forget the vectors remembered in this process (files stay)."""
    with _memory_lock:
        _memory.clear()


class MemoryCache:
    """Vectors remembered in this process, the least recently used forgotten beyond 128 MiB.

    Parameters
    ----------
    space : str
        Fingerprint of everything that decides a vector besides the text.
    width : int
        Numbers per vector.
    """

    def __init__(self, space, width):
        self._space, self._width = space, width

    def get(self, keys):
        """``{key: vector}`` for those of ``keys`` that are known."""
        found = {}
        with _memory_lock:
            for key in keys:
                vector = _memory.get((self._space, key))
                if vector is not None:
                    _memory.move_to_end((self._space, key))
                    found[key] = vector
        return found

    def put(self, keys, vectors):
        """Remember ``vectors`` (rows) under ``keys``."""
        own = np.asarray(vectors, dtype=np.float32)
        most = max(1, _MEMORY_BYTES // (4 * self._width + 200))
        with _memory_lock:
            _memory.update(((self._space, key), vector.copy()) for key, vector in zip(keys, own))
            while len(_memory) > most:
                _memory.popitem(last=False)


class DiskCache:
    """Vectors in a folder, shared by processes, folds and trials.

    Parameters
    ----------
    folder : str or path-like
        Made when missing. One folder may serve many models: each space has its own file.
    space : str
        Fingerprint of everything that decides a vector besides the text.
    width : int
        Numbers per vector.

    Raises
    ------
    SktrainError
        When the folder cannot be made or written to.
    CorruptFileError
        When the file there is no cache, is damaged, or holds another model's vectors.
    """

    def __init__(self, folder, space, width):
        self._space, self._width = space, int(width)
        self._folder = Path(folder).expanduser()
        self._path = self._folder / f"news-{space[:24]}.sqlite"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SktrainError(
                f"cache_dir={str(folder)!r} cannot be made: {error}. Give a folder you may write "
                "to."
            ) from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise SktrainError(
                f"cache_dir={str(folder)!r} is not writable. Give a folder you may write to, or "
                "cache_dir=None."
            )
        with self._open() as connection:
            self._prepare(connection)

    def get(self, keys):
        """``{key: vector}`` for those of ``keys`` that are known and undamaged."""
        found, damaged = {}, 0
        keys = list(keys)
        with self._open() as connection:
            for start in range(0, len(keys), _ASKED_AT_ONCE):
                part = keys[start : start + _ASKED_AT_ONCE]
                marks = ",".join("?" * len(part))
                for key, blob, check in connection.execute(
                    f"SELECT key, vector, checksum FROM vectors WHERE key IN ({marks})", part
                ):
                    sound = (
                        isinstance(key, bytes)
                        and isinstance(blob, bytes)
                        and isinstance(check, int)
                    )
                    if (
                        sound
                        and len(blob) == 4 * self._width
                        and zlib.crc32(blob, zlib.crc32(key)) == check
                    ):
                        found[key] = np.frombuffer(blob, dtype="<f4")
                    else:
                        damaged += 1
        if damaged:
            warnings.warn(
                f"{damaged} vectors in {str(self._path)!r} are damaged and will be encoded again.",
                DataQualityWarning,
                stacklevel=2,
            )
        return found

    def put(self, keys, vectors):
        """Commit ``vectors`` (rows) under ``keys``; a vector that another process wrote meanwhile
        is the same one."""
        blobs = [np.ascontiguousarray(vector, dtype="<f4").tobytes() for vector in vectors]
        rows = [(key, blob, zlib.crc32(blob, zlib.crc32(key))) for key, blob in zip(keys, blobs)]
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

    def __len__(self):
        with self._open() as connection:
            return connection.execute("SELECT count(*) FROM vectors")[0][0]

    def _open(self):
        return _Connection(self._path)

    def _prepare(self, connection):
        known = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"))
        if not known.items() <= _TABLES.items():  # a view may never end, a trigger may act
            raise CorruptFileError(
                f"{str(self._path)!r} is damaged or no cache: it holds other tables. Delete it: it "
                "will be filled again."
            )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.values():
            connection.execute(statement.replace("TABLE", "TABLE IF NOT EXISTS"))
        connection.execute(
            "INSERT INTO space SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM space)",
            (self._space, self._width),
        )
        owner = connection.execute("SELECT name, width FROM space")
        connection.execute("COMMIT")
        if len(owner) != 1 or not isinstance(owner[0][0], str):
            raise CorruptFileError(
                f"{str(self._path)!r} is damaged. Delete the file or give another cache_dir."
            )
        if owner != [(self._space, self._width)]:
            raise CorruptFileError(
                f"{str(self._path)!r} holds the vectors of another model or setting "
                f"({owner[0][1]} numbers each, space {owner[0][0][:12]}…; "
                f"expected {self._width}, {self._space[:12]}…). Delete the file or give another "
                "cache_dir."
            )


class _Connection:
    """A connection for one block of statements (never shared between threads or forked processes),
    with errors that name the file."""

    def __init__(self, path):
        self._path = path

    def __enter__(self):
        try:
            for suffix in ("", "-journal", "-wal", "-shm"):  # what SQLite opens beside it
                one = self._path.with_name(f"{self._path.name}{suffix}")
                if one.exists():
                    check_regular(one)
        except OSError as error:
            raise CorruptFileError(
                f"The cache {str(self._path)!r} is no file: {error.strerror}. Delete it or give "
                "another cache_dir."
            ) from error
        try:
            self._connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
        except sqlite3.Error as error:
            raise self._named(error) from error
        return self

    def execute(self, *statement):
        """The rows of a statement: damage may show only while they are read."""
        try:
            return self._connection.execute(*statement).fetchall()
        except sqlite3.Error as error:
            raise self._named(error) from error

    def executemany(self, *statement):
        try:
            return self._connection.executemany(*statement)
        except sqlite3.Error as error:
            raise self._named(error) from error

    def __exit__(self, *exception):
        self._connection.close()  # what was not committed is rolled back

    def _named(self, error):
        if isinstance(error, sqlite3.OperationalError):
            return SktrainError(
                f"The cache file {str(self._path)!r} cannot be used: {error}. Give a cache_dir on "
                "a local disk you may write to."
            )
        return CorruptFileError(
            f"The cache file {str(self._path)!r} is damaged or no cache: {error}. Delete it: it "
            "will be filled again."
        )
