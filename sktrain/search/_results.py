"""Tables of a finished search: the folds of its trials as scikit-learn's ``cv_results_``, with what
became of each trial."""

import numpy as np
from scipy.stats import rankdata
from sklearn.model_selection._validation import _insert_error_scores

__all__ = ["padded", "with_trials"]


def padded(records, n_splits, *, scoring, error_score):
    """Fold results of every trial, NaN for folds that were not run, ``error_score`` where a fold
    failed.

    Parameters
    ----------
    records : list of Record
    n_splits : int
    scoring : object
        The search's ``scoring``; a function may return a dict, which is only known from a fold that
        was scored.
    error_score : "raise" or float

    Returns
    -------
    outs : list of dict, length len(records) * n_splits
    multimetric : bool
    """
    outs = [dict(fold) for record in records for fold in record.folds]
    if callable(scoring):
        _insert_error_scores(outs, np.nan)
    example = next(out for out in outs if out["fit_error"] is None)
    kinds = [kind for kind in ("test_scores", "train_scores") if kind in example]
    multimetric = isinstance(example["test_scores"], dict)
    nothing = {
        kind: dict.fromkeys(example[kind], np.nan) if multimetric else np.nan for kind in kinds
    }
    pad = {**example, **nothing, "fit_time": np.nan, "score_time": np.nan}
    queue, out = iter(outs), []
    for record in records:
        own = [next(queue) for _ in record.folds]
        if record.state == "failed" and error_score != "raise":
            own = [
                {**fold, **{kind: _filled(fold[kind], error_score) for kind in kinds}}
                for fold in own
            ]
        out += own + [pad] * (n_splits - len(own))
    return out, multimetric


def _filled(scores, error_score):
    """Scores with ``error_score`` in place of NaN."""
    if isinstance(scores, dict):
        return {name: _filled(score, error_score) for name, score in scores.items()}
    return error_score if np.isnan(scores) else scores


def with_trials(results, records):
    """``cv_results_`` with what the trials went through; times are means over the folds that were
    run.

    A trial that did not complete ranks last, whatever ``error_score`` its failed folds were given.
    """
    states = np.array([record.state for record in records], dtype=object)
    for name in [name for name in results if name.startswith("rank_test_")]:
        means = np.where(states == "complete", results[name.replace("rank_", "mean_", 1)], np.nan)
        lowest = np.nanmin(means) - 1 if np.isfinite(means).any() else 0.0
        ranks = rankdata(-np.nan_to_num(means, nan=lowest), method="min")
        results[name] = ranks.astype(np.int32)
    for name in ("fit_time", "score_time"):
        times = [[fold[name] for fold in record.folds] for record in records]
        results[f"mean_{name}"] = np.array([np.mean(own) if own else np.nan for own in times])
        results[f"std_{name}"] = np.array([np.std(own) if own else np.nan for own in times])
    results["state"] = states
    results["duration"] = np.array([record.duration for record in records])
    # -1: in its first fold
    last = [len(record.folds) - 1 if record.state == "pruned" else -1 for record in records]
    results["pruned_fold"] = np.ma.MaskedArray(
        last, mask=[record.state != "pruned" for record in records]
    )
    return results
