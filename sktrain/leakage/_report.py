"""The findings of an audit and the status of every check, with a verdict.

Nothing here computes. A check that was not made is never a pass: it is NOT_CHECKED, and the whole
report is INCONCLUSIVE.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import pandas as pd

from .._io import to_plain
from ..exceptions import LeakageError

__all__ = [
    "FAIL", "INCONCLUSIVE", "NOT_CHECKED", "PASS", "Finding", "LeakageReport", "Severity", "Status",
]

PASS: Final = "PASS"
FAIL: Final = "FAIL"
INCONCLUSIVE: Final = "INCONCLUSIVE"
NOT_CHECKED: Final = "NOT_CHECKED"
Severity = Literal["error", "warning", "info"]
Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT_CHECKED"]
_SEVERITIES = ("error", "warning", "info")
_STATUSES = (PASS, FAIL, INCONCLUSIVE, NOT_CHECKED)


def _short(value):
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


@dataclass(frozen=True)
class Finding:
    """One thing an audit has to say.

    Parameters
    ----------
    code : str
        Short, stable name of the kind of leak, for instance ``"overlap"``.
    severity : {"error", "warning", "info"}
        An error makes the report fail.
    message : str
        One sentence.
    where : mapping
        The place: any of ``step``, ``parameter``, ``column``, ``row``, ``time``, ``fold``.
    evidence : mapping
        The figures behind the message.
    fix : str
        A line the user can paste.
    status : {"PASS", "FAIL", "INCONCLUSIVE", "NOT_CHECKED"}, optional
        FAIL for an error, PASS for anything else, unless the check could not be made.

    Examples
    --------
    >>> from sklearn.model_selection import KFold
    >>> from sktrain import AdaptiveLabeler, LeakageValidator
    >>> from sktrain.datasets import make_market
    >>> bars = make_market(300, random_state=0).bars
    >>> X, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(bars)
    >>> finding = LeakageValidator().check_split(KFold(5, shuffle=True), X, y).errors[0]
    >>> finding.code, finding.severity
    ('overlap', 'error')
    >>> finding.fix
    'cv = EnhancedWalkForwardCV(n_splits=5, horizon=3, embargo_bars=10)'
    """

    code: str
    severity: Severity
    message: str
    where: Mapping = field(default_factory=dict)
    evidence: Mapping = field(default_factory=dict)
    fix: str = ""
    status: Status | None = None

    def __post_init__(self):
        if self.severity not in _SEVERITIES:
            raise ValueError(f"severity must be one of {_SEVERITIES}, got {self.severity!r}.")
        status = self.status or (FAIL if self.severity == "error" else PASS)
        if status not in _STATUSES:
            raise ValueError(f"status must be one of {_STATUSES}, got {status!r}.")
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "where", MappingProxyType(dict(self.where)))
        object.__setattr__(self, "evidence", MappingProxyType(dict(self.evidence)))

    def __reduce__(self):
        return type(self), (
            self.code,
            self.severity,
            self.message,
            dict(self.where),
            dict(self.evidence),
            self.fix,
            self.status,
        )

    def place(self) -> str:
        """The place in one line, such as ``step='net', parameter='oob_score'``.

        Returns
        -------
        str
            Empty where there is no place.
        """
        return ", ".join(f"{key}={_short(value)!s}" for key, value in self.where.items())

    def to_dict(self) -> dict:
        """The finding in plain types, ready for JSON.

        Returns
        -------
        dict
            One entry per field.
        """
        names = ("code", "severity", "status", "message", "where", "evidence", "fix")
        return {name: to_plain(getattr(self, name), str) for name in names}


@dataclass(frozen=True, eq=False)
class LeakageReport(Mapping):
    """The outcome of one or several checks; reads like a mapping: ``report["passed"]``,
    ``report["warnings"]``.

    Parameters
    ----------
    findings : sequence of Finding
        What was found, worst first.
    checks : mapping of str to status
        Every check that was asked for and how it ended.
    experiments : mapping, optional
        What the verdict rests on: the ``budget``, and how many ``fits`` and ``experiments`` were
        made, and how many of these the model ``refused``. The same for the same rows, whatever the
        machine.

    Attributes
    ----------
    status : {"PASS", "FAIL", "INCONCLUSIVE", "NOT_CHECKED"}
        FAIL when a leak was found; INCONCLUSIVE when something could not be checked; NOT_CHECKED
        when nothing was.
    passed : bool
        No finding has severity ``"error"``, and something was checked.

    Examples
    --------
    >>> from sktrain.leakage import Finding, LeakageReport
    >>> report = LeakageReport(
    ...     [Finding("overlap", "error", "3 training labels reach into test rows.")],
    ...     {"overlap": "FAIL"},
    ... )
    >>> report["passed"], report.status
    (False, 'FAIL')
    """

    findings: Sequence[Finding] = ()
    checks: Mapping = field(default_factory=dict)
    experiments: Mapping = field(default_factory=dict)

    def __post_init__(self):
        rank = {name: place for place, name in enumerate(_SEVERITIES)}
        object.__setattr__(
            self,
            "findings",
            tuple(sorted(self.findings, key=lambda finding: rank[finding.severity])),
        )
        object.__setattr__(self, "checks", MappingProxyType(dict(self.checks)))
        object.__setattr__(self, "experiments", MappingProxyType(dict(self.experiments)))

    def __reduce__(self):
        return type(self), (self.findings, dict(self.checks), dict(self.experiments))

    @property
    def status(self) -> str:
        """Verdict: "FAIL", "INCONCLUSIVE", "NOT_CHECKED" or "PASS"."""
        statuses = {finding.status for finding in self.findings}
        if FAIL in statuses or FAIL in self.checks.values():
            return FAIL
        if not self.checks or set(self.checks.values()) == {NOT_CHECKED}:
            return NOT_CHECKED
        statuses |= set(self.checks.values())
        return INCONCLUSIVE if statuses & {INCONCLUSIVE, NOT_CHECKED} else PASS

    @property
    def passed(self) -> bool:
        """Whether there is no error and something was checked."""
        return not self.errors and self.status not in (FAIL, NOT_CHECKED)

    @property
    def errors(self) -> list:
        """Findings of severity ``"error"``."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list:
        """What a reader should know, as sentences: the errors, then the warnings."""
        return [finding.message for finding in self.findings if finding.severity != "info"]

    def _fields(self):
        return {
            "passed": self.passed,
            "status": self.status,
            "warnings": self.warnings,
            "errors": [finding.message for finding in self.errors],
            "findings": list(self.findings),
            "checks": dict(self.checks),
            "experiments": dict(self.experiments),
        }

    def __getitem__(self, key):
        return self._fields()[key]

    def __iter__(self):
        return iter(self._fields())

    def __len__(self):
        return len(self._fields())

    def __eq__(self, other):
        return isinstance(other, LeakageReport) and self.to_dict() == other.to_dict()

    def __hash__(self):
        return hash((len(self.findings), self.status))

    def codes(self, severity: Severity | None = None) -> list[str]:
        """The codes of the findings, in order.

        Parameters
        ----------
        severity : {"error", "warning", "info"}, optional
            Only findings of this severity; default all.

        Returns
        -------
        list of str
            Codes, each once.
        """
        kept = [f.code for f in self.findings if severity is None or f.severity == severity]
        return list(dict.fromkeys(kept))

    def raise_if_failed(self) -> "LeakageReport":
        """Raise when the report did not pass.

        Returns
        -------
        LeakageReport
            The report itself.

        Raises
        ------
        LeakageError
            With the summary, when the report did not pass.
        """
        if not self.passed:
            raise LeakageError(self.summary())
        return self

    def to_dict(self) -> dict:
        """The whole report in plain types, ready for JSON.

        Returns
        -------
        dict
            One entry per field; ``findings`` is a list of dicts.
        """
        return {
            **to_plain({k: v for k, v in self._fields().items() if k != "findings"}, str),
            "findings": [f.to_dict() for f in self.findings],
        }

    def to_frame(self) -> pd.DataFrame:
        """The findings as a table.

        Returns
        -------
        DataFrame
            One row per finding: ``severity code status where message evidence fix``.
        """
        rows = [
            {
                **f.to_dict(),
                "where": f.place(),
                "evidence": ", ".join(f"{k}={_short(v)}" for k, v in f.evidence.items()),
            }
            for f in self.findings
        ]
        return pd.DataFrame(
            rows, columns=["severity", "code", "status", "where", "message", "evidence", "fix"]
        )

    def summary(self) -> str:
        """Verdict, checks and findings, each with its place, its figures and the fix.

        Returns
        -------
        str
            Several lines.
        """
        lines = [
            (f"{self.status}: {len(self.errors)} error(s), {len(self.findings) - len(self.errors)} "
            f"other finding(s), {len(self.checks)} check(s)")
        ]
        width = max((len(name) for name in self.checks), default=0)
        lines += [f"  {name:<{width}}  {status}" for name, status in self.checks.items()]
        if self.experiments:
            lines.append(
                "  " + ", ".join(f"{name}: {number}" for name, number in self.experiments.items())
            )
        for finding in self.findings:
            place = f" ({finding.place()})" if finding.where else ""
            lines.append(f"{finding.severity.upper()} {finding.code}{place}: {finding.message}")
            if finding.evidence:
                lines.append(
                    "    evidence: "
                    + ", ".join(f"{key}={_short(value)}" for key, value in finding.evidence.items())
                )
            if finding.fix:
                lines.append(f"    fix: {finding.fix}")
        return "\n".join(lines)

    def __str__(self):
        return self.summary()

    def __repr__(self):
        return f"LeakageReport(status={self.status!r}, findings={self.codes()!r})"

    def _repr_html_(self):
        color = {PASS: "#2a7d2a", FAIL: "#b22222"}.get(self.status, "#b8860b")
        checks = ", ".join(
            f"{escape(name)}: {escape(status)}" for name, status in self.checks.items()
        )
        cells = "".join(
            f"<tr><td>{escape(f.severity)}</td><td>{escape(f.code)}</td>"
            f"<td>{escape(f.place())}</td><td>{escape(f.message)}</td>"
            f"<td><code>{escape(f.fix)}</code></td></tr>"
            for f in self.findings
        )
        head = "<tr><th>severity</th><th>code</th><th>where</th><th>what</th><th>fix</th></tr>"
        title = f'<b style="color:{color}">{self.status}</b> <small>{checks}</small>'
        return f"<div>{title}<table>{head}{cells}</table></div>"


def merge(*reports, **named):
    """One report out of several; ``named`` reports give their checks a prefix."""
    findings = [f for report in [*reports, *named.values()] for f in report.findings]
    checks = {name: status for report in reports for name, status in report.checks.items()}
    for prefix, report in named.items():
        checks.update({f"{prefix}: {name}": status for name, status in report.checks.items()})
    return LeakageReport(findings, checks)
