"""What a detector remembers of its reference: a summary per column and second moments of their
order, no rows.

The size of a :class:`Reference` does not depend on the rows: about
2.6 KB per numeric column with 38 of them. Its state is NumPy arrays and plain values, so any file
that holds those can hold it.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ._correlations import CORRELATED, WANDERING, Pairs
from ._null import Gram, Moments, effective_rows, moments, remembered_horizons
from ._outliers import Tail
from ._sketch import CategoricalReference, NumericReference
from ._statistics import middle_ranks, smooth_components, sorted_values, thinned

__all__ = ["Reference", "Series", "Stretch", "components_of", "indicators_of", "keep"]

# Series per numeric column: its values, and the location, spread, asymmetry and tails of its ranks.
_COMPONENTS = 5


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows in order of time: values per column, and where each time starts (None: every
    row)."""

    values: list
    heads: np.ndarray | None

    @property
    def n_times(self):
        return len(self.values[0]) if self.heads is None else len(self.heads)

    def by_time(self, deviations):
        return deviations if self.heads is None else np.add.reduceat(deviations, self.heads, axis=0)


def keep(sample, columns, codes=None):
    """The rows from which dependence is learned; categories as the codes of their bins."""
    stretches = []
    for stretch in sample.stretches():
        rows = sample.rows(stretch)
        values = []
        for position, (own, absent, column) in enumerate(
            zip(sample.columns, sample.missing, columns)
        ):
            if absent is None:
                values.append(column.snap(np.array(own[rows], dtype=np.float64)))
            else:
                values.append(
                    column.encode(own[rows], absent[rows])
                    if codes is None
                    else codes[position][rows]
                )
        stretches.append(Stretch(values, sample.heads(stretch)))
    return stretches


def components_of(stretch, values, ranks, means, per_time):
    """Deviations of the five components of a numeric column from their means, per time."""
    absent = np.isnan(values)
    own = np.column_stack([values, smooth_components(ranks(values))]) - means
    own[absent] = 0.0
    return stretch.by_time(own / per_time)


def indicators_of(stretch, hits, shares, per_time):
    """Deviations of indicators (n_rows, m) from their shares, per time."""
    return stretch.by_time((hits - shares) / per_time)


@dataclass(frozen=True)
class Reference:
    """What a detector remembers.

    Attributes
    ----------
    names : list of str
    columns : list of NumericReference or CategoricalReference
    tails : list of Tail
        Of every column; of categories an empty one.
    components : Moments
        Five series per numeric column.
    indicators : Moments
        One series per bin of a categorical column, and one per numeric column that has missing
        values.
    pairs : Pairs
    n_rows, n_times : int
    start, end : object
        First and last time, None without times.
    """

    names: list
    columns: list
    tails: list
    components: Moments
    indicators: Moments
    pairs: Pairs
    n_rows: int
    n_times: int
    start: object
    end: object

    @classmethod
    def learn(cls, sample, n_bins):
        """Remember a sample."""
        columns, tails, codes, ordered = [], [], {}, {}
        for position, (values, missing, eps) in enumerate(
            zip(sample.columns, sample.missing, sample.resolutions)
        ):
            if missing is None:
                own = sorted_values(values)
                column = NumericReference.learn(values, n_bins, eps, own)
                ordered[position] = thinned(own)  # one sorted column at a time, or memory doubles
                tails.append(Tail.learn(own))
            else:
                column, codes[position] = CategoricalReference.learn(values, missing)
                tails.append(Tail())
            columns.append(column)
        stretches = keep(sample, columns, codes)
        spans = remembered_horizons(sum(part.n_times for part in stretches))
        series = _ReferenceSeries(stretches, sample.n_times, spans)
        components, indicators = series.components(columns, ordered), series.indicators(columns)
        worth = effective_rows(components)[::_COMPONENTS] if ordered else []
        numeric = (
            [i for i, rows in zip(ordered, worth) if rows >= WANDERING]
            if len(ordered) > CORRELATED
            else list(ordered)
        )
        pairs = Pairs.learn(stretches, numeric, spans)
        return cls(
            sample.names,
            columns,
            tails,
            components,
            indicators,
            pairs,
            sample.n_rows,
            sample.n_times,
            sample.start,
            sample.end,
        )

    def state(self):
        """NumPy arrays and plain values that :meth:`from_state` turns back into the same
        reference."""
        columns = [
            asdict(column) | {"kind": column.kind} | asdict(tail)
            for column, tail in zip(self.columns, self.tails)
        ]
        packed = {
            name: _packed([column.get(name, ()) for column in columns], dtype)
            for name, dtype in _ARRAYS.items()
        }
        plain = {name: [column.get(name) for column in columns] for name in _PLAIN}
        plain["categories"] = [list(names or ()) for names in plain["categories"]]
        moments = {name: _moments_state(part) for name, part in self._moments().items()}
        pairs = {"columns": self.pairs.columns, "correlations": self.pairs.correlations}
        whole = {name: getattr(self, name) for name in _WHOLE}
        return {**whole, "plain": plain, "arrays": packed, "moments": moments, "pairs": pairs}

    def _moments(self):
        return {
            "components": self.components,
            "indicators": self.indicators,
            "pairs": self.pairs.moments,
        }

    @classmethod
    def from_state(cls, state):
        """The reference whose :meth:`state` this is."""
        arrays = {
            name: _unpacked(whole, lengths, _ARRAYS[name])
            for name, (whole, lengths) in state["arrays"].items()
        }
        columns, tails = [], []
        for position, kind in enumerate(state["plain"]["kind"]):
            own = {name: values[position] for name, values in (state["plain"] | arrays).items()}
            own["categories"] = tuple(own["categories"])
            wanted = NumericReference if kind == "numeric" else CategoricalReference
            columns.append(wanted(**{entry.name: own[entry.name] for entry in fields(wanted)}))
            tails.append(Tail(**{entry.name: own[entry.name] for entry in fields(Tail)}))
        parts = {name: _moments_of(part) for name, part in state["moments"].items()}
        pairs = Pairs(**state["pairs"], moments=parts.pop("pairs"))
        return cls(
            columns=columns,
            tails=tails,
            pairs=pairs,
            **parts,
            **{name: state[name] for name in _WHOLE},
        )

    def columns_for(self, sample):
        """The columns as the storage of a sample would have held them; those that held nothing are
        of the sample's kind."""
        columns = []
        for old, missing, eps in zip(self.columns, sample.missing, sample.resolutions):
            now: Any = NumericReference if missing is None else CategoricalReference
            old = old if isinstance(old, now) else now.nothing(self.n_rows)
            columns.append(old.at(eps) if missing is None else old)
        return columns

    def dependence(self, position, bins=None):
        """Moments of the series of one column; of some bins of a categorical one."""
        column = self.columns[position]
        if isinstance(column, NumericReference):
            if bins is not None:
                return self.indicators.silent(len(bins))
            first = _COMPONENTS * sum(
                isinstance(other, NumericReference) for other in self.columns[:position]
            )
            return self.components.at(slice(first, first + _COMPONENTS))
        return self.indicators.at(self._first_indicator(position) + bins)

    def absence(self, position):
        """Moments of where a numeric column is missing."""
        column = self.columns[position]
        if not column.n_missing or not isinstance(column, NumericReference):
            return self.indicators.silent(1)
        first = self._first_indicator(position)
        return self.indicators.at(slice(first, first + 1))

    def _first_indicator(self, position):
        return sum(_n_indicators(column) for column in self.columns[:position])


