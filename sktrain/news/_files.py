"""Files of articles, in any container, read in order of availability."""

from collections.abc import Mapping
from dataclasses import dataclass
import os
from pathlib import Path
import re
from typing import Literal
import warnings

import numpy as np
import pandas as pd

from .._reading import (
    Reading,
    Table,
    UnreadableError,
    all_names,
    check_options,
    clipped,
    joined_clock,
    joined_days,
    open_table,
    option,
    parse_times,
    parts_of_days,
    plain_name,
    time_shape,
    zone_of_name,
)
from ..exceptions import DataQualityWarning, SktrainError
from ._articles import NewsArticle, article_times, as_articles
from ._roles import NEWS, assigned, column_name

__all__ = ["Articles", "read_news"]

_KEYS = (
    "ticker",
    "symbol",
    "code",
    "StockID",
    "stock_code",
    "tag",
)  # of records that stand in the column of symbols
_SEVERAL = re.compile(r"s$|related|entities|list")  # names of columns of lists
_TICKER = re.compile(r"\$?[A-Z0-9][A-Z0-9.:\-=^]*")
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?|\d{1,2}[時时시]\s?\d{1,2}[分분].*"
_MIDNIGHT = r"[T ]00:00(:00)?(\.0+)?$"
_SAMPLE = 200  # cells that tell what a column holds, a judgment
# of a day, when it is a date without a clock
_LAST_NANOSECOND = pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
_LATE = pd.Timedelta(days=1)  # from publication to the reader of a feed that follows it, at most
_MIDNIGHTS = 0.5  # share of stamps at 00:00:00 from which a source dates by the day, a judgment


class Articles(list):
    """Articles in order of availability.

    Attributes
    ----------
    reading : Reading
        What was understood: which column is which, how times were read, how many rows were left
        out.
    """

    def __init__(self, articles=(), reading: Reading | None = None) -> None:
        super().__init__(articles)
        self.reading = reading


def read_news(
    path: str | os.PathLike,
    *,
    columns: Mapping[str, object] | list[str] | None = None,
    timezone: str | None = None,
    dayfirst: bool | None = None,
    encoding: str | None = None,
    symbol: str | None = None,
    bad_rows: Literal["refuse", "drop"] = "refuse",
) -> Articles:
    """Read articles from a file.

    Parameters
    ----------
    path : str or path-like
        CSV, JSON (also lines, and the envelopes of news services), RSS and Atom, tables of web
        pages, Excel, Parquet or Feather, packed or not. A title and a time are needed;
        body, symbols (a list, or text such as ``"AAPL;MSFT"``) and language are taken where they
        are. Without a column ``available_at``, the time of publication is taken for it, with a
        warning: an archive is rarely readable the moment it is written.
    columns : mapping or list of str, optional
        Which column plays which role, such as ``{"title": "headline", "available_at": "date"}``;
        None for a role that none plays. Roles: title, available_at, published_at, body, symbols,
        language. A list names all columns in order, in place of the file's header.
    timezone : str, optional
        Zone of times that carry none, such as ``"America/New_York"``. Default: they stay naive,
        like naive bars.
    dayfirst : bool, optional
        What 03/04/2024 means; by default the rows decide, or the file is refused.
    encoding : str, optional
        Of text; found out by default.
    symbol : str, optional
        Instrument of a file that names none.
    bad_rows : {"refuse", "drop"}, default="refuse"
        Whether a row without a time or title is an error, or left out and counted.

    Returns
    -------
    Articles
        A list of NewsArticle in order of availability with the protocol in ``.reading``; exact
        repetitions are dropped, with a ``DataQualityWarning`` that counts them. An article dated by
        its day only is available at the end of the day.

    Raises
    ------
    SktrainError
        When the file is missing or cannot be read, or a row is no article (the row is named).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sktrain.news import read_news
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "news.csv")
    ...     _ = path.write_text(
    ...         "headline,available_at,ticker\\nProfit doubles,2024-03-01T14:30Z,AAPL\\n"
    ...     )
    ...     articles = read_news(path)
    >>> articles[0].title, articles[0].symbols
    ('Profit doubles', ('AAPL',))
    >>> print(articles.reading)
    1 articles, 2024-03-01 14:30 … 2024-03-01 14:30, UTC; title = headline; symbols = ticker
    """
    told = {
        "columns": columns, "timezone": timezone, "dayfirst": dayfirst, "encoding": encoding,
        "symbol": symbol, "bad_rows": bad_rows,
    }  # fmt: skip
    check_options(told, {"bad_rows": ("refuse", "drop")}, SktrainError)
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise SktrainError(f"There is no news file {str(path)!r}.")
    drop = bad_rows == "drop"
    try:
        names = all_names(columns)
        table = open_table(
            path, NEWS, encoding=encoding, caller="read_news", named=True, names=names
        )
        told_roles = columns if isinstance(columns, Mapping) else None
        roles = assigned(table, told_roles)
        try:
            frame, reading = _times_read(table, roles, timezone, dayfirst, drop)
        except UnreadableError as error:
            raise UnreadableError(
                re.sub(r"\{row (\d+)\}", lambda found: table.place(int(found[1])), str(error))
            ) from error
    except UnreadableError as error:
        raise SktrainError(f"News file {str(path)!r} cannot be read: {error}") from error
    if symbol is not None:
        frame["symbols"] = [symbol] * len(frame)
    return _in_order(as_articles(frame), path, roles, reading)


