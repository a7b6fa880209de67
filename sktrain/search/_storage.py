"""Storage of trials that outlives a kill and is shared between processes.

A slot is *claimed* by adding a RUNNING trial for it to the shared study; of two claims the one with
the lower number holds, so any storage that numbers trials one by one will do, with no other lock. A
claim is void once its owner is dead: on the same machine that is decided by a lock the owner's
process holds (``flock``; the kernel lets go when it dies), elsewhere by a counter that stopped.
Only then is the trial marked FAIL and its slot free again.
"""

from contextlib import suppress
import errno
import os
from pathlib import Path
import platform
import re
import reprlib
import stat
import tempfile
import threading
import time
from typing import Any
from uuid import uuid4

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from ..exceptions import SktrainError, StudyMismatchError
from ._database import Reported, folder_lock, open_storage
from ._fingerprint import changes, digest
from ._pickled import check_pickles
from ._study import BATCH, STATES, Record

try:
    import fcntl
except ModuleNotFoundError:  # no flock on this system: the counter decides
    fcntl = None  # type: ignore[assignment]  # looked at before use

__all__ = ["MemoryLedger", "StorageLedger"]

_LOCK_FILE = ".sktrain-owner-"
_TOKEN = re.compile(r"[0-9a-f]{32}")
_NO_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # a link, a folder, a socket
_KEY = "sktrain"  # attribute under which everything of ours is stored
_BEAT = 10.0  # seconds between two signs of life, a judgment
# seconds without one, twelve missed, after which an owner elsewhere is taken to be dead: a
# judgment
_SILENCE = 120.0


class MemoryLedger:
    """Nothing is kept and nobody else is there."""

    shared = False
    seed = None

    def finished(self):
        return {}

    def claim(self, records, limit):
        return records[:limit]

    def write(self, record):
        pass

    def release(self, record):
        pass

    def close(self):
        pass


def _lock_path(folder, token):
    """Where the owner ``token`` keeps its lock: in our own folder, whatever a shared study says."""
    return Path(folder or tempfile.gettempdir()) / f"{_LOCK_FILE}{token}"


