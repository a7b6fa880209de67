"""Values so far outside of what a column held that they are mistakes, not news: a bad tick, a
feed's number for "missing".

A column's tail is learned from the reference; rows of a sample beyond all likely values are found.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = [
    "Tail",
    "describe_outliers",
    "far_outside",
    "outlier_rows",
    "outlier_table",
    "windows_far_outside",
]

# values expected beyond the reach of a whole check when nothing is wrong: one in 1,000 checks, a
# judgment
_FALSE = 1e-3
_TAIL = 0.05  # of the rows are taken for a tail, a judgment: the normal's has begun there ...
# ... and at least so many, where a quarter of the rows are as many: Hill's error is 1 / √10
_FEWEST = 10
# The tail index of returns is between 2 and 5 (Cont 2001, "Empirical properties of asset returns"):
# no column is taken to have a lighter tail than x ** -5, so a few quiet rows rule nothing out.
_LIGHTEST = 0.2
# two-sided 95 % quantile of the normal: Hill's estimate has a standard error of itself / √n (Hall
# 1982)
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Tail:
    """How far the values of one column stray from its median.

    Attributes
    ----------
    center : float
        The median.
    onset : float
        The deviation at which the tail begins; NaN for a column that has none, because it is
        constant or missing.
    share : float
        Of the rows beyond it.
    index : float
        Extreme value index: beyond ``onset`` the share of the rows falls like ``deviation ** (-1 /
        index)``.
    """

    center: float = np.nan
    onset: float = np.nan
    share: float = np.nan
    index: float = np.nan

    @classmethod
    def learn(cls, ordered):
        """Hill's estimator (1975) on the largest deviations, at the upper end of its 95 % interval.

        Parameters
        ----------
        ordered : ndarray
            Sorted values without NaN.
        """
        n = len(ordered)
        if n < 2 or ordered[0] == ordered[-1]:
            return cls()
        center = float(ordered[n // 2])
        size = min(max(int(np.ceil(_TAIL * n)), _FEWEST), max(n // 4, 1))
        ends = np.concatenate([center - ordered[: size + 1], ordered[-size - 1 :] - center])
        largest = np.sort(ends)[::-1][: size + 1]
        largest = largest[largest > 0]
        size = len(largest) - 1
        if size < 1:  # one row differs from all the others: nothing is known of its kind
            return cls()
        hill = np.log(largest[:-1] / largest[-1]).mean() * (1 + _NORMAL_95 / np.sqrt(size))
        return cls(center, float(largest[-1]), (size + 1) / n, float(max(hill, _LIGHTEST)))

    def reach(self, n_values):
        """The deviation that fewer than 0.001 of ``n_values`` values are expected to pass (Weissman
        1978)."""
        return self.onset * max(self.share * n_values / _FALSE, 1.0) ** self.index


def far_outside(tails, sample):
    """Rows of a sample in which a column is so far outside that it must be a mistake.

    Returns
    -------
    dict of int to int ndarray
        Per column that has any, the rows.
    """
    n_values = sample.n_rows * max(sum(missing is None for missing in sample.missing), 1)
    found = {}
    for position, (tail, values, ends) in enumerate(zip(tails, sample.columns, sample.extremes)):
        if sample.missing[position] is not None or np.isnan(tail.onset):
            continue
        with np.errstate(over="ignore"):
            reach = tail.reach(n_values)
        if max(ends[1] - tail.center, tail.center - ends[0]) > reach:
            found[position] = np.flatnonzero(
                np.abs(np.asarray(values, dtype=np.float64) - tail.center) > reach
            )
    return found


def outlier_rows(found):
    """Numbers of the rows found in any column, in order."""
    return np.unique(np.concatenate([np.empty(0, dtype=np.intp), *found.values()]))


def outlier_table(X, sample, found):
    """The part of ``X`` that is far outside: its rows by their labels, its columns by name, NaN
    where a value is as others are."""
    rows = outlier_rows(found)
    labels = X.index[rows] if isinstance(X, (pd.DataFrame, pd.Series)) else pd.Index(rows)
    values = {}
    for position, own in found.items():
        column = np.full(len(rows), np.nan)
        column[np.searchsorted(rows, own)] = sample.columns[position][own]
        values[sample.names[position]] = column
    return pd.DataFrame(values, index=labels)


def describe_outliers(table):
    """One clause that says how many there are and where the first is."""
    name = next(name for name in table.columns if not np.isnan(table[name].iloc[0]))
    count = "1 row is" if len(table) == 1 else f"{len(table)} rows are"
    first = f"{name!r} is {table[name].iloc[0]:.4g} at {table.index[0]}"
    return f"{count} far outside and left out ({first}): repair or drop"


def windows_far_outside(tails, windows):
    """Whether any step of a window holds a value that is far outside: a bad tick stays in the
    windows of later rows.

    Parameters
    ----------
    tails : list of Tail
    windows : array-like (n, n_steps, n_columns)

    Returns
    -------
    bool ndarray (n,)
        All False when the windows hold other columns than the table the tails were learned from.
    """
    windows = np.asarray(windows[np.arange(len(windows))])
    if windows.shape[2] != len(tails):
        return np.zeros(len(windows), dtype=bool)
    reach = np.array([tail.reach(len(windows) * len(tails)) for tail in tails])
    center = np.array([tail.center for tail in tails])
    with np.errstate(invalid="ignore"):
        return (np.abs(windows - center) > reach).any(axis=(1, 2))
