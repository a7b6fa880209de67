"""What a drift check found: the decision and its reason, numbers first, a summary for people
second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
import pandas as pd

from .._io import to_plain
from ._null import benjamini_hochberg

__all__ = ["DriftReport", "Recommendation", "Status", "decide", "recommend"]

Status = Literal["DRIFT", "NO_DRIFT", "INCONCLUSIVE"]
Recommendation = Literal["continue", "monitor", "retrain"]

_ADVICE = {
    ("covariate", "retrain"): (
        "Expect worse scores on rows like the new ones, and retrain on newer rows that include "
        "them; training again on the rows of the reference changes nothing."
    ),
    (
        "performance",
        "retrain",
    ): "Retrain on rows as new as these: what the model learned from older ones no longer holds.",
    ("", "monitor"): "Nothing to retrain for yet: look again when more rows are in.",
    ("", "continue"): "The model can stay as it is.",
}


@dataclass(frozen=True, eq=False)
class DriftReport(Mapping):
    """The outcome of a drift check; a mapping of its own fields (``report["psi"]`` is
    ``report.psi``).

    Attributes
    ----------
    drift_detected : bool
        Whether an effect passed its threshold and its adjusted p-value passed ``alpha``.
    status : {"DRIFT", "NO_DRIFT", "INCONCLUSIVE"}
        INCONCLUSIVE when there are too few rows to say.
    psi : float
        Largest population stability index of any column.
    mean_shift : float
        Largest shift of a mean, in reference standard deviations; NaN without numeric columns.
    correlation : float
        Similarity of the two correlation matrices: 1 - (largest change of a pair) / 2. NaN with
        fewer than two columns.
    recommendation : {"continue", "monitor", "retrain"}
        What to do with the model.
    reason : str
        Why that is recommended.
    kind : {"covariate", "prediction", "performance"}
        What was compared.
    per_feature : DataFrame indexed by column
        ``psi``, ``mean_shift``, ``spread`` (ratio of standard deviations), ``ks``, ``wasserstein``
        (in reference standard deviations), ``p_value``, ``p_adjusted``, ``drifted``, ``kind``
        (numeric, categorical or constant), ``cause`` (the strongest sign), ``p_mean``,
        ``p_distribution``, ``n_effective`` (how many independent rows the new ones are worth),
        ``mean_reference``, ``mean_new``, ``missing_reference``, ``missing_new``.
    correlation_detail : dict
        ``similarity``, ``p_value``, ``p_adjusted``, ``drifted``, the ``pair`` that changed most and
        its correlation ``reference`` and ``new``.
    n_reference, n_new : int
        Rows compared.
    start, end : Timestamp or None
        First and last time of the new rows.
    thresholds : dict
        ``psi``, ``mean_shift``, ``correlation`` and ``alpha``.
    histograms : dict
        Per column ``bins``, ``edges``, and the smoothed shares ``reference`` and ``new``.
    outliers : DataFrame
        The part of the new rows that is so far outside of the reference that it must be a mistake
        (fewer than 0.001 such values are expected per check): rows by their index labels, columns
        by name, NaN where a value is as others are. They are left out of everything else; but when
        most rows are far outside, that is drift and none is.
    outlier_rows : int ndarray
        Their places among the new rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import DriftDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = DriftDetector().fit(rng.normal(size=(1000, 2)))
    >>> report = detector.check(rng.normal([0, 1], size=(250, 2)))  # the second mean has moved
    >>> report.status, report["recommendation"], report.drifted
    ('DRIFT', 'retrain', ['x1'])
    >>> report.per_feature["mean_shift"].round(1).tolist()
    [0.0, 1.0]
    """

    drift_detected: bool
    status: Status
    psi: float
    mean_shift: float
    correlation: float
    recommendation: Recommendation
    reason: str
    kind: Literal["covariate", "prediction", "performance"]
    per_feature: pd.DataFrame
    correlation_detail: dict
    n_reference: int
    n_new: int
    start: object
    end: object
    thresholds: dict
    histograms: dict = field(default_factory=dict, repr=False)
    outliers: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    outlier_rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.intp), repr=False)

    def __getitem__(self, key):
        if key not in self._names():
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self):
        return iter(self._names())

    def __len__(self):
        return len(self._names())

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @classmethod
    def _names(cls):
        return [entry.name for entry in fields(cls)]

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that drifted, the most surprising first."""
        table = self.per_feature
        return table.index[table["drifted"]][
            np.argsort(table.loc[table["drifted"], "p_value"], kind="stable")
        ].tolist()

    def to_dict(self) -> dict:
        """The report as plain numbers, strings, lists and dicts, ready for JSON.

        Returns
        -------
        dict
            One entry per field; NaN and infinity included.
        """
        out = {
            name: to_plain(getattr(self, name), float)
            for name in self._names()
            if name not in ("per_feature", "outliers")
        }
        table = self.per_feature
        out["per_feature"] = {
            str(name): {key: to_plain(row[key], float) for key in table.columns}
            for name, row in table.iterrows()
        }
        out["outliers"] = [
            {
                "row": to_plain(label, float),
                **{
                    name: value for name, value in zip(self.outliers.columns, row) if value == value
                },
            }
            for label, row in zip(self.outliers.index, self.outliers.to_numpy().tolist())
        ]
        return out | {"advice": self.advice}

    @property
    def advice(self) -> str:
        """What the recommendation means, in a sentence: a check says what to expect, not what went
        wrong in training."""
        return _ADVICE[self.kind if self.recommendation == "retrain" else "", self.recommendation]

    def summary(self) -> str:
        """The verdict, its reason, and the columns by p-value.

        Returns
        -------
        str
            A few lines.
        """
        when = "" if self.start is None else f", {self.start} to {self.end}"
        head = f"{self.status}: {self.n_new} new rows against {self.n_reference}{when}"
        told = [f"recommendation: {self.recommendation} ({self.reason})", self.advice]
        worst = (
            f"worst PSI {self.psi:.3f}, mean shift {self.mean_shift:.2f} sd, correlation "
            f"similarity {self.correlation:.2f}"
        )
        shown = ["psi", "mean_shift", "spread", "p_value", "p_adjusted", "drifted", "cause"]
        table = self.per_feature.sort_values("p_value", kind="stable")[shown].head(20)
        text = table.to_string(float_format=lambda value: f"{value:.3g}")
        more = len(self.per_feature) - len(table)
        tail = [f"... and {more} more columns"] if more > 0 else []
        return "\n".join([head, *told, worst, text, *tail])

    def __str__(self):
        return self.summary()


