"""Output of the commands: tables of at most 80 columns. No text of theirs is markup."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .._io import to_plain
from ..trainer import next_steps, words
from ._text import shown

__all__ = ["predictions", "search", "training"]

_WIDTH = 80  # columns, where no terminal says how many it has: the usual terminal's
_TIME = 11  # characters of a time: a date, or month, day, hour and minute


class _Stdout(Console):
    """Standard output; a reader who has seen enough is an error that ``main`` knows."""

    def on_broken_pipe(self):
        raise BrokenPipeError


def _console():
    options: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    console = _Stdout(**options)
    return console if console.is_terminal else _Stdout(**options, width=_WIDTH)


def _line(console, text, **style):
    """One line of prose; only what is to be copied, such as a path, may run over the edge."""
    console.print(shown(text), **style)


def _table(title, columns):
    table = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 0)
    )
    for name in columns:
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    return table


def _print(console, title, columns, rows):
    table = _table(title, columns)
    for row in rows:
        table.add_row(*(shown(cell) for cell in row))
    console.print(table)


def training(result):
    """The fold table, the scores, the rest in a line each, the verdict, and what to do next."""
    console = _console()
    balance = ", ".join(f"{name} {share:.1%}" for name, share in result["class_balance"].items())
    _line(console, f"class balance: {balance}")
    if result["walk_forward_results"]:
        _folds(console, result["walk_forward_results"])
    if result["ablation"]:
        cells, sentence = words.ablation_rows(result["ablation"])
        _print(console, "the model without one switch at a time", words.ABLATION_HEAD, cells)
        _line(console, sentence)
    if result["metrics_summary"]["test"]:
        head = ["", "bal. acc folds", "95 % interval", "acc test", "bal. acc test", "log loss test"]
        folded = bool(result["walk_forward_results"])
        title = f"{'means over the folds, and ' if folded else ''}the untouched test block"
        _print(console, title, *words.score_table(result, head))
    _facts(console, result)
    console.print()
    _line(console, result["verdict"], style="bold")
    console.print()
    where = f"; model: {result['model_path']}" if result["model_path"] else ""
    seconds = f"{result['training_time_seconds']:.0f} s"
    console.print(
        shown(f"{result['status']} in {seconds} on {result['device']}{where}"),
        soft_wrap=True,
    )
    for line in next_steps(result):
        console.print(shown(line), soft_wrap=not line.startswith("would change"))


def _facts(console, result):
    """A line for each of the other stages."""
    for text in result["warnings"]:
        _line(console, f"mind: {text}")
    _line(console, f"leakage audit: {result['leakage_validation'].get('status', 'not run')}")
    for name, reason in result["missing_stocks"].items():
        _line(console, f"left out: {name} ({reason})")
    if result.get("pool"):
        _line(console, words.pool_sentence(result["pool"]))
    if result["drift"]:
        drifted = "drift" if result["drift"]["drift_detected"] else "no drift"
        _line(
            console,
            f"test block against training rows: {drifted}; recommendation: "
            f"{result['drift']['recommendation']}",
        )
        _line(console, result["drift"].get("advice", ""))
    if result["compression"]:
        before, after = result["compression"]["before"], result["compression"]["after"]
        _line(
            console,
            f"compression: {words.size(before['size_bytes'])} -> "
            f"{words.size(after['size_bytes'])}",
        )
    if result["search"]:
        for sentence in words.search_sentences(result["search"]):
            _line(console, f"search: {sentence}")
    if result["incremental"]["mode"] != "fresh":
        _line(
            console,
            f"incremental: {result['incremental']['mode']}, {result['incremental']['reason']}",
        )
    if result["profit"]:
        _line(console, words.profit_sentence(result["profit"]))
    for name, net in result["metrics_summary"]["nets"].items():
        _line(console, f"{name}: {words.epochs(net['epochs_completed'], net['stop_reason'])}")


def _folds(console, rows):
    names = [
        key[: -len("_balanced_accuracy")] for key in rows[0] if key.endswith("_balanced_accuracy")
    ]
    heads = [
        ("test_start", "tested from"),
        ("test_end", "to"),
        ("train_size", "trained"),
        ("test_size", "tested"),
        ("purged", "purged"),
    ]
    heads = [(key, head) for key, head in heads if key in rows[0]]
    cells = [
        (
            str(row["fold"]),
            *(words.date(row[key])[-_TIME:] for key, _ in heads),
            *(words.percent(row[f"{name}_balanced_accuracy"]) for name in names),
        )
        for row in rows
    ]
    title = "walk-forward folds; scores are balanced accuracies"
    _print(console, title, ["fold", *(head for _, head in heads), *names], cells)
    regimes, cells = words.regime_rows(rows)
    if regimes:
        _print(
            console, "tested rows per market regime", ["fold", *regimes, "new regimes"], cells
        )


def predictions(frame):
    """One row per newest bar."""
    rows = [
        [
            f"{value:.3f}" if isinstance(value, float) else str(value).removesuffix(" 00:00:00")
            for value in row
        ]
        for row in frame.itertuples(index=False)
    ]
    _print(_console(), None, [shown(name) for name in frame.columns], rows)


def search(found, name):
    """Best parameters, best score, and what it is worth; ``name`` is the net that was searched."""
    from ..trainer import searched

    console = _console()
    for sentence in words.search_sentences(to_plain(searched(found, name))):
        _line(console, sentence)
