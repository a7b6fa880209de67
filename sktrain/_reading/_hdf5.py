"""HDF5 files of pandas, PyTables and h5py; nothing in the file is run.

pandas pickles the names of its columns into attributes. They are read by an unpickler that makes
plain lists of plain values and refuses everything else.
"""

from collections.abc import Callable
import io
import pickle
import re
from typing import Any

import numpy as np
import pandas as pd

from .._optional import require
from ._protocol import UnreadableError
from ._source import Source

__all__ = ["frame_from_hdf5"]


# What h5py and pickle let through from damaged files
_DAMAGES = (OSError, KeyError, TypeError, ValueError, AttributeError, IndexError, EOFError)


class _PlainUnpickler(pickle.Unpickler):
    """Lists, texts and numbers; no class, no function."""

    def find_class(self, module: str, name: str):
        raise UnreadableError(
            f"holds pickled code ({module}.{name}), which is not run. Save the bars as Parquet."
        )


class _Inert:
    """Stands in for every class and function: keeps what it is called with, does nothing."""

    def __init__(self, *args: object) -> None:
        self.args = args

    def __call__(self, *args: object) -> "_Inert":
        return _Inert(*args)

    def __setstate__(self, state: object) -> None:
        pass


class _InertUnpickler(pickle.Unpickler):
    """Records of which some values are objects; those become :class:`_Inert`."""

    def find_class(self, module: str, name: str):
        return _Inert


def frame_from_hdf5(source: Source, caller: str) -> pd.DataFrame:
    """The one table of an HDF5 file.

    Raises
    ------
    UnreadableError
        When there is none, or more than one.
    """
    h5py = require("h5py", extra="hdf5", caller=caller)
    try:
        with h5py.File(
            source.path if source.data is None else io.BytesIO(source.data), "r"
        ) as file:
            tables = _tables(h5py, file)
            if len(tables) != 1:
                shown = f" ({', '.join(sorted(tables))})" if tables else ""
                raise UnreadableError(
                    f"is an HDF5 file with {len(tables)} tables{shown}, not one. Save the one you "
                    f"want as Parquet."
                )
            ((name, read),) = tables.items()
            return read(file[name])
    except (*_DAMAGES, pickle.UnpicklingError) as error:
        raise UnreadableError(
            f"is no HDF5 file that can be read ({error}). Save the bars as Parquet."
        ) from error


def _tables(h5py, file) -> dict:
    """How to read each table, by its name."""
    found: dict[str, Callable[[Any], Any]] = {}

    def look(name, node):
        if (
            isinstance(node, h5py.Dataset)
            and node.dtype.names
            and node.ndim == 1
            and "/_i_" not in name
            and not name.startswith("_i_")
        ):
            found[name] = _compound
        elif isinstance(node, h5py.Group) and "axis0" in node and "block0_values" in node:
            found[name] = _fixed
        elif isinstance(node, h5py.Group):
            columns = [
                one
                for one in node.values()
                if isinstance(one, h5py.Dataset) and one.ndim == 1 and not one.dtype.names
            ]
            if len(columns) > 3 and len({len(one) for one in columns}) == 1:
                found[name] = _columns

    look("/", file)
    if not found:
        file.visititems(look)
    return found


def _compound(dataset) -> pd.DataFrame:
    """PyTables' tables, pandas' format="table" among them: blocks of columns whose names stand in
    attributes.
    """
    rows = dataset[:]
    columns = {}
    zones = _zones(dataset.parent.attrs.get("info"))
    for name in rows.dtype.names:
        values = rows[name]
        kind = dataset.attrs.get(f"{name}_kind")
        if values.ndim == 1:
            label = "" if name == "index" else name
            columns[label] = _stamped(values, kind, zones.get(name))
            continue
        names = (
            _unpickled(kind)
            if kind is not None
            else [f"{name} {i}" for i in range(values.shape[1])]
        )
        held = dataset.attrs.get(f"{name}_dtype")
        zone = zones.get(name)
        columns.update({one: _stamped(values[:, i], held, zone) for i, one in enumerate(names)})
    return pd.DataFrame(columns)


def _zones(info: object) -> dict[str, str]:
    """The zones of pandas' columns, from the record that it keeps beside a table."""
    found = None if info is None else _InertUnpickler(io.BytesIO(_bytes(info))).load()
    records = found.items() if isinstance(found, dict) else ()
    return {
        str(name): _zone(one["tz"])
        for name, one in records
        if isinstance(one, dict) and one.get("tz") is not None
    }


def _zone(value: object) -> str:
    """The name of a zone that pandas stored: a text, or an object of which only the parts are
    looked at.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str):
        pickled = "\n" in value
        return _zone(_InertUnpickler(io.BytesIO(value.encode())).load()) if pickled else value
    part = value.args[0] if isinstance(value, _Inert) and value.args else None
    if isinstance(part, str):  # ZoneInfo("America/New_York")
        return part
    if isinstance(part, _Inert):  # timezone(timedelta(days, seconds))
        days, seconds = [int(str(one)) for one in (*part.args, 0, 0)[:2]]
        minutes = (days * 86_400 + seconds) // 60
        sign = "-" if minutes < 0 else "+"
        return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"
    return "UTC"  # which the numbers count in


def _stamped(values: np.ndarray, kind: object, zone: object):
    """Numbers that pandas says are times as times, naive or in their zone; others as they are."""
    unit = re.fullmatch(r"datetime64(?:\[(s|ms|us|ns)\])?", "" if kind is None else _text(kind))
    if unit is None or values.dtype.kind != "i":
        return _plain(values)
    times = pd.DatetimeIndex(values.astype(f"M8[{unit[1] or 'ns'}]"))
    if zone is None:
        return times
    try:
        return times.tz_localize("UTC").tz_convert(_zone(zone))
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise UnreadableError(
            f"names a zone of its times that does not exist ({error}). Save the bars as Parquet."
        ) from error


def _fixed(group) -> pd.DataFrame:
    """pandas' format="fixed": blocks of values beside their items."""
    axis = group["axis1"]
    columns = {"": _stamped(axis[:], axis.attrs.get("kind"), axis.attrs.get("tz"))}
    for key in sorted(
        name for name in group if name.startswith("block") and name.endswith("_items")
    ):
        values = group[key.replace("_items", "_values")]
        if values.dtype.kind not in "iufb":
            raise UnreadableError(
                "holds pickled columns, which are not opened. Save the bars as Parquet."
            )
        kind, zone = values.attrs.get("value_type"), values.attrs.get("tz")
        names = map(_text, group[key][:])
        columns.update({one: _stamped(values[:, i], kind, zone) for i, one in enumerate(names)})
    return pd.DataFrame(columns)


def _columns(group) -> pd.DataFrame:
    return pd.DataFrame({name: _plain(node[:]) for name, node in group.items() if node.ndim == 1})


def _unpickled(value) -> list[str]:
    return [_text(one) for one in _PlainUnpickler(io.BytesIO(_bytes(value))).load()]


def _bytes(value) -> bytes:
    return value.tobytes() if isinstance(value, np.ndarray) else bytes(value)


def _text(value) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _plain(values: np.ndarray) -> np.ndarray:
    return (
        np.array([_text(one) for one in values], dtype=object)
        if values.dtype.kind in "SO"
        else values
    )
