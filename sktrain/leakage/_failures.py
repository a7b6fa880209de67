"""One policy for user code that fails inside a check.

Single experiments a model refuses are counted by ``_experiments.Experiment``; everything else comes
here. Nothing that failed passes: the check stays in the report as INCONCLUSIVE.
"""

from collections.abc import Callable

from ._report import INCONCLUSIVE, NOT_CHECKED, Finding, LeakageReport, Severity, Status

__all__ = ["cannot", "guarded", "reason"]

_FIXES = {
    "rows_dropped": "return one row per input row, with NaN where a value is unknown",
    "unstable_output": "set random_state",
}


def cannot(
    check: str, code: str, message: str, *, where=None, fix: str = "", severity: Severity = "error"
) -> LeakageReport:
    """A report of a check that could not be made."""
    status: Status = INCONCLUSIVE if code != "not_checked" else NOT_CHECKED
    return LeakageReport(
        (Finding(code, severity, message, where or {}, {}, fix, status),), {check: status}
    )


def reason(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def guarded(
    check: str,
    make: Callable[[], LeakageReport],
    message: str,
    *,
    where=None,
    code: str = "could_not_run",
) -> LeakageReport:
    """The report of a check that runs the user's code; whatever it raises becomes a finding."""
    try:
        return make()
    except Exception as error:  # the user's code may fail in any way; none of them is a pass
        code = getattr(error, "code", None) or code
        code = code if isinstance(code, str) else "could_not_run"
        return cannot(
            check, code, f"{message}: {reason(error)}", where=where, fix=_FIXES.get(code, "")
        )
