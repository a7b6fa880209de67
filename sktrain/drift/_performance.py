"""Drift of a model's answers, and decay of its performance once outcomes are known. Both samples
are in order of time.

Three things are kept apart: that answers changed
(predictions), that the classes became more or less frequent (labels), and that the relation between
what the model saw and the outcome changed (concept): the loss rose although every class has the
share it had.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.utils.validation import _num_samples

from .._validation import labelled_mask
from ..exceptions import SktrainError
from ._null import benjamini_hochberg, centred_moments, mean_p_values
from ._report import DriftReport, Status
from ._statistics import population_stability_index, smoothed_shares

if TYPE_CHECKING:
    from ._detector import DriftDetector

__all__ = ["check_performance", "check_predictions"]


def check_predictions(
    detector: "DriftDetector", reference: ArrayLike, new: ArrayLike
) -> DriftReport:
    """Compare predictions with predictions; see ``DriftDetector.check_predictions``.

    Parameters
    ----------
    detector : DriftDetector
        Its thresholds are used.
    reference, new : array-like of shape (n,) or (n, n_classes)
        Predicted labels or probabilities, in order of time.

    Returns
    -------
    DriftReport
        Of kind "prediction".

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import DriftDetector
    >>> from sktrain.drift import check_predictions
    >>> rng = np.random.default_rng(0)
    >>> before, now = rng.choice(3, size=500), rng.choice(3, size=500, p=[0.7, 0.2, 0.1])
    >>> report = check_predictions(DriftDetector(), before, now)
    >>> report.kind, report.status
    ('prediction', 'DRIFT')
    """
    old, recent = _answers(reference, "reference"), _answers(new, "new")
    if list(old.columns) != list(recent.columns):
        raise SktrainError(
            f"predictions have {old.shape[1]} columns in the reference and {recent.shape[1]} now. "
            "Use the same classes."
        )
    report = detector.fit(old).check(recent)
    recommendation = "monitor" if report.drift_detected else report.recommendation
    reason = (
        f"the predictions moved: {', '.join(report.drifted) or 'their correlation'}"
        if report.drift_detected
        else report.reason
    )
    return replace(report, kind="prediction", recommendation=recommendation, reason=reason)


def _answers(values, name):
    if isinstance(values, pd.DataFrame):
        return values
    index = values.index if isinstance(values, pd.Series) else None
    values = np.asarray(values)
    if values.ndim not in (1, 2):
        raise SktrainError(
            f"{name} predictions must have one or two dimensions, got shape {values.shape}."
        )
    if values.ndim == 1 or values.shape[1] == 1:
        flat = values.reshape(-1)
        labels = flat.dtype.kind in "iubUSO"
        return pd.DataFrame(
            {"prediction": pd.Categorical(flat.astype(str)) if labels else flat}, index=index
        )
    # two probabilities say the same thing twice
    columns = values[:, 1:] if values.shape[1] == 2 else values
    names = (
        ["prediction"] if values.shape[1] == 2 else [f"class {i}" for i in range(values.shape[1])]
    )
    return pd.DataFrame(columns, columns=names, index=index)


def _losses(y, predicted, classes, name):
    """Labels as class positions, the loss of every row with a known outcome, and how many are
    pending."""
    predicted = np.asarray(predicted)
    y = np.asarray(y)
    if len(y) != len(predicted):
        raise SktrainError(f"y_{name} has {len(y)} rows, the predictions have {len(predicted)}.")
    known = labelled_mask(y, len(y))
    y, predicted = y[known], predicted[known]
    codes = pd.Index(classes).get_indexer(y)
    if (codes < 0).any():
        odd = y[np.argmax(codes < 0)]
        raise SktrainError(f"y_{name} holds {odd!r}, which is none of the classes {list(classes)}.")
    if predicted.ndim == 2:
        if predicted.shape[1] != len(classes):
            raise SktrainError(
                f"predictions have {predicted.shape[1]} columns for {len(classes)} classes "
                f"{list(classes)}; pass classes=..."
            )
        chosen = predicted[np.arange(len(y)), codes].astype(float)
        return codes, -np.log(np.clip(chosen, 1e-12, 1.0)), int((~known).sum())
    return codes, (predicted != y).astype(float), int((~known).sum())


def _one_sided(two_sided, difference):
    return float(two_sided / 2 if difference > 0 else 1 - two_sided / 2)


def _rise(old, new):
    """How surprising it is that ``new`` is so much larger: by its mean and by its ranks, for a few
    enormous losses prove little."""
    ranks = ndtri((rankdata(np.concatenate([old, new])) - 0.5) / (len(old) + len(new)))
    both = [np.column_stack(pair) for pair in ((old, ranks[: len(old)]), (new, ranks[len(old) :]))]
    difference = both[1].mean(axis=0) - both[0].mean(axis=0)
    p_values, effective = mean_p_values(
        difference, *centred_moments(*both), location=np.array([True, True])
    )
    return max(_one_sided(p, gap) for p, gap in zip(p_values, difference)), float(effective[0])


def _label_p_value(old, new, n_classes):
    """Whether the shares of the classes changed: the most surprising class, times their number."""
    hot = [(codes[:, None] == np.arange(n_classes)).astype(float) for codes in (old, new)]
    difference = hot[1].mean(axis=0) - hot[0].mean(axis=0)
    p_values, _ = mean_p_values(difference, *centred_moments(*hot))
    return float(min(p_values.min() * max(n_classes - 1, 1), 1.0))


def _within_classes(old_codes, old, new_codes, new, n_classes):
    """Losses less the reference's mean loss of their class: what is left once the shares of the
    classes are accounted for.

    Classes the reference never saw are left out.
    """
    counts = np.bincount(old_codes, minlength=n_classes)
    mean = np.bincount(old_codes, weights=old, minlength=n_classes) / np.maximum(counts, 1)
    seen = counts[new_codes] > 0
    return old - mean[old_codes], (new - mean[new_codes])[seen]


def check_performance(
    detector: "DriftDetector",
    y_reference: ArrayLike,
    predicted_reference: ArrayLike,
    y_new: ArrayLike,
    predicted_new: ArrayLike,
    *,
    classes: ArrayLike | None = None,
) -> DriftReport:
    """Compare a model's losses now with its losses before, without mixing kinds of drift.

    Parameters
    ----------
    detector : DriftDetector
        Its thresholds, ``alpha`` and ``min_samples`` are used.
    y_reference, y_new : array-like (n,)
        Outcomes in order of time; missing where they are not known yet: such rows wait and count
        for nothing.
    predicted_reference, predicted_new : array-like (n,) or (n, n_classes)
        Predicted labels (the loss is 0 or 1) or probabilities (the loss is ``-log p`` of the
        outcome). They must be out-of-sample on both sides, or the reference flatters itself.
    classes : array-like, optional
        Order of the columns of the probabilities; default the sorted outcomes of both sides.

    Returns
    -------
    DriftReport
        Of kind "performance". Rows of ``per_feature``: ``labels`` (shares of the classes),
        ``performance`` (the loss), ``concept`` (the loss less what its class used to cost). Only
        rises of a loss count. A concept that drifted recommends "retrain"; a loss that rose only
        because classes became frequent that were always hard, "monitor". ``n_pending`` stands in
        ``correlation_detail``.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrain import DriftDetector
    >>> y = np.tile([0, 1], 300)
    >>> rng = np.random.default_rng(0)
    >>> good = np.where(rng.random(600) < 0.9, y, 1 - y)
    >>> report = DriftDetector().check_performance(y[:400], good[:400], y[400:], 1 - good[400:])
    >>> report.recommendation, sorted(report.drifted)
    ('retrain', ['concept', 'performance'])
    """
    detector._validate_params()
    if classes is None:
        values = np.concatenate(
            [np.asarray(y)[labelled_mask(y, _num_samples(y))] for y in (y_reference, y_new)]
        )
        classes = np.unique(values)
    old_codes, old, _ = _losses(y_reference, predicted_reference, classes, "reference")
    new_codes, new, pending = _losses(y_new, predicted_new, classes, "new")
    table = _table(
        old_codes, old, new_codes, new,
        _num_samples(classes),
        min(len(old), len(new)) >= detector.min_samples,
    )
    return _performance_report(
        detector,
        table,
        len(old),
        len(new),
        pending,
        _class_histogram(old_codes, new_codes, classes),
    )


def _class_histogram(old_codes, new_codes, classes):
    shares = [
        smoothed_shares(np.bincount(codes, minlength=len(classes)))
        for codes in (old_codes, new_codes)
    ]
    return {
        "labels": {
            "bins": [str(name) for name in classes],
            "edges": np.empty(0),
            "reference": shares[0],
            "new": shares[1],
        }
    }


def _table(old_codes, old, new_codes, new, n_classes, judged):
    within = _within_classes(old_codes, old, new_codes, new, n_classes)
    rows = {"labels": {"mean_shift": np.nan}}
    std = old.std()
    for name, (before, after) in {"performance": (old, new), "concept": within}.items():
        gap = float(after.mean() - before.mean()) if len(after) and len(before) else np.nan
        shift = gap / std if std > 0 else (0.0 if gap == 0 else np.sign(gap) * np.inf)
        rows[name] = {
            "mean_shift": shift,
            "mean_reference": before.mean() if len(before) else np.nan,
            "mean_new": after.mean() if len(after) else np.nan,
        }
        if judged and len(after) > 1:
            rows[name]["p_value"], rows[name]["n_effective"] = _rise(before, after)
    shares = [
        smoothed_shares(np.bincount(codes, minlength=n_classes)) for codes in (old_codes, new_codes)
    ]
    rows["labels"]["psi"] = population_stability_index(*shares)
    if judged:
        rows["labels"]["p_value"] = _label_p_value(old_codes, new_codes, n_classes)
    columns = ["psi", "mean_shift", "p_value", "n_effective", "mean_reference", "mean_new"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns).astype(float)
    table.index.name = "feature"
    table["p_adjusted"] = benjamini_hochberg(table["p_value"].to_numpy())
    return table


def _performance_report(detector, table, n_reference, n_new, pending, histograms):
    large = (table["psi"] > detector.psi_threshold) | (
        table["mean_shift"] > detector.mean_shift_threshold
    )
    table["drifted"] = large & (table["p_adjusted"] <= detector.alpha)
    table["kind"], table["cause"], table["spread"] = "performance", table.index, np.nan
    judged = bool(table["p_value"].notna().any())
    drifted = table["drifted"]
    status: Status = "INCONCLUSIVE" if not judged else "DRIFT" if drifted.any() else "NO_DRIFT"
    recommendation, reason = _advice(
        table, drifted, judged, min(n_reference, n_new), detector.min_samples
    )
    return DriftReport(
        drift_detected=bool(drifted.any()),
        status=status,
        psi=float(table.loc["labels", "psi"]),
        mean_shift=float(table["mean_shift"].max()),
        correlation=float("nan"),
        recommendation=recommendation, reason=reason, kind="performance", per_feature=table,
        correlation_detail={"n_pending": pending},
        n_reference=n_reference, n_new=n_new, start=None, end=None,
        thresholds={
            "psi": detector.psi_threshold,
            "mean_shift": detector.mean_shift_threshold,
            "alpha": detector.alpha,
        },
        histograms=histograms,
    )


def _advice(table, drifted, judged, fewest, needed):
    if not judged:
        return "monitor", f"{fewest} known outcomes are too few to say, {needed} are needed"
    loss = (
        f"mean loss from {table.loc['performance', 'mean_reference']:.3g} to "
        f"{table.loc['performance', 'mean_new']:.3g}"
    )
    if drifted["concept"]:
        return (
            "retrain",
            (f"the relation to the outcome changed: {loss}, and not because classes changed their "
            "shares"),
        )
    if drifted["performance"]:
        return "monitor", f"{loss}, because classes changed their shares"
    if drifted["labels"]:
        return "monitor", "classes changed their shares; the model is as good as before within each"
    return "continue", "the model is as good as before"