_WHOLE = ("names", "n_rows", "n_times", "start", "end")
_ARRAYS = {
    "knots": np.float64,
    "ranks": np.int64,
    "edges": np.float64,
    "below": np.bool_,
    "counts": np.int64,
    "known": np.uint32,
}
_PLAIN = (
    "kind",
    "n_rows",
    "n_missing",
    "mean",
    "std",
    "eps",
    "center",
    "onset",
    "share",
    "index",
    "categories",
    "limit",
)


def _packed(arrays, dtype):
    """Arrays behind one another, and their lengths; counts in as few bytes as they need."""
    whole = np.concatenate([np.asarray(array, dtype=dtype) for array in arrays])
    if dtype is np.int64 and whole.max(initial=0) < 2**32:
        whole = whole.astype(np.uint32)
    return whole, np.array([len(array) for array in arrays], dtype=np.uint32)


def _unpacked(whole, lengths, dtype):
    return np.split(whole.astype(dtype), np.cumsum(lengths)[:-1].astype(int))


def _moments_state(part):
    if part is None:
        return None
    grams = {
        name: None if gram is None else (gram.rows, gram.sums)
        for name, gram in (("short", part.short), ("long", part.long))
    }
    return {"n_times": part.n_times, "n": part.n, "squares": part.squares, **grams}


def _moments_of(state):
    if state is None:
        return None
    grams = {
        name: None if state[name] is None else Gram(*state[name]) for name in ("short", "long")
    }
    return Moments(**(state | grams))


def _n_indicators(column):
    return int(column.n_missing > 0) if isinstance(column, NumericReference) else len(column.counts)


@dataclass(frozen=True)
class Series:
    """What rows are read as: the stretches that show their dependence."""

    stretches: list
    n_times: int
    spans: list

    def moments(self, make):
        """Of the series that ``make`` computes from every stretch."""
        return moments([make(part) for part in self.stretches], self.n_times, self.spans)


class _ReferenceSeries(Series):
    """Those of a reference, made from its rows once."""

    def components(self, columns, ordered):
        parts = [self.moments(lambda part: np.zeros((part.n_times, 0)))]
        for position, values in ordered.items():
            parts.append(self._of_numbers(position, columns[position], values))
        return Moments.join(parts)

    def _of_numbers(self, position, column, values):
        if not len(values):
            return self.moments(lambda part: np.zeros((part.n_times, _COMPONENTS)))
        values = column.snap_ordered(values)

        def ranks(rows):
            return np.clip(
                middle_ranks(values, rows), 0.5 / column.n_present, 1 - 0.5 / column.n_present
            )

        means = np.append(column.mean, smooth_components(ranks(values)).mean(axis=0))
        per_time = column.n_present / self.n_times
        return self.moments(
            lambda part: components_of(part, part.values[position], ranks, means, per_time)
        )

    def indicators(self, columns):
        parts = [self.moments(lambda part: np.zeros((part.n_times, 0))).compact()]
        for position, column in enumerate(columns):
            if not _n_indicators(column):
                continue
            numeric = isinstance(column, NumericReference)
            share = (
                np.array([column.n_missing]) / column.n_rows
                if numeric
                else column.counts / column.n_rows
            )
            per_time = column.n_rows / self.n_times

            def deviations(
                part, position=position, numeric=numeric, share=share, per_time=per_time
            ):
                own = part.values[position][:, None]
                return indicators_of(
                    part,
                    np.isnan(own) if numeric else own == np.arange(len(share)),
                    share,
                    per_time,
                )

            parts.append(self.moments(deviations).compact())
        return Moments.join(parts)
