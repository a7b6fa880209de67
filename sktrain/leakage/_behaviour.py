"""Watches an estimator at work: an estimator with rows and labels enters, findings about what it does leave.

Its transforming steps are held to causality, its predictions must not depend on later rows of the same call, random splits it makes
inside ``fit`` are seen as they happen, and labels rotated in time must not be predictable.
"""

import sys
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.pipeline import Pipeline

from ._causality import check_causality, check_warmup, reason
from ._experiments import Experiment, Output, apply, fitted, quiet
from ._inspect import inner_cv_errors
from ._poison import block, poison, poisonable, row_times, take
from ._report import FAIL, INCONCLUSIVE, NOT_CHECKED, PASS, Finding, LeakageReport
from ._splits import index_pairs

__all__ = ["SplitWatch", "audit_predictions", "audit_steps", "check_shuffled_labels"]

_GATE_SECONDS = 15.0
_EFFECT, _SIGMAS = 0.1, 5.0
_QUICK = {"max_epochs": 2, "n_trials": 2}


def audit_steps(estimator, X, y, *, most_times, seed):
    """Causality and memory of the transforming steps of a pipeline."""
    part = _transforming(estimator)
    if part is None:
        return LeakageReport([], {"causality": PASS})
    causal = check_causality(part, X, y, most_times=most_times, seed=seed)
    if causal.status == FAIL:
        return causal
    findings, checks = list(causal.findings), dict(causal.checks)
    if causal.status == PASS:
        warm = check_warmup(part, X, y, seed=seed)
        findings += [_milder(finding) for finding in warm.findings]
        checks["warmup"] = PASS if warm.status == FAIL else warm.status
    return LeakageReport(findings, checks)


def _transforming(estimator):
    """The steps before the last one, or a transformer itself; None when there are none."""
    if isinstance(estimator, Pipeline):
        steps = [step for step in estimator.steps if step[1] not in (None, "passthrough")]
        kept = steps if steps and hasattr(steps[-1][1], "transform") else steps[:-1]
        kept = [(name, step) for name, step in kept if not hasattr(step, "fit_resample") or hasattr(step, "transform")]  # samplers rest in transform
        return Pipeline(kept) if kept else None
    return estimator if hasattr(estimator, "transform") and not hasattr(estimator, "predict") else None


def _milder(finding):
    """Memory is no leak: within an audit it is worth a warning, and a warm-up with values a note."""
    if finding.status not in (FAIL, PASS):
        return finding
    return Finding(finding.code, "warning" if finding.severity == "error" else "info", finding.message, finding.where, finding.evidence, finding.fix)


class SplitWatch:
    """Sees every splitter of scikit-learn at work while it is active, and who asked it to split."""

    def __init__(self):
        self.seen = {}

    def __enter__(self):
        self._before = sys.getprofile()
        sys.setprofile(self._see)
        return self

    def __exit__(self, *error):
        sys.setprofile(self._before)

    def _see(self, frame, event, arg):
        if event != "call":
            return
        name = frame.f_code.co_name
        if name == "train_test_split":
            if frame.f_locals.get("shuffle", True):
                self._note(frame, "train_test_split")
        elif name == "split":
            splitter = frame.f_locals.get("self")
            if isinstance(splitter, (BaseCrossValidator, BaseShuffleSplit)) and frame.f_back.f_code.co_name != "train_test_split":
                self._note(frame, splitter)

    def _note(self, frame, what):
        asked = frame.f_back
        while asked is not None:
            owner = asked.f_locals.get("self")
            if hasattr(owner, "get_params") and hasattr(owner, "fit") and not isinstance(owner, (Pipeline, BaseCrossValidator)):
                self.seen.setdefault((type(owner).__name__, what if isinstance(what, str) else type(what).__name__), (owner, what))
                return
            asked = asked.f_back


def _watched(watch, inspected, horizon):
    """Findings on inner splits that happened and that ``inspect`` did not already name."""
    known = {finding.where.get("estimator") for finding in inspected.findings} if inspected is not None else set()
    for (owner, name), (_, what) in watch.seen.items():
        if owner in known:
            continue
        if isinstance(what, str):
            severity, why = "error", "it splits its training rows at random"
        else:
            severity, why = inner_cv_errors(what, owner, horizon)
        if severity == "error":
            yield Finding(
                "inner_split", "error", f"{owner} was seen splitting its training rows inside fit with {name}: {why}",
                {"step": owner, "parameter": name}, {}, "split in order, purged: TemporalSplitter(horizon=...)",
            )  # fmt: skip


def _quick(estimator):
    """A clone that trains briefly, in this process."""
    model = clone(estimator)
    settings = {}
    for name, value in model.get_params(deep=True).items():
        last = name.split("__")[-1]
        if last in _QUICK and isinstance(value, int) and value > _QUICK[last]:
            settings[name] = _QUICK[last]
        elif last == "n_jobs" and value not in (None, 1):
            settings[name] = None
    return model.set_params(**settings)


