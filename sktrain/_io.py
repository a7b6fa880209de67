"""Files written whole or not at all, and checksums: bytes enter, a file that is complete or the old one leaves.

A write goes to a temporary file beside the target, is flushed to the disk, and takes the target's name in one step; the folder is
flushed too. A process killed at any moment leaves the old file intact, and at most a temporary file that the next write sweeps up.
"""

import hashlib
import os
from pathlib import Path
import re

__all__ = ["atomic_write", "sha256"]

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.(?P<salt>[0-9a-f]{8})\.tmp$")


def sha256(data):
    """Hexadecimal SHA-256 of bytes.

    Examples
    --------
    >>> sha256(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(data).hexdigest()


def atomic_write(path, content):
    """Write ``content`` to ``path``; on any failure the old file stays as it was.

    Parameters
    ----------
    path : path
        Its folder must exist.
    content : bytes or callable
        Bytes, or a function that writes to the open binary file it is given.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        When the folder does not exist, cannot be written, or the disk is full.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> atomic_write(folder / "a.txt", b"whole").read_bytes()
    b'whole'
    """
    path = Path(path)
    sweep(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)
    return path


def sweep(path):
    """Remove temporary files that dead processes left beside ``path``."""
    if not path.parent.is_dir():
        return
    for one in path.parent.glob(f".{path.name}.*.tmp"):
        found = _TEMPORARY.search(one.name)
        if found and found["name"] == path.name and not _alive(int(found["pid"])):
            one.unlink(missing_ok=True)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush_folder(folder):
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
