"""What the labels of bars are called."""

__all__ = ["CLASS_NAMES", "class_name"]

CLASS_NAMES = {0: "sell", 1: "hold", 2: "buy"}


def class_name(value: object) -> str:
    """What a label is called; the label itself where it is none of ours.

    Parameters
    ----------
    value : object
        A label.

    Returns
    -------
    str

    Examples
    --------
    >>> class_name(2), class_name("up")
    ('buy', 'up')
    """
    return CLASS_NAMES.get(value, str(value))  # type: ignore[call-overload]  # of any label
