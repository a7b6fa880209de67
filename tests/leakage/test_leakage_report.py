"""A report never passes what was not checked, and reads in every form."""

import json
import pickle

import pytest

from sktrain.exceptions import LeakageError
from sktrain.leakage import Finding, LeakageReport

ERROR = Finding(
    "overlap", "error", "3 rows <overlap>", {"row": 7}, {"rows": 3, "share": 0.5}, "cv = ..."
)
OPEN = Finding("unknown_horizon", "warning", "not checked", status="NOT_CHECKED")
NOTE = Finding("order", "info", "a note")


@pytest.mark.parametrize(
    ("findings", "checks", "status", "passed"),
    [
        ([], {}, "NOT_CHECKED", False),
        ([], {"a": "NOT_CHECKED"}, "NOT_CHECKED", False),
        ([], {"a": "PASS"}, "PASS", True),
        ([NOTE], {"a": "PASS"}, "PASS", True),
        ([ERROR], {"a": "PASS"}, "FAIL", False),
        ([], {"a": "PASS", "b": "FAIL"}, "FAIL", False),
        ([OPEN], {"a": "PASS"}, "INCONCLUSIVE", True),
        ([], {"a": "PASS", "b": "NOT_CHECKED"}, "INCONCLUSIVE", True),
        (
            [Finding("x", "error", "cannot", status="INCONCLUSIVE")],
            {"a": "INCONCLUSIVE"},
            "INCONCLUSIVE",
            False,
        ),
        (
            [Finding("x", "error", "cannot", status="INCONCLUSIVE"), ERROR],
            {"a": "PASS"},
            "FAIL",
            False,
        ),
    ],
)
def test_status(findings, checks, status, passed):
    report = LeakageReport(findings, checks)
    assert report.status == report["status"] == status
    assert report.passed is report["passed"] is passed


def test_mapping_text_html_and_json():
    report = LeakageReport([NOTE, OPEN, ERROR], {"overlap": "FAIL"})
    assert set(report) == {
        "passed", "status", "warnings", "errors", "findings", "checks", "experiments",
    }
    assert [finding.code for finding in report["findings"]] == [
        "overlap",
        "unknown_horizon",
        "order",
    ], "worst first"
    assert report["warnings"] == ["3 rows <overlap>", "not checked"]
    assert "row=7" in report.summary()
    assert "rows=3, share=0.5" in report.summary()
    assert "&lt;overlap&gt;" in report._repr_html_()
    told = json.loads(json.dumps(report.to_dict()))
    assert told["findings"][0]["where"] == {"row": 7}
    assert told["passed"] is False
    assert report.to_frame().shape == (3, 7)
    assert pickle.loads(pickle.dumps(report)) == report
    assert hash(report) == hash(pickle.loads(pickle.dumps(report)))
    with pytest.raises(KeyError):
        report["nonsense"]


def test_raise_if_failed():
    with pytest.raises(LeakageError, match="overlap"):
        LeakageReport([ERROR], {"a": "FAIL"}).raise_if_failed()
    with pytest.raises(LeakageError):
        LeakageReport().raise_if_failed()
    report = LeakageReport([NOTE], {"a": "PASS"})
    assert report.raise_if_failed() is report


def test_results_cannot_be_changed():
    with pytest.raises(AttributeError):
        ERROR.code = "x"
    with pytest.raises(TypeError):
        ERROR.evidence["rows"] = 0
    with pytest.raises(ValueError, match="severity"):
        Finding("x", "fatal", "")
