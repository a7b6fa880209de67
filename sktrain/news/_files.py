"""News files: the path of a file of articles, in whatever container, enters; a list of articles in order of availability leaves."""

from collections.abc import Mapping
import os
from pathlib import Path
import re
import warnings

import numpy as np
import pandas as pd

from .._reading import (
    Reading,
    RoleTable,
    Table,
    UnreadableError,
    clipped,
    joined_clock,
    open_table,
    option,
    parse_times,
    plain_name,
)
from ..exceptions import DataQualityWarning, SktrainError
from ._articles import NewsArticle, article_times, as_articles

__all__ = ["Articles", "read_news"]

_PUBLISHED = (
    "published at", "published", "published utc", "publishedat", "publication date", "date published", "pub date", "pubdate", "publish date",
    "publish time", "published date", "published time", "time published", "created at", "created", "created utc", "datetime", "date time",
    "timestamp", "date", "time", "发布时间", "发布日期", "日期", "时间", "公告日期", "新闻发布时间", "datum", "veröffentlicht", "fecha", "data", "providerpublishtime",
    "date utc", "posted at", "post date", "tweet date", "release date", "versioncreated", "display time", "pub time", "ctime", "day", "time utc", "seendate", "seen date", "provider publish time", "web publication date", "publishtime", "uhrzeit", "heure", "hora", "时刻",
)  # fmt: skip
_NEWS = RoleTable({
    "title": (
        "title", "headline", "article title", "news title", "headlines", "新闻标题", "标题", "公告标题", "titel", "überschrift", "titre", "título",
        "schlagzeile", "headline text", "subject", "tweet", "tweet text", "text", "news", "content title", "storyheadline", "full text", "message", "sentence", "内容", "web title", "headline main",
    ),
    "available_at": (
        "available at", "received at", "retrieved at", "crawled at", "fetched at", "ingested at", "time received", "collected at", "crawl date", "crawl time", "scraped at", "采集时间", "抓取时间",
    ),
    "published_at": _PUBLISHED,
    "body": (
        "body", "summary", "description", "article", "article body", "text", "full text", "content", "selftext", "新闻内容", "内容", "正文", "摘要",
        "news content", "lsa summary", "textrank summary", "story", "lead", "snippet", "abstract", "inhalt",
    ),
    "symbols": (
        "symbols", "symbol", "tickers", "ticker", "stock symbol", "stock code", "stock", "ts code", "股票代码", "证券代码", "代码", "关键词", "stock name",
        "related", "related symbols", "related tickers", "secid", "instrument", "code", "assets", "currencies", "company", "insights tickers", "ticker sentiment", "entities",
    ),
    "language": ("language", "lang", "语言", "sprache"),
})  # fmt: skip
_ROLES = _NEWS.roles
_ZONED = r"(?::\d{2}(?:\.\d+)?|\d)\s*(?:Z|UTC|GMT)$|:\d{2}(?:\.\d+)?\s*[+-]\d{2}:?(?:\d{2})?$|T\d{6}Z$|GMT[+-]\d+$|[+-]\d{4} \d{4}$| [A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+$"
_KEYS = ("ticker", "symbol", "code")  # of records that stand in the column of symbols
_LAST_NANOSECOND = pd.Timedelta(days=1) - pd.Timedelta(1, "ns")
_MIDNIGHTS = 0.01  # share of stamps at 00:00:00 from which they are days: by chance one in 1,440 is


class Articles(list):
    """Articles in order of availability.

    Attributes
    ----------
    reading : Reading
        What was understood: which column is which, how times were read, how many rows were left out.
    """

    def __init__(self, articles=(), reading: Reading | None = None) -> None:
        super().__init__(articles)
        self.reading = reading


