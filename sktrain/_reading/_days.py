"""Day first or month first: the reading that the rows of a column support."""

import re

import numpy as np
import pandas as pd

from ._protocol import UnreadableError, clipped, option

__all__ = ["day_order", "formats_of"]

_SEPARATED = re.compile(r"(\d{1,4})([-/. ])(\d{1,2})\2(\d{1,4})(?=\D|$)(.*)")
_WORDED = re.compile(r"\d{1,2} [^\W\d]{3} (\d{4}|\d{2})")
_MONTHLY = re.compile(r"([^\W\d]{3})([- '])(\d{4}|\d{2})|(\d{4})[- ]([^\W\d]{3})")
_CLOCKS = (
    (r"", ""),
    (r"[ T]\d{1,2}:\d{2}", "%H:%M"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}\.\d+", "%H:%M:%S.%f"),
)
_PLAUSIBLE_SHARE = 0.8  # of the steps, a judgment: the calendar of a market, with its holidays
_LONGEST_GAP = 12  # usual steps, a judgment: no market closes for longer
_ENOUGH = 5  # weekend days expected when none is seen: (5/7)**17, a chance of 0.3 %
_DAY = 86_400 * 10**9  # nanoseconds


def formats_of(first: str, dayfirst: bool | None) -> list[str]:
    """The formats that a stamp may be in, as ``strptime`` writes them.

    Parameters
    ----------
    first : str
        A day, with a time of day behind it or not: numbers between marks, eight digits, or a day
        with its month as three English letters.
    dayfirst : bool or None
        What the caller says of 03/04/2024.

    Examples
    --------
    >>> from sktrain._reading._days import formats_of
    >>> formats_of("03/04/2024 09:30", None)
    ['%d/%m/%Y %H:%M', '%m/%d/%Y %H:%M']
    >>> formats_of("26 Feb 2024", None)
    ['%d %b %Y']
    """
    if re.match(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?=\D|$)", first):
        return ["ISO8601"]
    if re.fullmatch(r"\d{4}[-/.]\d{1,2}", first):
        return [f"%Y{first[4]}%m"]
    if re.fullmatch(r"\d{1,2}[-/.]\d{4}", first):
        return [f"%m{first[-5]}%Y"]
    if re.fullmatch(r"\d{8}", first):
        return _digits(("%Y%m%d", "%d%m%Y", "%m%d%Y"), dayfirst)
    if re.fullmatch(r"\d{6}", first):
        return _digits(("%y%m%d", "%d%m%y"), dayfirst)
    worded = _WORDED.fullmatch(first)
    if worded:
        return ["%d %b %Y" if len(worded[1]) == 4 else "%d %b %y"]
    monthly = _MONTHLY.fullmatch(first)
    if monthly and monthly[4]:
        return [f"%Y{first[4]}%b"]
    if monthly:
        return [f"%b{monthly[2]}%{'Y' if len(monthly[3]) == 4 else 'y'}"]
    found = _SEPARATED.match(first)
    if not found:
        return ["ISO8601"]
    one, mark, _, three, rest = found.groups()
    if len(one) == 4:
        orders = [("%Y", "%m", "%d")]
    elif len(three) == 4:
        orders = [("%d", "%m", "%Y"), ("%m", "%d", "%Y")]
    else:
        orders = [("%d", "%m", "%y"), ("%m", "%d", "%y"), ("%y", "%m", "%d")]
    if dayfirst is not None and len(orders) > 1:
        orders = orders[:1] if dayfirst else orders[1:2]
    return [f"{a}{mark}{b}{mark}{c}{_clock(rest)}" for a, b, c in orders]


def _digits(forms: tuple[str, ...], dayfirst: bool | None) -> list[str]:
    if dayfirst is None:
        return list(forms)
    return [form for form in forms if form.startswith("%d") == dayfirst]


def _clock(rest: str) -> str:
    """The format of what stands behind the day."""
    for pattern, form in _CLOCKS:
        if re.fullmatch(pattern, rest):
            return rest[0] + form if form else ""
    return rest


