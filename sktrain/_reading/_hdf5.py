"""HDF5 to rows: what pandas, PyTables and h5py write enters; a frame leaves, and nothing in the file is run.

pandas pickles the names of its columns into attributes. They are read by an unpickler that makes plain lists of plain values and refuses
everything else.
"""

import io
import pickle

import numpy as np
import pandas as pd

from .._optional import require
from ._protocol import UnreadableError
from ._source import Source

__all__ = ["frame_from_hdf5"]


class _PlainUnpickler(pickle.Unpickler):
    """Lists, texts and numbers; no class, no function."""

    def find_class(self, module: str, name: str):
        raise UnreadableError(
            f"holds pickled code ({module}.{name}), which is not run. Save the bars as Parquet."
        )


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
                    f"is an HDF5 file with {len(tables)} tables{shown}, not one. Save the one you want as Parquet."
                )
            ((name, read),) = tables.items()
            return read(file[name])
    except (OSError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise UnreadableError(
            f"is no HDF5 file that can be read ({error}). Save the bars as Parquet."
        ) from error


def _tables(h5py, file) -> dict:
    """How to read each table, by its name."""
    found = {}

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
    """PyTables' tables, pandas' format="table" among them: blocks of columns whose names stand in attributes."""
    rows = dataset[:]
    columns = {}
    for name in rows.dtype.names:
        values = rows[name]
        if values.ndim == 1:
            columns["" if name == "index" else name] = _plain(values)
            continue
        kind = dataset.attrs.get(f"{name}_kind")
        names = (
            _unpickled(kind)
            if kind is not None
            else [f"{name} {i}" for i in range(values.shape[1])]
        )
        columns.update({one: _plain(values[:, i]) for i, one in enumerate(names)})
    return pd.DataFrame(columns)


def _fixed(group) -> pd.DataFrame:
    """pandas' format="fixed": blocks of values beside their items."""
    columns = {"": _plain(group["axis1"][:])}
    for key in sorted(
        name for name in group if name.startswith("block") and name.endswith("_items")
    ):
        values = group[key.replace("_items", "_values")]
        if values.dtype.kind not in "iufb":
            raise UnreadableError(
                "holds pickled columns, which are not opened. Save the bars as Parquet."
            )
        columns.update({_text(one): values[:, i] for i, one in enumerate(group[key][:])})
    return pd.DataFrame(columns)


def _columns(group) -> pd.DataFrame:
    return pd.DataFrame({name: _plain(node[:]) for name, node in group.items() if node.ndim == 1})


def _unpickled(value) -> list[str]:
    data = value.tobytes() if isinstance(value, np.ndarray) else bytes(value)
    return [_text(one) for one in _PlainUnpickler(io.BytesIO(data)).load()]


def _text(value) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _plain(values: np.ndarray) -> np.ndarray:
    return (
        np.array([_text(one) for one in values], dtype=object)
        if values.dtype.kind in "SO"
        else values
    )
