"""Files written whole or not at all, files that are files, checksums, and values that JSON knows.

A write goes to a temporary file beside the target, is flushed to the disk, and takes the target's
name in one step; the folder is flushed too. A process killed at any moment leaves the old file
intact, and at most a temporary file that a later write sweeps up.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
import errno
import hashlib
import math
import os
from pathlib import Path
import re
import stat
import time
from typing import Any, BinaryIO
import zlib

import numpy as np
import pandas as pd

from .exceptions import CorruptFileError

__all__ = [
    "atomic_write",
    "check_regular",
    "inflate",
    "read_file",
    "sha256",
    "to_plain",
]

_TEMPORARY = re.compile(r"\.(?P<name>.+?)(\.\d+)?\.[0-9a-f]{8}\.tmp")
# seconds without a write after which a temporary file has no owner: no single write takes an hour
_STALE = 3600.0


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of bytes.

    Examples
    --------
    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def atomic_write(
    path: str | os.PathLike, content: bytes | Callable[[BinaryIO], object], *, follow: bool = True
) -> Path:
    """Write ``content`` to ``path``; on any failure the old file stays as it was.

    The new file has the old one's mode and, where the system lets it, owner.

    Parameters
    ----------
    path : path
        Its folder must exist.
    content : bytes or callable
        Bytes, or a function that writes to the open binary file it is given.
    follow : bool, default=True
        Whether of a symbolic link the file that it points to is replaced; with False the link
        itself is, as it should be where the name is ours and somebody else may have made the link.

    Returns
    -------
    pathlib.Path
        ``path`` as it was given.

    Raises
    ------
    OSError
        When the folder does not exist, cannot be written, or the disk is full; when ``path`` is a
        folder, a pipe or a device.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> atomic_write(folder / "a.txt", b"whole").read_bytes()
    b'whole'
    """
    given = Path(path)
    is_link = given.is_symlink()
    target = Path(os.path.realpath(given)) if is_link and follow else given
    old = check_regular(target) if target.exists() and (follow or not is_link) else None
    _sweep(target)
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            if old is not None:
                _adopt(file.fileno(), old)
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)
    return given


def check_regular(path: str | os.PathLike) -> os.stat_result:
    """What the system knows of a file, after making sure that it is one.

    Raises
    ------
    OSError
        For a missing file, a folder, a pipe, a socket or a device.

    Examples
    --------
    >>> check_regular(os.devnull)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    OSError: [Errno 22] it is a pipe or a device, not a file: ...
    """
    found = os.stat(path)
    _refuse_others(found, path)
    return found


def read_file(path: str | os.PathLike, *, limit: int = 2**31) -> bytes:
    """The bytes of a regular file, of at most ``limit`` bytes.

    Raises
    ------
    OSError
        As :func:`check_regular`, and for a larger file. Nothing of it is read then.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    found = os.fstat(handle)
    try:
        _refuse_others(found, path)
    except OSError:
        os.close(handle)
        raise
    with open(handle, "rb") as file:
        if found.st_size > limit:
            size = f"it has {found.st_size:,} bytes, more than {limit:,}"
            raise OSError(errno.EFBIG, size, os.fspath(path))
        return file.read(found.st_size)  # a file that grows meanwhile is read as it was


def _refuse_others(found, path):
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", os.fspath(path))


def _adopt(handle, old):
    """Give a new file the mode and owner of the one it replaces."""
    if hasattr(os, "fchown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        for owner in ((old.st_uid, old.st_gid), (-1, old.st_gid)):  # only root gives files away
            try:
                os.fchown(handle, *owner)
            except OSError:
                continue
            break
    if hasattr(os, "fchmod"):
        os.fchmod(handle, stat.S_IMODE(old.st_mode))


def _sweep(target):
    """Remove temporary files beside ``target`` that nobody has written to for a long time."""
    if not target.parent.is_dir():
        return
    oldest = time.time() - _STALE
    for one in os.scandir(target.parent):
        found = _TEMPORARY.fullmatch(one.name)
        if found is None or found["name"] != target.name:
            continue
        try:
            is_file = one.is_file(follow_symlinks=False)
            if is_file and one.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(one.path)
        except OSError:  # another process swept it
            continue


def _flush_folder(folder):
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def inflate(data: bytes, expected: int) -> bytes:
    """``expected`` bytes out of compressed ``data``; no more are ever made.

    Raises
    ------
    CorruptFileError
        There are fewer or more.

    Examples
    --------
    >>> import zlib
    >>> inflate(zlib.compress(b"weights"), 7)
    b'weights'
    """
    engine = zlib.decompressobj()
    out = engine.decompress(data, expected + 1)
    if len(out) != expected or not engine.eof:
        raise CorruptFileError(
            f"a compressed array does not have the length of {expected} bytes that was told."
        )
    return out


def to_plain(value: Any, not_finite: Callable[[float], Any] = lambda number: None) -> Any:
    """Turn NumPy, pandas, times, paths and results into what JSON knows.

    NaN and infinity become ``not_finite(number)``, and what is none of these its text.

    Examples
    --------
    >>> to_plain({1: np.float64(0.5), "at": pd.Timestamp("2020-01-02"), "none": [np.nan]})
    {'1': 0.5, 'at': '2020-01-02T00:00:00', 'none': [None]}
    >>> to_plain([np.inf], not_finite=str)
    ['inf']
    """
    inside = lambda item: to_plain(item, not_finite)  # noqa: E731
    if isinstance(value, Mapping):
        return {str(key): inside(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return [inside(row) for row in value.reset_index().to_dict("records")]
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray, pd.Series, pd.Index)):
        return [inside(item) for item in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, np.generic):
        return inside(value.item())
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else not_finite(value)
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    if isinstance(value, (pd.Timestamp, pd.Timedelta, datetime)):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "to_dict"):
        return inside(value.to_dict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: inside(getattr(value, name)) for name in value.__dataclass_fields__}
    return str(value)
