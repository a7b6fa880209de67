"""The arguments of every command; heavy libraries are imported only when a command runs."""

import argparse

from .. import __version__
from .._nearest import BUNDLED, did_you_mean
from ._flags import add_bars_flags, add_news_flags

__all__ = ["build_parser"]

MODELS = ("lstm", "gru", "tcn", "transformer", "mlp")

_EPILOG = """examples:
  sktrain train                                    four nets that vote on the bundled S&P 500
  sktrain train --data bars.csv --model gru lstm   your own bars, two nets that vote
  sktrain predict runs/latest --data bars.csv      what the model says about the newest bar
  sktrain show bars.csv                            what the reader understands of a file
  sktrain audit --data bars.csv                    look for leaks before believing a score
  sktrain audit study.ipynb                        name the usual leaks in your own code, by line
exit status: 0 fine, 1 a check failed, 2 bad input, 130 interrupted"""


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in one line, as the commands do, and names what may have been meant."""

    def parse_known_args(self, args=None, namespace=None):
        """As argparse does; what a command does not take is refused by the command itself."""
        found, others = super().parse_known_args(args, namespace)
        if others:
            known = [flag for flag in self._option_string_actions if flag.startswith("--")]
            self.error(
                f"unrecognized arguments: {' '.join(others)}."
                f"{did_you_mean(others[0].partition('=')[0], known)}"
            )
        return found, others

    def _check_value(self, action, value):
        """As argparse does, with the nearest choice."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            near = did_you_mean(value, map(str, action.choices or ()))
            said = f"{error.message}.{near}" if near else error.message
            raise argparse.ArgumentError(action, said) from None

    def error(self, message):
        from ._text import shown

        self.exit(2, f"{self.prog}: {shown(message)} (what there is: {self.prog} --help)\n")


def build_parser():
    """The parser of the command ``sktrain``."""
    parser = _Parser(
        prog="sktrain",
        description="Leakage-safe training of classifiers on market bars and news.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sktrain {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_train, _predict, _audit, _drift, _report, _search, _show):
        add(commands)
    return parser


def _command(commands, name, summary, description=None):
    parser = commands.add_parser(name, help=summary, description=description or summary)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--json", action="store_true", help="print one JSON document on stdout, nothing else"
    )
    shown.add_argument("--quiet", action="store_true", help="no progress; only the result")
    parser.add_argument("--traceback", action="store_true", help=argparse.SUPPRESS)
    return parser


def _bars(parser, *, required=False):
    source = parser.add_mutually_exclusive_group(required=required)
    source.add_argument(
        "--data",
        metavar="PATH",
        help="file of bars (CSV, JSON, Excel, Parquet, …), or a folder of such files",
    )
    source.add_argument(
        "--dataset",
        choices=BUNDLED,
        help="bundled bars (default: sp500, or us_stocks with --stocks)",
    )
    parser.add_argument("--stocks", nargs="+", metavar="SYMBOL", help="use only these symbols")
    add_bars_flags(parser)


def _labels(parser):
    parser.add_argument(
        "--horizon", type=int, metavar="N", help="bars a label looks ahead (default: 3)"
    )
    parser.add_argument(
        "--label-scaling",
        choices=("sigma", "affine"),
        help="thresholds in standard deviations, or the original's affine rule (default: sigma; "
        "affine where a threshold is given)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="X",
        help="base threshold (default: 0.5 with sigma, 0.03 with affine)",
    )
    parser.add_argument(
        "--session",
        metavar="PAUSE",
        help="intraday bars: the shortest pause that ends a session (default: 4h)",
    )


def _training(parser):
    """Options whose defaults are those of EnhancedTrainer.train and of EnhancedTrainingConfig."""
    parser.add_argument(
        "--model",
        nargs="+",
        choices=MODELS,
        metavar="NET",
        help=f"nets to train, several vote: {', '.join(MODELS)} (default: the first four)",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="most epochs per fit; early stopping may end sooner (default: 100)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="rows per step (default: 128, or what a search finds)",
    )
    parser.add_argument(
        "--learning-rate", type=float, metavar="X", help="(default: 0.001, or what a search finds)"
    )
    parser.add_argument(
        "--interval", help="spacing the bars must have, like 1d or 5m (default: their own)"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="JSON or TOML file of EnhancedTrainingConfig fields; flags override it",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="override config fields, e.g. --set use_smote=true lookback=60; may be repeated",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="random seed (default: 42)")
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda or cuda:1; auto is a card where there is one (default: auto)",
    )


