"""The run report: one self-contained HTML file from the folder of a finished run.

Nothing is computed here: numbers come from ``result.json`` and ``evidence.json``, pictures from
the Displays. The file holds its style and pictures, loads nothing, and reads on a phone.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from .._io import atomic_write
from .._optional import require
from ..plotting import (
    CompressionDisplay,
    DriftDisplay,
    LearningCurveDisplay,
    SearchDisplay,
    WalkForwardDisplay,
)
from . import words
from ._page import EquityPicture, VerdictPicture, bullets, page, paragraph, picture, section, table
from ._run_folder import EVIDENCE, RESULT, read_evidence, read_result, refusing_others
from ._verdicts import next_steps

__all__ = ["write_report"]


def write_report(run, out=None):
    """Write the report of a run.

    Parameters
    ----------
    run : path
        Folder that :meth:`EnhancedTrainer.train` wrote.
    out : path, optional
        Where to write; ``report.html`` in the folder by default.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    PersistenceError
        When the folder is not that of a finished run, or a mixture of two.
    MissingDependencyError
        Without matplotlib.
    """
    require("matplotlib", extra="plot", caller="the run report")
    run = Path(run)
    result = read_result(run)
    evidence = read_evidence(run, result)
    parts = (
        _state,
        _data,
        _folds,
        _nested,
        _ablation,
        _test,
        _profit,
        _learning,
        _leakage,
        _drift,
        _search,
        _compression,
        _origin,
    )
    with refusing_others(f"{run / RESULT} or {EVIDENCE}"):
        body = "".join(part(result, evidence) for part in parts)
        html = page(f"sktrain run: {result['data']['name']}", result["verdict"], body)
    target = Path(out) if out is not None else run / "report.html"
    atomic_write(target, html.encode(), follow=out is not None)  # the folder may be anybody's
    return target


def _state(result, evidence):
    """What is unusual about the run, and what to do next."""
    state = {
        "success": "",
        "stopped": "The run was stopped by its stop flag before it was done.",
        "interrupted": "The run was interrupted (Ctrl-C) before it was done.",
    }[result["status"]]
    warnings = [*([state] if state else []), *result["warnings"]]
    steps = [line for line in next_steps(result) if not line.startswith("report:")]
    return "".join(paragraph(text, "warning") for text in warnings) + bullets(steps)


def _data(result, evidence):
    data = result["data"]
    balance = ", ".join(f"{name} {share:.1%}" for name, share in result["class_balance"].items())
    symbols = f" of {', '.join(data['symbols'])}" if data["symbols"] else ""
    told = result["hyperparameters"]
    unit = "standard deviations" if told["label_scaling"] == "sigma" else "of the price"
    text = (
        f"{data['rows']:,} labelled bars of {data['name']}{symbols}, every {data['interval']}, "
        f"from {data['first']} to "
        f"{data['last']}. Labels look {data['horizon']} bars ahead against a threshold of "
        f"{told['base_label_threshold']:g} {unit}: {balance}."
    )
    if not result["crosses_session"]:
        text += " Labels, volatilities and windows stay inside trading sessions."
    rows = [
        (row["block"], row["first"], row["last"], f"{row['rows']:,}") for row in evidence["blocks"]
    ]
    pool, how = result.get("pool"), result.get("decided")
    missing = [
        f"{name} was asked for and left out: {reason}."
        for name, reason in result["missing_stocks"].items()
    ]
    return section(
        "What was trained on what",
        paragraph(text),
        table(("block", "from", "to", "rows"), rows),
        *map(paragraph, missing),
        *([paragraph(f"{words.pool_sentence(pool).capitalize()}.")] if pool else []),
        *([paragraph(f"{_first_up(words.decided_sentence(how))}.")] if how else []),
    )


def _first_up(text):
    return text[:1].upper() + text[1:]


_FOLD_HEAD = (
    "fold", "tested from", "to", "trained", "tested", "purged", "model", "majority", "logistic",
)


def _fold_cells(row):
    shares = [row.get(f"{name}_balanced_accuracy") for name in ("model", "majority", "logistic")]
    return (
        row["fold"],
        words.date(row.get("test_start", "")),
        words.date(row.get("test_end", "")),
        *(row.get(name, "") for name in ("train_size", "test_size", "purged")),
        *map(words.percent, shares),
    )


def _folds_drawn(kept):
    times = _times(kept["times"])
    roles = np.array([_unpack(runs, len(times)) for runs in kept["roles"]])
    close = pd.Series(kept["close"], index=_times(kept["close_times"]))
    regimes = pd.Series(kept["regimes"], index=close.index) if kept["regimes"] else None
    return picture(
        WalkForwardDisplay(times, roles, close=close, regimes=regimes),
        "The price with its market regimes, and what each fold trained on and was tested on.",
    )


def _folds(result, evidence):
    rows = result["walk_forward_results"]
    if not rows:
        return section(
            "Walk-forward validation", paragraph("Not run: it is off, or the run ended before.")
        )
    names, regime_cells = words.regime_rows(rows)
    seen = table(("fold", *names, "regimes never trained on"), regime_cells) if names else ""
    note = paragraph(
        "Balanced accuracy (the mean share of right answers over the classes) of a model fitted "
        "anew in every fold."
    )
    return section(
        "Walk-forward validation",
        note,
        _scores(result),
        _folds_drawn(evidence["folds"]),
        table(_FOLD_HEAD, [_fold_cells(row) for row in rows]),
        paragraph("Rows tested per market regime:") if seen else "",
        seen,
    )


def _scores(result):
    head = (
        "",
        "balanced accuracy, folds",
        "95 % interval",
        "accuracy, test",
        "balanced accuracy, test",
        "log loss, test",
    )
    return table(*words.score_table(result, head))


def _times(stamps):
    return pd.DatetimeIndex(pd.to_datetime(np.array(stamps, dtype="int64"), unit="ns"))


def _unpack(runs, length):
    role = np.full(length, "", dtype="<U5")
    for kind, first, last in runs:
        role[first : last + 1] = kind
    return role


def _nested(result, evidence):
    nested = result["nested"]
    if not nested:
        return ""
    rows = [
        (
            number,
            words.percent(score),
            words.percent(inner),
            ", ".join(f"{words.plain_name(name)} {value:.3g}" for name, value in params.items()),
        )
        for number, (score, inner, params) in enumerate(
            zip(nested["scores"], nested["inner_scores"], nested["params"])
        )
    ]
    text = (
        "Every fold searched its hyperparameters on its own training rows, so its score is of rows "
        "the search never saw."
    )
    return section(
        "Nested search",
        paragraph(text),
        table(("fold", "score", "score inside the search", "found"), rows),
    )


def _ablation(result, evidence):
    if not result.get("ablation"):
        return ""
    cells, sentence = words.ablation_rows(result["ablation"])
    text = (
        "The model without one of its switches at a time, fitted anew on the same walk-forward "
        "folds; the gain is with the switch minus without it, in points of balanced accuracy."
    )
    return section(
        "What each switch adds",
        paragraph(text),
        table(words.ABLATION_HEAD, cells),
        paragraph(sentence),
    )


def _test(result, evidence):
    caption = (
        "Rows: what was; columns: what the model said. Below: how often answers of a given "
        "confidence were right."
    )
    scores = "" if result["walk_forward_results"] else _scores(result)
    return section(
        "The untouched test block", scores, picture(VerdictPicture(evidence["test"]), caption)
    )


def _profit(result, evidence):
    earned = evidence["profit"]
    if not earned:
        return ""
    caption = (
        "Wealth of following the model and of holding the market over the test block; no advice, "
        "one path of one block."
    )
    return section(
        "What it would have earned",
        paragraph(words.profit_sentence(result["profit"])),
        picture(EquityPicture(earned), caption),
    )


def _learning(result, evidence):
    curves = {
        name: pd.DataFrame(rows).set_index("epoch")
        for name, rows in evidence["curves"].items()
        if rows
    }
    if not curves:
        return section("Learning curves", paragraph("No net was trained in this run."))
    reasons = [
        f"{name}: {words.epochs(len(curves[name]), why)}."
        for name, why in evidence["stop_reasons"].items()
        if name in curves
    ]
    best = {
        name: epoch for name, curve in curves.items() if (epoch := _best_epoch(curve)) is not None
    }
    drawn = picture(
        LearningCurveDisplay(curves, best),
        "Loss per epoch on training and validation rows; an upright line marks the epoch whose "
        "weights were kept.",
    )
    return section("Learning curves", drawn, bullets(reasons))


def _best_epoch(curve):
    """The epoch of the lowest validation loss, of the lowest training loss where nothing was
    validated."""
    for name in ("valid_loss", "train_loss"):
        losses = curve[name].dropna() if name in curve else None
        if losses is not None and len(losses):
            return int(losses.idxmin())
    return None


def _leakage(result, evidence):
    audit = result["leakage_validation"]
    if not audit.get("status"):
        return section("Leakage audit", paragraph("Not run: it is off, or the run ended before."))
    findings = [
        words.finding(one) + (f" Mend it: {one['fix']}" if one.get("fix") else "")
        for one in audit.get("findings", [])
    ]
    return section(
        "Leakage audit",
        paragraph(audit["status"], f"status {audit['status']}"),
        bullets(findings) if findings else paragraph("No findings."),
    )


def _drift(result, evidence):
    found = result["drift"]
    if not found:
        return section("Drift of the test block", paragraph("Not checked."))
    frame = pd.DataFrame.from_dict(found["per_feature"], orient="index")
    display = DriftDisplay(
        pd.DataFrame([frame["psi"].astype(float)]),
        evidence["drift_threshold"],
        {"per_feature": frame},
    )
    drifted = (
        "The test block differs from the training rows"
        if found["drift_detected"]
        else "The test block is like the training rows"
    )
    reason = f" ({found['reason']})" if found.get("reason") else ""
    text = f"{drifted}; recommendation: {found['recommendation']}{reason}."
    advice = f" {found['advice']}" if "advice" in found else ""
    return section(
        "Drift of the test block",
        paragraph(text + advice),
        picture(
            display,
            "Population stability index of every feature. One drifted when it passes the threshold "
            "and differs by more than chance explains: rows that resemble their neighbours, as "
            "those of long windows do, often differ this much without drift.",
        ),
    )


def _search(result, evidence):
    search = result["search"]
    if not search:
        return ""
    scores = [np.nan if value is None else value for value in search["scores"]]
    drawn = picture(
        SearchDisplay(np.array(scores), search["states"], search["luck"]),
        "Score of every trial; the line is what luck alone would show.",
    )
    return section("Hyperparameter search", *map(paragraph, words.search_sentences(search)), drawn)


def _compression(result, evidence):
    found = result["compression"]
    if not found:
        return section("Compression", paragraph("None: pruning and quantization are off."))
    frame = (
        pd.DataFrame({"before": found["before"], "after": found["after"]})
        .apply(pd.to_numeric, errors="coerce")
        .dropna()
    )
    drawn = picture(CompressionDisplay(frame), "The model before and after compression.")
    agreement = found.get("agreement")
    same = (
        paragraph(f"{agreement:.1%} of the answers are the same.") if agreement is not None else ""
    )
    return section(
        "Compression", table(("", "before", "after"), words.compression_rows(found)), same, drawn
    )


def _origin(result, evidence):
    finished = result["finished_at"].replace("T", " ").replace("+00:00", " UTC")
    rows = [
        *evidence["origin"].items(),
        ("trained on", result["device"]),
        ("model, SHA-256", result["model_sha256"]),
        ("finished", finished),
    ]
    from html import escape

    config = escape(json.dumps(result["config"], indent=1))
    return section(
        "Where this came from",
        f"<div class='facts'>{table(('', ''), rows)}</div>",
        f"<details><summary>Configuration</summary><pre>{config}</pre></details>",
    )