def audit_predictions(estimator, X, y, cv, label_end_times, inspected, *, most_times, seed, horizon):
    """Fit once under watch, then see whether predictions depend on later rows; then the gate, when a fit is quick."""
    if not any(hasattr(estimator, name) for name in ("predict", "predict_proba")):
        return LeakageReport([], {})
    if not poisonable(X):
        return LeakageReport([], {"predictions": NOT_CHECKED})
    own, rows = block(X, min(most_times, 1200))
    labels = take(y, rows)
    times = row_times(own)
    cut = np.unique(times)[int(0.7 * len(np.unique(times)))]
    past = np.flatnonzero(times <= cut)
    watch = SplitWatch()
    start = perf_counter()
    try:
        with quiet(seed):
            model = _quick(estimator)
            with watch:
                model = fitted(model, take(own, past), take(labels, past))
            spent = perf_counter() - start
            findings = list(_dependence(model, own, labels, cut, seed))
    except Exception as error:  # any failure of the user's code is reported, none is a pass
        message = f"The estimator could not be fitted on {len(past)} rows and applied: {reason(error)}"
        return LeakageReport([Finding("could_not_run", "error", message, {"step": type(estimator).__name__}, status=INCONCLUSIVE)], {"predictions": INCONCLUSIVE})
    findings += _watched(watch, inspected, horizon)
    failed = any(finding.severity == "error" for finding in findings)
    report = LeakageReport(findings, {"predictions": FAIL if failed else PASS})
    return report if failed else _with_gate(report, estimator, own, labels, cv, spent, seed)


def _dependence(model, X, y, cut, seed):
    """Predictions of past rows beside other later rows in the same call."""
    experiment = Experiment(model, X, y, seed=seed)
    clean = Output.of(apply(model, X), X)
    for kind in ("noise", "shuffle", "truncation"):
        dirty = poison(X, cut, kind, np.random.default_rng(seed))
        change = experiment.changes(clean, Output.of(apply(model, dirty), dirty), cut, kind)
        if change is not None:
            yield Finding(
                "row_dependence", "error", "Predictions of past rows change with later rows of the same call.",
                {"step": type(model).__name__, "row": change.row, "time": str(change.time)}, {"experiment": kind, "rows_changed": change.n_rows, "before": change.was, "after": change.now},
                "predict each row from its own past only",
            )  # fmt: skip
            return


def _with_gate(report, estimator, X, y, cv, spent, seed):
    if not is_classifier(estimator) or not hasattr(cv, "split"):
        return report
    if spent * 10 > _GATE_SECONDS:
        note = Finding("gate_not_run", "info", f"One fit takes {spent:.1f} s: the shuffled-label gate was left out.", {}, {}, "LeakageValidator().check_shuffled_labels(estimator, X, y, cv)")
        return LeakageReport([*report.findings, note], report.checks)
    gate = check_shuffled_labels(estimator, X, y, cv, seed=seed)
    kept = [finding for finding in gate.findings if finding.severity == "error" and finding.status == FAIL]
    return LeakageReport([*report.findings, *kept], {**report.checks, **({} if gate.status in (INCONCLUSIVE, NOT_CHECKED) else gate.checks)})


# -- the gate -----------------------------------------------------------------------------------------------------------------


def _rotated(X, y, shift):
    """Labels moved around the end, per symbol: their overlap stays, their tie to the rows is cut."""
    values = np.asarray(y).copy()
    index = getattr(X, "index", None)
    groups = [np.arange(len(values))]
    if isinstance(index, pd.MultiIndex):
        codes = np.asarray(index.codes[0])
        groups = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    for rows in groups:
        values[rows] = np.roll(values[rows], max(1, int(shift * len(rows))))
    if not isinstance(y, pd.Series):
        return values
    out = pd.Series(values, y.index, name=y.name)
    out.attrs = dict(y.attrs)
    return out


def check_shuffled_labels(estimator, X, y, cv, label_end_times=None, *, seed=0):
    """See ``LeakageValidator.check_shuffled_labels``."""
    gains, n_tested = [], 0
    try:
        with quiet(seed):
            for shift in (0.35, 0.5, 0.65):
                rotated = _rotated(X, y, shift)
                truth, said = [], []
                for train, test in index_pairs(cv, X, rotated, None, label_end_times):
                    model = fitted(_quick(estimator), take(X, train), take(rotated, train))
                    said.append(np.asarray(model.predict(take(X, test))))
                    truth.append(np.asarray(take(rotated, test)))
                truth, said = np.concatenate(truth), np.concatenate(said)
                gains.append(balanced_accuracy_score(truth, said) - 1 / len(np.unique(truth)))
                n_tested = len(truth)
    except Exception as error:  # any failure of the user's code is reported, none is a pass
        finding = Finding("could_not_run", "error", f"Rotated labels could not be scored: {reason(error)}", status=INCONCLUSIVE)
        return LeakageReport([finding], {"rotated labels": INCONCLUSIVE})
    gain = float(np.mean(gains))
    reach = max(int(getattr(y, "attrs", {}).get("label_horizon") or 0), 0) + 1
    noise = 0.5 / np.sqrt(max(n_tested / reach, 1.0))
    evidence = {"balanced_accuracy_above_chance": gain, "noise": noise, "rotations": len(gains)}
    if gain > _EFFECT and gain > _SIGMAS * noise / np.sqrt(len(gains)) and min(gains) > 0.4 * gain:
        message = f"Labels rotated in time are still predicted {gain:.2f} above chance: tested labels reach the model through the folds."
        return LeakageReport([Finding("shuffled_labels", "error", message, {"parameter": "cv"}, evidence, "cv = EnhancedWalkForwardCV(horizon=...)")], {"rotated labels": FAIL})
    return LeakageReport([], {"rotated labels": PASS})