def _times_read(
    table: Table, roles: dict[str, int], timezone: str | None, dayfirst: bool | None, drop: bool
) -> tuple[pd.DataFrame, Reading]:
    cells = table.load(set(range(table.width)), drop=drop)
    places = list(roles.values())
    empty = (cells[places].isna() | (cells[places].astype("str") == "")).all(axis=1)
    frame = pd.DataFrame(
        {
            role: cells[place]
            for role, place in roles.items()
            if role not in ("available_at", "published_at")
        }
    )
    for name in ("title", "body", "language"):
        if name in frame:
            frame[name] = _texts(frame[name], column_name(table, roles[name]))
    if "symbols" in frame:
        name = plain_name(column_name(table, roles["symbols"]))
        several = bool(_SEVERAL.search(name))
        frame["symbols"] = [_symbols(value, several) for value in frame["symbols"]]
    reading = Reading(
        what="articles",
        columns={role: column_name(table, place) for role, place in roles.items()},
        notes=list(table.notes),
        dropped={"empty rows": int(empty.sum())} if empty.any() else {},
    )
    cells, frame = cells[~empty], frame[~empty]
    known = "available_at" if "available_at" in roles else "published_at"
    stamps = _with_days(cells, roles[known], table, reading)
    asked = _Asked(timezone, dayfirst, drop, _zone_said(table, roles[known]), late=True)
    frame["available_at"], days = _moments(stamps, asked, reading)
    if known == "published_at":  # of a day, the moment of publication is not known
        frame["published_at"] = np.where(days, None, frame["available_at"].to_numpy(dtype=object))
    elif "published_at" in roles:
        stamps = cells[roles["published_at"]]
        said = _zone_said(table, roles["published_at"])
        asked = _Asked(timezone, dayfirst, drop, said, late=False)
        frame["published_at"], _ = _moments(stamps, asked, reading)
        _refuse_half_zoned(frame, reading["columns"])
        reading["notes"].append(_known_late(frame, reading["columns"]))
    reading["notes"] = list(dict.fromkeys(reading["notes"]))
    if drop:
        bad = frame["available_at"].isna() | (frame["title"].fillna("") == "")
        if bad.any():
            reading["dropped"]["rows without a time or a title"] = int(bad.sum())
            frame = frame[~bad].reset_index(drop=True)
    return frame, reading


def _refuse_half_zoned(frame: pd.DataFrame, named: Mapping[str, str]) -> None:
    """Refuse times of availability and of publication of which one kind only has a zone."""
    zoned = {
        role: any(time.tzinfo is not None for time in frame[role] if not pd.isna(time))
        for role in ("available_at", "published_at")
    }
    if len(set(zoned.values())) == 1:
        return
    bare, other = sorted(zoned, key=zoned.__getitem__)
    mend = option("columns", {"available_at": named["published_at"]})
    raise UnreadableError(
        f"the times of {clipped(named[bare])} have no zone, those of {clipped(named[other])} have "
        f"one. Say whose clock the former are with {option('timezone', 'UTC')}, or take the moment "
        f"of publication for that of availability with {mend}."
    )


