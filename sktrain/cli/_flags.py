"""The flags that overrule the readers of bars and news, the same for every command; nothing heavy
is imported."""

import argparse

__all__ = ["add_bars_flags", "add_news_flags"]


def add_bars_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that reads bars, one for each keyword of ``read_bars``."""
    group = parser.add_argument_group("how the file of bars is read")
    _common(group, "", "time=trade_date volume=vol")
    group.add_argument(
        "--incomplete-last",
        choices=("keep", "drop"),
        help="a last bar off the usual spacing (default: keep)",
    )
    group.add_argument(
        "--decimal",
        choices=(".", ","),
        help="what divides the decimals of 1,234 (default: found from the numbers)",
    )
    group.add_argument(
        "--stamps",
        choices=("close", "open"),
        help="what the times mean; open moves them to the close (default: close)",
    )


def add_news_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that reads news, one for each keyword of ``read_news``."""
    group = parser.add_argument_group("how the file of news is read")
    _common(group, "news-", "title=headline available_at=date")


def _common(group, prefix: str, example: str) -> None:
    what = "articles" if prefix else "bars"
    add = group.add_argument
    add(
        f"--{prefix}columns",
        nargs="+",
        action="extend",
        metavar="ROLE=NAME",
        help=f"which column is which, e.g. {example}; or the names of all columns in order",
    )
    add(
        f"--{prefix}timezone",
        metavar="ZONE",
        help=f"zone of {what} whose times carry none, e.g. America/New_York",
    )
    add(
        f"--{prefix}dayfirst",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="what 03/04/2024 means (default: found from the rows)",
    )
    add(f"--{prefix}encoding", metavar="NAME", help="of text, e.g. gb18030 (default: found)")
    add(f"--{prefix}symbol", metavar="SYMBOL", help="instrument of a file that does not name it")
    add(
        f"--{prefix}bad-rows",
        choices=("refuse", "drop"),
        help="what to do with rows that cannot be used (default: refuse)",
    )
