"""Results computed on a history, shared by all handles of it in this process, and gone when the
last of them is.

Results are looked up by a handle's name and a key; what is kept is bounded in number and in bytes.
"""

from collections import Counter, OrderedDict
from threading import RLock
import weakref

import pandas as pd

__all__ = ["compute_once", "hold"]

_KEPT_RESULTS = 64  # over all handles, a judgment
_KEPT_BYTES = 2**30  # the memory they may take together, a judgment; the newest is always kept
_results: OrderedDict = OrderedDict()  # (uid, key) -> (result, bytes), oldest use first
_handles: Counter = Counter()  # live handles per uid
_lock = RLock()  # a handle may die, and let go of its results, in the middle of anything


def hold(handle, uid):
    """Keep results under ``uid`` as long as ``handle``, or another one that said so, is alive."""
    with _lock:
        _handles[uid] += 1
    weakref.finalize(handle, _let_go, uid).atexit = False


def _let_go(uid):
    gone = []  # what dies with the results dies after the lock is free
    with _lock:
        _handles[uid] -= 1
        if _handles[uid] <= 0:
            del _handles[uid]
            gone = [
                _results.pop(place) for place in [place for place in _results if place[0] == uid]
            ]
    del gone


def compute_once(uid, key, compute):
    """What is kept under (uid, key), or else ``compute()``, which is kept from now on.

    A DataFrame, an ndarray or what has a ``frame`` weighs what it holds; the least recently used
    results go first.
    """
    place = (uid, key)
    with _lock:
        if place in _results:
            _results.move_to_end(place)
            return _results[place][0]
    result = compute()  # outside the lock: it may be slow, and it may ask for another result
    gone = []
    with _lock:
        if place in _results:  # another thread was first; all see the same object
            return _results[place][0]
        _results[place] = result, _weight(result)
        held = sum(weight for _, weight in _results.values())
        while len(_results) > 1 and (len(_results) > _KEPT_RESULTS or held > _KEPT_BYTES):
            gone.append(_results.popitem(last=False)[1])
            held -= gone[-1][1]
    del gone
    return result


def _weight(result):
    frame = getattr(result, "frame", result)
    if isinstance(frame, pd.DataFrame):
        return int(frame.memory_usage(index=False).sum())
    return int(getattr(result, "nbytes", 0))
