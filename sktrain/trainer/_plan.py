"""What a run is about to do, said before it does it."""

from dataclasses import replace
import time

import numpy as np

from .._devices import describe_device
from .._validation import SESSION, session_starts
from ._ablation import switches_on
from ._evidence import when
from ._models import build_net, feature_steps
from ._tasks import class_balance
from ._workers import TRIALS, processes

__all__ = ["tell_plan"]

_PROBE_ROWS = 1024  # rows a net is timed on, a judgment
_USUAL_SHARE = 0.5  # a walk-forward fold trains on half of the rows on average
#: Folds of a search's trial, each on half of the rows; half of the trials are given up early.
_INNER = 3 * 0.5 * 0.5


def tell_plan(run):
    """Print the bars, the labels, the folds and nets, and about how long it takes. Nothing is
    decided by the time measured."""
    if not run.reporter.verbose:
        return
    source, config, task = run.source, run.config, run.task
    times = task.bars.index.get_level_values(-1)
    symbols = f" of {task.bars.index.unique(0).size} symbols" if task.bars.index.nlevels > 1 else ""
    say = run.reporter.note
    say(
        f"bars: {source.name}, {len(source.bars):,} rows{symbols}, every {source.interval}; "
        f"{len(times):,} labelled, {when(times.min(), source.interval)} to "
        f"{when(times.max(), source.interval)}"
    )
    balance = ", ".join(f"{name} {share:.0%}" for name, share in class_balance(task.y).items())
    unit = "standard deviations" if config.labels_scaling == "sigma" else "of the price"
    say(
        f"labels: {run.plan.horizon} bars ahead, threshold {config.labels_threshold:g} {unit}: "
        f"{balance}"
    )
    if not run.plan.crosses_session:
        say(inside_sessions(run.source.bars, config))
    folds = (
        f"{config.wf_folds} walk-forward folds"
        if config.use_walk_forward
        else "no walk-forward folds"
    )
    searched = (
        f", a search of {config.hpo_n_trials} trials in each fold and one for the model"
        if config.use_hpo
        else ""
    )
    if config.ablation:
        searched += f"; the folds again without {', '.join(switches_on(config))}"
    pooled = " beside a linear model, weights learned" if config.pooling == "learned" else ""
    say(
        f"plan: {', '.join(config.models)}{pooled}; {folds}{searched}; "
        f"at most {run.plan.epochs} epochs, batches of {run.plan.rows_per_step(config)}, "
        f"on {describe_device(config.device)}; {about(estimate(run))}"
    )


def inside_sessions(bars, config):
    """What stays inside trading sessions, and how long they are beside the windows."""
    pause = config.session or SESSION
    usual = len(bars) / session_starts(bars.index, pause).sum()
    text = (
        f"sessions: labels, volatilities and windows stay inside; a pause of {pause} or more ends "
        f"one; {usual:.0f} bars on average"
    )
    if usual < config.lookback:
        text += (
            f", fewer than lookback={config.lookback}: most windows are partly missing, take a "
            "smaller lookback or crosses_session=True"
        )
    return text


def about(seconds):
    """A duration in words.

    Examples
    --------
    >>> about(20), about(200), about(9000)
    ('less than a minute', 'about 3 minutes', 'about 2.5 hours')
    """
    if seconds < 45:
        return "less than a minute"
    if seconds < 5400:
        minutes = max(1, round(seconds / 60))
        return f"about {minutes} minute{'s' if minutes > 1 else ''}"
    return f"about {seconds / 3600:.1f} hours"


def estimate(run):
    """Seconds the fits will take, from an epoch of every net on a few rows."""
    config = run.config
    X, y = run.rows("train", "val")
    few = slice(-_PROBE_ROWS, None)
    windows = feature_steps(config, run.plan)
    rows = (
        windows[1][1].fit_transform(windows[0][1].fit_transform(X.iloc[few]))
        if not config.use_pretrained_embeddings
        else None
    )
    if rows is None or y.iloc[few].nunique() < 2:
        return _guess(len(X), config, run.plan)
    plan = replace(run.plan, epochs=1, stop=None, watch=None, checkpoints=None, scaling=())
    per_row = []
    for name in config.models:
        begun = time.perf_counter()
        build_net(name, replace(config, early_stopping_min_epochs=1), plan).fit(rows, y.iloc[few])
        per_row.append((time.perf_counter() - begun) / len(rows))
    return _total(per_row, len(X), config, run.plan)


def _guess(n_rows, config, plan):
    return _total(
        [2e-4] * len(config.models), n_rows, config, plan
    )  # seconds a row and epoch on one core of 2024


def _total(per_row, n_rows, config, plan):
    usual = (
        config.early_stopping_min_epochs + config.early_stopping_patience
    )  # where early stopping ends most fits
    epochs = min(plan.epochs, usual, config.early_stopping_max_epochs)
    fit = np.sum(per_row) * n_rows * epochs
    if config.pooling == "learned":  # before the block, and on all rows
        fit *= 2 - plan.valid_fraction
    folds = config.wf_folds * _USUAL_SHARE if config.use_walk_forward else 0
    folds *= 1 + len(switches_on(config)) if config.ablation else 1
    trials = config.hpo_n_trials * _INNER * per_row[0] * n_rows * epochs if config.use_hpo else 0
    many = processes(config)
    model = fit / min(many, len(config.models)) + trials / min(many, TRIALS)
    return float(model + (fit + trials) * folds / min(many, config.wf_folds))
