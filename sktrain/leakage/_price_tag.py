"""What a leak is worth: scores of one estimator under careless and careful validation.

Rows are in order of time. All rows of the table train clones of the same estimator; only the folds
differ, except for the last row, where the estimator's own inner splits are repaired as well.
"""

from dataclasses import dataclass
import warnings

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_validate

from .._models import last_step
from .._spans import Spans
from .._statistics import fold_mean_error
from .._validation import check_count, label_horizon, labelled_mask, time_axis
from ..exceptions import LeakageError, NotEnoughDataError
from ..splits import CombinatorialPurgedCV, EnhancedWalkForwardCV
from ._repair import repair
from ._splits import index_pairs, known_spans

__all__ = ["PriceTag", "price_tag"]

_OWN = "its own inner validation"
_SHUFFLED, _ORDERED, _PURGED, _COMBINATORIAL, _NESTED = (
    "shuffled KFold", "TimeSeriesSplit", "purged walk-forward", "combinatorial purged",
    "nested, purged inside",
)
_SAYS = {
    _OWN: "rows held out at random inside fit, next to training rows",
    _SHUFFLED: "tested rows stand between training rows; labels overlap",
    _ORDERED: "in order, but the last training labels reach into the tested rows",
    _PURGED: "in order, overlapping labels removed, embargoed",
    _COMBINATORIAL: "every choice of blocks, purged and embargoed on both sides",
    _NESTED: "purged outside, and every inner split ordered and purged",
}


@dataclass(frozen=True)
class PriceTag:
    """Scores of one estimator under different validation.

    Attributes
    ----------
    table : DataFrame, one row per way of validating
        ``score`` (mean over folds), ``interval`` (half width at 95 %, corrected for overlapping
        training rows), ``folds``, ``train_rows`` (mean), ``worth`` (score minus the purged
        walk-forward's), ``what``.
    sentence : str
        The point of it: "your 0.83 is 0.52".
    scoring : str
        Name of the score.

    Examples
    --------
    >>> from sklearn.impute import SimpleImputer
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sktrain import AdaptiveLabeler, BarFeatures, LeakageValidator
    >>> from sktrain.datasets import make_market
    >>> bars = make_market(300, random_state=0).bars
    >>> X, y = AdaptiveLabeler(horizon=3, base_threshold=0.5, scaling="sigma").fit_resample(bars)
    >>> model = make_pipeline(BarFeatures(windows=(5,)), SimpleImputer(), KNeighborsClassifier(1))
    >>> LeakageValidator().price_tag(model, X, y).sentence  # neighbours in time share their labels
    'Your 0.43 (shuffled KFold) is 0.33 (purged walk-forward).'
    """

    table: pd.DataFrame
    sentence: str
    scoring: str

    def summary(self) -> str:
        """The sentence and the table as text.

        Returns
        -------
        str
            Several lines.
        """
        return f"{self.sentence}\n{self.table.round(3).to_string()}"

    def __str__(self):
        return self.summary()

    def _repr_html_(self):
        return f"<p><b>{self.sentence}</b></p>{self.table.round(3).to_html()}"

    def __getitem__(self, key):
        return self.table.loc[key] if key in self.table.index else self.table[key]

    def __len__(self):
        return len(self.table)

    def to_dict(self) -> dict:
        """Plain types, ready for JSON.

        Returns
        -------
        dict
            ``sentence``, ``scoring`` and ``table`` (None for NaN).
        """
        return {
            "sentence": self.sentence,
            "scoring": self.scoring,
            "table": self.table.astype(object).where(self.table.notna(), None).to_dict("index"),
        }


def _inner_score(estimator, X, y):
    """What a fitted estimator says about itself, when it validates inside; None otherwise."""
    fitted = clone(estimator).fit(X, y)
    last = last_step(fitted)
    for name in ("best_score_", "oob_score_", "best_validation_score_"):
        value = getattr(last, name, None)
        if isinstance(value, (float, np.floating)) and np.isfinite(value):
            return float(value)
    curve = getattr(last, "validation_score_", None)
    if curve is not None and len(curve) and getattr(last, "scoring", "loss") != "loss":
        return float(np.max(curve))
    return None


def _score(estimator, X, y, folds, scorer):
    result = cross_validate(clone(estimator), X, y, cv=folds, scoring=scorer, error_score="raise")
    return result["test_score"]


def _row(scores, folds):
    sizes = [(len(train), len(test)) for train, test in folds]
    ratio = float(np.mean([test / max(train, 1) for train, test in sizes]))
    half = np.nan
    if len(scores) > 1:
        error = fold_mean_error(np.std(scores, ddof=1), len(scores), ratio)
        half = stats.t.ppf(0.975, len(scores) - 1) * error
    return {
        "score": float(np.mean(scores)),
        "interval": float(half),
        "folds": len(scores),
        "train_rows": int(np.mean([s[0] for s in sizes])),
    }


