"""What a run's figures mean, in sentences: before the training what the labels show, after it what
the scores are worth."""

import numpy as np

from .._models import CLASS_NAMES, class_name
from ..evaluation import to_positions
from ._tasks import class_balance

__all__ = ["constant_model", "next_steps", "one_sided_labels", "profit", "verdict"]

#: A net names the rarer class only where the features speak for it this many times more than
#: against it. Bayes factors of ten and more are called strong evidence (Jeffreys 1961, Kass and
#: Raftery 1995); no feature of bars gives that.
_STRONG_EVIDENCE = 10.0
# share of rows with one answer from which a model is called constant, a judgment
_SAME_ANSWER = 0.99
# ten basis points of each unit of turnover, a judgment: spread and fees of a liquid stock
COST = 0.001
#: Returns from which a Sharpe ratio's spread is told: it takes in the sample kurtosis, whose own
#: standard error √(24 / n) (Fisher 1930) is below one half from here on.
_FEWEST_RETURNS = 100


def one_sided_labels(task, config):
    """What is wrong when the labels alone make any model constant; None where they do not.

    With shares p of the most common and q of the next class, a posterior favours the next one only
    at a likelihood ratio above p / q.

    Parameters
    ----------
    task : Task
    config : EnhancedTrainingConfig

    Returns
    -------
    str or None
    """
    shares = sorted(class_balance(task.y).items(), key=lambda item: item[1])
    (rival, second), (name, most) = shares[-2:]
    if second > 0 and most / second < _STRONG_EVIDENCE:
        return None
    said = (
        f"{most:.0%} of the labels are {name!r}: a model that always says {name!r} is right "
        f"{most:.0%} of the time, and any net will"
    )
    said += (
        f" say little else, since only evidence of {most / second:.0f} to 1 would make it say "
        f"{rival!r}. "
        if second
        else " do so. "
    )
    if config.labels_scaling == "affine":
        return (
            f"{said}Set label_scaling='sigma' (--label-scaling sigma), which measures thresholds "
            f"in volatility, or a threshold below {config.labels_threshold:g}."
        )
    direction = "lower" if name == "hold" else "higher"
    return (
        f"{said}Set a {direction} base_label_threshold (--threshold) than "
        f"{config.labels_threshold:g} standard deviations."
    )


def constant_model(probabilities, classes):
    """The one answer a model gives to (almost) every row, or None."""
    counts = np.bincount(np.asarray(probabilities).argmax(axis=1), minlength=len(classes))
    share = counts.max() / max(1, counts.sum())
    return (
        class_name(classes[counts.argmax()])
        if share >= _SAME_ANSWER
        else None
    )


_BALANCE = {
    "affine": "label_scaling='sigma', another base_label_threshold",
    "sigma": "another base_label_threshold",
}


def verdict(found: dict, searched: bool, scaling: str) -> str:
    """The honest summary of a run: what the model says, the folds, the test block.

    Parameters
    ----------
    found : dict
        Findings of the stages.
    searched : bool
        Whether hyperparameters were searched inside every fold.
    scaling : {"affine", "sigma"}
        How the labels' thresholds follow volatility: where it is "sigma" already, nobody is told
        to set it.
    """
    if found["test"] is None:
        updates = found["training"].get("updates")
        if updates:
            said = "; ".join(f"{name}: {text}" for name, text in updates.items())
            return f"The model of before stands, no net was changed. {said}."
        return (
            "Stopped before every net had been trained for an epoch: no model was saved, "
            "what stood in the folder stands."
        )
    scores = found["test"]["scores"]
    parts = []
    constant = constant_model(found["test"]["probabilities"]["model"], found["test"]["classes"])
    if constant is not None:
        parts.append(
            f"The model is constant: it says {constant!r} to every row of the test block, so its "
            "accuracy is the share of that class. "
            f"More epochs, or labels in balance ({_BALANCE[scaling]}), give it something to learn."
        )
    if found["folds"] is not None:
        told = found["folds"].verdict()
        parts.append(told.replace("Walk-forward", "Nested walk-forward", 1) if searched else told)
    parts.append(
        f"On the untouched test block {scores['model']['balanced_accuracy']:.3f}, "
        f"logistic regression {scores['logistic']['balanced_accuracy']:.3f}, guessing "
        f"{1 / len(found['test']['classes']):.3f}."
    )
    return " ".join(parts)


