"""The run report: the folder of a finished run enters, one self-contained HTML file leaves.

Nothing is computed here: numbers come from ``result.json`` and ``evidence.json``, pictures from the Displays. The file holds its
style and pictures, loads nothing, and reads on a phone.
"""

import base64
from html import escape
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd

from .._io import atomic_write
from .._optional import require
from ..exceptions import PersistenceError
from ..plotting import CompressionDisplay, DriftDisplay, LearningCurveDisplay, SearchDisplay, WalkForwardDisplay
from ..plotting._canvas import PALETTE
from ._run_folder import read_result

__all__ = ["write_report"]

_STYLE = """
:root{color-scheme:light}body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem;color:#222;background:#fff}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd;padding-bottom:.2rem}
.verdict{font-size:1.1rem;background:#f3f6f9;border-left:4px solid #4878a8;padding:.7rem 1rem;margin:1rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #eee;white-space:nowrap}th:first-child,td:first-child{text-align:left}
img{max-width:100%;height:auto}pre{white-space:pre-wrap;background:#f7f7f7;padding:.6rem;font-size:.8rem;overflow-x:auto}
.status{font-weight:600}.PASS{color:#2a7d3f}.FAIL{color:#b03a2e}.INCONCLUSIVE,.NOT_CHECKED{color:#a06a00}
footer{margin-top:3rem;color:#777;font-size:.8rem}
"""


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
        When the folder is not that of a finished run.
    MissingDependencyError
        Without matplotlib.
    """
    require("matplotlib", extra="plot", caller="the run report")
    run = Path(run)
    result = read_result(run)
    file = run / "evidence.json"
    if not file.is_file():
        raise PersistenceError(f"{str(run)!r} holds no evidence.json: it was not written by train, or is damaged.")
    evidence = json.loads(file.read_text(encoding="utf-8"))
    sections = [section(result, evidence) for section in (_what, _folds, _learning, _test, _leakage, _drift, _search, _compression, _origin)]
    title = f"sktrain run: {evidence['data']['name']}"
    html = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<link rel='icon' href='data:,'><title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p class='verdict'>{escape(result['verdict'])}</p>{''.join(sections)}"
        "<footer>Every number on this page was measured in this run.</footer></body></html>"
    )
    target = Path(out) if out is not None else run / "report.html"
    atomic_write(target, html.encode())
    return target


def _section(title, *parts):
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _paragraph(text):
    return f"<p>{escape(text)}</p>"


def _table(frame, *, index=True):
    shown = frame.copy()
    for name in shown.columns:
        if pd.api.types.is_string_dtype(shown[name]):
            shown[name] = [value.removesuffix("T00:00:00") if isinstance(value, str) else value for value in shown[name]]
        if pd.api.types.is_float_dtype(shown[name]):
            shown[name] = shown[name].map(lambda value: "" if pd.isna(value) else f"{value:.4g}")
    return f"<div class='wide'>{shown.to_html(index=index, border=0, na_rep='')}</div>"


def _mapping(values):
    flat = {key: value for key, value in values.items() if not isinstance(value, (dict, list))}
    rows = pd.DataFrame({"value": [_short(value) for value in flat.values()]}, index=list(flat))
    return _table(rows)


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _picture(display, name):
    """A Display as an inline PNG."""
    from matplotlib.figure import Figure

    display.plot()
    figure: Figure = display.figure_
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    from matplotlib import pyplot

    pyplot.close(figure)
    return f"<img alt='{escape(name)}' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"


def _what(result, evidence):
    data = evidence["data"]
    balance = ", ".join(f"{name} {share:.1%}" for name, share in result["class_balance"].items())
    text = (
        f"{data['rows']:,} labelled bars of {data['name']} from {data['first']} to {data['last']}"
        f"{' of ' + ', '.join(data['symbols']) if data['symbols'] else ''}. Labels look {data['horizon']} bars ahead: {balance}."
    )
    blocks = pd.DataFrame(evidence["blocks"]).set_index("block")
    missing = "".join(_paragraph(f"{name} was asked for and left out: {reason}.") for name, reason in result["missing_stocks"].items())
    return _section("What was trained on what", _paragraph(text), _table(blocks), missing)


def _folds(result, evidence):
    rows = result["walk_forward_results"]
    if not rows:
        return _section("Walk-forward validation", _paragraph("Not run: use_walk_forward is off, or the run was stopped before."))
    table = pd.DataFrame(rows).set_index("fold")
    table = table[[name for name in table.columns if not table[name].map(lambda value: isinstance(value, (dict, list))).any()]]
    kept = evidence["folds"]
    times = pd.DatetimeIndex(pd.to_datetime(np.array(kept["times"], dtype="int64"), unit="ns"))
    roles = np.array([_unpack(runs, len(times)) for runs in kept["roles"]])
    close = pd.Series(kept["close"], index=pd.DatetimeIndex(pd.to_datetime(np.array(kept["close_times"], dtype="int64"), unit="ns")))
    regimes = pd.Series(kept["regimes"], index=close.index) if kept["regimes"] else None
    summary = pd.DataFrame(result["metrics_summary"]["walk_forward"]).T
    return _section(
        "Walk-forward validation",
        _picture(WalkForwardDisplay(times, roles, close=close, regimes=regimes), "folds over the price"),
        _table(summary),
        _table(table),
    )


def _unpack(runs, length):
    role = np.full(length, "", dtype="<U5")
    for kind, first, last in runs:
        role[first : last + 1] = kind
    return role


def _learning(result, evidence):
    curves = {name: pd.DataFrame(rows).set_index("epoch") for name, rows in evidence["curves"].items() if rows}
    if not curves:
        return _section("Learning curves", _paragraph("No net was trained."))
    reasons = "".join(_paragraph(f"{name} stopped: {why}.") for name, why in evidence["stop_reasons"].items())
    best = {name: int(curve.get("valid_loss", curve["train_loss"]).idxmin()) for name, curve in curves.items()}
    return _section("Learning curves", _picture(LearningCurveDisplay(curves, best), "losses per epoch"), reasons)


class _Verdicts:
    """Confusion matrix and calibration of the test block, drawn side by side."""

    def __init__(self, test):
        self.test = test

    def plot(self):
        plt = require("matplotlib.pyplot", extra="plot", caller="the run report")
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
        counts = np.array(self.test["confusion"])
        left.imshow(counts, cmap="Blues")
        for row, column in np.ndindex(*counts.shape):
            dark = counts[row, column] > counts.max() / 2
            left.text(column, row, str(counts[row, column]), ha="center", va="center", color="white" if dark else "black")
        names = self.test["classes"]
        left.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(names)), yticklabels=names, xlabel="predicted", ylabel="true")
        right.plot([0, 1], [0, 1], color=PALETTE["price"], linewidth=0.7, linestyle=":")
        for number, (name, curve) in enumerate(self.test["calibration"].items()):
            right.plot(curve["confidence"], curve["accuracy"], marker="o", markersize=3, color=f"C{number}", label=name)
        right.set(xlabel="confidence of the predicted class", ylabel="how often it was right", xlim=(0, 1), ylim=(0, 1))
        right.legend(fontsize="small")
        self.figure_ = figure
        return self


def _test(result, evidence):
    test = evidence.get("test")
    if not test:
        return _section("The untouched test block", _paragraph("Not scored: the run was stopped before."))
    table = pd.DataFrame(result["metrics_summary"]["test"]).T
    return _section("The untouched test block", _table(table), _picture(_Verdicts(test), "confusion matrix and calibration"))


def _leakage(result, evidence):
    audit = result["leakage_validation"]
    if not audit.get("status"):
        return _section("Leakage audit", _paragraph("Not run: leakage_audit is off."))
    findings = [{key: _short(value) for key, value in row.items() if key in ("code", "severity", "where", "fix")} for row in audit.get("findings", [])]
    table = _table(pd.DataFrame(findings), index=False) if findings else _paragraph("No findings.")
    return _section("Leakage audit", f"<p class='status {escape(audit['status'])}'>{escape(audit['status'])}</p>", table)


def _drift(result, evidence):
    found = result["drift"]
    if not found:
        return _section("Drift of the test block", _paragraph("Not checked."))
    frame = pd.DataFrame.from_dict(found["per_feature"], orient="index")
    display = DriftDisplay(pd.DataFrame([frame["psi"].astype(float)]), evidence["drift_threshold"], {"per_feature": frame})
    reason = found.get("reason") or ""
    text = f"Recommendation: {found['recommendation']}. {reason}. {found.get('advice') or ''}"
    return _section("Drift of the test block", _paragraph(text), _picture(display, "drift per feature"))


def _search(result, evidence):
    search = evidence.get("search")
    if not search:
        return _section("Hyperparameter search", _paragraph("Not run: use_hpo is off."))
    scores = [np.nan if value is None else value for value in search["scores"]]
    parts = [_picture(SearchDisplay(scores, search["states"], search["luck"]), "scores of the trials"), _mapping(search["best_params"])]
    return _section("Hyperparameter search", *parts, f"<pre>{escape(search['overfit'])}</pre>")


def _compression(result, evidence):
    found = result["compression"]
    if not found:
        return _section("Compression", _paragraph("Not run: prune_after_training and quantize_model are off."))
    table = pd.DataFrame({"before": found["before"], "after": found["after"]}).apply(pd.to_numeric, errors="coerce").dropna()
    return _section("Compression", _table(table), _picture(CompressionDisplay(table), "before and after compression"))


def _origin(result, evidence):
    config = escape(json.dumps(result["config"], indent=1))
    return _section("Where this came from", _mapping(evidence["origin"]), f"<details><summary>Configuration</summary><pre>{config}</pre></details>")
