"""A synthetic market with a planted label: a seed enters, bars leave whose best possible accuracy is known exactly.

Returns measured in their bar's own volatility follow a stationary Gaussian AR(1), so the outcome over the next ``horizon`` bars is,
given everything up to bar t, Gaussian with a mean proportional to the last such return: the class probabilities are closed forms.
"""

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from .._history import with_history
from .._validation import Number, check_bars, check_count
from ..exceptions import SktrainError

__all__ = ["make_market"]

_STATES = {"calm": 0.006, "normal": 0.012, "turbulent": 0.025}  # standard deviation of a bar's return, without autocorrelation
_STAY = 150  # mean number of bars in a state
_WICKS = 1.5  # upper and lower shadow together, in the bar's volatility
_TERCILE = 0.4307272992954576  # upper tercile of the standard normal
_DAYS = 50_000  # more bars than this are minutes, so that times stay within nanoseconds


def make_market(n_bars=2000, n_symbols=1, *, signal=0.5, horizon=1, regimes=True, random_state=None):
    """Draw bars and a label with three classes whose Bayes accuracy is known.

    With ``z`` a bar's log return in units of its own volatility, ``z[t+1] = rho z[t] + sqrt(1 - rho^2) e[t+1]``. The label of row t
    is the tercile (0 low, 1 middle, 2 high, equally likely) of ``z[t+1] + ... + z[t+horizon]``, and ``rho`` is chosen so that the
    correlation of that sum with its best forecast is ``signal``: labels overlap like real ones, and the same signal is equally hard
    at every horizon. ``z[t]`` can be read off bar t exactly: the market opens at the previous close, and the shadows of a
    candle are together 1.5 volatilities long, so its body share ``log(close/open) / log(high/low)`` is ``z / (|z| + 1.5)``.

    Parameters
    ----------
    n_bars : int, default=2000
        Rows per symbol.
    n_symbols : int, default=1
        More than one gives a panel of independent instruments ``S0, S1, ...`` indexed by ``(symbol, time)``.
    signal : float in [0, 1), default=0.5
        Correlation between the outcome and its best forecast; 0 leaves nothing to find.
    horizon : int, default=1
        Bars between a row and the bar that decides its label.
    regimes : bool, default=True
        Whether volatility changes between calm (0.6 %), normal (1.2 %) and turbulent (2.5 % a bar); else it is always normal.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    Bunch
        ``bars`` : DataFrame with a history handle, n_bars rows per symbol. As after a labeler's ``fit_resample``, the handle also knows the
        ``horizon`` bars that decide the last labels.
        ``y`` : Series of int in {0, 1, 2}, ``y.attrs["label_horizon"]`` set.
        ``probabilities`` : DataFrame, the true class probabilities given all bars up to the row.
        ``bayes_accuracy`` : float, mean over the rows of the largest true probability: what the best classifier is expected to score.
        ``majority_accuracy`` : float, what the best constant answer is expected to score.
        ``regimes`` : Series of str, the volatility state of each row.

    Raises
    ------
    SktrainError
        When a parameter is out of range.

    Examples
    --------
    >>> from sktrain.datasets import make_market
    >>> market = make_market(500, signal=0.8, random_state=0)
    >>> market.bars.shape, market.y.attrs
    ((500, 5), {'label_horizon': 1})
    >>> round(market.bayes_accuracy, 2), round(make_market(500, signal=0, random_state=0).bayes_accuracy, 2)
    (0.67, 0.33)
    """
    n_bars, n_symbols, horizon = check_count("n_bars", n_bars), check_count("n_symbols", n_symbols), check_count("horizon", horizon)
    if not Number(0, 1, closed="left").is_satisfied_by(signal):
        raise SktrainError(f"signal must be a number in [0, 1), got {signal!r}.")
    if not isinstance(regimes, (bool, np.bool_)):
        raise SktrainError(f"regimes must be True or False, got {regimes!r}.")
    rng = check_random_state(random_state)
    rho = _autocorrelation(float(signal), horizon)
    times = _times(n_bars + horizon)
    draws = [_draw_symbol(rng, times, rho, bool(regimes)) for _ in range(n_symbols)]
    bars, z, states = (pd.concat(part) if n_symbols == 1 else pd.concat(part, keys=_names(n_symbols), names=["symbol", "time"]) for part in zip(*draws))
    known = np.tile(np.arange(n_bars + horizon) < n_bars, n_symbols)
    y, probabilities = _plant(z, n_symbols, float(signal), rho, horizon)
    probabilities = probabilities[known]
    y = y[known].astype(np.int64)
    y.attrs["label_horizon"] = horizon
    return Bunch(
        bars=with_history(check_bars(bars, warn=False))[known],
        y=y,
        probabilities=probabilities,
        bayes_accuracy=float(probabilities.max(axis=1).mean()),
        majority_accuracy=float(probabilities.mean().max()),
        regimes=states[known],
    )


