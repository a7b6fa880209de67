"""What the commands print: results enter, tables on stdout leave."""

from rich import box
from rich.console import Console
from rich.table import Table

from ..trainer._run_folder import plain

__all__ = ["plain", "predictions", "search", "training"]

_FOLD_COLUMNS = {
    "test_start": "test from",
    "test_end": "to",
    "train_size": "train",
    "test_size": "test",
    "purged": "purged",
    "embargoed": "embargoed",
}
_METRICS = (("accuracy", "acc"), ("balanced_accuracy", "bal. acc"), ("log_loss", "log loss"))


def _console():
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def _table(title, columns):
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    return table


def training(result):
    """The fold table, the test block, the rest in a line each, and the verdict."""
    console = _console()
    _data(console, result)
    if result["walk_forward_results"]:
        _folds(console, result)
    _scores(console, result["metrics_summary"])
    audit = result["leakage_validation"].get("status", "not run")
    console.print(f"leakage audit: {audit}")
    for name, reason in result["missing_stocks"].items():
        console.print(f"left out: {name} ({reason})")
    if result["drift"]:
        drifted = "drift" if result["drift"]["drift_detected"] else "no drift"
        console.print(f"test block against training rows: {drifted}; recommendation: {result['drift']['recommendation']}")
        console.print(result["drift"].get("advice", ""))
    if result["compression"]:
        before, after = result["compression"]["before"], result["compression"]["after"]
        console.print(f"compression: {before['size_bytes'] / 1024:.0f} KiB -> {after['size_bytes'] / 1024:.0f} KiB")
    for name, net in result["metrics_summary"]["nets"].items():
        console.print(f"{name}: {net['epochs_completed']} epochs, {net['stop_reason']}")
    console.print(f"\n{result['verdict']}", style="bold")
    console.print(f"\n{result['status']} in {result['training_time_seconds']:.0f} s; model: {result['model_path']}")


def _data(console, result):
    balance = ", ".join(f"{name} {share:.1%}" for name, share in result["class_balance"].items())
    console.print(f"class balance: {balance}")


def _folds(console, result):
    rows = result["walk_forward_results"]
    known = {key: head for key, head in _FOLD_COLUMNS.items() if key in rows[0]}
    regimes = [key for key in rows[0] if key.startswith("test_rows_")]
    names = [key[: -len("_balanced_accuracy")] for key in rows[0] if key.endswith("_balanced_accuracy")]
    title = f"walk-forward folds; scores are {' / '.join(names)}"
    table = _table(title, ["fold", *known.values(), *(head for _, head in _METRICS)])
    for row in rows:
        cells = [str(row["fold"]), *(_cell(row[key]) for key in known)]
        table.add_row(*cells, *(" ".join(f"{row[f'{name}_{key}']:.3f}" for name in names) for key, _ in _METRICS))
    console.print(table)
    if regimes:
        _regimes(console, rows, regimes)


def _regimes(console, rows, regimes):
    table = _table("tested rows per market regime", ["fold", *(key[len("test_rows_") :].replace("_", " ") for key in regimes), "never trained on"])
    for row in rows:
        table.add_row(str(row["fold"]), *(str(row[key]) for key in regimes), str(row.get("unseen_regimes", "")))
    console.print(table)


def _cell(value):
    return value[:10] if isinstance(value, str) else str(value)


def _scores(console, summary):
    table = _table("means over the folds, and the untouched test block", ["", "acc", "bal. acc", "log loss", "95 % interval", "test acc", "test bal. acc", "test log loss"])
    for name, test in summary["test"].items():
        mean = summary["walk_forward"].get(name)
        folds = ["", "", "", ""]
        if mean:
            low, high = mean["balanced_accuracy_low"], mean["balanced_accuracy_high"]
            folds = [*(f"{mean[key]:.3f}" for key, _ in _METRICS), "" if low is None else f"[{low:.3f}, {high:.3f}]"]
        table.add_row(name, *folds, *(f"{test[key]:.3f}" for key, _ in _METRICS))
    console.print(table)


def predictions(frame):
    """One row per newest bar."""
    table = _table(None, [str(name) for name in frame.columns])
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row))
    _console().print(table)


def search(found):
    """Best parameters, best score, and what it is worth."""
    console = _console()
    table = _table("best parameters", ["parameter", "value"])
    for name, value in found.best_params_.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(table)
    console.print(f"best score: {found.best_score_:.4f}")
    console.print(found.overfit_report_.summary())