def _lock_file_held(path, missing=False):
    """Whether a living process holds a lock file; one that nobody holds is removed.

    None when that cannot be told, ``missing`` when there is none. A link, a pipe or a folder in its
    place is no owner's, which makes a file: nobody holds it, and it stays.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return missing
    except OSError as error:
        return False if error.errno in _NO_FILE else None  # None: not ours to read
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        Path(path).unlink(missing_ok=True)
        return False
    finally:
        os.close(handle)


class _Owner:
    """This process's claim to be alive.

    A process killed before its first claim leaves a lock file that no trial names, so each owner
    clears the folder of those. The folder's lock keeps a file that is made but not yet locked from
    being taken for one of them.
    """

    def __init__(self, folder):
        self.token = uuid4().hex
        self.path = _lock_path(folder, self.token)
        with folder_lock(folder):
            for left in folder.glob(f"{_LOCK_FILE}*") if folder else ():
                if _TOKEN.fullmatch(left.name.removeprefix(_LOCK_FILE)):
                    _lock_file_held(left)
            self._handle = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
            if fcntl is not None:
                fcntl.flock(self._handle, fcntl.LOCK_EX)
        self.record = {"token": self.token, "host": platform.node(), "pid": os.getpid()}

    def close(self):
        self.path.unlink(missing_ok=True)
        os.close(self._handle)


def _same_machine_alive(owner, folder):
    """Whether an owner on this machine still holds its lock; None when the lock cannot tell."""
    if owner.get("host") != platform.node():
        return None
    return _lock_file_held(_lock_path(folder, owner["token"]), missing=False if folder else None)


class StorageLedger:
    """One study in an Optuna storage, bound to a fingerprint.

    Parameters
    ----------
    storage : str, path or optuna storage
    name : str
    space : Space
        Turns stored samples into parameters again.
    n_folds : int
        Of a trial that completes.
    seed : int
        Used when the study is new; else the stored seed holds.
    describe : callable
        ``describe(seed) -> fingerprint``.
    fixed_seed : bool
        Whether the user gave ``seed``; else a resumed study keeps its own.

    Raises
    ------
    SktrainError
        When the storage cannot be opened or written.
    StudyMismatchError
        When the study is bound to something else.
    """

    shared = True

    def __init__(self, storage, name, *, space, n_folds, seed, describe, fixed_seed):
        opened, self._folder = open_storage(storage)
        self._storage = Reported(opened, repr(storage))
        self._is_ours = isinstance(storage, (str, os.PathLike))  # opened here, so closed here
        self.name, self._space, self._n_folds = name, space, n_folds
        try:
            self._study_id, self.seed = self._bind(seed, describe, fixed_seed)
            self._owner = _Owner(self._folder)
        except OSError as error:
            self._disconnect()
            raise SktrainError(f"storage={storage!r} cannot be written: {error}") from error
        except BaseException:
            self._disconnect()
            raise
        self._seen = {}  # token of an owner elsewhere -> (its counter, when we first saw it)
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def _bind(self, seed, describe, fixed_seed):
        with folder_lock(self._folder):
            try:
                study_id = self._storage.create_new_study(
                    [optuna.study.StudyDirection.MAXIMIZE], self.name
                )
                self._storage.set_study_user_attr(
                    study_id, _KEY, {"seed": seed, "fingerprint": describe(seed)}
                )
                return study_id, seed
            except DuplicatedStudyError:
                study_id = self._storage.get_study_id_from_name(self.name)
        bound = self._bound(study_id, seed, describe)
        lines = changes(bound["fingerprint"], describe(seed if fixed_seed else bound["seed"]))
        if lines:
            raise StudyMismatchError(
                f"The study {self.name!r} in this storage belongs to another problem: "
                f"{'; '.join(lines)}. "
                "Use another study_name or storage, or undo the change; inside cross_validate or "
                "a nested search leave study_name=None: "
                "the name is then derived from the rows of each outer fold."
            )
        return study_id, bound["seed"]

    def _bound(self, study_id, seed, describe):
        """What an existing study is bound to; its maker may be a moment behind."""
        for _ in range(20):
            attrs = self._storage.get_study_user_attrs(study_id)
            own = attrs.get(_KEY)
            if _is_bond(own):
                return own
            if self._storage.get_n_trials(study_id) or self._storage.get_study_directions(
                study_id
            ) != [optuna.study.StudyDirection.MAXIMIZE]:
                raise StudyMismatchError(
                    f"The study {self.name!r} in this storage was not made by OptunaSearchCV. Use "
                    "another study_name."
                )
            time.sleep(0.1)
        bound = {"seed": seed, "fingerprint": describe(seed)}
        self._storage.set_study_user_attr(study_id, _KEY, bound)
        return bound

    def _beat(self):
        count = 0
        while not self._stop.wait(_BEAT if count else 0):
            count += 1
            with suppress(SktrainError):  # a busy database: the next beat will do
                self._storage.set_study_user_attr(
                    self._study_id, f"{_KEY}-beat-{self._owner.token}", count
                )

    def _alive(self, owner):
        if (
            not isinstance(owner, dict)
            or not isinstance(owner.get("host"), str)
            or not _TOKEN.fullmatch(str(owner.get("token")))
        ):
            return False  # no process of ours made this claim
        local = _same_machine_alive(owner, self._folder)
        if local is not None:
            return local
        count = self._storage.get_study_user_attrs(self._study_id).get(
            f"{_KEY}-beat-{owner['token']}"
        )
        seen, since = self._seen.setdefault(owner["token"], (count, time.monotonic()))
        if seen != count:
            self._seen[owner["token"]] = (count, time.monotonic())
            return True
        return time.monotonic() - since < _SILENCE

    def _trials(self):
        """Trials of ours per slot, without void claims, in the order of their numbers."""
        slots: dict[int, list] = {}
        for trial in self._storage.get_all_trials(self._study_id, deepcopy=False):
            slot = trial.user_attrs.get("slot")
            if (
                type(slot) is not int
                or slot < 0
                or not (trial.state == TrialState.RUNNING or _outcome(trial))
            ):
                continue
            if trial.state == TrialState.RUNNING and not self._alive(trial.user_attrs.get("owner")):
                self._fail(trial._trial_id)
                continue
            slots.setdefault(slot, []).append(trial)
        return slots

    def _fail(self, trial_id):
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def finished(self):
        """Finished trials by slot."""
        records = {}
        for slot, trials in sorted(self._trials().items()):
            for trial in trials:
                if trial.state != TrialState.RUNNING and slot not in records:
                    records[slot] = self._checked(slot, trial)
        furthest = max(records, default=0)
        if furthest >= len(records) + 2 * BATCH:  # slots are filled in order, a batch at a time
            raise StudyMismatchError(
                f"The study {self.name!r} holds trial {furthest:,} among {len(records):,}: it was "
                "altered. Use another study_name or storage."
            )
        return records

    def _checked(self, slot, trial):
        try:
            kept = _outcome(trial)
            _check_outcome(kept, self._n_folds)
            return self._read(slot, trial)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise StudyMismatchError(
                f"Trial {slot} of the study {self.name!r} was not written by OptunaSearchCV "
                f"({type(error).__name__}: {error}). Use another study_name or storage."
            ) from error

    def _read(self, slot, trial):
        kept = _outcome(trial)
        value = trial.value if kept["state"] == "complete" else None
        if value is not None and not isinstance(value, float):
            raise TypeError(f"the score {value!r}")
        check_pickles(trial.system_attrs)
        # raises for values that are not of their distributions
        create_trial(params=trial.params, distributions=trial.distributions, value=0.0)
        return Record(
            slot,
            self._space.restored(trial, kept.get("params")),
            dict(trial.params),
            dict(trial.distributions),
            dict(trial.system_attrs),
            kept["memory"],
            kept["state"],
            kept["folds"],
            kept["reports"],
            value,
            kept["duration"],
        )

    def claim(self, records, limit):
        """Take up to ``limit`` of ``records`` that nobody alive holds and nobody has finished."""
        mine = list[Record]()
        for record in records:
            if len(mine) == limit:
                break
            # only spares void claims: the lower number decides without it
            with folder_lock(self._folder):
                if record.slot in self._trials():
                    continue
                claim = record.frozen(
                    TrialState.RUNNING, slot=record.slot, owner=self._owner.record
                )
                record.claim = self._storage.create_new_trial(self._study_id, template_trial=claim)
            if self._trials()[record.slot][0]._trial_id == record.claim:
                mine.append(record)
            else:
                self.release(record)
        return mine

    def release(self, record):
        """Give a claim back unfinished."""
        if record.claim is not None:
            with suppress(SktrainError):  # what cannot be told is void once this process lets go
                self._fail(record.claim)
            record.claim = None

    def write(self, record):
        """Make a finished trial last; it counts from the moment its state is set."""
        storage, trial_id = self._storage, record.claim
        kept = {
            "params": self._space.stored(record.params),
            "state": record.state,
            "folds": record.folds,
            "reports": record.reports,
            "duration": record.duration,
            "memory": record.memory,
        }
        try:
            storage.set_trial_user_attr(trial_id, "outcome", kept)
            for step, value in enumerate(record.reports):
                storage.set_trial_intermediate_value(trial_id, step, value)
            values = None if record.value is None else [record.value]
            storage.set_trial_state_values(trial_id, STATES[record.state], values)
        except UpdateFinishedTrialError as error:
            raise SktrainError(
                f"Trial {record.slot} was taken away: this process gave no sign of life for "
                f"{_SILENCE:.0f} s."
            ) from error

    def close(self):
        self._stop.set()
        self._heart.join()
        self._owner.close()
        self._disconnect()

    def _disconnect(self):
        if self._is_ours:
            self._storage.disconnect()


def _is_bond(found):
    """Whether it is what every study of ours is bound to: a seed, and a fingerprint of text."""
    if not isinstance(found, dict):
        return False
    parts, seed = found.get("fingerprint"), found.get("seed")
    if type(seed) is not int or not 0 <= seed < 2**32:  # what NumPy's RandomState takes
        return False
    return isinstance(parts, dict) and all(
        isinstance(part, dict) and all(isinstance(text, str) for text in part.values())
        for part in parts.values()
    )


def _outcome(trial):
    """What a finished trial stored, or None for a claim that came to nothing."""
    kept: Any = trial.user_attrs.get("outcome")
    known = isinstance(kept, dict) and STATES.get(str(kept.get("state"))) == trial.state
    return kept if known else None


def _check_outcome(kept, n_folds):
    """Raise a TypeError or ValueError for an outcome of other kinds than :meth:`write` makes."""
    kinds = {"folds": list, "reports": list, "memory": dict}
    odd = [name for name, kind in kinds.items() if not isinstance(kept[name], kind)]
    folds = kept["folds"]
    if odd or not all(isinstance(fold, dict) for fold in folds):
        raise TypeError(f"{', '.join(odd or ['folds'])} of another type")
    if len(folds) > n_folds or (kept["state"] == "complete" and len(folds) < n_folds):
        raise ValueError(f"{len(folds)} folds of {n_folds}")
    for number in (kept["duration"], *(one for one in kept["reports"] if one is not None)):
        _number(number)
    for fold in folds:
        if not isinstance(fold["fit_error"], (str, type(None))):
            raise TypeError("an error of a fold that is no text")
        for name in ("fit_time", "score_time", "n_test_samples"):
            _number(fold[name])
    whole = [fold for fold in folds if fold["fit_error"] is None]
    if len({tuple(map(_shape, _scores_of(fold))) for fold in whole}) > 1:
        raise TypeError("folds with different scores")
    for fold in folds:
        for scores in _scores_of(fold):
            for number in scores.values() if isinstance(scores, dict) else [scores]:
                _number(number)


def _scores_of(fold):
    return [fold["test_scores"], *([fold["train_scores"]] if "train_scores" in fold else [])]


def _shape(scores):
    """The names of several scores, None of one."""
    return tuple(sorted(scores)) if isinstance(scores, dict) else None


def _number(value):
    if type(value) not in (int, float):
        raise TypeError(f"{reprlib.repr(value)} in place of a number")
    float(value)  # an OverflowError when there is none so large


def study_name(name, data):
    """The user's name, else one derived from the data, so that the outer folds of a nested search
    never share trials."""
    return name or f"sktrain-{digest(sorted(data.items()))}"
