"""What rows carry in ``attrs``: handles, handed on within a process at no cost; rows that leave it
take along the part of them that they need.
"""

import copyreg
from uuid import uuid4

import pandas as pd

__all__ = ["Handle", "attrs_around"]


class Handle(dict):
    """An empty dict with a name: pandas may copy it, compare it and write it as JSON at no cost.

    Copies of a handle are the handle itself, and one that travelled to another process equals the
    one that stayed.
    """

    __slots__ = ("_uid",)

    def __init__(self, uid=None):
        super().__init__()
        self._uid = uid or uuid4().hex

    @property
    def uid(self):
        """The name: equal for all copies of one handle."""
        return self._uid

    def __eq__(self, other):
        return type(other) is type(self) and self._uid == other._uid

    def __ne__(self, other):
        return not self == other

    def __hash__(self):  # type: ignore[override]  # dict says None: the name never changes
        return hash(self._uid)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def around(self, index: pd.Index) -> "Handle":
        """The handle that rows take along on a journey: itself, unless a kind of handle knows what
        rows with ``index`` can do without."""
        return self


def attrs_around(attrs, index):
    """``attrs`` whose handles hold what rows with ``index`` need; ``attrs`` itself where they
    already do, or without index."""
    if index is None:
        return attrs
    parts = {
        key: value.around(index) if isinstance(value, Handle) else value
        for key, value in attrs.items()
    }
    return attrs if all(parts[key] is value for key, value in attrs.items()) else parts


def _reduce_rows(rows):
    """How a DataFrame or a Series is pickled: with the part of its handles that it needs."""
    attrs = attrs_around(rows.attrs, rows.index)
    if attrs is not rows.attrs:
        rows = rows.copy(deep=False)
        rows.attrs = attrs
        if isinstance(rows.index, pd.MultiIndex):
            rows.index = rows.index.remove_unused_levels()
    return rows.__reduce_ex__(2)


for _kind in (pd.DataFrame, pd.Series):
    copyreg.pickle(_kind, _reduce_rows)