def _reach(spans: Spans):
    known = np.searchsorted(spans.axis, spans.end, side="right") - 1
    return int((known - spans.codes).max())


def _labelled(estimator, X, y, label_end_times):
    """The rows that have a label, classes as whole numbers, and when each label was known."""
    keep = np.flatnonzero(labelled_mask(y, len(X)))
    X = X.iloc[keep] if hasattr(X, "iloc") else X[keep]
    y = y.iloc[keep] if hasattr(y, "iloc") else np.asarray(y)[keep]
    if is_classifier(estimator) and getattr(getattr(y, "dtype", None), "kind", "") == "f":
        attrs = dict(getattr(y, "attrs", {}))
        y = y.astype(int)
        if hasattr(y, "attrs"):
            y.attrs = attrs
    if label_end_times is None:
        return X, y, None
    if time_axis(X).index is None:
        return X, y, pd.Series(label_end_times).iloc[keep].to_numpy()
    return X, y, pd.DatetimeIndex(label_end_times)[keep]


def price_tag(
    estimator, X, y, *, label_end_times=None, cv=None, scoring=None, n_splits=5, embargo_bars=None,
    random_state=0,
):
    """See ``LeakageValidator.price_tag``."""
    n_splits = check_count("n_splits", n_splits, minimum=2)
    X, y, ends = _labelled(estimator, X, y, label_end_times)
    spans, source = known_spans(X, y, ends, cv)
    reach = _reach(spans) if source else 0
    if len(spans.axis) < 4 * (n_splits + 1) + reach:
        raise NotEnoughDataError(
            f"{len(spans.axis)} unique times are too few for {n_splits} folds with labels of "
            f"{reach} bars: {4 * (n_splits + 1) + reach} are needed."
        )
    embargo = (
        min(10, len(spans.axis) // 50)
        if embargo_bars is None
        else check_count("embargo_bars", embargo_bars, minimum=0)
    )
    scorer = check_scoring(estimator, scoring)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = None if ends is not None or source in _CARRIED else reach
        rows = _all_rows(
            estimator, X, y, ends, cv, scorer, n_splits, embargo, reach, told, random_state
        )
    table = pd.DataFrame.from_dict(rows, orient="index")
    table["worth"] = table["score"] - table.loc[_PURGED, "score"]
    table["what"] = [_SAYS[name] for name in table.index]
    table.index.name = "validation"
    name = (
        scoring if isinstance(scoring, str) else "accuracy" if is_classifier(estimator) else "score"
    )
    return PriceTag(table, _sentence(table, source), name)


# sources that travel with the rows, so that splitters read them themselves
_CARRIED = {"y", "X", "label_horizon"}


def _all_rows(estimator, X, y, ends, cv, scorer, n_splits, embargo, reach, told, random_state):
    small = max(5, len(X) // (4 * (n_splits + 1)))
    walk = EnhancedWalkForwardCV(
        n_splits, embargo_bars=embargo, horizon=told, min_samples_per_fold=small,
        ensure_regime_coverage=False,
    )
    ways = {
        _SHUFFLED: KFold(n_splits, shuffle=True, random_state=random_state),
        _ORDERED: TimeSeriesSplit(n_splits),
        _PURGED: walk if cv is None else cv,
        _COMBINATORIAL: CombinatorialPurgedCV(embargo_bars=embargo, horizon=told),
    }
    rows = {}
    own = _inner_score(estimator, X, y)
    if own is not None:
        rows[_OWN] = {"score": own, "interval": np.nan, "folds": 1, "train_rows": len(X)}
    folds = {}
    for name, splitter in ways.items():
        folds[name] = [
            (np.asarray(a), np.asarray(b)) for a, b in index_pairs(splitter, X, y, None, ends)
        ]
        rows[name] = _row(_score(estimator, X, y, folds[name], scorer), folds[name])
    inner = EnhancedWalkForwardCV(
        3,
        embargo_bars=embargo,
        horizon=None if label_horizon(y) is not None else reach,
        min_samples_per_fold=max(2, small // 4),
        ensure_regime_coverage=False,
    )
    try:
        honest = repair(estimator, inner, horizon=reach)
    except LeakageError:
        # nothing can be repaired from outside: the outer folds are honest, the inner ones stay as
        # they are
        honest = estimator
    rows[_NESTED] = _row(_score(honest, X, y, folds[_PURGED], scorer), folds[_PURGED])
    return rows


def _sentence(table, source):
    true = table.loc[_PURGED, "score"]
    naive = table.loc[[name for name in (_OWN, _SHUFFLED) if name in table.index], "score"]
    text = f"Your {naive.max():.2f} ({naive.idxmax()}) is {true:.2f} ({_PURGED})."
    return (
        text
        if source
        else text
        + " The labels do not say how far they look ahead: nothing was purged for overlap."
    )
