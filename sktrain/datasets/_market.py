"""A synthetic market with a planted label, whose best possible accuracy is known exactly.

What is planted is a law of :mod:`._patterns`: given everything up to bar t, the outcome that
decides the label of row t is Gaussian with a known mean and spread, so the class probabilities are
closed forms.
"""

from typing import Literal

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from .._history import with_history
from .._typing import RandomState
from .._validation import check_bars, check_count, check_flag, check_number
from ..exceptions import SktrainError
from ._patterns import PATTERNS, lead_of

__all__ = ["make_market"]

#: Standard deviation of a bar's return, without autocorrelation.
_STATES = {"calm": 0.006, "normal": 0.012, "turbulent": 0.025}
_STAY = 150  # mean number of bars in a state
_WICKS = 1.5  # upper and lower shadow together, in the bar's volatility
_DAYS = 50_000  # more bars than this are minutes, so that times stay within nanoseconds


def make_market(
    n_bars: int = 2000,
    n_symbols: int = 1,
    *,
    signal: float = 0.5,
    horizon: int = 1,
    regimes: bool = True,
    pattern: Literal["linear", "regime", "pattern", "memory", "cross"] = "linear",
    random_state: RandomState = None,
) -> Bunch:
    """Draw bars and a label with three classes whose Bayes accuracy is known.

    With ``z`` a bar's log return in units of its own volatility, the label of row t is the tercile
    (0 low, 1 middle, 2 high, equally likely) of the next one, ``z[t+1]``. ``z[t+1] = signal * m[t]
    + sqrt(1 - signal^2) * e[t+1]``, where e is standard normal noise and m, of variance 1, is what
    ``pattern`` names. ``z[t]`` can be read off bar t exactly: the market opens at the previous
    close, and the shadows of a candle are together 1.5 volatilities long, so its body share
    ``log(close/open) / log(high/low)`` is ``z / (|z| + 1.5)`` and its volatility ``(log(high/low) -
    |log(close/open)|) / 1.5``.

    Parameters
    ----------
    n_bars : int, default=2000
        Rows per symbol.
    n_symbols : int, default=1
        More than one gives a panel of instruments ``S0, S1, ...`` indexed by ``(symbol, time)``,
        independent but for ``"cross"``.
    signal : float in [0, 1), default=0.5
        Correlation between the outcome and its best forecast; 0 leaves nothing to find.
    horizon : int, default=1
        Bars between a row and the bar that decides its label. More than 1 with ``"linear"`` only:
        the label is then the tercile of ``z[t+1] + ... + z[t+horizon]`` and the AR(1)'s coefficient
        is chosen so that its correlation with its best forecast is ``signal``. Labels overlap like
        real ones, and the same signal is equally hard at every horizon.
    regimes : bool, default=True
        Whether volatility changes between calm (0.6 %), normal (1.2 %) and turbulent (2.5 % a bar);
        else it is always normal.
    pattern : {"linear", "regime", "pattern", "memory", "cross"}, default="linear"
        What the outcome depends on:

        - ``"linear"``: the last return, ``m = z[t]``;
        - ``"regime"``: the last return, ``z[t]`` while the market is calm and ``-z[t]`` while it is
          turbulent (there is no third state), so that on average there is no dependence;
        - ``"pattern"``: against the direction (1 or -1) of most of the last five moves;
        - ``"memory"``: against the direction of the sum of the returns 15 to 20 bars back;
        - ``"cross"``: the last return of the first symbol, ``S0``, which moves all others and is
          itself unpredictable.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    Bunch
        ``bars`` : DataFrame with a history handle, n_bars rows per symbol. As after a labeler's
        ``fit_resample``, the handle also knows the ``horizon`` bars that decide the last labels;
        with ``"pattern"`` and ``"memory"`` also the 4 or 20 bars before the first row that decide
        its label.
        ``y`` : Series of int in {0, 1, 2}, ``y.attrs["label_horizon"]`` set.
        ``probabilities`` : DataFrame, the true class probabilities given all bars up to the row.
        ``bayes_accuracy`` : float, mean over the rows of the largest true probability: what the
        best classifier is expected to score.
        ``majority_accuracy`` : float, what the best constant answer is expected to score.
        ``regimes`` : Series of str, the volatility state of each row.

    Raises
    ------
    SktrainError
        When a parameter is out of range, or the pattern cannot be drawn with the others.

    Examples
    --------
    >>> from sktrain.datasets import make_market
    >>> market = make_market(500, signal=0.8, random_state=0)
    >>> market.bars.shape, market.y.attrs
    ((500, 5), {'label_horizon': 1})
    >>> nothing = make_market(500, signal=0, random_state=0)
    >>> round(market.bayes_accuracy, 2), round(nothing.bayes_accuracy, 2)
    (0.67, 0.33)
    >>> panel = make_market(200, 3, signal=0.8, pattern="cross", random_state=0)
    >>> panel.probabilities.max(axis=1).groupby(level="symbol").mean().round(2).tolist()
    [0.33, 0.66, 0.66]
    """
    n_bars, n_symbols = check_count("n_bars", n_bars), check_count("n_symbols", n_symbols)
    horizon = check_count("horizon", horizon)
    _check(signal, horizon, n_symbols, regimes, pattern)
    rng = check_random_state(random_state)
    signal, rho, lead = float(signal), _autocorrelation(float(signal), horizon), lead_of(pattern)
    n = lead + n_bars + horizon
    names = list(_STATES) if regimes else ["normal"]
    names = ["calm", "turbulent"] if pattern == "regime" else names
    draws = [_draw_symbol(rng, n, len(names)) for _ in range(n_symbols)]
    shocks, start, states, upper, noise = (np.stack(part) for part in zip(*draws))
    law = PATTERNS[pattern](shocks, start, states, signal, rho)
    index = _index(n, n_symbols)
    place = np.array([list(_STATES).index(name) for name in names])[states]
    bars = pd.DataFrame(
        _candles(law.z, place, upper, noise, rho if pattern == "linear" else 0.0), index
    )
    known = np.tile((np.arange(n) >= lead) & (np.arange(n) < lead + n_bars), n_symbols)
    state = np.array(list(_STATES), dtype=object)[place]
    label, probabilities = _plant(law, rho, horizon)
    probabilities = pd.DataFrame(probabilities, index)[known]
    y = pd.Series(label.ravel(), index, name="label")[known].astype(np.int64)
    y.attrs["label_horizon"] = horizon
    return Bunch(
        bars=with_history(check_bars(bars, warn=False))[known],
        y=y,
        probabilities=probabilities,
        bayes_accuracy=float(probabilities.max(axis=1).mean()),
        majority_accuracy=float(probabilities.mean().max()),
        regimes=pd.Series(state.ravel(), index, name="regime", dtype="str")[known],
    )