def read_news(
    path: str | os.PathLike,
    *,
    columns: Mapping[str, object] | None = None,
    timezone: str | None = None,
    dayfirst: bool | None = None,
    encoding: str | None = None,
    symbol: str | None = None,
    bad_rows: str = "refuse",
) -> Articles:
    """Read articles from a file.

    Parameters
    ----------
    path : str or path-like
        CSV, JSON (also lines, and the envelopes of news services), Excel, Parquet or Feather, packed or not. A title and a time are needed;
        body, symbols (a list, or text such as ``"AAPL;MSFT"``) and language are taken where they are. Without a column ``available_at``,
        the time of publication is taken for it, with a warning: an archive is rarely readable the moment it is written.
    columns : mapping, optional
        Which column plays which role, such as ``{"title": "headline", "available_at": "date"}``; None for a role that none plays. Roles:
        title, available_at, published_at, body, symbols, language.
    timezone : str, optional
        Zone of times that carry none, such as ``"America/New_York"``. Default: they stay naive, like naive bars.
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
        A list of NewsArticle in order of availability with the protocol in ``.reading``; exact repetitions are dropped, with a
        ``DataQualityWarning`` that counts them. An article dated by its day only is available at the end of the day.

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
    ...     _ = path.write_text("headline,available_at,ticker\\nProfit doubles,2024-03-01T14:30Z,AAPL\\n")
    ...     articles = read_news(path)
    >>> articles[0].title, articles[0].symbols
    ('Profit doubles', ('AAPL',))
    >>> print(articles.reading)
    1 articles, 2024-03-01 14:30 … 2024-03-01 14:30, UTC; title = headline; symbols = ticker
    """
    _check_options(columns, timezone, dayfirst, encoding, symbol, bad_rows)
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise SktrainError(f"There is no news file {str(path)!r}.")
    drop = bad_rows == "drop"
    try:
        table = open_table(path, _NEWS, encoding=encoding, caller="read_news", named=True)
        roles = _assigned(table, columns)
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


def _check_options(columns, timezone, dayfirst, encoding, symbol, bad_rows) -> None:
    if columns is not None and not isinstance(columns, Mapping):
        raise SktrainError(f"columns must map roles to names of columns, got {columns!r}.")
    for name, value in (("timezone", timezone), ("encoding", encoding), ("symbol", symbol)):
        if not isinstance(value, str | None):
            raise SktrainError(f"{name} must be a string or None, got {value!r}.")
    if dayfirst not in (None, True, False):
        raise SktrainError(f"dayfirst must be True, False or None, got {dayfirst!r}.")
    if bad_rows not in ("refuse", "drop"):
        raise SktrainError(f"bad_rows must be one of 'refuse', 'drop', got {bad_rows!r}.")
    if timezone is not None:
        try:
            pd.Timestamp("2000-01-01").tz_localize(timezone)
        except (KeyError, ValueError, OSError, TypeError) as error:
            raise SktrainError(
                f"{option('timezone', timezone)} is no time zone. Write it like {option('timezone', 'America/New_York')}."
            ) from error


def _assigned(table: Table, columns: Mapping[str, object] | None) -> dict[str, int]:
    """Position of the column of every role."""
    names = table.headers[-1] if table.headers else []
    roles: dict[str, int] = {}
    barred = set()
    for role, name in (columns or {}).items():
        if role not in _ROLES:
            raise UnreadableError(
                f"columns names the role {clipped(role)}; the roles are {', '.join(_ROLES)}."
            )
        if name is None or name == "":
            barred.add(role)
            continue
        exact = [i for i, one in enumerate(names) if one.strip() == str(name).strip()]
        alike = exact or [
            i
            for i, one in enumerate(names)
            if plain_name(one, units=True) == plain_name(name, units=True)
        ]
        if not alike and str(name).isdigit() and 1 <= int(str(name)) <= table.width:
            alike = [int(str(name)) - 1]
        if len(alike) != 1:
            raise UnreadableError(
                f"the column {clipped(name)} is not there; the columns are {', '.join(map(clipped, names))}."
            )
        roles[role] = alike[0]
    for role in _ROLES:
        if role not in roles and role not in barred:
            free = [place for place in _NEWS.candidates(role, names) if place not in roles.values()]
            if role in ("title", "published_at"):
                free = [
                    place
                    for place in free
                    if any(row[place] for row in table.sample if place < len(row))
                ]
            if free:
                roles[role] = free[0]
    _complain(roles, names, table)
    return roles


