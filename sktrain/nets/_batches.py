"""Batches of tensors: every step is stored once, windows are gathered per batch.

A row is a window of ``lookback`` steps that ends at its decision time; steps from before the first
known one are missing. The order of rows is the caller's; shuffling happens between rows, never
inside a window.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from .._devices import is_card
from .._validation import check_count, check_flag
from ..exceptions import SktrainError

__all__ = [
    "PREDICT_ROWS", "BatchLoader", "ClassWeightedSampler", "WindowRows", "apart",
    "on_device", "rows_at_once",
]

PREDICT_ROWS = 1024  # of one look on a CPU, a judgment: small in memory
_CARD_ROWS, _CARD_NUMBERS = 16_384, 2**26
"""Rows of one look on a card, as long as their steps times 64 hidden units or more are no more
numbers than that: 256 MB of float32."""
# of a card's memory that rows may take, a judgment; the rest is for what a network keeps of a
# batch
_SHARE = 0.5


def rows_at_once(rows):
    """Rows that a network is asked about together, without gradients."""
    if not isinstance(rows, WindowRows) or not is_card(rows.device):
        return PREDICT_ROWS
    numbers = rows.lookback * max(rows.n_features, 64)
    return max(PREDICT_ROWS, min(_CARD_ROWS, _CARD_NUMBERS // numbers))


def on_device(device, *parts):
    """Sets of rows on a CUDA device, if all together take no more than half of its memory: then
    windows are gathered there. Otherwise, and for other devices, as they are.

    The memory of the device decides, not what of it is free: a seed gives the same net every time.
    """
    rows = [part for part in parts if part is not None]
    if not is_card(device) or not rows:
        return parts
    bases = {id(part.base): part.base for part in rows}
    n_bytes = sum(part.n_bytes for part in rows) - sum(_bytes(part.base) for part in rows)
    n_bytes += sum(_bytes(base) for base in bases.values())
    if n_bytes > _SHARE * torch.cuda.get_device_properties(device).total_memory:
        return parts
    moved = {key: base.to(device) for key, base in bases.items()}
    return tuple(None if one is None else one.to(device, moved[id(one.base)]) for one in parts)


def _bytes(tensor):
    return 0 if tensor is None else tensor.numel() * tensor.element_size()


def apart(inputs):
    """Rows and sample weights (None without) of what a batch holds."""
    return (inputs["X"], inputs["sample_weight"]) if isinstance(inputs, dict) else (inputs, None)


class WindowRows(Dataset):
    """Windows over one base of steps.

    Attributes
    ----------
    base : Tensor of shape (n_steps, n_features)
        All steps, each stored once. Once :meth:`scaled`, one row of zeros (the mean) follows them,
        which stands for missing steps.
    ends : Tensor of int64, shape (n,)
        Position in ``base`` of each row's last step.
    firsts : Tensor of int64, shape (n,) or None
        Position of the first step each row may see; None when every window is full.
    lookback : int
        Steps per row.
    y : Tensor of int64, shape (n,) or None
        Class codes.
    weight : Tensor of shape (n,) or None
        Sample weights.
    dense : bool
        Whether ``base`` holds the windows one after the other, in order.
    """

    dense = False

    def __init__(self, base, ends, firsts=None, lookback=1, *, y=None, weight=None, missing=None):
        self.base, self.ends, self.firsts, self.lookback = base, ends, firsts, lookback
        self.y, self.weight, self.missing = y, weight, missing
        self.steps = None
        if lookback > 1:
            self.steps = torch.arange(1 - lookback, 1, device=ends.device)

    @classmethod
    def from_array(cls, X):
        """Rows of a dense array of shape (n, lookback, n_features), without copying float32."""
        n, lookback, n_features = X.shape
        base = torch.from_numpy(
            np.ascontiguousarray(X, dtype=np.float32).reshape(n * lookback, n_features)
        )
        rows = cls(base, torch.arange(lookback - 1, n * lookback, lookback), None, lookback)
        rows.dense = True
        return rows

    @classmethod
    def from_windows(cls, base, ends, firsts, lookback):
        """Rows of a lazy view: ``base`` (n_steps, n_features), ``ends`` and ``firsts`` as in the
        attributes."""
        ends = torch.from_numpy(np.array(ends, dtype=np.int64))
        firsts = torch.from_numpy(np.array(firsts, dtype=np.int64))
        full = not len(ends) or bool((ends - firsts >= lookback - 1).all())
        base = torch.from_numpy(np.ascontiguousarray(base, dtype=np.float32))
        return cls(base, ends, None if full else firsts, lookback)

    def __len__(self):
        return len(self.ends)

    @property
    def device(self):
        """Where windows are gathered."""
        return self.base.device

    @property
    def n_bytes(self):
        """Memory of all tensors."""
        return sum(map(_bytes, (self.base, self.ends, self.firsts, self.y, self.weight)))

    def to(self, device, base=None):
        """The same rows on ``device``; ``base``, if given, is theirs there already."""
        move = lambda value: None if value is None else value.to(device)  # noqa: E731
        moved = WindowRows(
            move(self.base) if base is None else base, move(self.ends), move(self.firsts),
            self.lookback, y=move(self.y), weight=move(self.weight), missing=self.missing,
        )  # fmt: skip
        moved.dense = self.dense
        return moved

    @property
    def n_features(self):
        return self.base.shape[1]

    def take(self, rows):
        """The same rows in another order or number; the base is shared."""
        rows = torch.as_tensor(rows)
        pick = lambda value: None if value is None else value[rows]  # noqa: E731
        return WindowRows(
            self.base,
            self.ends[rows],
            pick(self.firsts),
            self.lookback,
            y=pick(self.y),
            weight=pick(self.weight),
            missing=self.missing,
        )

    def joined(self, other):
        """These rows followed by those of ``other``, over one base; rows without weights count
        once."""
        n_steps = len(self.base)
        cat = lambda a, b: torch.cat([a, b])  # noqa: E731
        firsts = None
        if self.firsts is not None or other.firsts is not None:
            firsts = cat(self._from(), other._from() + n_steps)
        weight = None
        if self.weight is not None or other.weight is not None:
            weight = cat(
                *(
                    torch.ones(len(rows)) if rows.weight is None else rows.weight
                    for rows in (self, other)
                )
            )
        ends = cat(self.ends, other.ends + n_steps)
        return WindowRows(
            cat(self.base, other.base),
            ends,
            firsts,
            self.lookback,
            y=cat(self.y, other.y),
            weight=weight,
        )

    def _from(self):
        return self.ends - self.lookback + 1 if self.firsts is None else self.firsts

    def with_targets(self, y, weight=None):
        """The same rows with class codes and sample weights."""
        return WindowRows(
            self.base, self.ends, self.firsts, self.lookback, y=y, weight=weight,
            missing=self.missing,
        )

    def coverage(self, weight=None):
        """Summed weight of the rows whose window holds each step: float64, shape (n_steps,)."""
        ends = self.ends.numpy()
        starts = ends - self.lookback + 1
        if self.firsts is not None:
            starts = np.maximum(starts, self.firsts.numpy())
        size = len(self.base) + 1
        count = np.cumsum(
            np.bincount(starts, minlength=size) - np.bincount(ends + 1, minlength=size)
        )[:-1]
        if weight is None:
            return count.astype(np.float64)
        total = np.cumsum(np.bincount(starts, weight, size) - np.bincount(ends + 1, weight, size))[
            :-1
        ]
        # rounding must not let unseen steps in
        return np.where(count > 0, np.maximum(total, 0.0), 0.0)

    def scaled(self, mean, scale, dtype=torch.float32):
        """Standardized rows: missing values become the mean, which is zero; a padding step is
        appended."""
        n_steps = len(self.base)
        base = torch.zeros((n_steps + 1, self.n_features), dtype=dtype, device=self.device)
        torch.sub(self.base, mean.to(dtype), out=base[:n_steps])
        base[:n_steps].mul_(scale.to(dtype))
        torch.nan_to_num_(base, nan=0.0)
        return WindowRows(
            base, self.ends, self.firsts, self.lookback, y=self.y, weight=self.weight,
            missing=n_steps,
        )

    def gather(self, rows):
        """Steps of ``rows``: Tensor of shape (len(rows), lookback, n_features)."""
        ends = self.ends[rows]
        if self.steps is None:
            return self.base.index_select(0, ends).unsqueeze(1)
        at = ends.unsqueeze(1) + self.steps
        if self.firsts is not None:
            absent = at < self.firsts[rows].unsqueeze(1)
            at = at.masked_fill_(absent, 0 if self.missing is None else self.missing)
        values = self.base.index_select(0, at.view(-1)).view(len(ends), self.lookback, -1)
        if self.firsts is not None and self.missing is None:
            values[absent] = torch.nan
        return values

    def __getitem__(self, rows):
        """One row by its number, or a batch by many: X and codes; with sample weights X is a dict
        of both."""
        if not isinstance(rows, (torch.Tensor, list)):
            X, y = self[torch.tensor([rows])]
            return (
                {name: value[0] for name, value in X.items()} if isinstance(X, dict) else X[0]
            ), y[0]
        rows = torch.as_tensor(rows, device=self.ends.device)
        X = self.gather(rows)
        if self.weight is not None:
            X = {"X": X, "sample_weight": self.weight[rows]}
        if self.y is None:
            return X, torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        return X, self.y[rows]


class _BatchOrder:
    """Batches of row numbers, drawn anew at each pass."""

    def __init__(
        self, n, batch_size, *, shuffle=False, sampler=None, drop_last=False, generator=None
    ):
        self.n, self.batch_size, self.shuffle = n, batch_size, shuffle
        self.sampler, self.drop_last, self.generator = sampler, drop_last, generator

    def order(self):
        if self.sampler is not None:
            return torch.as_tensor(
                self.sampler.draw() if hasattr(self.sampler, "draw") else list(self.sampler)
            )
        return (
            torch.randperm(self.n, generator=self.generator)
            if self.shuffle
            else torch.arange(self.n)
        )

    def __iter__(self):
        yield from self.split(self.order())

    def split(self, order):
        for rows in torch.split(order, self.batch_size):
            if len(rows) == self.batch_size or not self.drop_last:
                yield rows

    @property
    def n_rows(self):
        """Rows of one pass, before any are left out."""
        return self.n if self.sampler is None else len(self.sampler)

    def __len__(self):
        n = self.n_rows
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class BatchLoader:
    """Iterates over a :class:`WindowRows` in batches of tensors; a drop-in for torch's
    ``DataLoader`` inside a net.

    Parameters
    ----------
    dataset : WindowRows
    batch_size : int
    shuffle : bool
        Another order at each pass, from ``generator``.
    sampler : iterable of int, optional
        Rows to draw, in place of shuffling.
    drop_last : bool
        Leave out a last, smaller batch.
    num_workers : int
        Processes that gather batches ahead; 0 gathers here, which is fastest unless windows are
        very long.
    pin_memory : bool
        Page-locked batches, for copies to CUDA that do not wait.
    generator : torch.Generator, optional
        Where the order is drawn from.
    """

    def __init__(
        self, dataset, batch_size=128, shuffle=False, sampler=None, drop_last=False, num_workers=0,
        pin_memory=False, generator=None,
    ):
        check_count("batch_size", batch_size)
        check_count("num_workers", num_workers, minimum=0)
        if sampler is not None and not (
            hasattr(sampler, "__iter__") and hasattr(sampler, "__len__")
        ):
            raise SktrainError(
                f"sampler must be an iterable of row numbers with a length, got {sampler!r}."
            )
        if drop_last and len(dataset) < batch_size:
            raise SktrainError(
                f"drop_last=True leaves no batch: {len(dataset)} rows are fewer than "
                f"batch_size={batch_size}."
            )
        self.dataset, self.batch_size, self.num_workers, self.pin_memory = (
            dataset, batch_size, num_workers, pin_memory,
        )
        self.batches = _BatchOrder(
            len(dataset),
            batch_size, shuffle=shuffle, sampler=sampler, drop_last=drop_last, generator=generator,
        )
        self._whole = None

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        if self.num_workers:
            return iter(self._loader())
        if (
            len(self.dataset) <= self.batch_size
            and not self.batches.shuffle
            and self.batches.sampler is None
        ):
            return iter([self._everything()])
        return self._gathered()

    def _everything(self):
        if self._whole is None:
            self._whole = self.dataset[self._at_rows(torch.arange(len(self.dataset)))]
        return self._whole

    def _at_rows(self, order):
        """Row numbers where the rows are: on a card they are moved once a pass."""
        place = getattr(self.dataset, "device", order.device)
        return order if place == order.device else order.to(place)

    def _gathered(self):
        for rows in self.batches.split(self._at_rows(self.batches.order())):
            batch = self.dataset[rows]
            yield _pinned(batch) if self.pin_memory else batch

    def _loader(self):
        return DataLoader(
            self.dataset,
            batch_size=None,  # the sampler's row numbers are a batch
            sampler=_Lists(self.batches),
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            # workers draw nothing; the order stays the same for any number of them
            generator=torch.Generator().manual_seed(0),
        )


class _Lists:
    """Row numbers as plain lists, as worker processes expect them."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return (rows.tolist() for rows in self.batches)

    def __len__(self):
        return len(self.batches)


