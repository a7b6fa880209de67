"""The folder of a run: what was trained enters, files leave, each written whole or not at all.

``model.sktrain`` the fitted model · ``result.json`` what ``train`` returned · ``drift.joblib`` the drift reference ·
``trained.joblib`` the float model an incremental run continues · ``evidence.json`` numbers of the report · ``report.html`` the
report · ``checkpoints/`` what a killed run resumes from.
"""

import json
import math
import os
from pathlib import Path
import tempfile

import numpy as np
import pandas as pd

from .._io import atomic_write
from ..exceptions import PersistenceError

__all__ = ["find_model", "load_drift_reference", "plain", "prepare_folder", "read_result", "write_json"]

MODEL, RESULT, DRIFT, TRAINED = "model.sktrain", "result.json", "drift.joblib", "trained.joblib"


def prepare_folder(folder):
    """Make ``folder`` and prove that it can be written, before any training."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PersistenceError(f"model_dir {str(folder)!r} cannot be written: {reason}. Choose another folder.") from error
    return folder


def find_model(path):
    """The model file in a run folder, or the file itself."""
    path = Path(path)
    found = path / MODEL if path.is_dir() else path
    if not found.is_file():
        what = f"the folder {str(path)!r} holds no {MODEL}" if path.is_dir() else f"{str(path)!r} does not exist"
        raise PersistenceError(f"No model: {what}. Train one with: sktrain train --out {path if path.is_dir() else path.parent}")
    return found


def read_result(folder):
    """The result of a run as a dict."""
    path = Path(folder) / RESULT
    if not path.is_file():
        raise PersistenceError(f"{str(folder)!r} is not the folder of a finished run: it holds no {RESULT}.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PersistenceError(f"{str(path)!r} is damaged: {error}.") from error


def write_json(path, document):
    """Write a document of plain values, NumPy and pandas objects atomically."""
    atomic_write(path, (json.dumps(plain(document), indent=2, allow_nan=False) + "\n").encode())


def load_drift_reference(path):
    """The drift detector of a run, and the transformer whose output it knows.

    The file is a joblib pickle written by the run itself: open only runs you trust.
    """
    import joblib

    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    file = folder / DRIFT
    if not file.is_file():
        raise PersistenceError(f"{str(folder)!r} holds no {DRIFT}: train with use_drift_detection=True.")
    kept = joblib.load(file)
    return kept["detector"], kept["features"]


def plain(value):
    """Turn NumPy, pandas, paths and results into what JSON knows; NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.reset_index().to_dict("records")]
    if isinstance(value, (list, tuple, set, np.ndarray, pd.Series, pd.Index)):
        return [plain(item) for item in (value.tolist() if hasattr(value, "tolist") else value)]
    if isinstance(value, (np.generic,)):
        return plain(value.item())
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return str(value)
