"""Which callbacks of skorch are called, and when.

Scoring callbacks see rows and labels as a user knows them; all others see what the training loop
sees, scaled tensors and codes.
"""

from typing import Any

from skorch.callbacks import Callback, PassthroughScoring
from skorch.callbacks.scoring import ScoringBase
from skorch.callbacks.training import EarlyStopping
from skorch.dataset import Dataset
import torch

from ._batches import WindowRows
from ._parts import NetParts

__all__ = ["Hooks"]

# column: whether lower is better
_BEST = {"train_loss": True, "valid_loss": True, "valid_acc": False}


class Hooks(NetParts):
    """Mixin: notifies callbacks and keeps the history they read."""

    def _heard(self, method):
        """Callbacks that do something on ``method``, those first whose scores others may
        monitor."""
        hooks = vars(self).setdefault("_hooks", {})
        if method not in hooks:
            nothing = getattr(Callback, method)
            heard = [
                cb for _, cb in self.callbacks_
                if getattr(type(cb), method, None) is not nothing or method in vars(cb)
            ]  # fmt: skip
            hooks[method] = sorted(
                heard, key=lambda cb: not isinstance(cb, (ScoringBase, PassthroughScoring))
            )
        return hooks[method]

    def _hears(self, method):
        return bool(self._heard(method))

    def request_stop(self, reason: str) -> None:
        """Ask for training to end after the current batch or epoch.

        Parameters
        ----------
        reason : str
            Becomes ``stop_reason_``.
        """
        self.stop_reason_ = reason

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a hook of the net and of every callback that defines it.

        Parameters
        ----------
        method_name : str
            Name of the hook, such as ``"on_epoch_end"``.
        **cb_kwargs : dict
            Handed to the hook.
        """
        getattr(self, method_name)(self, **cb_kwargs)
        for callback in self._heard(method_name):
            scorer = isinstance(callback, ScoringBase)
            try:
                getattr(callback, method_name)(
                    self, **(self._for_scorers(cb_kwargs) if scorer else cb_kwargs)
                )
            except KeyboardInterrupt:
                # skorch's own uses the exception to stop
                if not isinstance(callback, EarlyStopping):
                    raise
                self.request_stop("patience")

    def _for_scorers(self, told):
        """Codes become labels and scaled tensors rows, so that any scorer of scikit-learn compares
        like with like."""
        told = dict(told)
        if told.get("batch") is not None:
            X, y = told["batch"]
            told["batch"] = _as_rows(X), self.classes_[y.cpu().numpy()]
        for name in ("dataset_train", "dataset_valid"):
            rows = told.get(name)
            if isinstance(rows, WindowRows):
                told[name] = Dataset(rows, self.classes_[rows.y.cpu().numpy()], length=len(rows))
        return told

    def _record_batch(self, prefix, loss, size):
        self.history_.record_batch(f"{prefix}_loss", float(loss))
        self.history_.record_batch(f"{prefix}_batch_size", size)

    def _record_best(self):
        """Whether this epoch is the best of its training so far, as ``Checkpoint`` and others
        ask."""
        row, earlier = self.history_[-1], self.history_[-1 - self.epoch_ : -1]
        for name, lower in _BEST.items():
            if name in row:
                sign = 1 if lower else -1
                row[f"{name}_best"] = all(
                    sign * row[name] < sign * other[name] for other in earlier if name in other
                )


def _as_rows(X):
    """A batch of scaled windows as rows that the net predicts."""
    X = X["X"] if isinstance(X, dict) else X
    n, lookback, n_features = X.shape
    ends = torch.arange(n) * lookback + lookback - 1
    return WindowRows(X.reshape(n * lookback, n_features).cpu(), ends, None, lookback, missing=0)
