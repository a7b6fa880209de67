"""A search that was fitted before the audit, and what its own score is worth.

Whether it has seen these rows is told by its own record: its best candidate is fitted again in the
folds of the search, and gives the recorded scores only on the same rows. The price is the reported
score less that of the whole search nested in the outer folds.
"""

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline

from ._budget import note
from ._experiments import quiet
from ._failures import guarded
from ._perturbation import take
from ._report import FAIL, INCONCLUSIVE, Finding, LeakageReport

__all__ = ["check_tuning"]

_CHECK = "tuning"
_SAME = 1e-6  # scores of the same fit differ by less, a judgment: sums in another order
_MOST = 3  # recorded folds fitted again, a judgment of speed


def check_tuning(estimator, X, y, folds, *, seed, budget):
    """A report on a fitted search, alone or at the end of a pipeline; an empty one where there is
    none."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not (hasattr(last, "best_score_") and hasattr(last, "cv_results_")):
        return LeakageReport([], {})
    where = {"step": type(last).__name__, "parameter": "best_score_"}
    make = lambda: _report(estimator, last, X, y, folds, where, seed, budget)  # noqa: E731
    return guarded(_CHECK, make, "The fitted search could not be nested", where=where)


def _report(estimator, search, X, y, folds, where, seed, budget):
    with quiet(seed):
        rows = estimator[:-1].transform(X) if isinstance(estimator, Pipeline) else X
        seen = _has_seen(search, rows, y)
        nested, n_folds = _nested(estimator, X, y, folds, budget)
    reported = float(search.best_score_)
    evidence = {
        "reported": reported,
        "nested": nested,
        "price": reported - nested,
        "outer_folds": n_folds,
    }
    said = (
        f"it reports {reported:.3f}, nested in {n_folds} outer fold(s) it scores {nested:.3f}: "
        f"the price is {reported - nested:.3f}."
    )
    fix = "report cross_val_score(clone(search), X, y, cv=cv), not search.best_score_"
    if seen:
        message = (
            f"{type(search).__name__} chose its parameters on these very rows, tested ones "
            f"included; {said}"
        )
        return LeakageReport(
            [Finding("tuned_outside_folds", "error", message, where, evidence, fix)], {_CHECK: FAIL}
        )
    message = (
        f"{type(search).__name__} was fitted before; whether on these rows its record does not "
        f"tell. If so, {said}"
    )
    return LeakageReport(
        [
            Finding(
                "fitted_search",
                "warning",
                message,
                where,
                evidence,
                "audit clone(search)",
                INCONCLUSIVE,
            )
        ],
        {_CHECK: INCONCLUSIVE},
    )


def _scorer(search):
    scorer = search.scorer_
    return scorer[search.refit] if isinstance(scorer, dict) else scorer


def _name(search):
    return search.refit if isinstance(search.scorer_, dict) else "score"


def _has_seen(search, X, y):
    """Whether the recorded scores of the best candidate come out again."""
    best, results = search.best_index_, search.cv_results_
    recorded = [
        results[key][best]
        for key in (f"split{k}_test_{_name(search)}" for k in range(search.n_splits_))
        if key in results
    ]
    folds = list(
        check_cv(search.cv, np.asarray(y), classifier=is_classifier(search.estimator)).split(X, y)
    )
    if len(folds) != len(recorded):
        return False
    for (train, test), score in list(zip(folds, recorded))[:_MOST]:
        model = clone(search.estimator).set_params(**search.best_params_)
        note("fits")
        model.fit(take(X, train), take(y, train))
        if not np.isclose(
            _scorer(search)(model, take(X, test), take(y, test)), score, atol=_SAME, rtol=0
        ):
            return False
    return True


def _nested(estimator, X, y, folds, budget):
    """Mean score of the whole search fitted in outer folds, evenly chosen."""
    chosen = np.unique(
        np.linspace(0, len(folds) - 1, min(budget.folds, len(folds))).round().astype(int)
    )
    scores = []
    for place in chosen:
        train, test = folds[place]
        model = clone(estimator)
        owner = model.steps[-1][1] if isinstance(model, Pipeline) else model
        owner.set_params(
            **{name: None for name in ("storage", "n_jobs") if name in owner.get_params(deep=False)}
        )
        note("fits")
        model.fit(take(X, train), take(y, train))
        rows = take(X, test)
        last = model
        if isinstance(model, Pipeline):
            rows, last = model[:-1].transform(rows), model.steps[-1][1]
        scores.append(_scorer(last)(last.best_estimator_, rows, take(y, test)))
    return float(np.mean(scores)), len(chosen)