def _names(n_symbols):
    width = len(str(n_symbols - 1))
    return [f"S{i:0{width}d}" for i in range(n_symbols)]


def _times(n):
    if n <= _DAYS:
        return pd.bdate_range("2000-01-03", periods=n, name="time", unit="ns")
    return pd.date_range("2000-01-03", periods=n, freq="min", name="time", unit="ns")


def _outcome_sd(rho, horizon):
    lags = np.arange(1, horizon)
    return np.sqrt(horizon + 2 * np.sum((horizon - lags) * rho**lags))


def _autocorrelation(signal, horizon):
    """The AR(1) coefficient at which the best forecast of the next ``horizon`` returns correlates ``signal`` with their sum."""
    if signal == 0 or horizon == 1:
        return signal
    from scipy.optimize import brentq

    powers = np.arange(1, horizon + 1)
    return brentq(lambda rho: np.sum(rho**powers) / _outcome_sd(rho, horizon) - signal, 0.0, 1.0, xtol=1e-15)


def _draw_symbol(rng, times, rho, regimes):
    """Bars, returns in volatilities, and states of one instrument."""
    from scipy.signal import lfilter

    n = len(times)
    shocks = rng.standard_normal(n)
    z, _ = lfilter([np.sqrt(1 - rho**2)], [1.0, -rho], shocks, zi=[rho * rng.standard_normal()])
    states = _draw_states(rng, n) if regimes else np.ones(n, dtype=np.intp)
    levels = np.array(list(_STATES.values())) * np.sqrt((1 - rho) / (1 + rho))  # so that the long-run volatility does not depend on rho
    sigma = levels[states]
    log_close = np.log(100) + np.cumsum(sigma * z)
    log_open = np.concatenate([[np.log(100)], log_close[:-1]])
    upper = rng.uniform(size=n)
    volume = np.round(1e6 * (1 + states) * np.exp(0.3 * rng.standard_normal(n))).astype(np.int64)
    columns = {
        "open": np.exp(log_open),
        "high": np.exp(np.maximum(log_open, log_close) + upper * _WICKS * sigma),
        "low": np.exp(np.minimum(log_open, log_close) - (1 - upper) * _WICKS * sigma),
        "close": np.exp(log_close),
        "volume": volume,
    }
    names = np.array(list(_STATES), dtype=object)[states]
    return pd.DataFrame(columns, times), pd.Series(z, times), pd.Series(names, times, name="regime", dtype="str")


def _draw_states(rng, n):
    """A Markov chain over the three states with geometric stays, drawn stay by stay."""
    states, length = [int(rng.randint(3))], []
    while sum(length) < n:
        length.append(int(rng.geometric(1 / _STAY)))
        states.append((states[-1] + 1 + int(rng.randint(2))) % 3)
    return np.repeat(states[: len(length)], length)[:n]


def _plant(z, n_symbols, signal, rho, horizon):
    """The label of each row and its true probabilities given the rows up to it."""
    from scipy.special import ndtr

    rows = z.to_numpy().reshape(n_symbols, -1)
    outcome = np.full_like(rows, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(rows, horizon, axis=1)  # starts at 0, and the label needs t+1 .. t+horizon
    outcome[:, : rows.shape[1] - horizon] = windows[:, 1:].sum(axis=2)
    outcome = outcome.reshape(-1) / _outcome_sd(rho, horizon)
    label = np.where(np.isnan(outcome), np.nan, (outcome > -_TERCILE) * 1.0 + (outcome > _TERCILE))
    spread = np.sqrt(1 - signal**2)
    mean = signal * z.to_numpy()
    low, high = ndtr((-_TERCILE - mean) / spread), ndtr((mean - _TERCILE) / spread)
    probabilities = pd.DataFrame({0: low, 1: 1 - low - high, 2: high}, z.index)
    return pd.Series(label, z.index, name="label"), probabilities
