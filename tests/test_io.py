"""Writes are whole or nothing: a failing writer, a killed process, a full disk."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sktrain._io import (
    atomic_write,
    check_regular,
    read_file,
    sha256,
)


def test_a_failing_writer_leaves_the_old_file_and_no_litter(tmp_path):
    path = atomic_write(tmp_path / "m", b"old")

    def half(file):
        file.write(b"new, but")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        atomic_write(path, half)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m"]


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        atomic_write(tmp_path / "none" / "m", b"x")


def test_killed_in_the_middle_the_old_file_stays_and_litter_is_swept(tmp_path):
    path = atomic_write(tmp_path / "m", b"old")
    code = (
        "import sys, time\n"
        "from sktrain._io import atomic_write\n"
        "def slow(file):\n"
        "    file.write(b'new'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
        f"atomic_write({str(path)!r}, slow)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert path.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    atomic_write(path, b"newer")
    assert len(os.listdir(tmp_path)) == 2  # another process may be at it, in another container too
    (left,) = tmp_path.glob(".m.*.tmp")
    os.utime(left, (time.time() - 7200, time.time() - 7200))
    other = tmp_path / ".other.0123abcd.tmp"
    other.write_bytes(b"")
    os.utime(other, (0, 0))
    atomic_write(path, b"newer")
    assert sorted(os.listdir(tmp_path)) == [".other.0123abcd.tmp", "m"]
    assert path.read_bytes() == b"newer"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_an_error_and_keeps_the_old_file(tmp_path):
    path = atomic_write(tmp_path / "m", b"old")

    def full(file):
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x" * 4096)

    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, full)
    assert path.read_bytes() == b"old"


def test_sha256_of_a_known_text():
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes")
def test_mode_links_and_special_files(tmp_path):
    path = atomic_write(tmp_path / "m", b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("m")
    assert atomic_write(link, b"new") == link
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", os.devnull, tmp_path):
        for refused in (lambda one: atomic_write(one, b"x"), check_regular, read_file):
            with pytest.raises(OSError, match="pipe or a device|folder"):
                refused(special)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "target")
    atomic_write(dangling, b"made")
    assert (tmp_path / "target").read_bytes() == b"made"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_the_owner_is_kept(tmp_path):
    path = atomic_write(tmp_path / "m", b"old")
    os.chown(path, 1234, 2345)
    path.chmod(0o604)
    atomic_write(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 2345, 0o604)


def test_a_file_larger_than_the_limit_is_not_read(tmp_path):
    path = atomic_write(tmp_path / "m", b"12345")
    assert read_file(path, limit=5) == b"12345"
    with pytest.raises(OSError, match="5 bytes, more than 4"):
        read_file(path, limit=4)
