"""Parts of a model that several packages look for: what answers at the end of a pipeline, and who
votes."""

from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

__all__ = ["last_step", "voters"]


def last_step(model: Any) -> Any:
    """The last step of a pipeline, through pipelines inside it; of anything else the model itself.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> last_step(make_pipeline("passthrough", make_pipeline(SVC())))
    SVC()
    """
    while isinstance(model, Pipeline):  # imblearn's is one too
        model = model.steps[-1][1]
    return model


def voters(model: Any, name: str = "net") -> dict[str, Any]:
    """By name the last step of every member of a fitted vote; of another model its own under
    ``name``."""
    last = last_step(model)
    members = getattr(last, "named_estimators_", None) or {name: last}
    inside = {  # a frozen estimator lets rows through to the fitted one
        key: one.estimator if isinstance(one, FrozenEstimator) else one
        for key, one in members.items()
    }
    return {key: last_step(one) for key, one in inside.items()}
