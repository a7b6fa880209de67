"""``partial_fit``: a net updated with a block of newer rows, or left as it was.

Rows come in order of time. Of a block the newest rows are held back, purged by the label horizon;
the rest is trained on together with as many rows drawn from those seen before. The result replaces
the present weights only if it does not lose.
"""

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from skorch.history import History
import torch

from .._last_block import FEWEST, ValidationBlock, last_block
from .._validation import Count
from ._batches import WindowRows
from ._inputs import TrainingJob
from ._parts import NetParts

__all__ = ["UpdateReport", "Updating"]

# share of a block that validates; with .15, four stationary blocks of 100 rows cost .003 of
# accuracy (24 seeds)
_HELD_BACK = 0.3
# share of the remembered rows that decide between equals and are not replayed, a judgment
_VALIDATED = 0.2


@dataclass(frozen=True)
class UpdateReport:
    """What the last ``partial_fit`` of a fitted net did.

    Attributes
    ----------
    accepted : bool
        Whether the updated weights replaced the ones before.
    n_new, n_replayed, n_held_back, n_old : int
        Rows of the block trained on, earlier rows trained on again, newest rows of the block that
        judged, and earlier rows that decide between equals.
    change : float or None
        Mean loss on the held-back rows after the update less before it; negative is better. None
        without such rows.
    standard_error : float or None
        Of ``change``, from paired rows; labels that overlap count once (``validation_.share``).
    old_change : float or None
        Mean change on the earlier rows that validate.
    reason : str
        Why it was accepted or not.
    """

    accepted: bool
    n_new: int
    n_replayed: int
    n_held_back: int
    n_old: int
    change: float | None
    standard_error: float | None
    old_change: float | None
    reason: str

    def summary(self) -> str:
        """One line."""
        verdict = "accepted" if self.accepted else "refused"
        rows = f"{self.n_new} new rows and {self.n_replayed} earlier ones"
        return f"update {verdict} after {rows}: {self.reason}"


class Updating(NetParts):
    """Mixin: remembering rows, training on, and judging what came of it."""

    def _update_job(self, rows, classes, codes, X, y, known):
        """New rows to train on, and the newest to validate on."""
        block = self._held_back(X, y, codes, known)
        valid = None if block.valid is None else rows.take(block.valid)
        return TrainingJob(rows.take(block.train), valid, classes, block)

    def _held_back(self, X, y, codes, known):
        everything = np.arange(len(codes))
        if self.train_split is None:
            return ValidationBlock(everything, None, reason="train_split=None")
        if len(codes) < 2 * FEWEST:
            reason = f"a block of {len(codes)} rows is too small to hold {FEWEST} back"
            return ValidationBlock(everything, None, reason=reason)
        fraction = max(self.valid_fraction, _HELD_BACK, (FEWEST + 0.5) / len(codes))
        caller = f"{type(self).__name__}.partial_fit"
        return last_block(
            X, y, codes, fraction=fraction, horizon=self.horizon, caller=caller, **known
        )

    def _add_earlier(self, job, rng):
        """Earlier rows to train on again, as many as new ones, and others to validate on."""
        job.n_new = len(job.train)
        kept = vars(self).get("replay_")
        if kept is None or not self.replay_rows:
            return
        order = rng.permutation(len(kept["y"]))
        n_validated = round(_VALIDATED * len(order))
        validated, others = np.sort(order[:n_validated]), order[n_validated:][: job.n_new]
        if len(validated):
            job.old = _rows_of(kept, validated)
        if len(others):
            job.train = job.train.joined(_rows_of(kept, others))

    def _remember(self, rows, rng, *, again):
        """Keep a uniform sample of all rows seen so far: those with the smallest of one random key
        per row.

        Fan, Muller and Rezucha 1962, "Development of sampling plans by using sequential (item by
        item) selection techniques".
        """
        if not self.replay_rows:
            vars(self).pop("replay_", None)
            return
        kept = vars(self).get("replay_") if again else None
        keys = rng.random(len(rows))
        before = keys[:0] if kept is None else kept["key"]
        best = np.sort(
            np.argsort(np.concatenate([before, keys]), kind="stable")[: self.replay_rows]
        )
        stay, enter = best[best < len(before)], best[best >= len(before)] - len(before)
        new = rows.take(enter)
        X = new.gather(torch.arange(len(new))).numpy()
        found = {
            "y": new.y.numpy(),
            "weight": np.ones(len(new), np.float32) if new.weight is None else new.weight.numpy(),
            "key": keys[enter],
        }
        if kept is not None:
            found = {name: np.concatenate([kept[name][stay], found[name]]) for name in found}
            X = np.concatenate([_windows(kept, stay), X])
        self.replay_ = {**_stored_once(X), **found}

    def _forget(self):
        """Drop the rows that a lower ``replay_rows`` has no space for."""
        kept = vars(self).get("replay_")
        if kept is None or not Count(0).is_satisfied_by(self.replay_rows):
            return
        best = np.sort(np.argsort(kept["key"], kind="stable")[: self.replay_rows])
        if not len(best):
            del vars(self)["replay_"]
        elif len(best) < len(kept["key"]):
            self.replay_ = {
                **_stored_once(_windows(kept, best)),
                **{name: kept[name][best] for name in ("y", "weight", "key")},
            }

    def _set_aside(self, again):
        """What is present stays as it is: training makes new components, or goes on with copies."""
        names = ("module_", "criterion_", "optimizer_", "history_", "posterior_")
        present = {name: vars(self)[name] for name in names if name in vars(self)}
        self.history_ = None
        if again:
            copies = {
                name: value
                for name, value in present.items()
                if name not in ("history_", "posterior_")
            }
            # together: the optimizer holds the network's parameters
            vars(self).update(copy.deepcopy(copies))
            self.history_ = History(dict(row) for row in present["history_"])
        return present

    def _built(self):
        """Note what loss and optimizer were made from."""
        self.recipe_ = {name: self._recipe(name) for name in ("criterion", "optimizer")}

    def _recipe(self, name):
        return {
            "class": getattr(self, name),
            **{key: value for key, value in self._get_params_for(name).items() if key != "lr"},
        }

    def _refresh(self):
        """Loss and optimizer are made anew where their parameters changed or a file left them out;
        rates are the newest."""
        made = vars(self).get("recipe_", {})
        self.module_.to(self._device)
        for name in ("criterion", "optimizer"):
            if name + "_" not in vars(self) or not _alike(made.get(name), self._recipe(name)):
                getattr(self, f"_initialize_{name}")()
        self._set_rates()
        if isinstance(self.criterion_, torch.nn.Module):
            self.criterion_.to(self._device)
        # moves its state to where the parameters are
        self.optimizer_.load_state_dict(self.optimizer_.state_dict())

    def _set_rates(self):
        """``lr`` for every parameter group that ``optimizer__param_groups`` gives no rate of its
        own."""
        params = self.get_params_for("optimizer")
        groups = self.optimizer_.param_groups
        own: list[dict[str, Any]] = [{}] * len(groups)
        if "param_groups" in params:
            own = self.get_params_for_optimizer("optimizer", self.get_all_learnable_params())[0][0]
        for group, asked in zip(groups, own, strict=True):
            group["lr"] = asked.get("lr", params.get("lr", self.lr))

    def _accepts(self, job, before):
        """Compare the weights after the update with those before on rows neither was just trained
        on."""
        known = before["module_"].to(self._device)
        new, old = (self._changes(known, rows) for rows in (job.valid, job.old))
        change, error = _mean(*new, job.block.share)
        old_change, _ = _mean(*old, 1.0)
        accepted, reason = _verdict(change, error, old_change)
        n_held, n_old = (0 if rows is None else len(rows) for rows in (job.valid, job.old))
        self.update_ = UpdateReport(
            accepted,
            job.n_new,
            len(job.train) - job.n_new,
            n_held, n_old, change, error, old_change, reason,
        )
        return accepted

    def _changes(self, before, rows) -> tuple[Any, Any]:
        """Loss of each row after less before the update, and the rows' weights."""
        if rows is None:
            return None, None
        losses = [self._row_losses(module, rows) for module in (self.module_, before)]
        return (losses[0] - losses[1]).numpy(), None if rows.weight is None else rows.weight.numpy()

    @torch.no_grad()
    def _row_losses(self, module, rows):
        score = getattr(module, "logits", module)
        module.eval()
        parts = []
        for some in torch.arange(len(rows)).split(1024):
            logits = score(self._to_device(rows.gather(some))).float()
            losses = self._row_loss(logits, self._to_device(rows.y[some]))
            parts.append(losses.cpu().double())
        return torch.cat(parts)


