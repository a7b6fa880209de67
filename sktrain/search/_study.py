"""Who suggests the next trials: always the same parameters after the same finished trials.

Trials are numbered by *slots* 0, 1, 2 … and suggested in batches of fixed size. A suggestion
depends on the seed, its slot, the finished batches before it and the earlier slots of its own
batch, and on nothing else: not on how many workers ran them, in which order they ended, or how
often the search was killed. To hold that by construction, suggestions come from an in-memory Optuna
study that only ever sees whole batches, whatever a shared storage holds at that moment.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
import warnings

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial, TrialState

from ..exceptions import SktrainError

__all__ = ["BATCH", "Record", "Suggester", "default_sampler", "quiet_optuna"]

# slots suggested at once, a judgment: a larger batch keeps more workers busy and learns later
BATCH = 4
_OPENING = 2 * BATCH  # trials spread evenly before anything is learned, a judgment
# their square roots are irrational and independent: multiples of them fill the cube evenly
# (Richtmyer 1951)
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@contextmanager
def quiet_optuna():
    """Silence Optuna's log lines and its notes on experimental features; the caller's setting comes
    back."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


class SpreadTPESampler(optuna.samplers.TPESampler):
    """TPE whose first trials are spread evenly over the space instead of drawn at random.

    Point n of the opening has coordinate frac(u + n sqrt(p)) with a prime p per parameter and a
    seeded shift u: a Kronecker sequence (Niederreiter 1992, chapter 3), which covers each range
    evenly after any number of trials.
    """

    opening_seed = 0

    def sample_independent(self, study, trial, param_name, param_distribution):
        place = len(trial.params)
        if trial.number >= _OPENING or place >= len(_PRIMES):
            return super().sample_independent(study, trial, param_name, param_distribution)
        shift = np.random.default_rng([self.opening_seed, place]).random()
        return _at(param_distribution, (shift + (trial.number + 1) * np.sqrt(_PRIMES[place])) % 1.0)


def _at(distribution, u):
    """The value at the fraction ``u`` of a distribution's range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(u * len(distribution.choices))]
    whole = isinstance(distribution, IntDistribution)
    low, high = (
        (distribution.low - 0.5, distribution.high + 0.5)
        if whole
        else (distribution.low, distribution.high)
    )
    value = (
        np.exp(np.log(low) + u * (np.log(high) - np.log(low)))
        if distribution.log
        else low + u * (high - low)
    )
    if distribution.step is not None and not distribution.log:
        value = (
            distribution.low
            + round((value - distribution.low) / distribution.step) * distribution.step
        )
    value = min(max(value, distribution.low), distribution.high)
    return int(round(value)) if whole else float(value)


def default_sampler(seed=None):
    """TPE over all parameters together that opens evenly and keeps away from the trials of its own
    batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = SpreadTPESampler(
            seed=seed, n_startup_trials=_OPENING, multivariate=True, group=True, constant_liar=True
        )
    sampler.opening_seed = 0 if seed is None else seed
    return sampler


def _random_states(sampler, seen=None):
    """Every generator inside a sampler and the samplers inside it."""
    seen = set() if seen is None else seen
    if id(sampler) in seen:
        return
    seen.add(id(sampler))
    for _, value in sorted(vars(sampler).items()):
        if isinstance(value, LazyRandomState):
            yield value.rng
        elif isinstance(value, BaseSampler):
            yield from _random_states(value, seen)


def seed_of(sampler):
    """A seed from the sampler's own generator: a sampler the user seeded seeds the search."""
    for rng in _random_states(sampler):
        return int(rng.randint(np.iinfo(np.int32).max))
    return int(np.random.default_rng().integers(np.iinfo(np.int32).max))


@dataclass
class Record:
    """One trial: what was suggested, and once it is finished, what came out.

    Attributes
    ----------
    slot : int
        Place in the search, from 0.
    params : dict
        The estimator's parameters.
    sampled : dict
        What Optuna sampled, under the study's names.
    distributions : dict
        What it was sampled from.
    system_attrs, memory : dict
        What the sampler wrote on the trial and on the study.
    state : {"running", "complete", "pruned", "failed"}
    folds : list of dict
        scikit-learn's result of each fold that was run, in order.
    reports : list of float
        What the pruner was told after each fold.
    value : float or None
        Mean test score of a complete trial.
    duration : float
        Seconds of fitting and scoring.
    """

    slot: int
    params: dict
    sampled: dict
    distributions: dict
    system_attrs: dict = field(default_factory=dict)
    memory: dict = field(default_factory=dict)
    state: Literal["running", "complete", "pruned", "failed"] = "running"
    folds: list = field(default_factory=list)
    reports: list = field(default_factory=list)
    value: float | None = None
    duration: float = 0.0
    claim: int | None = None  # the trial's id in a shared storage

    @property
    def finished(self):
        return self.state in STATES

    def frozen(self, state, **attrs):
        """The record as an Optuna trial in ``state``."""
        now = datetime.now()
        done = state.is_finished()
        return FrozenTrial(
            number=self.slot,
            trial_id=-1,
            state=state,
            value=self.value if done else None,
            datetime_start=now,
            datetime_complete=now if done else None,
            params=self.sampled, distributions=self.distributions, user_attrs=attrs,
            system_attrs=self.system_attrs,
            intermediate_values=dict(enumerate(self.reports)) if done else {},
        )


