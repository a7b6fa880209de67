"""Market bars to start from: bundled daily bars, files of one's own, and markets whose best
possible accuracy is known."""

from ._bundled import load_nasdaq, load_sp500, load_us_stocks
from ._market import make_market
from ._news import load_headlines, make_news
from ._reader import read_bars

__all__ = [
    "load_headlines", "load_nasdaq", "load_sp500", "load_us_stocks", "make_market", "make_news",
    "read_bars",
]
