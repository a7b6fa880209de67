"""Reading files of bars; every row is taken to be known at the time it is stamped with."""

from collections.abc import Mapping
import os
from pathlib import Path
import re
from typing import Literal

import numpy as np
import pandas as pd

from .._history import with_history
from .._nearest import bundled_named
from .._reading import (
    Reading,
    Table,
    UnreadableError,
    all_names,
    joined_clock,
    joined_days,
    open_table,
    option,
    parse_times,
    to_numbers,
)
from .._validation import OHLCV, check_bars
from ..exceptions import InvalidBarsError
from ._assign import Roles, assign_roles
from ._finish import finished
from ._options import Options
from ._roles import BARS, PRICES
from ._rows import (
    Rows,
    adjusted,
    in_order,
    no_trade,
    screened,
    shifted_to_close,
    without_incomplete,
)
from ._volume import own_name, with_volume

__all__ = ["read_bars", "read_rows"]

_ISO = re.compile(r"\d{4}([-/.])\d{2}\1\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")


_DOTTED = re.compile(r"[1-9]\d{0,2}(\.\d{3})?|0")


class _MissingFileError(InvalidBarsError, FileNotFoundError):
    """There is nothing at the path."""


def read_bars(
    path: str | os.PathLike,
    *,
    columns: Mapping[str, object] | list[str] | None = None,
    timezone: str | None = None,
    dayfirst: bool | None = None,
    encoding: str | None = None,
    symbol: str | None = None,
    bad_rows: Literal["refuse", "drop"] = "refuse",
    incomplete_last: Literal["keep", "drop"] = "keep",
    stamps: Literal["close", "open"] = "close",
    decimal: Literal[".", ","] | None = None,
) -> pd.DataFrame:
    """Read market bars from a file, or from a folder of files.

    Text with any delimiter, Excel, Parquet, Feather, JSON, HDF5, XML and tables of web pages, also
    packed (gz, bz2, xz, zip), of the sources in common use and in many languages: which column is
    which, what dot and comma mean, which of day and month comes first and which clock the times are
    on is decided from the whole column, once for the file. What stays open is refused.
    ``bars.attrs["reading"]`` tells what was understood; ``str`` of it is one line.

    Parameters
    ----------
    path : str or path-like
        A file; or a folder with one file per symbol, or with several files of one symbol, one after
        the other in time.
    columns : mapping or list of str, optional
        Which column plays which role, where the names do not tell: ``{"time": "trade_date",
        "volume": "vol"}``. Roles are time, date (the day, beside the time of day), symbol, open,
        high, low, close, volume and adjusted; None for a role that no column plays. Columns of a
        file without header are numbered from 1. A list names all columns in order, in place of the
        file's header.
    timezone : str, optional
        Zone of times that carry none, such as ``"America/New_York"``: the bars are then stamped in
        UTC. Times that carry one are seen in it where midnights are told from times inside the day.
        Daily bars stays dates.
    dayfirst : bool, optional
        What 03/04/2024 means; by default the rows decide, or the file is refused.
    encoding : str, optional
        Of text; found out by default.
    symbol : str, optional
        Instrument of a file that does not name it: the result is then a panel of this symbol.
    bad_rows : {"refuse", "drop"}, default="refuse"
        Whether a row that is no bar (empty, unreadable, impossible, repeated) is an error or left
        out and counted; so are the days on which an instrument was suspended.
    incomplete_last : {"keep", "drop"}, default="keep"
        What to do with a last bar off the usual spacing, which was still forming.
    stamps : {"close", "open"}, default="close"
        What the times of the file mean. ``"open"`` (Binance, MetaTrader, Dukascopy, freqtrade)
        moves them to the close by the usual spacing.
    decimal : {".", ","}, optional
        What divides the decimals of 1,234; by default the numbers decide, or the file is refused.

    Returns
    -------
    DataFrame
        ``open high low close volume`` and any other columns, indexed by ``time``, or by ``(symbol,
        time)`` for a panel, with a history handle. Times inside the day that carry a zone, and
        epoch numbers inside the day, are UTC; bars all stamped at a local midnight (of epoch
        numbers: of UTC) are dates without zone.

    Raises
    ------
    InvalidBarsError
        Naming the file, the line, what stands there and how to mend it; for a missing file it is a
        ``FileNotFoundError`` too.
    MissingDependencyError
        When a library is wanted that is not installed (pyarrow, openpyxl, h5py).

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sktrain.datasets import read_bars
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "ACME.csv")
    >>> _ = file.write_text(
    ...     "Date,Open,High,Low,Close,Volume\\n"
    ...     "2024-01-02,10,11,9,10.5,100\\n2024-01-03,10.5,12,10,11,90\\n"
    ... )
    >>> bars = read_bars(file)
    >>> bars["close"].tolist()
    [10.5, 11.0]
    >>> print(bars.attrs["reading"])
    2 bars, 2024-01-02 … 2024-01-03, daily
    >>> read_bars(folder.name).index.names
    FrozenList(['symbol', 'time'])
    >>> folder.cleanup()
    """
    options = Options(
        columns,
        timezone,
        dayfirst,
        encoding,
        symbol,
        bad_rows,
        incomplete_last,
        stamps,
        decimal,
    )
    path = Path(path)
    if not path.exists():
        near = bundled_named(path)
        hint = f" The bundled bars of that name are load_{near}()." if near else ""
        raise _MissingFileError(f"read_bars found nothing at {str(path)!r}.{hint}")
    if path.is_dir():
        from ._folder import read_folder

        bars = read_folder(path, options)
    else:
        try:
            bars = finished(*read_rows(path, options), options, path)
        except UnreadableError as error:
            raise InvalidBarsError(f"{path}: {error}") from error
    try:
        return with_history(check_bars(bars))
    except InvalidBarsError as error:
        raise InvalidBarsError(f"{path}: {error}") from error


