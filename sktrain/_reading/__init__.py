"""Files of rows: cells, the roles of their columns and a protocol, for bars and news alike."""

from ._cells import time_shape
from ._names import RoleTable, parts_of_days, plain_name, tell_no_symbols, tells_of_rows
from ._numbers import bad_numbers, to_numbers
from ._options import all_names, check_options, given_columns
from ._protocol import MissingRolesError, Reading, UnreadableError, clipped, option, spoken
from ._table import Table, open_table
from ._times import Times, joined_clock, joined_days, parse_times
from ._zones import zone_of_name

__all__ = [
    "MissingRolesError", "Reading", "RoleTable", "Table", "Times", "UnreadableError", "all_names",
    "bad_numbers", "check_options", "clipped", "given_columns", "joined_clock", "joined_days",
    "open_table", "option", "parse_times", "parts_of_days", "plain_name", "spoken",
    "tell_no_symbols", "tells_of_rows", "time_shape", "to_numbers", "zone_of_name",
]  # fmt: skip