def _check(signal, horizon, n_symbols, regimes, pattern):
    check_number("signal", signal, 0, 1, closed="left")
    check_flag("regimes", regimes)
    if not isinstance(pattern, str) or pattern not in PATTERNS:
        raise SktrainError(f"pattern must be one of {list(PATTERNS)}, got {pattern!r}.")
    if pattern != "linear" and horizon != 1:
        raise SktrainError(
            f"pattern={pattern!r} plants labels of the next bar: horizon must be 1, got {horizon}. "
            'Longer horizons have known probabilities with pattern="linear".'
        )
    if pattern == "regime" and not regimes:
        raise SktrainError(
            'pattern="regime" depends on changes of volatility: regimes must be True, got False.'
        )
    if pattern == "cross" and n_symbols == 1:
        raise SktrainError(
            'pattern="cross" needs symbols that the first one moves: n_symbols must be 2 or more, '
            "got 1."
        )


def _index(n, n_symbols):
    if n_symbols == 1:
        return _times(n)
    width = len(str(n_symbols - 1))
    symbols = [f"S{i:0{width}d}" for i in range(n_symbols)]
    return pd.MultiIndex.from_product([symbols, _times(n)], names=["symbol", "time"])


def _times(n):
    if n <= _DAYS:
        return pd.bdate_range("2000-01-03", periods=n, name="time", unit="ns")
    return pd.date_range("2000-01-03", periods=n, freq="min", name="time", unit="ns")


def _outcome_sd(rho, horizon):
    lags = np.arange(1, horizon)
    return np.sqrt(horizon + 2 * np.sum((horizon - lags) * rho**lags))


def _autocorrelation(signal, horizon):
    """The AR(1) coefficient at which the sum of the next ``horizon`` returns and its best forecast
    correlate ``signal``."""
    if signal == 0 or horizon == 1:
        return signal
    from scipy.optimize import brentq

    powers = np.arange(1, horizon + 1)

    def excess(rho):
        return np.sum(rho**powers) / _outcome_sd(rho, horizon) - signal

    return brentq(excess, 0.0, 1.0, xtol=1e-15)


def _draw_symbol(rng, n, n_states):
    """Random numbers of one instrument: shocks, a start, volatility states, shadows, volumes."""
    shocks = rng.standard_normal(n)
    start = rng.standard_normal()
    states = _draw_states(rng, n, n_states) if n_states > 1 else np.zeros(n, dtype=np.intp)
    return shocks, start, states, rng.uniform(size=n), rng.standard_normal(n)


def _draw_states(rng, n, n_states):
    """A Markov chain over the states with geometric stays, drawn stay by stay."""
    states, length = [int(rng.randint(n_states))], list[int]()
    while sum(length) < n:
        length.append(int(rng.geometric(1 / _STAY)))
        states.append((states[-1] + 1 + int(rng.randint(n_states - 1))) % n_states)
    return np.repeat(states[: len(length)], length)[:n]


def _candles(z, states, upper, noise, rho):
    """Columns of bars, symbol after symbol, from arrays of shape (n_symbols, n)."""
    # so that the long-run volatility does not depend on rho
    sigma = (np.array(list(_STATES.values())) * np.sqrt((1 - rho) / (1 + rho)))[states]
    log_close = np.log(100) + np.cumsum(sigma * z, axis=1)
    log_open = np.concatenate([np.full((len(z), 1), np.log(100)), log_close[:, :-1]], axis=1)
    columns = {
        "open": np.exp(log_open),
        "high": np.exp(np.maximum(log_open, log_close) + upper * _WICKS * sigma),
        "low": np.exp(np.minimum(log_open, log_close) - (1 - upper) * _WICKS * sigma),
        "close": np.exp(log_close),
        "volume": np.round(1e6 * (1 + states) * np.exp(0.3 * noise)).astype(np.int64),
    }
    return {name: values.ravel() for name, values in columns.items()}


def _plant(law, rho, horizon):
    """The label of each row, of shape (n_symbols, n), and its true probabilities, by class."""
    from scipy.special import ndtr

    outcome = np.full_like(law.z, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(law.z, horizon, axis=1)
    outcome[:, :-horizon] = windows[:, 1:].sum(axis=2)  # the label needs t+1 .. t+horizon
    outcome /= _outcome_sd(rho, horizon)
    label = np.where(np.isnan(outcome), np.nan, (outcome > -law.cut) * 1.0 + (outcome > law.cut))
    low, high = ndtr((-law.cut - law.mean) / law.spread), ndtr((law.mean - law.cut) / law.spread)
    return label, {0: low.ravel(), 1: (1 - low - high).ravel(), 2: high.ravel()}
