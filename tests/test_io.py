"""Writes are whole or nothing: a failing writer, a killed process, a full disk."""

import errno
import os
import signal
import stat
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


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_link_under_a_name_of_ours_is_replaced_and_what_it_points_to_stays(tmp_path):
    kept = atomic_write(tmp_path / "kept", b"precious")
    kept.chmod(0o604)
    os.mkfifo(tmp_path / "pipe")
    for place, target in enumerate(("kept", "nowhere", "pipe", ".", "itself")):
        link = tmp_path / (target if target == "itself" else f"link{place}")
        link.symlink_to(target)
        assert atomic_write(link, b"ours", follow=False) == link
        assert not link.is_symlink()
        assert link.read_bytes() == b"ours"
        assert link.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert kept.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()
    kept.chmod(0o640)
    atomic_write(kept, b"new", follow=False)
    assert kept.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError, match="pipe or a device"):
        atomic_write(tmp_path / "pipe", b"x", follow=False)


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
    with pytest.raises(TypeError, match="positional"):
        read_file(path, 5)
    long = atomic_write(tmp_path / "long", b"x" * 10_000)
    assert len(read_file(long)) == 10_000
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(OSError, match="2,147,483,649 bytes, more than 2,147,483,648"):
        read_file(tmp_path / "sparse")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
def test_a_temporary_file_of_an_hour_is_swept_and_a_younger_one_is_not(tmp_path, monkeypatch):
    now = int(time.time())
    monkeypatch.setattr(time, "time", lambda: now)
    ages = {
        ".m.0123abcd.tmp": 3601,
        ".m.77.0123abcd.tmp": 3601,  # with a process number, as earlier versions wrote
        ".m.89abcdef.tmp": 3600,
        ".m.89abcdeg.tmp": 9000,  # no hexadecimal number
        "xm.0123abcd.tmp": 9000,
        ".m.0123abcd.tmp2": 9000,
        ".n.0123abcd.tmp": 9000,
    }
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (now - age, now - age))
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / ".m.00000000.tmp").symlink_to("target")
    os.utime(tmp_path / ".m.00000000.tmp", (0, 0), follow_symlinks=False)
    atomic_write(tmp_path / "m", b"x")
    left = set(os.listdir(tmp_path)) - {"m", "target", ".m.00000000.tmp"}
    assert left == set(ages) - {".m.0123abcd.tmp", ".m.77.0123abcd.tmp"}
    assert (tmp_path / ".m.00000000.tmp").is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
def test_file_and_folder_are_flushed_before_a_write_is_over(tmp_path, monkeypatch):
    kinds, real = [], os.fsync

    def flushed(handle):
        kinds.append(stat.S_ISDIR(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr(os, "fsync", flushed)
    handles = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    atomic_write(tmp_path / "m", b"x")
    assert kinds == [False, True]
    if handles is not None:
        assert len(os.listdir("/proc/self/fd")) == handles


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
def test_what_is_no_file_is_told_by_number_and_name_and_left_closed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for place, number in ((tmp_path, errno.EISDIR), (tmp_path / "pipe", errno.EINVAL)):
        for ask in (check_regular, read_file):
            with pytest.raises(OSError) as caught:
                ask(place)
            assert (caught.value.errno, caught.value.filename) == (number, str(place))
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
    path = atomic_write(tmp_path / "m", b"123")
    with pytest.raises(OSError) as caught:
        read_file(path, limit=2)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert check_regular(path).st_size == 3


def test_a_writer_that_is_interrupted_leaves_nothing(tmp_path):
    def stopped(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "m", stopped)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fchown"), reason="needs POSIX owners")
def test_where_a_file_cannot_be_given_away_its_group_is_kept_or_nothing(tmp_path, monkeypatch):
    path = atomic_write(tmp_path / "m", b"old")
    path.chmod(0o604)
    own, asked = path.stat(), []

    def refuse(handle, owner, group):
        asked.append((owner, group))
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    atomic_write(path, b"new")
    assert asked == []  # the owner is who writes
    monkeypatch.setattr(os, "geteuid", lambda: own.st_uid + 1)
    atomic_write(path, b"newer")
    assert asked == [(own.st_uid, own.st_gid), (-1, own.st_gid)]
    assert path.read_bytes() == b"newer"
    assert path.stat().st_mode & 0o777 == 0o604
