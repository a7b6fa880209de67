"""Files of bars and news on the command line; one line says what was read."""

from contextlib import contextmanager
import json
import os
import sys
import warnings

import pandas as pd

from .._nearest import bundled_named
from .._progress import ProgressStream
from .._reading import MissingRolesError, spoken
from ..exceptions import DataQualityWarning, SktrainError
from ._text import shown

__all__ = ["data_of", "news_options", "refuse_bundled", "show", "with_news_of"]

_BARS = (
    "columns",
    "timezone",
    "dayfirst",
    "encoding",
    "symbol",
    "bad_rows",
    "incomplete_last",
    "stamps",
    "decimal",
)
_NEWS = ("columns", "timezone", "dayfirst", "encoding", "symbol", "bad_rows")
_EDGE = 3  # rows that show prints of each end, a judgment


def data_of(args):
    """Bars of ``--data`` as the flags say, with a line about them on stderr; else the name of the
    bundled data, or None."""
    options = _options(args, _BARS, "")
    if args.data is None:
        if options:
            raise SktrainError(
                f"--{next(iter(options)).replace('_', '-')} says how a file of bars is read; it "
                "needs --data."
            )
        return args.dataset
    from ..datasets import read_bars

    refuse_bundled(args.data, "--data")
    with spoken({name: f"--{name.replace('_', '-')}" for name in _BARS}):
        bars = read_bars(args.data, **options)
    _tell(args, f"{args.data}: {bars.attrs['reading']}")
    return bars


def refuse_bundled(path: str, what: str) -> None:
    """Say how bundled bars are asked for, of their name given as a path where there is no file."""
    near = bundled_named(path)
    if near and not os.path.exists(path):
        raise SktrainError(
            f"{what} {path} is no file. The bundled bars of that name are --dataset {near}."
        )


def with_news_of(args, bars: pd.DataFrame) -> pd.DataFrame:
    """Bars that carry the articles of ``--news``; clocks that cannot be compared are refused."""
    options = news_options(args)
    if not args.news:
        if options:
            raise SktrainError(
                f"--news-{next(iter(options)).replace('_', '-')} says how a file of news is read; "
                "it needs --news."
            )
        return bars
    from ..news import read_news, with_news

    with spoken(_news_flags()):
        articles = read_news(args.news, **options)
    _tell(args, f"{args.news}: {articles.reading}")
    _compare_clocks(bars, articles)
    return with_news(bars, articles)


def news_options(args) -> dict:
    """The options of ``read_news`` that were given as flags."""
    return _options(args, _NEWS, "news_")


def _news_flags() -> dict[str, str]:
    return {name: f"--news-{name.replace('_', '-')}" for name in _NEWS}


def _options(args, names, prefix: str) -> dict:
    """The options that were given, as the readers take them."""
    told = {name: getattr(args, f"{prefix}{name}", None) for name in names}
    found: dict = {name: value for name, value in told.items() if value is not None}
    if "columns" in found:
        flag = f"--{prefix.replace('_', '-')}columns"
        if len(found["columns"]) > 1 and not any("=" in item for item in found["columns"]):
            return found  # the names of all columns in order
        pairs = [item.partition("=") for item in found["columns"]]
        wrong = [item for item, pair in zip(found["columns"], pairs) if not pair[1] or not pair[0]]
        if wrong:
            raise SktrainError(
                f"{flag} needs ROLE=NAME, or the names of all columns in order, got {wrong[0]!r}."
            )
        found["columns"] = {role: name or None for role, _, name in pairs}
    return found


def _tell(args, line: str) -> None:
    if not args.quiet:
        print(shown(f"sktrain: {line}"), file=ProgressStream("stderr"))


def _compare_clocks(bars: pd.DataFrame, articles) -> None:
    """Refuse articles and bars of which only one side carries a zone, unless the bars are days."""
    if not articles:
        return
    times = bars.index.get_level_values(-1)
    days = bool((times == times.normalize()).all())
    aware = articles[0].available_at.tzinfo is not None
    if times.tz is not None and not aware:
        raise SktrainError(
            "The articles' times carry no zone (such as "
            f"{articles[0].available_at:%Y-%m-%d %H:%M}), the bars' do. "
            "Say whose clock it is, as in --news-timezone America/New_York."
        )
    if times.tz is None and aware and not days:
        raise SktrainError(
            f"The bars' times carry no zone (such as {times[0]}), the articles' do. Say whose "
            "clock it is, as in --timezone America/New_York."
        )


def show(args) -> int:
    """Print what the reader understands of a file of bars or news, its first and last rows, and
    what is suspicious."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        reading, table = _read_either(args)
    doubts = [str(one.message) for one in said if issubclass(one.category, DataQualityWarning)]
    if args.json:
        rows = {"first": table.head(_EDGE), "last": table.tail(_EDGE)}
        ends = {
            name: json.loads(part.reset_index().to_json(orient="records", date_format="iso"))
            for name, part in rows.items()
        }
        json.dump(
            {"reading": dict(reading), **ends, "suspicious": doubts},
            sys.stdout,
            indent=2,
            default=str,
            ensure_ascii=False,
        )
        print()
        return 0
    print(shown(reading))
    columns = ", ".join(f"{role} = {name}" for role, name in reading["columns"].items())
    print(shown(f"columns: {columns}"))
    with pd.option_context(
        "display.width", 200, "display.max_columns", 12, "display.max_colwidth", 60
    ):
        edge = (
            table if len(table) <= 2 * _EDGE else pd.concat([table.head(_EDGE), table.tail(_EDGE)])
        )
        print(shown(edge.to_string()))
    for doubt in doubts:
        print(shown(f"suspicious: {doubt}"))
    return 0


def _read_either(args):
    """Bars where the file has them, else articles; of two refusals, the one of what the file is
    nearer to."""
    from ..datasets import read_bars
    from ..news import read_news

    options, news = _options(args, _BARS, ""), news_options(args)
    if not news:
        try:
            with (
                _only_warnings_of_success(),
                spoken({name: f"--{name.replace('_', '-')}" for name in _BARS}),
            ):
                bars = read_bars(args.file, **options)
                return bars.attrs["reading"], bars.rename_axis(columns=None)
        except SktrainError as error:
            refused = error
    if options and not news:
        raise refused
    try:
        with spoken(_news_flags()):
            articles = read_news(args.file, **news)
    except SktrainError as error:
        if news or _nearer(error, refused):
            raise error from None
        raise refused from None
    table = pd.DataFrame(
        {
            "available_at": [one.available_at for one in articles],
            "symbols": [";".join(one.symbols) for one in articles],
            "title": [one.title for one in articles],
        }
    )
    return articles.reading, table


def _nearer(news: SktrainError, bars: SktrainError) -> bool:
    """Whether a file that is neither looks like news: fewer of its columns are wanting."""
    said, other = news.__cause__, bars.__cause__
    if str(said) == str(other):  # no rows at all, whatever of
        return False
    wanting = said.count if isinstance(said, MissingRolesError) else 0
    return wanting < (other.count if isinstance(other, MissingRolesError) else 1)


@contextmanager
def _only_warnings_of_success():
    """Warnings of the block, where it ends well."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    for one in said:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