def _train(commands):
    parser = _command(
        commands,
        "train",
        "train, validate and save a model",
        "Checks and labels bars, audits the pipeline for leaks, scores it walk-forward beside "
        "baselines, trains with early "
        "stopping, scores the untouched test block, compresses and saves the fitted pipeline.",
    )
    _bars(parser)
    _labels(parser)
    _training(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="runs/latest",
        help="folder for the model, the result and the report (default: %(default)s)",
    )
    parser.add_argument(
        "--news", metavar="FILE", help="file of articles whose embeddings join the features"
    )
    add_news_flags(parser)
    parser.add_argument(
        "--embedding-model", metavar="NAME", help="name or folder of the language model for --news"
    )
    parser.add_argument(
        "--session-close",
        metavar="HH:MM",
        help="daily bars: the hour, in their zone, at which the day is decided",
    )
    parser.add_argument(
        "--hpo", type=int, metavar="TRIALS", help="search hyperparameters first, this many trials"
    )
    parser.add_argument(
        "--deterministic", action="store_true", help="one seed, one result, bit for bit"
    )
    parser.add_argument(
        "--ablation",
        action="store_true",
        help="score the model without each of its switches too, on the same folds",
    )
    parser.add_argument(
        "--incremental",
        action="store_true",
        help="continue the model in --out on newer bars, if drift allows",
    )
    parser.add_argument(
        "--resume", action="store_true", help="take up a run in --out that was killed or stopped"
    )


def _predict(commands):
    parser = _command(commands, "predict", "predict the newest bars with a saved model")
    parser.add_argument("model", metavar="MODEL", help="a model file, or the folder of a run")
    _bars(parser)
    parser.add_argument("--news", metavar="FILE", help="articles, for a model trained with news")
    add_news_flags(parser)
    parser.add_argument(
        "--last",
        type=int,
        default=1,
        metavar="N",
        help="newest bars of each symbol to predict (default: %(default)s)",
    )
    parser.add_argument("--out", metavar="FILE", help="write a CSV instead of printing")


def _audit(commands):
    parser = _command(
        commands,
        "audit",
        "look for leakage in the pipeline on your bars, or in your own notebook or script",
        "With FILE, reads a notebook or script without running it and names the usual leaks with "
        "their lines. Without, audits the "
        "splits, the transformers and the estimator on bars. Exit status: 0 pass, 1 leak, 2 "
        "inconclusive or unreadable.",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="a notebook (.ipynb) or a script (.py) to read; it is never run",
    )
    _bars(parser)
    _labels(parser)
    parser.add_argument(
        "--estimator",
        metavar="FILE",
        help="a saved estimator to audit instead of the default pipeline (joblib or .sktrain; "
        "joblib runs code)",
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=5,
        metavar="N",
        help="walk-forward folds (default: %(default)s)",
    )


def _drift(commands):
    parser = _command(
        commands,
        "drift",
        "compare new bars with what a model was trained on",
        "Prints drift per feature. Exit status: 0 no drift, 1 drift, 2 bad input.",
    )
    parser.add_argument("model", metavar="MODEL", help="a model file, or the folder of a run")
    _bars(parser, required=True)
    parser.add_argument(
        "--last",
        type=int,
        metavar="N",
        help="newest bars of each symbol to compare (default: all of them)",
    )


def _report(commands):
    parser = _command(commands, "report", "write the HTML report of a run")
    parser.add_argument(
        "run",
        metavar="RUN",
        nargs="?",
        default="runs/latest",
        help="the folder of a run (default: %(default)s)",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="where to write (default: report.html in the folder)"
    )


def _search(commands):
    parser = _command(
        commands,
        "search",
        "search hyperparameters, resumable, and say what the best score is worth",
    )
    _bars(parser)
    _labels(parser)
    _training(parser)
    parser.add_argument(
        "--trials",
        type=int,
        default=30,
        metavar="N",
        help="trials in total, resumed ones included (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="stop starting trials after this long"
    )
    parser.add_argument(
        "--storage", metavar="FILE", help="SQLite file: a killed search resumes from it"
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=3,
        metavar="N",
        help="inner walk-forward folds (default: %(default)s)",
    )


def _show(commands):
    parser = _command(
        commands,
        "show",
        "what the reader understands of a file of bars or news",
        "Reads a file, says in one line how it was understood, prints its first and last rows and "
        "what is suspicious.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="a file of bars or news, or a folder of files of bars"
    )
    add_bars_flags(parser)
    add_news_flags(parser)