def next_steps(result):
    """What to do with a finished run, one line each.

    Parameters
    ----------
    result : dict
        What ``train`` returned.

    Returns
    -------
    list of str
    """
    if result["model_path"] is None and result["incremental"].get("updates"):
        return [
            (
                "The model of before stays in use; come again with more new bars, or train "
                "without incremental."
            )
        ]
    if result["model_path"] is None:
        return ["sktrain train … --resume goes on where this run was stopped."]
    folder = result["run_folder"]
    lines = []
    if result["report_path"]:
        lines.append(f"report: {result['report_path']}")
    lines.append(f"predict: sktrain predict {folder} --data NEW_BARS")
    audit = result["leakage_validation"].get("status")
    if audit == "FAIL":
        lines.append(
            "would change the verdict: the audit found a leak; mend it before believing any score"
        )
    elif "constant" in result["verdict"]:
        lines.append("would change the verdict: labels in balance, see the verdict")
    elif "no edge" in result["verdict"] or "worse than" in result["verdict"]:
        lines.append(
            "would change the verdict: more bars (--stocks, a longer history), other features; not "
            "more epochs"
        )
    elif result["walk_forward_results"]:
        lines.append(
            "would change the verdict: new bars; sktrain drift says when they differ from these"
        )
    else:
        lines.append(
            "would change the verdict: walk-forward folds (use_walk_forward), which were off or "
            "not reached"
        )
    return lines


def profit(probabilities, classes, bars, *, n_trials=1):
    """What following the model on the test block would have earned at ten basis points a side,
    beside holding the market.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
    classes : ndarray of shape (n_classes,)
    bars : DataFrame of n bars
    n_trials : int, default=1
        Trials the model was chosen from; the deflated Sharpe ratio takes their luck away. Sharpe
        ratios without an edge scatter with variance 1 / n over n returns (Lo 2002).

    Returns
    -------
    dict
        Plain figures and the two wealth curves; ``no_sharpe`` says why ``deflated_sharpe`` is None.
    """
    import pandas as pd

    from ..evaluation import deflated_sharpe_ratio, profit_and_loss

    if not set(classes) <= set(CLASS_NAMES) or len(bars) < 3:
        return {}
    frame = pd.DataFrame(probabilities, index=bars.index, columns=list(classes))
    sides = {0: -1.0, 1: 0.0, 2: 1.0}
    positions = to_positions(frame, sides=[sides[int(one)] for one in classes])
    own = profit_and_loss(positions, bars, cost=COST)
    held = profit_and_loss(np.ones(len(bars)), bars, cost=COST)
    figures = {}
    for name, one in (("model", own), ("buy and hold", held)):
        figures[name] = {
            "total_return": float(np.asarray(one.equity)[-1] - 1),
            "max_drawdown": one.max_drawdown,
            "exposure": one.exposure,
            "turnover": one.turnover,
            "equity": one.equity.tolist(),
        }
    flat = float(np.std(own.returns)) == 0
    sharpe = None if flat else own.sharpe()
    deflated, unknown = None, _why_no_sharpe(positions, own.returns)
    if unknown is None:
        assert sharpe is not None  # returns that never move are a reason not to know it
        deflated = deflated_sharpe_ratio(
            sharpe,
            len(own.returns),
            n_trials=n_trials,
            trials_variance=1 / len(own.returns) if n_trials > 1 else 0.0,
            skew=sharpe.skew,
            kurtosis=sharpe.kurtosis,
        )
    assert isinstance(own.returns, pd.Series)  # the bars are a frame
    times = pd.DatetimeIndex(own.returns.index.get_level_values(-1))
    return {
        "cost": COST,
        "n_trials": n_trials,
        "sharpe": None if sharpe is None else float(sharpe),
        "deflated_sharpe": None if deflated is None else float(deflated),
        "no_sharpe": unknown,
        "times": times.as_unit("ns").asi8.tolist(),
        **figures,
    }


def _why_no_sharpe(positions, returns):
    """Why nothing can be said of the skill behind these positions; None where something can."""
    if not np.any(positions):
        return "the model traded nothing"
    counts = np.unique(np.asarray(positions), return_counts=True)[1]
    if counts.max() >= _SAME_ANSWER * counts.sum():
        return (
            "the model held one position throughout, so its return tells of the market, not of the "
            "model"
        )
    if float(np.std(returns)) == 0:
        return "every return was the same"
    if len(returns) < _FEWEST_RETURNS:
        return f"{len(returns)} returns are too few, at least {_FEWEST_RETURNS} are needed"
    return None
