"""Leaks in somebody's own code are named with their line; honest code is left alone; notebooks keep
cells and lines; nothing runs."""

import json
import re

from leakage.snippets_of_code import HONEST, LEAKING
import pytest

from sktrain.cli import main
from sktrain.exceptions import SktrainError
from sktrain.leakage import audit_source


def audited(tmp_path, text, name="study.py"):
    path = tmp_path / name
    path.write_text(text)
    return audit_source(path)


def wanted(text):
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        for code in re.findall(r"# leak: ([\w ]+)", line):
            found |= {(one, number) for one in code.split()[:1]}
    return found


def test_there_are_thirty_of_each():
    assert len(LEAKING) >= 30
    assert len(HONEST) >= 30
    assert all(wanted(text) for text in LEAKING.values())


@pytest.mark.parametrize("name", LEAKING)
def test_leak_is_named_at_its_line(tmp_path, name):
    report = audited(tmp_path, LEAKING[name])
    found = {(one.code, one.where["line"]) for one in report.findings}
    assert wanted(LEAKING[name]) <= found, report.summary()
    assert report.status == "FAIL"
    assert all(one.fix for one in report.findings)


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_is_left_alone(tmp_path, name):
    report = audited(tmp_path, HONEST[name])
    assert report.status == "PASS", report.summary()


def notebook(tmp_path, cells, **metadata):
    body = [
        {"cell_type": kind, "source": text.splitlines(keepends=True), "metadata": {}}
        for kind, text in cells
    ]
    path = tmp_path / "study.ipynb"
    path.write_text(
        json.dumps({"cells": body, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def test_cells_are_counted_among_code_cells_and_magics_keep_lines(tmp_path):
    path = notebook(
        tmp_path,
        [
            (
                "code",
                (
                    "%matplotlib inline\n!pip install yfinance \\\n    pandas\nimport pandas as "
                    "pd\ndf = pd.read_csv('spy.csv')"
                ),
            ),
            ("markdown", "# a title"),
            ("code", "%%bash\nfor f in *; do echo $f; done"),
            (
                "code",
                (
                    "files = !ls\ndf.head?\nif True:\n    %load_ext autoreload\n%time df['nx'] = "
                    "df.close.shift(-1)"
                ),
            ),
            ("code", "X, y = df[['nx']], df['y']\nmodel.fit(X, y)"),
        ],
    )
    report = audit_source(path)
    assert [(one.code, one.where["cell"], one.where["line"]) for one in report.findings] == [
        ("shift_ahead", 3, 5)
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("study.py", "def f(:\n", "line 1"),
        ("study.py", "x = 1\n  y = 2\n", "line 2"),
        ("study.ipynb", "{", "no notebook"),
        (
            "study.ipynb",
            '{"cells": [{"cell_type": "code", "source": ["x = ("]}]}',
            "cell 1, line 1",
        ),
        ("study.ipynb", '{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "in 'R'"),
        ("study.py", "x = '\\ud800'\0", "It is no Python"),
    ],
)
def test_what_is_no_python_is_refused(tmp_path, name, text, said):
    with pytest.raises(SktrainError, match=re.escape(said)):
        audited(tmp_path, text, name)


def test_nothing_is_run(tmp_path):
    mark = tmp_path / "ran"
    audited(
        tmp_path, f"import pathlib, no_such_library\npathlib.Path({str(mark)!r}).touch()\n1 / 0\n"
    )
    assert not mark.exists()


def test_command_line_says_where_and_exits_0_1_2(tmp_path, capsys):
    leak, clean, broken = (tmp_path / f"{name}.py" for name in ("leak", "clean", "broken"))
    leak.write_text(LEAKING["bfill"])
    clean.write_text(HONEST["forward fill"])
    broken.write_text("def f(:")
    assert main(["audit", str(clean)]) == 0
    capsys.readouterr()
    assert main(["audit", str(leak), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["where"] for one in found] == [{"file": str(leak), "cell": None, "line": 5}]
    assert main(["audit", str(broken)]) == 2
    assert main(["audit", str(tmp_path / "none.py")]) == 2
    assert main(["audit", str(leak), "--data", "bars.csv"]) == 2
    assert "takes no --data" in capsys.readouterr().err


def test_a_program_without_end_is_read_in_time(tmp_path):
    nested = (
        "\n".join("    " * depth + f"for a{depth} in range(20):" for depth in range(8))
        + "\n"
        + "    " * 8
        + "x = f(x, a7)\n"
    )
    calls = "\n".join(
        f"def g{k}(x): return g{k + 1}(x) + g{k + 1}(x) + g{k + 1}(x)" for k in range(30)
    )
    assert (
        audited(tmp_path, f"{nested}\ndef f(x, y): return f(x, f(y, x))\n{calls}\ng0(1)\n").status
        == "PASS"
    )