def _complain(roles: dict[str, int], names: list[str], table: Table) -> None:
    missing = [role for role in ("title", "available_at") if role not in roles]
    if "published_at" in roles and "available_at" in missing:
        missing.remove("available_at")
    if missing:
        shown = (
            ", ".join(map(clipped, names))
            or f"numbers 1 to {table.width} (there is no header: its first row is {clipped(table.sample[0])})"
        )
        call = option("columns", dict.fromkeys(missing, "NAME"))
        raise UnreadableError(
            f"no column for {' and '.join(missing)}; the columns are {shown}. Name them with {call}."
        )


def _times_read(
    table: Table, roles: dict[str, int], timezone: str | None, dayfirst: bool | None, drop: bool
) -> tuple[pd.DataFrame, Reading]:
    cells = table.load(set(range(table.width)), drop=drop)
    frame = pd.DataFrame(
        {
            role: cells[place]
            for role, place in roles.items()
            if role not in ("available_at", "published_at")
        }
    )
    for name in ("title", "body", "language"):
        if name in frame:
            frame[name] = _texts(frame[name])
    if "symbols" in frame:
        frame["symbols"] = [_symbols(value) for value in frame["symbols"]]
    reading = Reading(
        what="articles",
        columns={role: _name(table, place) for role, place in roles.items()},
        notes=list(table.notes),
        dropped={},
    )
    known = "available_at" if "available_at" in roles else "published_at"
    stamps = _with_days(cells, roles[known], table, reading)
    frame["available_at"], days = _moments(
        stamps, timezone, dayfirst, drop, reading, late=True
    )
    if known == "published_at":  # of a day, the moment of publication is not known
        frame["published_at"] = np.where(days, None, frame["available_at"].to_numpy(dtype=object))
    elif "published_at" in roles:
        frame["published_at"], _ = _moments(
            cells[roles["published_at"]], timezone, dayfirst, drop, reading, late=False
        )
    reading["notes"] = list(dict.fromkeys(reading["notes"]))
    if drop:
        bad = frame["available_at"].isna() | (frame["title"].fillna("") == "")
        if bad.any():
            reading["dropped"]["rows without a time or a title"] = int(bad.sum())
            frame = frame[~bad].reset_index(drop=True)
    return frame, reading


def _with_days(cells: pd.DataFrame, place: int, table: Table, reading: Reading) -> pd.Series:
    """The column of times; days and times of day in two columns come together."""
    column, names = cells[place], table.headers[-1] if table.headers else []
    timed = _NEWS.candidates("published_at", names)
    if not _is_clock(column):
        clocks = [p for p in timed if p != place and _is_clock(cells[p])]
        if len(clocks) != 1 or cells[clocks[0]].isna().any() or not _is_day(column):
            return column
        reading["notes"].append(f"times = {_name(table, place)} + {_name(table, clocks[0])}")
        return joined_clock(column, cells[clocks[0]])
    days = [p for p in timed if p != place and not _is_clock(cells[p])]
    if not days:
        raise UnreadableError(
            f"times such as {clipped(column.dropna().iloc[0])} have no day, and no other column has one: "
            f"{', '.join(map(clipped, names))}. Name the column of whole times with {option('columns', {'available_at': 'NAME'})}."
        )
    reading["notes"].append(f"times = {_name(table, days[0])} + {_name(table, place)}")
    return joined_clock(cells[days[0]], column)