class _PastOnly:
    """A storage in which a trial sees finished trials and itself, never the other trials of its
    batch."""

    def __init__(self, storage, number):
        self._inner, self._number = storage, number

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "_inner"), name)

    def get_all_trials(self, study_id, deepcopy=True, states=None):
        trials = self._inner.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        return [
            trial for trial in trials if trial.state.is_finished() or trial.number == self._number
        ]


def _check_given(given, trial):
    """Hold what was asked for to what a define-by-run space suggested."""
    for name, value in given.items():
        if name not in trial.params or not trial.distributions[name]._contains(
            trial.distributions[name].to_internal_repr(value)
        ):
            known = {name: str(distribution) for name, distribution in trial.distributions.items()}
            raise SktrainError(
                f"enqueue: {name!r}={value!r} is nothing that the function given as "
                f"param_distributions suggests ({known})."
            )


class Suggester:
    """Asks the sampler and the pruner, on a study that only sees whole batches.

    Parameters
    ----------
    space : Space
    sampler : optuna.samplers.BaseSampler
        Changed in place: pass a copy.
    pruner : optuna.pruners.BasePruner
    seed : int
    name : str
        Name of the study; Hyperband reads it.
    opening : list of dict, default=()
        What the first slots sample; the sampler adds what is missing.
    """

    def __init__(self, space, *, sampler, pruner, seed, name, opening=()):
        self.space, self.seed, self.opening = space, seed, opening
        if isinstance(sampler, SpreadTPESampler):
            sampler.opening_seed = seed
        self.study = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=pruner, study_name=name
        )
        # samplers and callbacks may call study.stop()
        self.study._thread_local.in_optimize_loop = True

    @property
    def stopped(self):
        return self.study._stop_flag

    def any_complete(self):
        """Whether a finished batch holds a complete trial."""
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))

    def _reseed(self, slot):
        children = np.random.SeedSequence([self.seed, slot])
        for rng in _random_states(self.study.sampler):
            rng.seed(children.spawn(1)[0].generate_state(4))

    def ask(self, slot):
        """Suggest the parameters of ``slot``; slots are asked in order."""
        self._reseed(slot)
        given = self.opening[slot] if slot < len(self.opening) else {}
        if given:
            self.study.enqueue_trial(given)
        trial = self.study.ask(self.space.distributions)
        params = self.space.params(trial)
        _check_given(given, trial)
        frozen = self.study._storage.get_trial(trial._trial_id)
        memory = self.study._storage.get_study_system_attrs(self.study._study_id)
        return Record(
            slot,
            params,
            dict(frozen.params),
            dict(frozen.distributions),
            dict(frozen.system_attrs),
            dict(memory),
        )

    def recall(self, record):
        """Let a stored trial take its slot as if it had been asked."""
        for key, value in record.memory.items():
            self.study._storage.set_study_system_attr(self.study._study_id, key, value)
        self.study.add_trial(record.frozen(TrialState.RUNNING))

    def _trial_id(self, record):
        return self.study._storage.get_trial_id_from_study_id_trial_number(
            self.study._study_id, record.slot
        )

    def hopeless(self, record, n_folds):
        """Whether the pruner gives the trial up after the folds it has run."""
        storage, trial_id = self.study._storage, self._trial_id(record)
        for step, value in enumerate(record.reports):
            storage.set_trial_intermediate_value(trial_id, step, value)
        storage.set_trial_user_attr(trial_id, "n_folds", n_folds)
        past = optuna.Study(
            self.study.study_name,
            _PastOnly(storage, record.slot),  # type: ignore[arg-type]  # passes all on to one
            sampler=self.study.sampler,
            pruner=self.study.pruner,
        )
        return bool(self.study.pruner.prune(past, storage.get_trial(trial_id)))

    def tell(self, record):
        """Learn from a finished trial; trials are told in the order of their slots, a whole batch
        at a time."""
        storage, trial_id = self.study._storage, self._trial_id(record)
        for step, value in enumerate(record.reports):
            storage.set_trial_intermediate_value(trial_id, step, value)
        storage.set_trial_user_attr(trial_id, "duration", record.duration)
        values = None if record.value is None else [record.value]
        self.study.tell(
            record.slot, values if record.state == "complete" else None, state=STATES[record.state]
        )
        return storage.get_trial(trial_id)

    def drop(self, record):
        """Give up a slot that was asked and never finished (a search that was interrupted)."""
        self.study.tell(record.slot, state=TrialState.FAIL)
