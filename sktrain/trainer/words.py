"""Figures of a run in the words of a reader: sizes in KiB, times in milliseconds, findings and
searches as sentences."""

import re

__all__ = [
    "ablation_rows",
    "compression_rows",
    "date",
    "epochs",
    "finding",
    "percent",
    "plain_name",
    "pool_sentence",
    "profit_sentence",
    "regime_rows",
    "score_table",
    "search_sentences",
    "size",
]

_REGIME = "test_rows_"


def size(count):
    """Bytes as KiB or MiB.

    Examples
    --------
    >>> size(60_750), size(3_500_000)
    ('59.3 KiB', '3.3 MiB')
    """
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.1f} KiB"


def percent(share):
    """A share as a percentage with one decimal; empty where there is none."""
    return "" if share is None else f"{share:.1%}"


def date(text):
    """A time of a table: without the midnight of a daily bar."""
    text = str(text)
    return (
        text.removesuffix("T00:00:00")
        if text.endswith("T00:00:00")
        else text.replace("T", " ")[:16]
    )


def interval(low, high):
    """A confidence interval in percent."""
    return "" if low is None else f"{max(low, 0):.1%}–{min(high, 1):.1%}"


def score_table(result, head):
    """One row per model: means over the folds with the interval, then the test block.

    Parameters
    ----------
    result : dict
        What ``train`` returned.
    head : sequence of 6 str
        Heads of: name, balanced accuracy over the folds, its 95 % interval, and accuracy, balanced
        accuracy and log loss of the test block.

    Returns
    -------
    head, rows : sequence of str, list of sequences of str
        Without the columns of the folds where no folds were run.
    """
    summary = result["metrics_summary"]
    rows = []
    for name, test in summary["test"].items():
        folds = summary["walk_forward"].get(name, {})
        rows.append(
            (
                name,
                percent(folds.get("balanced_accuracy")),
                interval(folds.get("balanced_accuracy_low"), folds.get("balanced_accuracy_high")),
                percent(test["accuracy"]),
                percent(test["balanced_accuracy"]),
                f"{test['log_loss']:.3f}",
            )
        )
    kept = [place for place in range(len(head)) if not place or any(row[place] for row in rows)]
    return [head[place] for place in kept], [[row[place] for place in kept] for row in rows]


ABLATION_HEAD = ("without", "balanced accuracy", "the switch adds", "95 % interval")


def ablation_rows(rows):
    """What each switch adds, in points of balanced accuracy, and what that says; two sequences.

    Parameters
    ----------
    rows : list of dict
        The ``ablation`` of a result.

    Returns
    -------
    cells : list of tuples of str
        A row per switch under ``ABLATION_HEAD``.
    sentence : str
    """
    cells = [
        (
            row["switch"],
            percent(row["score"]),
            f"{row['gain']:+.1%}",
            f"{row['low']:+.1%} to {row['high']:+.1%}",
        )
        for row in rows
    ]
    helps = [row["switch"] for row in rows if row["low"] > 0]
    hurts = [row["switch"] for row in rows if row["high"] < 0]
    said = [
        f"{name}: {', '.join(found)}."
        for name, found in (("Helps beyond noise", helps), ("Hurts beyond noise", hurts))
        if found
    ]
    sentence = " ".join(said) or "No switch makes a difference beyond noise."
    if len(rows) > 1:
        sentence += f" {len(rows)} intervals were looked at: one in twenty misses by luck."
    return cells, sentence


def regime_rows(folds):
    """Names of the market regimes, and per fold the rows tested in each and what was never trained
    on."""
    names = [key[len(_REGIME) :] for key in folds[0] if key.startswith(_REGIME)]
    rows = [
        (str(row["fold"]), *(str(row[_REGIME + name]) for name in names), _unseen(row))
        for row in folds
    ]
    return [name.replace("_", " ") for name in names], rows


def _unseen(row):
    value = row.get("unseen_regimes") or ""
    value = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return value.replace("_", " ")


_ENDS = {  # reasons to stop, in words
    "max_epochs": "all that were asked for",
    "patience": "then it no longer improved",
    "stop_flag": "then the stop flag was raised",
    "interrupted": "then it was interrupted",
    "diverged": "then the loss was no number any more",
}


def epochs(count, reason):
    """How long a net was trained, and why it ended.

    Examples
    --------
    >>> epochs(1, "max_epochs"), epochs(7, "patience")
    ('1 epoch, all that were asked for', '7 epochs, then it no longer improved')
    """
    return (
        f"{count} epoch{'' if count == 1 else 's'}, "
        f"{_ENDS.get(reason, str(reason).replace('_', ' '))}"
    )


