"""A file of finished scores of a calibration, which outlives Ctrl-C, a kill and a full disk.

The file is JSON with a checksum, replaced atomically. It states what it belongs to; another
estimator, market, labeler, splitter or seed is refused.
"""

import json
from pathlib import Path
import pickle
import re
import sys
import time

import joblib
import numpy as np
import pandas as pd

from .._io import atomic_write, read_file, sha256
from ..exceptions import CorruptFileError, SktrainError, StudyMismatchError

__all__ = ["Journal", "fingerprint"]

_FORMAT = "sktrain null calibration 2"
_UNCHECKED = "sktrain null calibration 1"  # journals of earlier versions, without a checksum
_READS = (_FORMAT, _UNCHECKED)
_LARGEST = 2**28  # bytes, a judgment: millions of scores
_MOST = sys.float_info.max  # a score is no larger, nor NaN
_PAUSE = 1.0  # seconds between two writes, and so what a kill loses: a judgment


def fingerprint(bars, task):
    """A short digest of each part that decides the scores."""
    rows = pd.util.hash_pandas_object(bars, index=True).to_numpy()
    parts = {
        "bars": sha256(rows.tobytes() + repr(list(bars.columns)).encode())[:16]
    }
    for name in ("estimator", "labeler", "cv", "scoring", "method", "block_length"):
        try:
            parts[name] = joblib.hash(getattr(task, name))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise SktrainError(
                f"path needs a picklable {name}, so that the file can say what it belongs to: "
                f"{error}. Use named functions."
            ) from error
    return parts


class Journal:
    """Finished scores of one calibration, in memory and, with a path, on disk.

    Parameters
    ----------
    path : Path or None
    belongs : dict or None
        From :func:`fingerprint`.
    entropy : int
        Seed of the copies.
    """

    def __init__(self, path, belongs, entropy, fold_scores=None, nulls=None):
        self.path, self.belongs, self.entropy = path, belongs, entropy
        self.fold_scores, self.nulls = fold_scores, nulls or {}
        self._written = 0.0

    @classmethod
    def open(cls, path, belongs, entropy):
        """Read ``path`` if it is there and belongs here; a seed left open is taken from it."""
        if path is None:
            return cls(None, None, np.random.SeedSequence(entropy).entropy)
        path = Path(path)
        if not path.parent.is_dir():
            raise SktrainError(
                f"path={str(path)!r}: the folder {str(path.parent)!r} does not exist."
            )
        if not path.exists():
            return cls(path, belongs, np.random.SeedSequence(entropy).entropy)
        state = _read(path)
        wanted = {**belongs, "random_state": state["entropy"] if entropy is None else entropy}
        found = {**state["belongs"], "random_state": state["entropy"]}
        differing = [name for name in wanted if wanted[name] != found.get(name)]
        if differing:
            raise StudyMismatchError(
                f"{str(path)!r} holds the scores of another {', '.join(differing)}. Choose "
                "another path, or delete the file."
            )
        nulls = {int(number): float(value) for number, value in state["nulls"].items()}
        return cls(path, belongs, state["entropy"], state["fold_scores"], nulls)

    def set_score(self, fold_scores):
        self.fold_scores = [float(score) for score in fold_scores]
        self._write()

    def add(self, number, value):
        self.nulls[number] = value
        if time.monotonic() - self._written > _PAUSE:
            self._write()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._write()

    def _write(self):
        if self.path is None:
            return
        state = {
            "format": _FORMAT,
            "belongs": self.belongs,
            "entropy": self.entropy,
            "fold_scores": self.fold_scores,
        }
        state["nulls"] = {str(number): self.nulls[number] for number in sorted(self.nulls)}
        atomic_write(self.path, json.dumps({**state, "sha256": _checksum(state)}).encode())
        self._written = time.monotonic()


def _checksum(state):
    return sha256(json.dumps(state, sort_keys=True).encode())


def _refuse_constant(name):
    raise ValueError(f"it holds {name}, which no score is")


def _read(path):
    try:
        state = json.loads(
            read_file(path, limit=_LARGEST).decode(), parse_constant=_refuse_constant
        )
    except (OSError, RecursionError, ValueError) as error:
        raise CorruptFileError(
            f"{str(path)!r} is not a journal of null_calibration: {error}. Delete it, or choose "
            "another path."
        ) from error
    mark = state.pop("sha256", None) if isinstance(state, dict) else None
    expected = {"format", "belongs", "entropy", "fold_scores", "nulls"}
    if not isinstance(state, dict) or set(state) != expected or state["format"] not in _READS:
        raise CorruptFileError(
            f"{str(path)!r} is not a journal of null_calibration ({_FORMAT!r}). Choose another "
            "path."
        )
    altered = state["format"] == _FORMAT and mark != _checksum(state)
    if altered or not _is_whole(state):
        raise CorruptFileError(
            f"{str(path)!r} is a damaged journal of null_calibration: what it holds is altered, or "
            "no score. Delete it, or choose another path."
        )
    return state


def _is_whole(state):
    """Whether every part has its type, every number is finite."""
    folds, nulls, entropy = state["fold_scores"], state["nulls"], state["entropy"]
    if not (folds is None or isinstance(folds, list) and folds) or not isinstance(nulls, dict):
        return False
    return (
        isinstance(state["belongs"], dict)
        and type(entropy) is int
        and entropy >= 0
        and all(
            type(score) in (int, float) and abs(score) <= _MOST
            for score in (*(folds or ()), *nulls.values())
        )
        and all(re.fullmatch(r"0|[1-9][0-9]{0,17}", number) for number in nulls)
    )
