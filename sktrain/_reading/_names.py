"""Column names in one spelling; a table of synonyms gives their role."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
import re
import unicodedata

__all__ = ["RoleTable", "parts_of_days", "plain_name", "tell_no_symbols", "tells_of_rows"]

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMBERED = re.compile(r"^\d{1,2}[a-z]?[.)]\s+")
_BRACKETS = re.compile(r"\s*[(\[（【][^)\]）】]*[)\]）】]\s*$")
_MARKS = re.compile(r"[\s_\-./\\:*#%<>\"'`|]+")
# Traditional characters of column names as the simplified ones: 開盤價 and 开盘价 are one name
_SIMPLIFIED = str.maketrans(
    dict(
        zip(
            "開盤價數額時間證標題發佈內號漲據總歷聞資訊",
            "开盘价数额时间证标题发布内号涨据总历闻资讯",
        )
    )
    # Turkish, whose lower case would carry a dot of its own
    | {"İ": "i"}
)
_UNKNOWN = 10**6  # ranks: a name of the table, a name made of known words, no name


def plain_name(name: object, *, units: bool = False) -> str:
    """One spelling for a column name: lower case, words apart, no marks, and without ``units`` no
    trailing brackets.

    Examples
    --------
    >>> from sktrain._reading._names import plain_name
    >>> names = ("<TICKVOL>", "adjClose", "5. adjusted close", "开盘价(元)", "Gmt time", "Vol.")
    >>> [plain_name(name) for name in names]
    ['tickvol', 'adj close', 'adjusted close', '开盘价', 'gmt time', 'vol']
    """
    return _plain(str(name), units)


@lru_cache(maxsize=1 << 16)  # more than the names of the widest table, which stand for many roles
def _plain(name: str, units: bool) -> str:
    text = unicodedata.normalize("NFKC", name).strip().translate(_SIMPLIFIED)
    text = _NUMBERED.sub("", text)
    if not units:
        text = _BRACKETS.sub("", text) or text
    text = _CAMEL.sub(" ", text)
    text = _MARKS.sub(" ", text.replace("(", " ").replace(")", " ")).strip().lower()
    return "" if text.startswith("unnamed ") or text == "unnamed" else text


class RoleTable:
    """Synonyms of each role, the surest first.

    Parameters
    ----------
    synonyms : mapping of str to sequence of str
        Names as :func:`plain_name` writes them.
    words : mapping of str to pair of collections of str, optional
        For a role, words of which a name needs one, and words that may stand beside it: a name of
        no other words is a name of the role, after those of ``synonyms``.
    """

    def __init__(
        self,
        synonyms: Mapping[str, Sequence[str]],
        *,
        words: Mapping[str, tuple[Collection[str], Collection[str]]] | None = None,
    ) -> None:
        self._rank: dict[str, dict[str, int]] = {
            role: {plain_name(name): place for place, name in reversed(list(enumerate(names)))}
            for role, names in synonyms.items()
        }
        self._joined: dict[str, dict[str, int]] = {
            role: {name.replace(" ", ""): place for name, place in reversed(ranks.items())}
            for role, ranks in self._rank.items()
        }
        self._words = {
            role: (frozenset(core), frozenset(core) | frozenset(more))
            for role, (core, more) in (words or {}).items()
        }
        self._all = {name for ranks in self._rank.values() for name in ranks} - {""}

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self._rank)

    def knows(self, name: str) -> bool:
        """Whether a cell is the name of a role."""
        if not name or len(name) > 60:  # a sentence of known words is no name
            return False
        plain, whole = plain_name(name), plain_name(name, units=True)
        if plain in self._all or whole in self._all:
            return True
        return any(
            plain.replace(" ", "") in self._joined[role] or self._worded(role, plain)
            for role in self._words
        )

    def count(self, text: str) -> int:
        """How many cells in the first lines of a text are names of roles."""
        lines = text.split("\n", 20)[:20]
        return max((sum(map(self.knows, re.split(r"[,;\t|]", line))) for line in lines), default=0)

    def named(self, names: Iterable[str]) -> int:
        """How many roles have a column of their name."""
        names = list(names)
        return sum(bool(self.candidates(role, names)) for role in self.roles)

    def candidates(self, role: str, names: Iterable[str]) -> list[int]:
        """Positions of the columns that may play a role, the surest first."""
        found = [(self._ranked(role, name), _shouted(name), i) for i, name in enumerate(names)]
        return [place for rank, _, place in sorted(found) if rank < _UNKNOWN]

    def _ranked(self, role: str, name: str) -> int:
        ranks, joined = self._rank[role], self._joined[role]
        plain, whole = plain_name(name), plain_name(name, units=True)
        if plain in ranks or whole in ranks:
            return min(ranks.get(plain, _UNKNOWN), ranks.get(whole, _UNKNOWN))
        if plain.replace(" ", "") in joined:  # publishedAt, published_at, publishedat: one name
            return joined[plain.replace(" ", "")]
        return _UNKNOWN // 2 + len(plain) if self._worded(role, plain) else _UNKNOWN

    def _worded(self, role: str, plain: str) -> bool:
        """Whether a name is made of the words of a role."""
        if role not in self._words:
            return False
        core, allowed = self._words[role]
        words = set(plain.split())
        return bool(words & core) and words <= allowed


def _shouted(name: str) -> bool:
    """Whether a name is one capital letter: beside ``l``, the low, ``L`` is something else."""
    return len(name.strip()) == 1 and name.strip().isupper()


_PARTS = (
    (
        "year", "yyyy", "年", "jahr", "année", "año", "ano", "anno", "jaar", "år", "rok", "год",
        "yıl",
    ),
    (
        "month", "mm", "mon", "月", "monat", "mois", "mes", "mês", "mese", "maand", "měsíc", "месяц",
        "ay",
    ),
    ("day", "dd", "日", "tag", "jour", "día", "dia", "giorno", "dag", "den", "день", "gün"),
    ("hour", "hh", "时", "小时", "stunde", "heure", "hora", "ora", "uur", "hodina", "час", "saat"),
    ("minute", "min", "分", "分钟", "minuto", "minuta"),
)


def parts_of_days(names: Sequence[str]) -> list[int]:
    """Positions of year, month and day, and of hour and minute, where each has a column of its own.

    Examples
    --------
    >>> from sktrain._reading import parts_of_days
    >>> parts_of_days(["Year", "Month", "Day", "Open", "High", "Low", "Close"])
    [0, 1, 2]
    """
    plain = [plain_name(name) for name in names]
    found = [next((i for i, name in enumerate(plain) if name in part), None) for part in _PARTS]
    if None in found[:3]:
        return []
    ends = found.index(None) if None in found else len(found)
    return [place for place in found[:ends] if place is not None]


_OF_ROWS = frozenset(
    [
        "updated",
        "update",
        "modified",
        "created",
        "inserted",
        "loaded",
        "downloaded",
        "fetched",
        "retrieved",
        "scraped",
        "crawled",
        "expiry",
        "expiration",
        "expires",
        "maturity",
        "delivery",
        "settlement",
        "listed",
        "ipo",
        "ex",
        "dividend",
    ]
)


def tells_of_rows(name: str) -> bool:
    """Whether a column's times say when a row was written or what it is due, not what it is
    dated.
    """
    return bool(_OF_ROWS & set(plain_name(name).split()))


# How the spans of bars are written, and what the parts of one data set are called
_SPANS = re.compile(
    r"(?i)(?:\d+(?:s|sec|second|m|mi|min|minute|h|hr|hour|d|day|w|wk|week|mo|mon|month|y|year)s?"
    r"|[smhdw]\d+|mn1|(?:second|minute|hour|week|month|quarter|year)(?:ly|s)?|days?|daily|intraday"
    r"|eod|日线|周线|月线|日足|週足|月足|일봉|주봉|월봉)"
)
_SHARES = frozenset(
    [
        "train", "training", "test", "testing", "valid", "validation", "val", "holdout", "oos",
        "backtest", "history", "historical", "forecast", "predicted", "prediction", "predictions",
        "actual", "past", "future", "raw", "unadjusted", "adjusted", "adj", "qfq", "hfq", "bid",
        "ask", "mid", "part",
    ]
)  # fmt: skip


def tell_no_symbols(names: Iterable[str]) -> bool:
    """Whether tables are told apart by the span of their bars or as parts of a data set.

    Examples
    --------
    >>> from sktrain._reading import tell_no_symbols
    >>> tell_no_symbols(["daily", "weekly"]), tell_no_symbols(["AAPL_train", "AAPL_test"])
    (True, True)
    >>> tell_no_symbols(["BTC_1h", "ETH_1h"])
    False
    """
    words = [re.findall(r"[^\W_]+", name.lower()) for name in names]
    common = set.intersection(*map(set, words)) if words else set()
    own = [[word for word in each if word not in common] for each in words]
    return len(own) > 1 and any(own) and all(
        _SPANS.fullmatch(word) or word in _SHARES for each in own for word in each
    )
