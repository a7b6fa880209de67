"""Several nets that differ by their seed alone and answer together (Lakshminarayanan, Pritzel &
Blundell 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles").

Each is a whole net: what was learned, when it stopped and how its scores become probabilities is
its own. The rest of the nets trains and validates one; here is the list, and what is said of all.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from skorch.history import History
import torch

from ..exceptions import SktrainError
from ..reproducibility import draw_seed
from ._batched import fit_together
from ._inference import Inference

__all__ = ["Members"]

_SAID_BY_ALL = (  # learned from the rows, so the same for each
    "lookback_", "step_features_", "n_features_in_", "feature_names_in_", "classes_inferred_",
    "class_count_", "label_horizon_", "validation_",
)  # fmt: skip
_OWN = ("n_members", "random_state")  # parameters that a member does not share
_TINY = 1e-300  # near float64's least normal number, 2e-308: the logarithm is finite


class Members(Inference):
    """Mixin: ``n_members`` nets behind one ``fit`` and one ``predict``."""

    n_members: Any
    random_state: Any
    warm_start: Any
    initialized_: Any
    history_: Any
    read_rows: Any
    get_params: Any
    _unchanged_by_errors: Any
    _validate_params: Any
    _unless: Any

    def _several(self):
        """The fitted members, None where there is but the net itself."""
        return vars(self).get("members_")

    def _fit_members(self, X, y, known):
        self._validate_params()
        with self._unchanged_by_errors():
            interrupted = None
            if self.warm_start and self.initialized_ and self._several():
                members = [_copied(member) for member in self._several()]
                members, interrupted = _one_by_one(members, lambda one: one.fit(X, y, **known))
            else:
                members = self._new_members()
                found = fit_together(members, X, y, known)
                if found is None:
                    members = self._new_members(members)
                    found = _one_by_one(members, lambda one: one.fit(X, y, **known))
                members, interrupted = found
            self._adopt_members(members)
        return self._unless(interrupted)

    def _update_members(self, X, y, classes, known):
        """An update of each, on the side: one that fails leaves all as they were."""
        first = not (self.initialized_ and self._several())
        with self._unchanged_by_errors():
            if first:
                self._validate_params()
            members = self._new_members() if first else [_copied(one) for one in self._several()]
            train = lambda one: one.partial_fit(X, y, classes, **known)  # noqa: E731
            done, interrupted = _one_by_one(members, train)
            self._adopt_members(done if first else done + members[len(done) :])
        return self._unless(interrupted)

    def _new_members(self, like=None):
        """Unfitted members; with the seeds of others where given."""
        seeds = self._seeds() if like is None else [one.random_state for one in like]
        return [clone(self).set_params(n_members=1, random_state=seed) for seed in seeds]

    def _seeds(self):
        """One seed each: the first of eight members are those of two."""
        drawn = np.random.SeedSequence(draw_seed(self.random_state)).generate_state(self.n_members)
        return [int(seed % np.iinfo(np.int32).max) for seed in drawn]

    def _adopt_members(self, members):
        for name in [name for name in vars(self) if name.endswith("_") and name[0] != "_"]:
            del vars(self)[name]
        told = vars(members[0])
        vars(self).update({name: told[name] for name in _SAID_BY_ALL if name in told})
        self.members_ = members
        self.history_ = _together([member.history_ for member in members])
        self.initialized_ = True

    def _pass_on(self, params):
        """Parameters set after ``fit`` are the members' too."""
        shared = {name: value for name, value in params.items() if name not in _OWN}
        for member in self._several() or ():
            member.set_params(**shared)
        if isinstance(params.get("random_state"), (int, np.integer)) and self._several():
            for member, seed in zip(self._several(), self._seeds()):
                member.random_state = seed

    def _all_scores(self, X):
        """Class scores in float64; of members the logarithm of their mean posterior."""
        if not self._several():
            return super()._all_scores(X)
        if type(X) is not np.ndarray or X.ndim != 3:
            X = self.read_rows(X, reset=False)  # once for all
            X = X if X.y is None else X.with_targets(None)
        total = 0.0
        for member in self._several():
            member.device = self.device
            total = total + member.predict_proba(X)
        return np.log(np.maximum(total / len(self._several()), _TINY))

    def forward_iter(self, X: ArrayLike, training: bool = False, device: str = "cpu") -> Any:
        """Class scores, batch by batch.

        What the loss was trained on, before they become probabilities; of several members the
        logarithm of their mean posterior, in one batch.

        Parameters
        ----------
        X : array-like, DataFrame or WindowedArray of length n
            As in :meth:`fit`.
        training : bool, default=False
            Whether the network is in training mode (dropout is active); of several members each has
            a network of its own: ask ``members_``.
        device : str, default="cpu"
            Where the scores are put.

        Yields
        ------
        Tensor of shape (n_batch, n_classes)
            Class scores.
        """
        if not self._several():
            yield from super().forward_iter(X, training, device)
            return
        if training:
            raise SktrainError(
                "training=True asks for the one network of a net, and this one has "
                f"{len(self._several())} members: ask each of members_."
            )
        yield torch.from_numpy(self._all_scores(X)).float().to(device)


def _one_by_one(members, train):
    """Those that were trained, and the Ctrl-C that ended it, if one did."""
    done = []
    try:
        for member in members:
            train(member)
            if not member.history_:  # stopped within its first epoch
                break
            done.append(member)
            if member.stop_reason_ == "stop_flag":
                break
    except KeyboardInterrupt as error:
        if member.history_ and member.__sklearn_is_fitted__():
            done.append(member)
        if not done:
            raise
        return done, error
    return done or members[:1], None


def _copied(net):
    """A net of its own with what the other has learned; training never writes into that."""
    made = object.__new__(type(net))
    vars(made).update(vars(net))
    return made


def _together(histories):
    """One row per epoch: means over the members that were still trained in it."""
    found = History()
    for epoch in range(max(map(len, histories))):
        rows = [history[epoch] for history in histories if len(history) > epoch]
        found.new_epoch()
        found.record("epoch", epoch + 1)
        found.record("members", len(rows))
        for name in ("train_loss", "valid_loss", "valid_acc"):
            if all(name in row for row in rows):
                found.record(name, float(np.mean([row[name] for row in rows])))
        found.record("dur", sum(row.get("dur", 0.0) for row in rows))
    return found
