"""Fine-tuning of a model's last layers on labelled texts in order of time.

The latest block of rows is held out to stop early; rows whose label was not known before that block
begins do not train. Rows carry their time as an article's availability or an index of times; else
their order is the order of time.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets

from .._optional import require
from .._spans import cut_blocks
from .._validation import label_spans, labelled_mask
from ..exceptions import NotEnoughDataError, SktrainError, TrainingDivergedError
from ._articles import NewsArticle, article_times, as_articles
from ._inference import Tokens, hidden_states, pool, resolve_device
from ._models import fresh_model

__all__ = ["fine_tune", "last_block"]

_HEAD_RATE = 20.0  # the new head learns faster than the pretrained layers: a judgment
# epochs without a better validation loss, a judgment: fine-tuning takes 2 to 4 (Devlin et al.
# 2019)
_PATIENCE = 1


@dataclass(frozen=True)
class _Batch:
    ids: object
    mask: object
    classes: object


def fine_tune(encoder, folder, X, texts, y, label_end_times):
    """Train the last layers of a model, and a linear head that is thrown away, to tell the classes
    of ``y`` apart.

    Parameters
    ----------
    encoder : PretrainedNewsEncoder
        Whose parameters are read.
    folder : ModelFolder
    X : as given to ``fit``
        For its times.
    texts : list of str, length n
    y : array-like of shape (n,)
    label_end_times : array-like of shape (n,) or None

    Returns
    -------
    tuned : dict of str to ndarray
        The parameters that changed, from the best epoch.
    history : list of dict
        ``epoch``, ``train_loss``, ``valid_loss`` per epoch; epoch 0 is the model before training.
    """
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    rows, classes, train, valid = _prepare(
        X, texts, y, label_end_times, encoder.validation_fraction
    )
    seed = np.random.SeedSequence(encoder.random_state).generate_state(1)[0]
    device = resolve_device(encoder.device)
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        torch.manual_seed(int(seed))
        tokenizer, model = fresh_model(folder)
        model.to(device)
        head = torch.nn.Linear(folder.width, int(classes.max()) + 1).to(device)
        names = _unfreeze(model, folder, encoder.fine_tune_layers)
        tokens = Tokens.of(tokenizer, [texts[row] for row in rows], encoder.max_length)

        def batches(places, order):
            for start in range(0, len(places), encoder.batch_size):
                part = places[order[start : start + encoder.batch_size]]
                ids, mask = map(torch.from_numpy, tokens.padded(part))
                yield _Batch(
                    ids.to(device), mask.to(device), torch.from_numpy(classes[part]).to(device)
                )

        return _train(encoder, model, head, names, batches, train, valid)


def _prepare(X, texts, y, label_end_times, fraction):
    """Rows with text and label; their class numbers; which of them train and which validate."""
    if y is None:
        raise SktrainError(
            "freeze_encoder=False fine-tunes on y: pass a class for every text, or set "
            "freeze_encoder=True."
        )
    if len(y) != len(texts):
        raise SktrainError(f"There are {len(texts)} texts but {len(y)} labels in y.")
    index = _times(X)
    timed = pd.DataFrame(index=index if index is not None else range(len(texts)))
    train, valid = last_block(timed, y, label_end_times, fraction)
    usable = np.array([bool(text.strip()) for text in texts]) & labelled_mask(y, len(texts))
    rows = np.flatnonzero(usable & (train | valid))
    labels = np.asarray(y)[rows]
    check_classification_targets(labels)
    names, classes = np.unique(labels, return_inverse=True)
    train, valid = np.flatnonzero(train[rows]), np.flatnonzero(valid[rows])
    if len(train) < 2 or len(valid) < 1 or len(np.unique(classes[train])) < 2:
        raise NotEnoughDataError(
            f"Fine-tuning needs training rows of two classes and a validation block; {len(texts)} "
            f"rows leave {len(train)} to train "
            f"({len(np.unique(classes[train]))} classes of {len(names)}) and {len(valid)} to "
            "validate. Pass more labelled texts."
        )
    return rows, classes.astype(np.int64).reshape(-1), train, valid


def _times(X):
    """When each text was available, where ``X`` says so."""
    if isinstance(X, pd.DataFrame) and {"title", "available_at"} <= set(X.columns):
        X = as_articles(X)
    index = getattr(X, "index", None)
    if isinstance(index, (pd.DatetimeIndex, pd.MultiIndex)):
        return index
    if isinstance(X, (list, tuple)) and X and all(isinstance(item, NewsArticle) for item in X):
        known = article_times(X)
        return pd.DatetimeIndex(known.times, tz="UTC" if known.aware else None)
    return None


def last_block(X, y, label_end_times, fraction):
    """Masks of the rows before the last ``fraction`` of unique times whose labels were known by
    then, and of the rows in it."""
    if isinstance(X.index, pd.DatetimeIndex) and isinstance(
        getattr(y, "index", None), pd.RangeIndex
    ):
        said = y.attrs  # labels beside the texts, in their order
        y = pd.Series(y.to_numpy(), X.index)
        y.attrs = said
    spans, _ = label_spans(
        X, y, label_end_times=label_end_times, caller="PretrainedNewsEncoder.fit"
    )
    n_times = len(spans.axis)
    first = min(n_times - 1, int(np.floor(n_times * (1 - fraction))))
    valid = spans.codes >= first
    cut = cut_blocks(spans, [(first, n_times - 1)], ~valid, labelled_mask(y, len(valid)))
    return cut.train, valid


def _unfreeze(model, folder, n_layers):
    """Let the last ``n_layers`` of the longest stack of layers learn; the names of their
    parameters."""
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    stacks = [
        (name, stack)
        for name, stack in model.named_modules()
        if isinstance(stack, torch.nn.ModuleList)
    ]
    if not stacks:
        raise SktrainError(
            f"The model {folder.name!r} has no stack of layers to fine-tune; use "
            "freeze_encoder=True."
        )
    name, stack = max(stacks, key=lambda pair: len(pair[1]))
    if n_layers > len(stack):
        raise SktrainError(
            f"fine_tune_layers={n_layers} is more than the {len(stack)} layers of the model "
            f"{folder.name!r}."
        )
    prefixes = tuple(f"{name}.{place}." for place in range(len(stack) - n_layers, len(stack)))
    names = [
        parameter for parameter, _ in model.named_parameters() if parameter.startswith(prefixes)
    ]
    for parameter in names:
        model.get_parameter(parameter).requires_grad_(True)
    return names


def _train(encoder, model, head, names, batches, train, valid):
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    learned = [model.get_parameter(name) for name in names]
    groups = [
        {"params": learned},
        {"params": head.parameters(), "lr": encoder.learning_rate * _HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, lr=encoder.learning_rate, weight_decay=0.01)
    shuffle = np.random.default_rng(encoder.random_state)
    ordered = np.arange(len(valid))
    best, stale = _mean_loss(encoder, model, head, batches(valid, ordered)), 0
    tuned = {name: model.get_parameter(name).detach().cpu().numpy().copy() for name in names}
    history = [{"epoch": 0, "train_loss": float("nan"), "valid_loss": best}]
    for epoch in range(1, encoder.fine_tune_epochs + 1):
        model.train()
        seen = _epoch(
            encoder, model, head, optimizer, batches(train, shuffle.permutation(len(train))), epoch
        )
        loss = _mean_loss(encoder, model, head, batches(valid, ordered))
        history.append({"epoch": epoch, "train_loss": seen, "valid_loss": loss})
        stale = 0 if loss < best else stale + 1
        if loss < best:
            best = loss
            tuned = {
                name: model.get_parameter(name).detach().cpu().numpy().copy() for name in names
            }
        if stale > _PATIENCE:
            break
    return tuned, history


def _epoch(encoder, model, head, optimizer, batches, epoch):
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    losses = []
    for number, batch in enumerate(batches, start=1):
        optimizer.zero_grad()
        loss = _loss(encoder, model, head, batch)
        if not torch.isfinite(loss):
            raise TrainingDivergedError(
                f"Fine-tuning diverged in epoch {epoch}, batch {number}: loss {loss.item()}. "
                f"Lower learning_rate={encoder.learning_rate}.",
                epoch=epoch, batch=number, lr=encoder.learning_rate,
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [p for group in optimizer.param_groups for p in group["params"]], 1.0
        )
        optimizer.step()
        losses.append((loss.item(), len(batch.classes)))
    return _weighted(losses)


def _loss(encoder, model, head, batch):
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    hidden = hidden_states(model, batch.ids, None if bool(batch.mask.all()) else batch.mask)
    pooled = pool(hidden, batch.mask, encoder.pooling)
    return torch.nn.functional.cross_entropy(head(pooled), batch.classes)


def _mean_loss(encoder, model, head, batches):
    torch = require("torch", extra="news", caller="PretrainedNewsEncoder")
    model.eval()
    with torch.no_grad():
        return _weighted(
            [(_loss(encoder, model, head, batch).item(), len(batch.classes)) for batch in batches]
        )


def _weighted(losses):
    return float(np.average([loss for loss, _ in losses], weights=[count for _, count in losses]))