# Of all correlations together, where a column weighs a little over 1 (weighted Benjamini-Hochberg).
_CORRELATION_WEIGHT = 0.5
# of a column's error, a judgment: the test of its mean; the rest is the test of its distribution
_MEAN_SHARE = 0.75
_ORDER = [
    "psi",
    "mean_shift",
    "spread",
    "ks",
    "wasserstein",
    "p_value",
    "p_adjusted",
    "drifted",
    "kind",
    "cause",
    "p_mean",
    "p_distribution",
    "n_effective",
    "mean_reference",
    "mean_new",
    "missing_reference",
    "missing_new",
]


def decide(table, correlation, thresholds):
    """Adjust all p-values of a check together, and declare what is both large and surprising.

    Parameters
    ----------
    table : DataFrame
        Effects and p-values per column.
    correlation : Correlation
    thresholds : dict
        ``psi``, ``mean_shift``, ``correlation``, ``alpha``.

    Returns
    -------
    table : DataFrame
        With ``p_value``, ``p_adjusted`` and ``drifted``.
    detail : dict
        What is said about the correlations.
    """
    single = table["p_mean"].isna() | table["p_distribution"].isna()
    of_mean, of_shape = (
        np.where(single, 1.0, 1 / share) for share in (_MEAN_SHARE, 1 - _MEAN_SHARE)
    )
    of_mean, of_shape = of_mean * table["p_mean"], of_shape * table["p_distribution"]
    columns = np.fmin(of_mean, of_shape)
    n = int(columns.notna().sum())
    weight = 1.0 if np.isnan(correlation.p_value) else (n + 1 - _CORRELATION_WEIGHT) / n
    of_mean, of_shape = of_mean / weight, of_shape / weight
    p_values = np.minimum(
        np.append(columns / weight, correlation.p_value / _CORRELATION_WEIGHT), 1.0
    )
    adjusted = benjamini_hochberg(p_values)
    passing = p_values[adjusted <= thresholds["alpha"]]
    limit = passing.max() if len(passing) else -1.0
    shifted = (table["mean_shift"] > thresholds["mean_shift"]) & (of_mean <= limit)
    reshaped = (table["psi"] > thresholds["psi"]) & (of_shape <= limit)
    drifted = (shifted | reshaped).to_numpy(dtype=bool)
    detail = {
        "similarity": float(correlation.similarity),
        "p_value": correlation.p_value,
        "p_adjusted": float(adjusted[-1]),
        "drifted": bool(
            adjusted[-1] <= thresholds["alpha"]
            and correlation.similarity < thresholds["correlation"]
        ),
        "pair": correlation.pair,
        "reference": correlation.reference,
        "new": correlation.new,
    }
    return table.assign(p_value=p_values[:-1], p_adjusted=adjusted[:-1], drifted=drifted)[
        _ORDER
    ], detail


def recommend(table, detail, thresholds) -> tuple[Recommendation, str]:
    """What to do, and why, in one line each."""
    if table["drifted"].any() or detail["drifted"]:
        return "retrain", _drifted(table, detail)
    large = (table["psi"] > thresholds["psi"]) | (table["mean_shift"] > thresholds["mean_shift"])
    nearly = 2 * thresholds["alpha"]
    hint = table[large & (table["p_adjusted"] <= nearly)]
    if len(hint):
        return (
            "monitor",
            (
                f"{hint['p_value'].idxmin()} moved, almost surprisingly (adjusted p "
                f"{hint['p_adjusted'].min():.2g})"
            ),
        )
    small = table[table["p_adjusted"] <= thresholds["alpha"]]
    if len(small):
        return (
            "monitor",
            f"{small['p_value'].idxmin()} moved surely, but by less than its threshold",
        )
    if detail["similarity"] < thresholds["correlation"] and detail["p_adjusted"] <= nearly:
        return (
            "monitor",
            f"correlations moved, almost surprisingly (adjusted p {detail['p_adjusted']:.2g})",
        )
    return "continue", "no effect is both large and surprising"


def _drifted(table, detail):
    named = table[table["drifted"]].sort_values("p_value", kind="stable")
    parts = [f"{name} ({row['cause']})" for name, row in named.head(3).iterrows()]
    parts += [f"{len(named) - 3} more columns"] if len(named) > 3 else []
    if detail["drifted"]:
        one, other = detail["pair"]
        parts.append(
            f"correlation of {one} and {other} from {detail['reference']:.2f} to "
            f"{detail['new']:.2f}"
        )
    return "drifted: " + ", ".join(parts)