def _known_late(frame: pd.DataFrame, named: Mapping[str, str]) -> str:
    """Which column says from when articles were known, and what else there is where that is
    late.
    """
    note = f"known from {named['available_at']} on"
    when = {
        role: pd.to_datetime(frame[role], utc=True, errors="coerce")
        for role in ("available_at", "published_at")
    }
    lag = (when["available_at"] - when["published_at"]).median()
    if not lag > _LATE:
        return note
    mend = option("columns", {"available_at": named["published_at"]})
    return (
        f"{note}, half of them over {lag.days} days after {named['published_at']}: for an archive "
        f"collected later, {mend} takes the publication"
    )


def _with_days(cells: pd.DataFrame, place: int, table: Table, reading: Reading) -> pd.Series:
    """The column of times; days and times of day in two columns come together."""
    column, names = cells[place], table.headers[-1] if table.headers else []
    parts = parts_of_days(names)
    if place in parts:
        named = " + ".join(column_name(table, part) for part in parts)
        reading["notes"].append(f"times = {named}")
        return joined_days([cells[part] for part in parts])
    timed = NEWS.candidates("published_at", names)
    if not _is_clock(column):
        clocks = [p for p in timed if p != place and _is_clock(cells[p])]
        if len(clocks) != 1 or cells[clocks[0]].isna().any() or not _is_day(column):
            return column
        reading["notes"].append(
            f"times = {column_name(table, place)} + {column_name(table, clocks[0])}"
        )
        return joined_clock(column, cells[clocks[0]])
    days = [p for p in timed if p != place and not _is_clock(cells[p])]
    if not days:
        raise UnreadableError(
            f"times such as {clipped(column.dropna().iloc[0])} have no day, and no other column "
            f"has one: {', '.join(map(clipped, names))}. Name the column of whole times with "
            f"{option('columns', {'available_at': 'NAME'})}."
        )
    reading["notes"].append(f"times = {column_name(table, days[0])} + {column_name(table, place)}")
    return joined_clock(cells[days[0]], column)


def _is_clock(column: pd.Series) -> bool:
    """Whether a column holds times of day only."""
    text = column.dropna().astype("str").str.strip()
    return bool(len(text) and text.str.fullmatch(_CLOCK).all())


def _is_day(column: pd.Series) -> bool:
    """Whether a column holds days only."""
    text = column.dropna().astype("str").str.strip().str.replace(_MIDNIGHT, "", regex=True)
    return bool(column.notna().all() and time_shape(text.head(_SAMPLE).tolist()) == "day")


def _texts(column: pd.Series, name: str) -> list[str | None]:
    for row, one in enumerate(column):
        if column.name == "title" and isinstance(one, (list, dict)):
            raise UnreadableError(
                f"{{row {row}}} holds {clipped(one)} in the column {clipped(name)}, which is no "
                f"title. Name the column of titles with {option('columns', {'title': 'NAME'})}."
            )
    return [
        None
        if pd.api.types.is_scalar(one) and pd.isna(one)
        else one
        if isinstance(one, str)
        else str(one)
        for one in column
    ]


def _symbols(value: object, several: bool) -> object:
    """Symbols as lists of text or as one text; codes that are numbers in JSON are text here.

    ``several`` says that the column's name is a plural: blanks then divide symbols, while
    ``BRK B`` alone is one.
    """
    if isinstance(value, (list, tuple, np.ndarray)):
        found = [one for item in value if (one := _symbol_of(item, _KEYS))]
        named = [one for item in value if (one := _symbol_of(item, ("name",)))]
        return found or [one for one in named if _TICKER.fullmatch(one)]
    if not isinstance(value, str):
        return None if pd.isna(value) else str(value)
    text = value.strip()
    if re.match(r"\[?\{['\"]", text):
        return re.findall(rf"['\"](?:{'|'.join(_KEYS)})['\"]: *['\"]([^'\"]+)['\"]", text)
    listed = re.fullmatch(r"[\[({](.*)[\])}]", text, re.DOTALL)
    if listed:
        quoted = re.findall(r"'([^']+)'|\"([^\"]+)\"", listed[1])
        parts = [one or other for one, other in quoted] or re.split(r"[,;|\s]+", listed[1])
    else:
        parts = re.split(r"[,;|\n]", re.sub(r"^=?[\"'](.*?)[\"']?$", r"\1", text))
        if several and len(parts) == 1 and all(map(_TICKER.fullmatch, text.split())):
            parts = text.split()
    return [part.strip().removeprefix("$") for part in parts if part.strip()]


