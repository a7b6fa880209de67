"""How the caller overrules the reader of bars."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .._reading import check_options
from ..exceptions import InvalidBarsError

__all__ = ["Options"]

_CHOICES = {
    "bad_rows": ("refuse", "drop"),
    "incomplete_last": ("keep", "drop"),
    "stamps": ("close", "open"),
    "decimal": (None, ".", ","),
}


@dataclass(frozen=True)
class Options:
    """The keywords of ``read_bars``."""

    columns: Mapping | list[str] | None = None
    timezone: str | None = None
    dayfirst: bool | None = None
    encoding: str | None = None
    symbol: str | None = None
    bad_rows: Literal["refuse", "drop"] = "refuse"
    incomplete_last: Literal["keep", "drop"] = "keep"
    stamps: Literal["close", "open"] = "close"
    decimal: Literal[".", ","] | None = None

    def __post_init__(self) -> None:
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        check_options(told, _CHOICES, InvalidBarsError)
