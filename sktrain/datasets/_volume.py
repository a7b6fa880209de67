"""The volume of bars: by its name, by what varies, counted in shares or coins rather than in
money."""

import numpy as np
import pandas as pd

from .._reading import UnreadableError, clipped, option, plain_name
from .._validation import OHLCV
from ._roles import PRICES

__all__ = ["own_name", "with_volume"]

_AMOUNTS = frozenset(["amount", "base", "coin", "coins", "qty", "quantity", "size"])
_FEW = 10  # rows that are too few to tell a volume by its numbers, a judgment
# Words in names of whole numbers that vary from bar to bar and are no volume
_NO_VOLUME = frozenset(
    [
        "amount", "turnover", "value", "money", "trades", "trade", "count", "n", "transactions",
        "transaction", "trascation", "deals", "oi", "interest", "openint", "cap", "marketcap", "spread", "outstanding", "number",
        "id", "time", "timestamp", "date", "year", "month", "day", "hour", "minute", "week",
        "weekday", "index", "row", "label", "target", "signal", "close", "quote", "成交额", "成交金额",
        "总市值", "流通市值", "市值", "金额", "成交笔数", "持仓量", "avg", "average", "ma", "sma", "ema", "rank",
        "seq", "sequence", "updated",
    ]
)


def own_name(name: str) -> str:
    """A column's name as the frame has it."""
    return name.strip().strip("<>").strip().lower()


def with_volume(rows, roles) -> pd.DataFrame:
    """One volume of the candidates: the first that varies; of two of which one is the other in
    money, the other.
    """
    frame = rows.frame
    candidates = [f"volume {place}" for place in roles.volumes]
    columns = {name: frame.pop(name) for name in candidates}
    if roles.summed:
        best, other = candidates
        columns[best] = columns[best] + columns[other]
        rows.notes.append(f"volume = {' + '.join(roles.names[place] for place in roles.volumes)}")
        candidates = [best]
    varied = candidates[:1]
    if len(candidates) > 1:
        varied = [name for name, column in columns.items() if column.nunique() > 1] or varied
    best = varied[0] if varied else ""
    for name in varied[1:]:
        money = columns[name] * frame["close"]
        ratio = (columns[best] / money.where(money != 0)).median()
        if (
            0.9 < ratio < 1.1
            and not 0.9 < (columns[best] / columns[name].where(columns[name] != 0)).median() < 1.1
        ):
            best = name
    best, columns = _not_in_money(best, columns, frame)
    if not best and not roles.no_volume:
        best = _unnamed_volume(frame, rows)
        columns = {best: frame.pop(best)} if best else columns
    if not best:
        left = [p for p in frame.columns if isinstance(p, str) and p not in (*PRICES, "adjusted")]
        numeric = [p for p in left if pd.api.types.is_numeric_dtype(frame[p].dtype)]
        unused = f" (not used: {', '.join(numeric[:4])})" if numeric else ""
        rows.notes.append(f"no volume in the file: 0{unused}")
        frame.insert(4 if "adjusted" not in frame else 5, "volume", 0)
    else:
        frame.insert(list(frame.columns).index("close") + 1, "volume", columns[best])
        named = [own_name(name) for name in roles.names]
        rows.volume = named.index(best) if best in named else int(best.partition(" ")[2])
        name = named[rows.volume]
        if len(candidates) > 1 or candidates[:1] != [best]:
            rows.notes.append(f"volume = {name}")
    order = [*OHLCV, *(name for name in frame.columns if name not in OHLCV)]
    return frame if list(frame.columns) == order else frame[order]


def _not_in_money(
    best: str, columns: dict[str, pd.Series], frame: pd.DataFrame
) -> tuple[str, dict[str, pd.Series]]:
    """The amount in coins in place of a volume that is that amount times the price."""
    for name in frame.columns if best else ():
        numeric = pd.api.types.is_numeric_dtype(frame[name].dtype)
        if not (numeric and set(plain_name(name).split()) & _AMOUNTS):
            continue
        other = frame[name].where(frame[name] != 0)
        if 0.9 < (columns[best] / (other * frame["close"])).median() < 1.1 and not (
            0.9 < (columns[best] / other).median() < 1.1
        ):
            return name, {name: frame.pop(name)}
    return best, columns


def _unnamed_volume(frame: pd.DataFrame, rows) -> str:
    """The one column that counts something which varies from bar to bar, where none is named
    volume.
    """
    found = [
        str(name)
        for name in frame.columns
        if name not in (*PRICES, "adjusted")
        and pd.api.types.is_numeric_dtype(frame[name].dtype)
        and not _NO_VOLUME & set(plain_name(name).split())
        and _counts(frame[name].to_numpy(dtype=np.float64))
    ]
    if len(found) > 1:
        shown = [rows.spelled.get(name, name) for name in found]
        raise UnreadableError(
            f"no column is named as the volume, and {', '.join(map(clipped, shown))} may be it. "
            f"Say "
            f"{option('columns', {'volume': shown[0]})}, or {option('columns', {'volume': ''})} "
            f"for none."
        )
    return found[0] if found else ""


def _counts(values: np.ndarray) -> bool:
    """Whether a column holds whole numbers, most of them different and in no order."""
    values = values[np.isfinite(values)]
    if len(values) < _FEW or (values < 0).any() or (values != np.rint(values)).any():
        return False
    step = np.diff(values)
    ordered = (step >= 0).all() or (step <= 0).all()
    return not ordered and len(np.unique(values)) > len(values) / 2
