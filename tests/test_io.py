"""Writes are whole or nothing: a failing writer, a killed process, a full disk."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sktrain._io import atomic_write, sha256


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
    for _ in range(20):  # the dead process is gone once it is reaped
        atomic_write(path, b"newer")
        if os.listdir(tmp_path) == ["m"]:
            break
        time.sleep(0.1)
    assert os.listdir(tmp_path) == ["m"]
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
