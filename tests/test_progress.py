"""Progress: nobody who watches, or goes, changes the work; one bar for all modules."""

import ast
import contextlib
import io
import os
from pathlib import Path
import sys

import pytest

import sktrain
from sktrain._progress import ProgressStream, follow, progress_bar, progress_console


def test_every_console_of_the_library_outlives_its_reader():
    """rich ends the process when a pipe breaks, unless the console writes to a ProgressStream."""
    package, seen = Path(sktrain.__file__).parent, 0
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            given = {one.arg for one in node.keywords}
            if name in ("Console", "Live", "Progress"):
                seen += 1
                assert given & {"console", "file"}, f"{path}:{node.lineno}"
    assert seen >= 3


@pytest.mark.parametrize("state", ["reader gone", "closed", "none"])
def test_progress_that_nobody_can_read_stops_no_work(monkeypatch, state):
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "w", buffering=1)
    if state == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stderr", None if state == "none" else stream)
    console = progress_console("stderr")
    for _ in range(3):
        console.print("epoch " * 100)
    assert ProgressStream("stderr").isatty() in (False, None)
    monkeypatch.undo()
    with contextlib.suppress(OSError):  # what the buffer holds
        stream.close()


def test_the_parts_come_in_order_and_count_by_their_size(monkeypatch):
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    parts = [["a", "b"], ["c"], ["d", "e", "f"]]
    seen = list(follow(parts, lambda part: f"[{part[0]}]", 6, size=len, stream="stderr"))
    assert seen == parts
    assert "[d]" in shown.getvalue()  # names are text, no markup
    assert "6/6" in shown.getvalue()


def test_nothing_is_written_unless_asked(capsys):
    assert list(follow(range(3), "steps", 3, shown=False)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_stops_when_the_work_fails():
    bar = progress_bar(transient=True)
    with contextlib.suppress(ZeroDivisionError), bar:
        bar.add_task("work", total=1 // 0)
    assert not bar.live.is_started
