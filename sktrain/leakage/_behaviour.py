"""Experiments on an estimator at work.

Its transforming steps are held to causality, and its predictions must not depend on later rows of
the same call. What is fitted is the user's own estimator: only epochs of nets and trials of
searches are lowered, and nothing is written to its files.
"""

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ._budget import BUDGETS
from ._causality import check_causality
from ._experiments import Experiment, apply, fitted, quiet
from ._failures import cannot, guarded
from ._flaws import nodes
from ._outputs import Output
from ._perturbation import block, perturb, perturbable, row_times, take
from ._report import FAIL, NOT_CHECKED, PASS, Finding, LeakageReport
from ._warmup import check_warmup

__all__ = ["audit_predictions", "audit_steps", "brief", "most_times"]

# an estimator that splits its rows again needs so many times the rows of one that does not, a
# judgment
_INNER_FOLDS = 4


def audit_steps(estimator, X, y, *, most_times, seed, budget=BUDGETS["standard"]):
    """Causality and memory of the transforming steps of a pipeline."""
    part = _transforming(estimator)
    if part is None:
        return LeakageReport([], {"causality": PASS, "warmup": PASS})
    causal = check_causality(part, X, y, most_times=most_times, seed=seed, budget=budget)
    if causal.status != PASS:
        return LeakageReport(causal.findings, {**causal.checks, "warmup": NOT_CHECKED})
    warm = check_warmup(part, X, y, seed=seed)
    findings = [*causal.findings, *map(_milder, warm.findings)]
    return LeakageReport(
        findings, {**causal.checks, "warmup": PASS if warm.status == FAIL else warm.status}
    )


def _transforming(estimator):
    """The steps before the last one, or a transformer itself; None when there are none."""
    if isinstance(estimator, Pipeline):
        steps = [step for step in estimator.steps if step[1] not in (None, "passthrough")]
        last = steps[-1][1] if steps else None
        kept = (
            steps if hasattr(last, "transform") and not hasattr(last, "predict") else steps[:-1]
        )  # votes have both
        kept = [
            (name, step)
            for name, step in kept
            if not hasattr(step, "fit_resample") or hasattr(step, "transform")
        ]  # samplers rest in transform
        return Pipeline(kept) if kept else None
    return (
        estimator if hasattr(estimator, "transform") and not hasattr(estimator, "predict") else None
    )


def _milder(finding):
    """Memory is no leak: within an audit it is worth a warning, and a warm-up with values a
    note."""
    if finding.status not in (FAIL, PASS):
        return finding
    return Finding(
        finding.code,
        "warning" if finding.severity == "error" else "info",
        finding.message,
        finding.where,
        finding.evidence,
        finding.fix,
    )


def brief(estimator, budget):
    """A clone that trains briefly, in this process, and writes nothing.

    Lowered are ``max_epochs`` of nets and ``n_trials`` of searches, on the objects that own them; a
    callback's parameter of the same name is its own. Storage and checkpoints are the user's: an
    experiment neither resumes from them nor adds to them.
    """
    model = clone(estimator)
    for _, owner in nodes(model):
        if not hasattr(owner, "fit"):
            continue
        own = owner.get_params(deep=False) if hasattr(owner, "get_params") else {}
        settings = {}
        for name, most in (("max_epochs", budget.epochs), ("n_trials", budget.trials)):
            if isinstance(own.get(name), int) and own[name] > most:
                settings[name] = most
        settings |= {
            name: None for name in ("storage",) if own.get(name) is not None and "n_trials" in own
        }
        settings |= {"n_jobs": None} if own.get("n_jobs") not in (None, 1) else {}
        if isinstance(own.get("callbacks"), (list, tuple)) and "max_epochs" in own:
            settings["callbacks"] = [item for item in own["callbacks"] if not _writes(item)]
        owner.set_params(**settings)
    return model


def most_times(estimator, budget) -> int:
    """Unique times one fit of an estimator sees."""
    splits = any(
        "cv" in owner.get_params(deep=False)
        for _, owner in nodes(estimator)
        if hasattr(owner, "get_params")
    )
    return budget.times * (_INNER_FOLDS if splits else 1)


def _writes(callback):
    return hasattr(callback[1] if isinstance(callback, tuple) else callback, "dirname")


def audit_predictions(estimator, X, y, *, seed, budget=BUDGETS["standard"]):
    """Fit once, then see whether predictions of past rows depend on later rows of the same call."""
    if not any(hasattr(estimator, name) for name in ("predict", "predict_proba")):
        return LeakageReport([], {})
    where = {"step": type(estimator).__name__}
    if not perturbable(X):
        return cannot(
            "predictions",
            "not_checked",
            f"Rows of type {type(X).__name__} cannot be perturbed.",
            where=where,
            severity="warning",
        )
    own, rows = block(X, most_times(estimator, budget))
    labels, times = take(y, rows), row_times(own)
    cut = np.unique(times)[int(0.7 * len(np.unique(times)))]
    past = np.flatnonzero(times <= cut)

    def experiments():
        with quiet(seed):
            model = fitted(brief(estimator, budget), take(own, past), take(labels, past))
            findings = list(_dependence(model, own, labels, cut, seed))
        return LeakageReport(findings, {"predictions": FAIL if findings else PASS})

    return guarded(
        "predictions",
        experiments,
        f"The estimator could not be fitted on {len(past)} rows and applied",
        where=where,
    )


def _dependence(model, X, y, cut, seed):
    """Predictions of past rows beside other later rows in the same call."""
    experiment = Experiment(model, X, y, seed=seed)
    clean = Output.of(apply(model, X), X)
    for kind in ("noise", "shuffle", "truncation"):
        dirty = perturb(X, cut, kind, np.random.default_rng(seed))
        change = experiment.changes(clean, Output.of(apply(model, dirty), dirty), cut, kind)
        if change is not None:
            yield Finding(
                "row_dependence",
                "error",
                "Predictions of past rows change with later rows of the same call.",
                {"step": type(model).__name__, "row": change.row, "time": str(change.time)},
                {
                    "experiment": kind,
                    "rows_changed": change.n_rows,
                    "before": change.was,
                    "after": change.now,
                },
                "predict each row from its own past only",
            )
            return