def day_order(
    fits: dict[str, pd.DatetimeIndex],
    text: pd.Series,
    groups: np.ndarray | None,
    dayfirst: bool | None,
) -> tuple[str, list[str]]:
    """The reading that the rows speak for, and what to say about it.

    Raises
    ------
    UnreadableError
        When nothing decides.
    """
    forms = list(fits)
    _refuse_taiwan(fits, text, groups)
    if any("%b" in form and "%d" not in form for form in forms):
        forms = [form for form in forms if _regular(fits[form], groups)]
        if not forms:  # "Feb 26" may be a day without its year
            raise UnreadableError(
                f"dates such as {clipped(text.iloc[0])} are not one for each month: they have no "
                "day or no year. Name a column of whole dates."
            )
    if len(forms) > 1 and all(index.equals(fits[forms[0]]) for index in fits.values()):
        forms = forms[:1]
    if len(forms) == 1:
        order = _shown(forms[0])
        said = f"dates read as {order}" if order else ""
        if "%d" not in forms[0] and forms[0] != "ISO8601":
            said = "months are stamped at their first day"
        return forms[0], [said] if said else []
    dotted = [form for form in forms if form.startswith("%d.")]
    if dotted:
        return dotted[0], ["dates read as day.month.year"]
    forms = _plausible_years(forms, fits)
    for evidence in (_ordered, _regular, _no_weekends):
        if len(forms) > 1:
            passed = [form for form in forms if evidence(fits[form], groups)]
            forms = passed or forms
    if len(forms) == 1:
        return forms[0], [
            f"dates read as {_shown(forms[0])} (the other order has gaps, weekends or steps back)"
        ]
    raise UnreadableError(
        f"dates such as {clipped(text.iloc[0])} may be day first or month first, and nothing in "
        f"the file decides. Say {option('dayfirst', True)} or {option('dayfirst', False)}."
    )


def _refuse_taiwan(
    fits: dict[str, pd.DatetimeIndex], text: pd.Series, groups: np.ndarray | None
) -> None:
    """Refuse years of two digits under which bars lie on weekends, and as years of the Republic of
    China (from 1911) do not: 90/01/02 is 2001 there.
    """
    index = next(iter(fits.values()))
    if not all(form.startswith("%y") for form in fits) or _no_weekends(index, groups):
        return
    if _no_weekends(index + pd.DateOffset(years=11), groups):  # 1911 + 90 - 1990
        raise UnreadableError(
            f"dates such as {clipped(text.iloc[0])} lie on weekends, unless their years are those "
            "of the Republic of China: write the years in four digits."
        )


def _plausible_years(forms: list[str], fits: dict[str, pd.DatetimeIndex]) -> list[str]:
    """Readings that do not lie in the future."""
    limit = pd.Timestamp.now() + pd.Timedelta(days=366)
    kept = [form for form in forms if fits[form].max() <= limit and fits[form].min().year >= 1900]
    return kept or forms


def _shown(form: str) -> str:
    names = {"d": "day", "m": "month", "y": "year", "Y": "year"}
    found = re.match(r"%([dmyY])(.)%([dmyY]).%([dmyY])", form)
    return "" if not found else found[2].join(names[found[i]] for i in (1, 3, 4))


def _days_by_group(
    index: pd.DatetimeIndex, groups: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Different days of each instrument in rising order, as numbers of days, and the instrument."""
    days = index.asi8 // _DAY
    frame = pd.DataFrame({"group": 0 if groups is None else groups, "day": days}).drop_duplicates()
    frame = frame.sort_values(["group", "day"])
    return frame["day"].to_numpy(), frame["group"].to_numpy()


def _ordered(index: pd.DatetimeIndex, groups: np.ndarray | None) -> bool:
    """Whether the rows run in one direction within each instrument."""
    values = index.asi8
    group = np.zeros(len(values), dtype=np.int64) if groups is None else groups
    order = np.argsort(group, kind="stable")
    step = np.diff(values[order])[group[order][1:] == group[order][:-1]]
    return bool((step >= 0).all() or (step <= 0).all())


def _regular(index: pd.DatetimeIndex, groups: np.ndarray | None) -> bool:
    """Whether the days follow the calendar of a market: daily, weekly, monthly, quarterly or
    yearly, without long gaps.
    """
    days, group = _days_by_group(index, groups)
    same = group[1:] == group[:-1]
    step = np.diff(days)[same]
    if not len(step):
        return False
    dates = days.astype("datetime64[D]")
    start, end = dates[:-1][same], dates[1:][same]
    inside = len(index) > 2 * len(days)  # several bars a day: the days follow one another
    business = np.busday_count(start, end)
    months = end.astype("datetime64[M]").astype(int) - start.astype("datetime64[M]").astype(int)
    near = np.abs(step - 30.44 * months) < 4
    calendars = [(business == 1, 1.0), (step == 1, 1.0)]
    if not inside:
        calendars += [
            ((step == 7), 7.0),
            (near & (months == 1), 30.0),
            (near & (months == 3), 91.0),
            (near & (months == 12), 365.0),
        ]
    return any(
        hit.mean() >= _PLAUSIBLE_SHARE and step.max() <= _LONGEST_GAP * usual
        for hit, usual in calendars
    )


def _no_weekends(index: pd.DatetimeIndex, groups: np.ndarray | None) -> bool:
    """Whether no bar lies on a weekend, among so many days that chance would have put some
    there.
    """
    days = np.unique(_days_by_group(index, groups)[0])
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return len(days) * 2 / 7 >= _ENOUGH and not (weekday >= 5).any()