def _stored_once(X):
    """Windows (m, lookback, n_features) as their different steps and the place of each among them;
    windows that overlap share most of theirs."""
    n, lookback, n_features = X.shape
    steps = np.ascontiguousarray(X).reshape(n * lookback, n_features)
    as_bytes = steps.view(np.dtype((np.void, steps.strides[0]))).ravel()
    codes, _ = pd.factorize(as_bytes.astype(object))
    _, first = np.unique(codes, return_index=True)
    places = codes.astype(np.min_scalar_type(max(len(first) - 1, 0)))
    return {"steps": steps[first], "windows": places.reshape(n, lookback)}


def _windows(kept, some):
    if "X" in kept:  # of a file written before steps were stored once
        return kept["X"][some]
    return kept["steps"][kept["windows"][some]]


def _rows_of(kept, some):
    rows = WindowRows.from_array(_windows(kept, some))
    return rows.with_targets(
        torch.from_numpy(kept["y"][some]), torch.from_numpy(kept["weight"][some])
    )


def _mean(changes, weight, share):
    """Mean change and its standard error; of rows whose labels overlap only ``share`` is
    independent."""
    if changes is None:
        return None, None
    weight = np.ones(len(changes)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not weight.any():
        return None, None
    weight = weight / weight.sum()
    mean = float(weight @ changes)
    error = float(np.sqrt((weight**2) @ (changes - mean) ** 2 / share))
    return mean, error


def _verdict(change, error, old_change):
    """Whether the update stays. Within one standard error (Breiman et al. 1984) the two are
    equal."""
    if change is not None and change < -error:
        return True, f"the loss on held-back new rows fell by {-change:.4g}"
    if change is not None and change > error:
        return False, f"the loss on held-back new rows rose by {change:.4g}"
    start = "no rows were held back" if change is None else "equal on held-back new rows"
    if old_change is None:
        return True, f"{start}, and there are no earlier rows to ask"
    # those were trained on before, which favours the weights before: in doubt they stay
    if old_change > 0:
        return False, f"{start}, and the loss on earlier rows rose by {old_change:.4g}"
    return True, f"{start}, and no worse on earlier rows"


def _alike(a, b):
    """Whether two nested parameter values are the same."""
    if a is b:
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b))
    if isinstance(a, partial) and isinstance(b, partial):
        return a.func is b.func and _alike([a.args, a.keywords], [b.args, b.keywords])
    if isinstance(a, (np.ndarray, torch.Tensor)) or isinstance(b, (np.ndarray, torch.Tensor)):
        return type(a) is type(b) and np.array_equal(np.asarray(a), np.asarray(b))
    return type(a) is type(b) and bool(a == b)