def read_rows(path: Path, options: Options) -> tuple[Rows, Reading]:
    """Stages one to four for one file; rows are in order, and the protocol tells how they were
    read.

    Raises
    ------
    UnreadableError
        Without the path, which the caller adds.
    """
    names = all_names(options.columns)
    table = open_table(path, BARS, encoding=options.encoding, caller="read_bars", names=names)
    table.decimal = options.decimal
    given = options.columns if isinstance(options.columns, Mapping) else None
    roles = assign_roles(table, given)
    try:
        rows = _rows(table, roles, options)
    except UnreadableError as error:
        text = re.sub(r"\{row (\d+)\}", lambda found: table.place(int(found[1])), str(error))
        raise UnreadableError(text) from error
    if options.stamps == "open":
        shifted_to_close(rows)
    called = {role: roles.names[place] for role, place in roles.fields.items()}
    called["time"] = " + ".join(roles.names[place] or "the first column" for place in roles.time)
    if rows.volume is not None:
        called["volume"] = roles.names[rows.volume]
    if roles.symbol is not None:
        called["symbol"] = roles.names[roles.symbol]
    reading = Reading(columns=called, notes=[*table.notes, *roles.notes, *rows.notes], zone=None)
    if roles.opening and options.stamps == "close":
        reading["notes"].append(
            f"times are the bars' opening ({called['time']}); {option('stamps', 'open')} moves "
            f"them to the close"
        )
    return rows, reading


def _rows(table: Table, roles: Roles, options: Options) -> Rows:
    drop = options.bad_rows == "drop"
    frame, texts = _cells(table, roles, drop, options.dayfirst)
    symbols, instrument = _symbols(frame, roles, table)
    groups = None if symbols is None else pd.factorize(symbols)[0]
    column = _stamps(frame, roles.time)
    times = parse_times(
        column,
        groups=groups,
        dayfirst=options.dayfirst,
        timezone=options.timezone,
        said=roles.zone,
        coerce=drop,
    )
    frame = frame.drop(columns=[place for place in roles.time if place in frame])
    if roles.wide:
        rows = _long(frame, roles, times.index)
        texts = {}
    else:
        rows = Rows(_named(frame, roles), times.index, symbols, table.place)
        rows.spelled = {own_name(name): name.strip() for name in roles.names}
        rows.frame = with_volume(rows, roles)
    rows.notes = [*times.notes, *rows.notes]
    rows.zone = times.zone
    rows.instrument = instrument or roles.instrument
    screened(rows, texts, drop=drop)
    no_trade(rows, drop=drop)
    if "adjusted" in roles.fields or any("adjusted" in fields for fields in roles.wide.values()):
        adjusted(rows)
    in_order(rows, drop=drop)
    without_incomplete(rows, drop=options.incomplete_last == "drop")
    return rows


def _stamps(frame: pd.DataFrame, places: tuple[int, ...]) -> pd.Series:
    """The times of the rows as one column."""
    if len(places) == 1:
        return frame[places[0]]
    if len(places) == 2:
        return joined_clock(frame[places[0]], frame[places[1]])
    return joined_days([frame[place] for place in places])


def _long_digits(table: Table, place: int) -> bool:
    """Whether times are written as ``202401020930`` or ``02012024``, of which numbers lose
    digits.
    """
    return any(
        re.match(r"\d{11,}|\d{6,7}$|(?!19|20)\d{8}$", row[place])
        for row in table.sample[:5]
        if place < len(row)
    )


def _year_first(table: Table, place: int | None) -> int | None:
    """The column of times, where the sample has the year in front and no offset."""
    if place is None or not all(
        _ISO.fullmatch(row[place]) for row in table.sample if place < len(row)
    ):
        return None
    return place


