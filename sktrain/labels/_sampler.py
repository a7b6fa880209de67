"""A labeler as a step of a pipeline: it labels in ``fit`` and does nothing in ``predict``."""

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods

from .._typing import Labeler

__all__ = ["LabelSampler"]


class LabelSampler(BaseEstimator):
    """A labeler in the shape of a sampler, for ``imblearn.pipeline.Pipeline``; made by the
    labeler's ``as_sampler()``.

    imbalanced-learn takes a step for a transformer or for a sampler, never for both, and a labeler
    has ``transform`` and ``fit_resample``. In this shape the bars are labelled when the pipeline is
    fitted; when it predicts, every row passes.

    Parameters
    ----------
    labeler : labeler
        Its parameters are this step's: ``labeler__horizon``.

    See Also
    --------
    AdaptiveLabeler, TripleBarrierLabeler : Where ``as_sampler`` is.

    Examples
    --------
    >>> from imblearn.pipeline import Pipeline
    >>> from sklearn.dummy import DummyClassifier
    >>> from sktrain import AdaptiveLabeler, BarFeatures
    >>> from sktrain.datasets import load_sp500
    >>> bars = load_sp500().iloc[-300:]
    >>> steps = [
    ...     ("label", AdaptiveLabeler().as_sampler()),
    ...     ("features", BarFeatures()),
    ...     ("model", DummyClassifier()),
    ... ]
    >>> len(Pipeline(steps).fit(bars).predict(bars))
    300
    """

    _parameter_constraints = {"labeler": [HasMethods("fit_resample")]}

    def __init__(self, labeler: Labeler) -> None:
        self.labeler = labeler

    def fit(self, X: pd.DataFrame, y: object = None) -> "LabelSampler":
        """Check parameters and bars; nothing is learned.

        Parameters
        ----------
        X : DataFrame of bars
            With ``close`` (triple barriers: ``open high low close``), by time or (symbol, time).
        y : object, optional
            Ignored; present for scikit-learn's interface.

        Returns
        -------
        self
            The sampler.
        """
        self._validate_params()
        self.labeler.fit(X)
        return self

    def fit_resample(self, X: pd.DataFrame, y: object = None) -> tuple[pd.DataFrame, pd.Series]:
        """The rows whose outcome is known, and their labels.

        As the labeler's own ``fit_resample`` gives them.

        Parameters
        ----------
        X : DataFrame of bars
            With ``close`` (triple barriers: ``open high low close``), by time or (symbol, time).
        y : ignored
            Labels that were passed for scoring; the rows are labelled anew.

        Returns
        -------
        X : DataFrame
            Rows whose outcome is known.
        y : Series of int64
            Their labels, indexed like X.
        """
        self._validate_params()
        return self.labeler.fit_resample(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # bars
        tags.requires_fit = False
        return tags
