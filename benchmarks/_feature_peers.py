"""The columns of ``BarFeatures`` with TA-Lib and with polars: what a practitioner would write with
each of them.

TA-Lib and polars keep running totals, so their columns carry rounding from the far past; they agree
with ours to few digits.
"""

import numpy as np

__all__ = ["with_polars", "with_talib"]

PARKINSON = 4 * np.log(2)
TINY = 1e-12


def _ratio(top, bottom, neutral=0.0):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(bottom) <= TINY, neutral, top / bottom)


def with_talib(bars, windows):
    """Name of each feature and its array."""
    import talib

    o, h, l, c, v = (  # noqa: E741
        bars[name].to_numpy(dtype=float) for name in ("open", "high", "low", "close", "volume")
    )
    before = np.concatenate([[np.nan], c[:-1]])
    step, spread = np.log(c / before), np.log(h / l)
    out = {
        "return_1": step,
        "gap": np.log(o / before),
        "body_share": _ratio(np.log(c / o), spread),
        "close_location": _ratio(2 * c - h - l, h - l),
    }
    square, range_square, move = step * step, spread * spread, np.abs(step)
    rise, true_range = np.maximum(step, 0), talib.TRANGE(h, l, c) / before
    shorter = None
    for w in windows:
        sample = np.sqrt(w / (w - 1))
        mean = talib.SMA(c, w)
        out[f"momentum_{w}"] = _ratio(talib.SUM(step, w), np.sqrt(w * talib.SUM(square, w)))
        out[f"volatility_{w}"] = talib.STDDEV(step, w) * sample
        out[f"range_volatility_{w}"] = np.sqrt(talib.SMA(range_square, w) / PARKINSON)
        out[f"atr_{w}"] = talib.SMA(true_range, w)
        out[f"rsi_{w}"] = _ratio(talib.SUM(rise, w), talib.SUM(move, w), 0.5)
        out[f"band_{w}"] = _ratio(c - mean, 2 * sample * talib.STDDEV(c, w))
        out[f"volume_zscore_{w}"] = _ratio(v - talib.SMA(v, w), sample * talib.STDDEV(v, w))
        if shorter is not None:
            out[f"ma_ratio_{shorter[0]}_{w}"] = np.log(shorter[1] / mean)
        shorter = w, mean
    year = 2 * np.pi * (bars.index.day_of_year.to_numpy() - 1) / 365.25
    out["weekday"] = bars.index.day_of_week.to_numpy() / 3.0 - 1
    out["year_sin"], out["year_cos"] = np.sin(year), np.cos(year)
    return out


def with_polars(table, windows):
    """A polars frame of the features of ``table``, a polars frame with a column ``time``."""
    import polars as pl

    o, h, l, c, v = (pl.col(name) for name in ("open", "high", "low", "close", "volume"))  # noqa: E741

    def ratio(top, bottom, neutral=0.0):
        return pl.when(bottom.abs() <= TINY).then(neutral).otherwise(top / bottom)

    base = table.lazy().with_columns(before=c.shift(1))
    base = base.with_columns(step=(c / pl.col("before")).log(), spread=(h / l).log())
    step, spread, before = pl.col("step"), pl.col("spread"), pl.col("before")
    reach = (pl.max_horizontal(h, before) - pl.min_horizontal(l, before)) / before
    base = base.with_columns(
        square=step * step,
        range_square=spread * spread,
        move=step.abs(),
        rise=step.clip(lower_bound=0),
        reach=reach,
    )
    columns = [
        step.alias("return_1"),
        (o / before).log().alias("gap"),
        ratio((c / o).log(), spread).alias("body_share"),
        ratio(2 * c - h - l, h - l).alias("close_location"),
    ]
    for previous, w in zip([None, *windows], windows):
        mean, total = c.rolling_mean(w), pl.col("square").rolling_sum(w)
        columns += [
            ratio(step.rolling_sum(w), (w * total).sqrt()).alias(f"momentum_{w}"),
            step.rolling_std(w).alias(f"volatility_{w}"),
            (pl.col("range_square").rolling_mean(w) / PARKINSON)
            .sqrt()
            .alias(f"range_volatility_{w}"),
            pl.col("reach").rolling_mean(w).alias(f"atr_{w}"),
            ratio(pl.col("rise").rolling_sum(w), pl.col("move").rolling_sum(w), 0.5).alias(
                f"rsi_{w}"
            ),
            ratio(c - mean, 2 * c.rolling_std(w)).alias(f"band_{w}"),
            ratio(v - v.rolling_mean(w), v.rolling_std(w)).alias(f"volume_zscore_{w}"),
        ]
        if previous is not None:
            columns.append(
                (c.rolling_mean(previous) / mean).log().alias(f"ma_ratio_{previous}_{w}")
            )
    year = 2 * np.pi * (pl.col("time").dt.ordinal_day() - 1) / 365.25
    columns.append(((pl.col("time").dt.weekday() - 1) / 3.0 - 1).alias("weekday"))
    columns += [year.sin().alias("year_sin"), year.cos().alias("year_cos")]
    return base.select(columns).collect()