def _cells(
    table: Table, roles: Roles, drop: bool, dayfirst: bool | None
) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """The cells of the file, numbers where a role wants them, and the texts that became numbers."""
    numeric = {
        *roles.fields.values(),
        *roles.volumes,
        *(p for one in roles.wide.values() for p in one.values()),
    }
    kinds = table.kinds()
    words = {
        p for p in range(table.width) if p not in numeric and kinds[p] not in ("number", "empty")
    }
    words |= {*roles.time} | ({roles.symbol} if roles.symbol is not None else set())
    plain = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|")
    simple = table.typed or all(plain.fullmatch(row[p]) for row in table.sample for p in numeric)
    simple = simple and not any(_grouped_by_dots(table, place) for place in roles.volumes)
    texts_only = {*roles.time[1:], *(roles.time[:1] if len(roles.time) > 1 else ())}
    texts_only |= {place for place in roles.time if _long_digits(table, place)}
    texts_only |= {roles.symbol} if roles.symbol is not None else set()
    if simple:
        stamps = roles.time[0] if len(roles.time) == 1 and not dayfirst and not drop else None
        frame = table.load(
            texts_only, words=frozenset(words), stamps=_year_first(table, stamps), drop=drop
        )
    else:
        frame = table.load(set(range(table.width)), drop=drop)
    if (
        simple
        and not table.typed
        and not all(pd.api.types.is_numeric_dtype(frame[p].dtype) for p in numeric)
    ):
        frame = table.load(
            set(range(table.width)), drop=drop
        )  # a word among the numbers: look at the texts again
    texts = {p: frame[p] for p in numeric if not pd.api.types.is_numeric_dtype(frame[p].dtype)}
    loose = [
        p
        for p in range(table.width)
        if p not in words and p not in numeric and kinds[p] == "number"
    ]
    texts |= {p: frame[p] for p in loose if not pd.api.types.is_numeric_dtype(frame[p].dtype)}
    numbers: dict = {p: frame[p] for p in numeric} | texts
    done = to_numbers(
        numbers,
        delimiter=table.delimiter,
        decimal=table.decimal,
        whole=frozenset(roles.volumes),
    )
    for place, column in done.items():
        if column is not frame[place]:
            frame[place] = column
    roles_of = {place: role for role, place in roles.fields.items()} | dict.fromkeys(
        roles.volumes, "volume"
    )
    return frame, {roles_of[place]: text for place, text in texts.items() if place in roles_of}


def _grouped_by_dots(table: Table, place: int) -> bool:
    """Whether numbers that count something are written like 1.234 and 567: thousands, perhaps."""
    cells = [row[place] for row in table.sample if place < len(row) and row[place]]
    return any("." in cell for cell in cells) and all(map(_DOTTED.fullmatch, cells))


def _symbols(
    frame: pd.DataFrame, roles: Roles, table: Table
) -> tuple[np.ndarray | None, str | None]:
    """Symbols as the file writes them, or the one symbol of the file."""
    if roles.symbol is None:
        return None, None
    column = frame.pop(roles.symbol)
    missing = column.isna()
    text = column.astype("str").str.strip().str.replace(r"^=?[\"'](.*?)[\"']?$", r"\1", regex=True)
    text = text.where(~missing, "")
    names = text.unique()
    if len(names) == 1:
        return None, names[0] or None
    if (text == "").any():
        row = int(np.argmax(text == ""))
        raise UnreadableError(
            f"{table.place(row)} has no symbol in the column {roles.names[roles.symbol]!r}."
        )
    return text.to_numpy(dtype=object), None


def _named(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Columns under the names used here, bars first; candidates for the volume keep their place
    number.
    """
    fields = {role: frame[place] for role, place in roles.fields.items()}
    taken = {*roles.fields.values(), *roles.volumes}
    for place in roles.volumes:
        fields[f"volume {place}"] = frame[place]
    for place in frame.columns:
        name = own_name(roles.names[place])
        if (
            place not in taken
            and name
            and not name.startswith("unnamed:")
            and name not in (*fields, *OHLCV)
        ):
            fields[name] = frame[place]
    return pd.DataFrame(fields, copy=False)


def _long(frame: pd.DataFrame, roles: Roles, times: pd.DatetimeIndex) -> Rows:
    """Columns of several symbols, side by side, one below the other."""
    symbols = sorted(roles.wide)
    fields = [
        name
        for name in (*PRICES, "adjusted", "volume")
        if any(name in roles.wide[symbol] for symbol in symbols)
    ]
    empty = pd.Series(np.nan, index=frame.index)
    blocks = {
        name: np.column_stack(
            [frame[roles.wide[s][name]] if name in roles.wide[s] else empty for s in symbols]
        )
        for name in fields
    }
    there = ~np.logical_and.reduce([np.isnan(blocks[name].astype(np.float64)) for name in PRICES])
    rows = Rows(
        pd.DataFrame({name: block.T[there.T] for name, block in blocks.items()}),
        times[np.tile(np.arange(len(frame)), len(symbols))[there.T.ravel()]],
        np.repeat(np.array(symbols, dtype=object), there.sum(axis=0)),
        lambda row: f"row {row + 1}",
    )
    if "volume" not in rows.frame:
        rows.frame.insert(4, "volume", 0)
    return rows
