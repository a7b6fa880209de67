"""Early stopping: the rows a fit watches to choose when it stops; they have chosen, so they cannot
also be the test."""

from ._values import Value, joined

__all__ = ["watched"]

_WATCHED = ("eval_set", "validation_data", "evals", "valid_sets", "X_val")
_STOPS = ("early_stopping_rounds", "early_stopping", "od_wait", "use_best_model")
_CALLBACKS = ("EarlyStopping", "ModelCheckpoint", "early_stopping")


def watched(estimator, keywords) -> Value | None:
    """The rows by which a fit chooses its epoch or its number of trees; None when nothing chooses.

    Parameters
    ----------
    estimator : Value
        What is fitted.
    keywords : dict of str to Value
        Of the call that fits.

    Returns
    -------
    Value or None
    """
    rows = [keywords[name] for name in _WATCHED if name in keywords]
    asked = [{**estimator.args, **keywords}.get(name) for name in _STOPS]
    stops = any(one is not None and not _off(one) for one in asked) or any(
        one.name in _CALLBACKS for one in _flat(keywords.get("callbacks"))
    )
    return joined(*(_features(one) for one in rows[:1])) if rows and stops else None


def _off(value):
    return value.known and value.const[0] in (None, False, 0)


def _flat(value):
    if value is None:
        return []
    return [value, *(one for item in value.items or [] for one in _flat(item))]


def _features(value):
    """The features in ``[(X, y)]``, ``(X, y)`` or ``X``; of several pairs the last one decides."""
    while value.items:
        value = value.items[-1] if value.kind == "list" else value.items[0]
    return value
