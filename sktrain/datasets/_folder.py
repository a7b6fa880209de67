"""A folder of files of bars: a panel, or one instrument whose files follow one another in time."""

from pathlib import Path
import re
import warnings

import numpy as np
import pandas as pd

from .._reading import Reading, UnreadableError, tell_no_symbols
from ..exceptions import DataQualityWarning, InvalidBarsError
from ._rows import Rows, in_order

__all__ = ["read_folder"]

_ENDINGS = (
    "csv", "txt", "tsv", "dat", "prn", "parquet", "pq", "feather", "ftr", "json", "jsonl", "ndjson",
    "xlsx", "xls", "h5", "hdf5", "hdf",
)
_PACKED = re.compile(r"\.(gz|bz2|xz|zip)$", re.IGNORECASE)
_ENDING = re.compile(rf"\.({'|'.join(_ENDINGS)})$", re.IGNORECASE)
_DATE = (
    r"(?:19|20)\d{2}(?:[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01]))?)?"
    r"|\d{2}[.-]\d{2}[.-](?:19|20)\d{2}"
)
_PERIOD = re.compile(rf"(?<![0-9A-Za-z])(?:{_DATE}|Q[1-4])(?![0-9A-Za-z])", re.IGNORECASE)


def stem_of(name: str) -> str:
    """A file's name without the endings of formats."""
    return _ENDING.sub("", _PACKED.sub("", name))


def read_folder(path: Path, options) -> pd.DataFrame:
    """Read every file of a folder; one that cannot be read is named, and the others are read.

    Raises
    ------
    InvalidBarsError
        When none can be read, two files claim the same symbol and times, or their clocks differ.
    """
    from ._finish import finished
    from ._reader import read_rows

    found = sorted(file for file in path.iterdir() if _is_candidate(file))
    if not found:
        raise InvalidBarsError(
            f"{path}: no bars in this folder; expected files ending in .{', .'.join(_ENDINGS)}, "
            f"packed or not."
        )
    parts: dict[Path, tuple[Rows, Reading]] = {}
    faults: dict[str, str] = {}
    for file in found:
        try:
            parts[file] = read_rows(file, options)
        except UnreadableError as error:
            faults[stem_of(file.name)] = f"{file.name}: {error}"
    if not parts:
        shown = "; ".join(list(faults.values())[:3])
        raise InvalidBarsError(f"{path}: none of {len(found)} files could be read. {shown}")
    try:
        rows = _together(parts, options)
        reading = next(iter(parts.values()))[1]
        reading = Reading(reading, notes=[f"{len(parts)} files", *_notes(parts)], left_out=faults)
        bars = finished(rows, reading, options, path)
    except UnreadableError as error:
        raise InvalidBarsError(f"{path}: {error}") from error
    if faults:
        bars.attrs["reading"]["notes"].append(f"not read: {', '.join(faults)}")
        warnings.warn(
            f"{path}: {len(faults)} of {len(found)} files left out. " + "; ".join(faults.values()),
            DataQualityWarning,
            stacklevel=3,
        )
    return bars


def _is_candidate(file: Path) -> bool:
    hidden = file.name.startswith(".")  # and macOS's "._" files
    return file.is_file() and not hidden and bool(_ENDING.search(_PACKED.sub("", file.name)))


def _notes(parts: dict[Path, tuple[Rows, Reading]]) -> list[str]:
    """What was decided in any of the files, each once."""
    return list(dict.fromkeys(note for _, reading in parts.values() for note in reading["notes"]))[
        :6
    ]


def _together(parts: dict[Path, tuple[Rows, Reading]], options) -> Rows:
    """The rows of all files under their symbols."""
    zones = {str(rows.times.tz) for rows, _ in parts.values()}
    if len(zones) > 1:
        raise UnreadableError(
            f"files in different time zones ({', '.join(sorted(zones))}): some times carry a zone, "
            f"others none. Store all times in one zone."
        )
    names = _symbols(parts)
    one = (
        len(set(names.values())) == 1
        and len(parts) > 1
        and all(rows.symbols is None for rows, _ in parts.values())
    )
    symbols = np.concatenate(
        [
            rows.symbols
            if rows.symbols is not None
            else np.full(len(rows.times), names[file], dtype=object)
            for file, (rows, _) in parts.items()
        ]
    )
    files = np.repeat(np.arange(len(parts)), [len(rows.times) for rows, _ in parts.values()])
    frames = [rows.frame for rows, _ in parts.values()]
    offsets = np.concatenate([[0], np.cumsum([len(frame) for frame in frames])])

    def place(row: int) -> str:
        file = int(files[row])
        return f"{list(parts)[file].name}, bar {row - offsets[file] + 1}"

    stamps = np.concatenate([rows.times.asi8 for rows, _ in parts.values()])
    times = pd.DatetimeIndex(stamps.view("datetime64[ns]"))
    tz = next(iter(parts.values()))[0].times.tz
    times = times if tz is None else times.tz_localize("UTC")
    out = Rows(
        pd.concat(frames, join="inner", ignore_index=True), times, None if one else symbols, place
    )
    for rows, _ in parts.values():
        out.suspended += rows.suspended
        out.changed += rows.changed
        for cause, count in rows.dropped.items():
            out.dropped[cause] = out.dropped.get(cause, 0) + count
    out.zone = next(iter(parts.values()))[0].zone
    out.instrument = next(iter(names.values())) if one else None
    in_order(out, drop=options.bad_rows == "drop")
    out.notes.clear()
    return out


def _symbols(parts: dict[Path, tuple[Rows, Reading]]) -> dict[Path, str]:
    """The symbol of each file: what the file says, else its name; files that differ by their period
    only are one symbol.
    """
    said = {file: rows.instrument for file, (rows, _) in parts.items()}
    stems = {file: stem_of(file.name) for file in parts}
    if all(said.values()):
        return {file: str(symbol) for file, symbol in said.items()}
    common = {
        file: re.sub(r"^[-_. ]+|[-_. ]+$", "", re.sub(r"[-_. ]{2,}", "_", _PERIOD.sub("", stem)))
        for file, stem in stems.items()
    }
    groups: dict[str, list[Path]] = {}
    for file, stem in common.items():
        groups.setdefault(stem, []).append(file)
    names = {}
    for stem, files in groups.items():
        joined = len(files) > 1 and _disjoint([parts[file][0] for file in files])
        for file in files:
            names[file] = (stem or file.parent.name) if joined else stems[file]
    if tell_no_symbols(set(names.values())):
        raise UnreadableError(
            f"the files are told apart by {', '.join(sorted(set(names.values())))}, which are no "
            "symbols: pass the one you want."
        )
    twice = [name for name in set(names.values()) if _claimed_twice(name, names, parts)]
    if twice:
        both = ", ".join(file.name for file in names if names[file] == twice[0])
        raise UnreadableError(f"two files for symbol {twice[0]!r} ({both}). Keep one of them.")
    return names


def _claimed_twice(name: str, names: dict[Path, str], parts: dict) -> bool:
    rows = [parts[file][0] for file in names if names[file] == name]
    return len(rows) > 1 and not _disjoint(rows)


def _disjoint(rows: list[Rows]) -> bool:
    """Whether the spans of several files of one instrument follow one another."""
    if any(one.symbols is not None for one in rows):
        return False
    spans = sorted((one.times.min(), one.times.max()) for one in rows)
    return all(before[1] < after[0] for before, after in zip(spans, spans[1:]))