def _is_clock(column: pd.Series) -> bool:
    """Whether a column holds times of day only."""
    text = column.dropna().astype("str").str.strip()
    return bool(len(text) and text.str.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?").all())


def _is_day(column: pd.Series) -> bool:
    """Whether a column holds days only."""
    return bool(column.notna().all() and column.astype("str").str.strip().str.fullmatch(_DAY).all())


def _name(table: Table, place: int) -> str:
    return table.headers[-1][place] if table.headers else f"column {place + 1}"


def _texts(column: pd.Series) -> list[str | None]:
    return [
        None
        if pd.api.types.is_scalar(one) and pd.isna(one)
        else one
        if isinstance(one, str)
        else str(one)
        for one in column
    ]


def _symbols(value: object) -> object:
    """Symbols as lists of text or as one text; codes that are numbers in JSON are text here."""
    if isinstance(value, (list, tuple, np.ndarray)):
        if any(isinstance(one, Mapping) for one in value):  # of each, its symbol
            known = [next((one[k] for k in _KEYS if one.get(k)), None) for one in value]
            return [str(one) for one in known if one is not None]
        return [str(one) for one in value]
    if isinstance(value, str):
        if value.startswith("[{"):
            return re.findall(rf"['\"](?:{'|'.join(_KEYS)})['\"]: *['\"]([^'\"]+)['\"]", value)
        found = re.findall(r"['\"]([^'\"]+)['\"]", value) if value[:1] == "[" else None
        return found if found is not None else re.sub(r"^=?[\"'](.*?)[\"']?$", r"\1", value)
    return None if pd.isna(value) else str(value)


_DAY = r"(?:\d{4}\D\d{1,2}\D\d{1,2}\D?|\d{1,2}\D{1,3}\d{1,2}\D{1,3}\d{2,4}|\d{8}|[^\d]*\d{1,2},? \d{4}|\d{1,2}[ -][^\W\d]+[ -]\d{2,4})"


def _moments(
    column: pd.Series,
    timezone: str | None,
    dayfirst: bool | None,
    drop: bool,
    reading: Reading,
    *,
    late: bool,
) -> tuple[pd.Series, np.ndarray]:
    """Stamps of a column, each at the latest moment that it may mean where ``late``, and which of them are days."""
    aware = np.ones(len(column), dtype=bool)
    if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
        aware = (
            column.astype("str")
            .str.strip()
            .str.contains(_ZONED, regex=True)
            .fillna(False)
            .to_numpy(dtype=bool)
        )
    out, days = np.full(len(column), None, dtype=object), np.zeros(len(column), dtype=bool)
    for mask in (aware, ~aware):
        if mask.any() and not (drop and column[mask].isna().all()):
            rows = np.flatnonzero(mask)
            out[mask], days[mask] = _of_one_kind(
                column[mask], rows, timezone, dayfirst, drop, reading, late
            )
    return pd.Series(out, index=column.index, dtype=object), days


def _of_one_kind(
    column, rows: np.ndarray, timezone, dayfirst, drop: bool, reading: Reading, late: bool
) -> tuple[np.ndarray, np.ndarray]:
    try:
        times = parse_times(column, dayfirst=dayfirst, coerce=drop, kept_zone=True)
    except UnreadableError as error:
        text = re.sub(r"\{row (\d+)\}", lambda found: f"{{row {rows[int(found[1])]}}}", str(error))
        raise UnreadableError(text) from error
    index = times.index
    local = index if times.local is None else times.local
    reading["notes"] += times.notes
    midnight = (local.asi8 % (86_400 * 10**9) == 0) & ~local.isna()
    days = column.astype("str").str.strip().str.fullmatch(_DAY).to_numpy(dtype=bool) & midnight
    if midnight.mean() > _MIDNIGHTS:
        days = midnight
    if late and days.any():
        index = index.where(~days, index + _LAST_NANOSECOND)
        what = (
            "all times are days"
            if days.all()
            else f"{int(days.sum())} of {len(days)} times are days"
        )
        reading["notes"].append(f"{what}: known at the end of the day")
    if index.tz is None and timezone is not None:
        # a repeated hour is read as its second pass, a skipped one as the moment after: never earlier than it can have been
        index = index.tz_localize(
            timezone, ambiguous=np.zeros(len(index), dtype=bool), nonexistent="shift_forward"
        )
    return index.astype(object).to_numpy(), days


def _in_order(
    articles: list[NewsArticle], path: Path, roles: dict[str, int], reading: Reading
) -> Articles:
    if "available_at" not in roles:
        warnings.warn(
            f"{path.name} has no column available_at: published_at is taken for it. If the articles reached you later, the bars "
            "between know too much; add the column, or a lag in NewsAligner.",
            DataQualityWarning,
            stacklevel=3,
        )
    kept = list(dict.fromkeys(articles))
    if len(kept) < len(articles):
        warnings.warn(
            f"{path.name}: {len(articles) - len(kept)} articles stand more than once; each was kept once.",
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