def _pinned(batch):
    X, y = batch
    X = (
        {name: value.pin_memory() for name, value in X.items()}
        if isinstance(X, dict)
        else X.pin_memory()
    )
    return X, y.pin_memory()


class ClassWeightedSampler(Sampler):
    """Draws rows with probability 1 / (rows of their class), so that classes are balanced on
    average.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Label of each row, of any kind.
    num_samples : int, optional
        Rows per pass; default n.
    replacement : bool, default=True
        Whether a row may be drawn twice in one pass. Without it, ``num_samples`` must be at most n,
        and a pass of all n rows is a plain shuffle with rare classes first.
    generator : torch.Generator, optional
        Where to draw from; default torch's global generator.

    Raises
    ------
    SktrainError
        No labels, a missing label, more samples than rows without replacement.

    Examples
    --------
    >>> import torch
    >>> from sktrain import ClassWeightedSampler
    >>> sampler = ClassWeightedSampler(
    ...     [0] * 90 + [1] * 10, num_samples=1000, generator=torch.Generator().manual_seed(0)
    ... )
    >>> 400 < sum(row >= 90 for row in sampler) < 600
    True
    """

    def __init__(
        self,
        labels: ArrayLike,
        num_samples: int | None = None,
        replacement: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if generator is not None and not isinstance(generator, torch.Generator):
            raise SktrainError(f"generator must be a torch.Generator or None, got {generator!r}.")
        labels = np.asarray(labels.detach().cpu() if isinstance(labels, torch.Tensor) else labels)
        if labels.ndim != 1 or not len(labels):
            raise SktrainError(f"labels must be 1-D and not empty, got shape {labels.shape}.")
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            raise SktrainError(
                f"labels: row {int(np.argmax(np.isnan(labels)))} is missing (NaN). Drop rows "
                "without a label."
            )
        check_flag("replacement", replacement)
        self.num_samples = (
            len(labels) if num_samples is None else check_count("num_samples", num_samples)
        )
        if not replacement and self.num_samples > len(labels):
            raise SktrainError(
                f"num_samples={self.num_samples} without replacement exceeds the {len(labels)} "
                "rows."
            )
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self.weights = torch.from_numpy(1.0 / counts[codes.reshape(-1)])
        self.replacement, self.generator = bool(replacement), generator
        self._steps: Any = torch.cumsum(self.weights, 0) if replacement else None

    def draw(self) -> torch.Tensor:
        """Draw the rows of one pass.

        Returns
        -------
        Tensor of int64, shape (num_samples,)
            Row numbers.
        """
        # keys u^(1/w), largest first (Efraimidis & Spirakis 2006): no limit on the number of rows
        if not self.replacement:
            keys = (
                torch.rand(len(self.weights), dtype=torch.float64, generator=self.generator).log()
                / self.weights
            )
            return keys.argsort(descending=True)[: self.num_samples]
        at = (
            torch.rand(self.num_samples, dtype=torch.float64, generator=self.generator)
            * self._steps[-1]
        )
        return torch.searchsorted(self._steps, at, right=True).clamp_max_(len(self.weights) - 1)

    def __iter__(self):
        return iter(self.draw().tolist())

    def __len__(self):
        return self.num_samples