def pool_sentence(weights):
    """What the learned weights of a pool say.

    Examples
    --------
    >>> pool_sentence({"gru": 0.25, "linear": 0.15, "prior": 0.6})
    'weights learned on the validation block: gru 25%, linear 15%, class shares 60%'
    """
    told = {"class shares" if name == "prior" else name: one for name, one in weights.items()}
    listed = ", ".join(f"{name} {weight:.0%}" for name, weight in told.items())
    return f"weights learned on the validation block: {listed}"


def decided_sentence(decided):
    """How the nets were computed where that is decided by size, and why.

    Examples
    --------
    >>> decided_sentence({
    ...     "mixed_precision": {"gru": "float32: small batches"},
    ...     "gradient_checkpointing": "off: they fit",
    ... })
    'precision: gru float32 (small batches); gradient checkpointing: off (they fit)'
    """
    nets = [f"{name} {_aside(one)}" for name, one in decided["mixed_precision"].items()]
    precision = [f"precision: {', '.join(nets)}"] if nets else []
    checkpointing = f"gradient checkpointing: {_aside(decided['gradient_checkpointing'])}"
    return "; ".join([*precision, checkpointing])


def _aside(text):
    what, _, why = text.partition(": ")
    return f"{what} ({why})"


def compression_rows(found):
    """What compression changed: name, before, after."""
    before, after = found["before"], found["after"]
    rows = [("size", size(before["size_bytes"]), size(after["size_bytes"]))]
    for key, name in (("latency_ms", "time of one row"), ("latency_256_ms", "time of 256 rows")):
        rows.append((name, f"{before[key]:.2f} ms", f"{after[key]:.2f} ms"))
    for key, name in (
        ("accuracy", "accuracy"),
        ("balanced_accuracy", "balanced accuracy"),
        ("calibration_error", "calibration error"),
    ):
        if before.get(key) is not None:
            rows.append((name, percent(before[key]), percent(after[key])))
    if before.get("log_loss") is not None:
        rows.append(("log loss", f"{before['log_loss']:.3f}", f"{after['log_loss']:.3f}"))
    return rows


def finding(one):
    """A finding of the audit as a sentence with its place."""
    where = one.get("where") or {}
    place = (
        ", ".join(f"{key} {value}" for key, value in where.items())
        if isinstance(where, dict)
        else str(where)
    )
    message = (one.get("message") or one["code"].replace("_", " ")).rstrip(".")
    return f"{message}{f' ({place})' if place else ''}."


def search_sentences(search):
    """What a search found, and what its best score is worth.

    Parameters
    ----------
    search : dict
        The ``search`` of a result.

    Returns
    -------
    list of str
    """
    values = ", ".join(
        f"{plain_name(name)} {_value(value)}" for name, value in search["best_params"].items()
    )
    report = search["overfit"]
    sentences = [
        (
            f"The best of {report['n_trials']} trials of {search['model']} ({report['n_complete']} "
            f"ran all {report['n_folds']} folds) used {values}."
        ),
        (
            f"It scored {report['best_score']:.3f}; a model without features "
            f"{_number(report['baseline_score'])}; "
            f"luck alone would show {_number(report['expected_luck'])}: "
            f"{_VERDICTS[report['verdict']]} (p = {_number(report['p_value'])})."
        ),
    ]
    if report["pbo"] is not None:
        sentences.append(f"Probability of backtest overfitting: {report['pbo']:.0%}.")
    return sentences


_VERDICTS = {
    "edge": "more than luck explains",
    "no edge": "no edge that luck does not explain",
    "cannot tell": "too little to tell edge from luck",
}


def _number(value):
    return "unknown" if value is None else f"{value:.3f}"


def _value(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain_name(name):
    """A parameter of a net in words."""
    last = re.sub(r"^(net__)*", "", name)
    return {
        "lr": "learning rate",
        "module__dropout": "dropout",
        "callbacks__weight_decay__base": "weight decay",
        "callbacks__weight_decay__max": "rising to",
        "batch_size": "batch size",
    }.get(last, last)


def profit_sentence(earned):
    """What following the model on the test block would have earned."""
    model, market = earned["model"], earned["buy and hold"]
    said = (
        f"Following the model on the test block would have earned {model['total_return']:+.1%} "
        f"after {earned['cost']:.2%} of each trade "
        f"(largest fall {model['max_drawdown']:.1%}), holding the market "
        f"{market['total_return']:+.1%} ({market['max_drawdown']:.1%}). "
    )
    if earned["deflated_sharpe"] is None:
        return f"{said}Whether that is skill cannot be told: {earned['no_sharpe']}."
    trials = f"the best of {earned['n_trials']} trials" if earned["n_trials"] > 1 else "one trial"
    return (
        f"{said}The chance that its Sharpe ratio is truly above what luck gives {trials} (deflated "
        f"Sharpe ratio) is {earned['deflated_sharpe']:.0%}."
    )
