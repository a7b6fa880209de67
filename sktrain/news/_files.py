"""News files: the path of a CSV, JSONL or Parquet file enters, a list of articles in order of availability leaves."""

import json
from pathlib import Path
import warnings

import pandas as pd

from .._optional import require
from ..exceptions import DataQualityWarning, SktrainError
from ._articles import article_times, as_articles

__all__ = ["read_news"]

_READERS = {
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""]),
    ".csv.gz": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""]),
}


def _read_jsonl(path):
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} holds {type(row).__name__}, expected an object")
            rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def _read_parquet(path):
    require("pyarrow", extra="parquet", caller="read_news")
    return pd.read_parquet(path)


_READERS.update({".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".parquet": _read_parquet})


def read_news(path, *, timezone=None):
    """Read articles from a file.

    Parameters
    ----------
    path : str or path-like
        ``.csv``, ``.csv.gz``, ``.jsonl`` (or ``.ndjson``) or ``.parquet`` with the columns ``title`` and ``available_at`` and, where
        known, ``body``, ``published_at``, ``symbols`` (a list, or text such as ``"AAPL;MSFT"``) and ``language``. Without
        ``available_at``, ``published_at`` is taken for it, with a warning: an archive is rarely readable the moment it is written.
    timezone : str, optional
        Zone of times that carry none, such as ``"America/New_York"``. Default: they stay naive, like naive bars.

    Returns
    -------
    list of NewsArticle
        In order of availability; exact repetitions are dropped, with a ``DataQualityWarning`` that counts them.

    Raises
    ------
    SktrainError
        When the file is missing, of another kind or unreadable, or a row is no article (the row is named).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sktrain.news import read_news
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "news.csv")
    ...     _ = path.write_text("title,available_at,symbols\\nProfit doubles,2024-03-01T14:30Z,AAPL\\n")
    ...     read_news(path)[0].title
    'Profit doubles'
    """
    path = Path(path)
    reader = next((_READERS[kind] for kind in _READERS if path.name.lower().endswith(kind)), None)
    if reader is None:
        raise SktrainError(f"read_news knows {', '.join(_READERS)}, not {path.name!r}.")
    if not path.is_file():
        raise SktrainError(f"There is no news file {str(path)!r}.")
    try:
        table = reader(path)
    except (ValueError, OSError) as error:  # pandas' parser errors and pyarrow's are both
        if isinstance(error, SktrainError):
            raise
        raise SktrainError(f"News file {str(path)!r} cannot be read: {error}") from error
    articles = as_articles(_localised(_named(table, path), timezone))
    return _in_order(articles, path)


def _named(table, path):
    table = table.rename(columns=lambda name: name.strip().lower() if isinstance(name, str) else name)
    if "available_at" in table.columns or "published_at" not in table.columns:
        return table
    warnings.warn(
        f"{path.name} has no column available_at: published_at is taken for it. If the articles reached you later, the bars "
        "between know too much; add the column, or a lag in NewsAligner.",
        DataQualityWarning,
        stacklevel=4,
    )
    return table.assign(available_at=table["published_at"])


def _localised(table, timezone):
    """Give naive times the zone of the file, so that they compare with aware ones."""
    if timezone is None:
        return table
    changed = {}
    for name in ("available_at", "published_at"):
        if name in table.columns:
            changed[name] = [_in_zone(value, timezone, name, row) for row, value in enumerate(table[name].tolist())]
    return table.assign(**{name: pd.Series(values, index=table.index, dtype=object) for name, values in changed.items()})


def _in_zone(value, timezone, name, row):
    if not isinstance(value, (str, pd.Timestamp)) or value is pd.NaT:
        return value
    try:
        stamp = pd.Timestamp(value)
        # a repeated hour is read as its second pass, a skipped one as the moment after: never earlier than it can have been
        return stamp.tz_localize(timezone, ambiguous=False, nonexistent="shift_forward") if stamp.tzinfo is None else stamp
    except (ValueError, KeyError) as error:
        raise SktrainError(f"News row {row}: {name}={value!r} cannot be read as a time in zone {timezone!r}: {error}") from error


def _in_order(articles, path):
    kept = list(dict.fromkeys(articles))
    if len(kept) < len(articles):
        warnings.warn(f"{path.name}: {len(articles) - len(kept)} articles stand more than once; each was kept once.", DataQualityWarning, stacklevel=3)
    times = article_times(kept).times
    return [kept[place] for place in times.argsort(kind="stable")]