def _symbol_of(item: object, keys: tuple[str, ...]) -> str | None:
    """The symbol of one item of a list; of a record, what it has under the usual keys."""
    if isinstance(item, Mapping):
        item = next((item[key] for key in keys if item.get(key)), None)
    return None if item is None else str(item).strip().removeprefix("$")


@dataclass(frozen=True)
class _Asked:
    """How the times of one column are to be read."""

    timezone: str | None
    dayfirst: bool | None
    drop: bool
    said: str | None
    late: bool


def _zone_said(table: Table, place: int) -> str | None:
    """The zone that a column's name gives, as in ``Date (ET)``."""
    return zone_of_name(set(plain_name(column_name(table, place), units=True).split()))


def _moments(column: pd.Series, asked: _Asked, reading: Reading) -> tuple[pd.Series, np.ndarray]:
    """Stamps of a column, each at the latest moment that it may mean where ``late``, and which of
    them are days.
    """
    try:
        times = parse_times(
            column, dayfirst=asked.dayfirst, timezone=asked.timezone, said=asked.said,
            coerce=asked.drop, kept_zone=True,
        )  # fmt: skip
    except UnreadableError as error:  # rows of the file, empty ones among them
        place = re.compile(r"\{row (\d+)\}")
        text = place.sub(lambda hit: f"{{row {column.index[int(hit[1])]}}}", str(error))
        raise UnreadableError(text) from error
    index = times.index
    local = index if times.local is None else times.local
    reading["notes"] += times.notes
    midnight = (local.asi8 % (86_400 * 10**9) == 0) & ~local.isna()
    days = midnight & (False if times.days is None else times.days)
    zoned = np.ones(len(midnight), dtype=bool) if times.zoned is None else times.zoned
    for kind in (zoned, ~zoned):
        if kind.any() and midnight[kind].mean() >= _MIDNIGHTS:
            days = days | (midnight & kind)
    if asked.late and days.any():
        index = index.where(~days, index + _LAST_NANOSECOND)
        what = "all times" if days.all() else f"{int(days.sum())} of {len(days)} times"
        reading["notes"].append(f"{what} are days: known at the end of the day")
    zone = asked.timezone
    if index.tz is None and zone is not None:
        # never earlier than it can have been: a repeated hour is its second pass
        second = np.zeros(len(index), dtype=bool)
        index = index.tz_localize(zone, ambiguous=second, nonexistent="shift_forward")
    stamps = pd.Series(index.astype(object).to_numpy(), index=column.index, dtype=object)
    return stamps, np.asarray(days)


def _in_order(
    articles: list[NewsArticle], path: Path, roles: dict[str, int], reading: Reading
) -> Articles:
    if "available_at" not in roles:
        warnings.warn(
            f"{path.name} has no column available_at: published_at is taken for it. If the "
            "articles reached you later, the bars "
            "between know too much; add the column, or a lag in NewsAligner.",
            DataQualityWarning,
            stacklevel=3,
        )
    kept = list(dict.fromkeys(articles))
    if len(kept) < len(articles):
        warnings.warn(
            f"{path.name}: {len(articles) - len(kept)} articles stand more than once; each was "
            "kept once.",
            DataQualityWarning,
            stacklevel=3,
        )
        reading["dropped"]["repetitions"] = len(articles) - len(kept)
    try:
        known = article_times(kept)
    except SktrainError as error:
        raise SktrainError(
            f"{path}: {error} {option('timezone', 'America/New_York')} gives the naive ones a zone."
        ) from error
    kept = [kept[place] for place in known.times.argsort(kind="stable")]
    renamed = [
        f"{role} = {name}"
        for role, name in reading["columns"].items()
        if name != role and role in ("title", "symbols")
    ]
    reading = Reading(
        reading,
        source=str(path),
        rows=len(kept),
        first=f"{kept[0].available_at:%Y-%m-%d %H:%M}" if kept else "",
        last=f"{kept[-1].available_at:%Y-%m-%d %H:%M}" if kept else "",
        zone={True: "UTC", False: "no zone", None: ""}[known.aware],
        notes=[*renamed, *reading["notes"]],
    )
    return Articles(kept, reading)
