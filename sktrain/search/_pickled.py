"""Pickles in a shared study: samplers of CMA-ES keep their optimizer as one, and Optuna opens it
again from whatever trial the study holds."""

import io
import pickle

__all__ = ["check_pickles"]

_STEMS = ("cma:optimizer", "sepcma:optimizer", "cmawm:optimizer")  # keys of Optuna's CmaEsSampler
_ARRAYS = ("_reconstruct", "scalar")
_BUILT = {
    ("cmaes._cma", "CMA"),
    ("cmaes._sepcma", "SepCMA"),
    ("cmaes._cmawm", "CMAwM"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(("numpy._core.multiarray", name) for name in _ARRAYS),
    *(("numpy.core.multiarray", name) for name in _ARRAYS),  # before NumPy 2
}


class _Inert:
    """Takes what an object would be built from and does nothing with it."""

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass


class _Named(pickle.Unpickler):
    """Follows a pickle without building anything; refuses names that no optimizer is made of."""

    def find_class(self, module, name):
        if (module, name) not in _BUILT:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _Inert


def check_pickles(attributes: dict[str, str]) -> None:
    """Refuse the pickle of a sampler that does more than build an optimizer of arrays.

    Parameters
    ----------
    attributes : dict
        Of a stored trial, by the keys under which Optuna keeps them.

    Raises
    ------
    ValueError
        For a pickle that names anything else, or is none.

    Examples
    --------
    >>> check_pickles({"cma:optimizer:0": b"cos\\nsystem\\n.".hex()})
    Traceback (most recent call last):
    ValueError: a pickle that no sampler wrote: it names os.system
    """
    for stem in _STEMS:
        parts = {key: text for key, text in attributes.items() if key.startswith(stem)}
        if not parts:
            continue
        try:
            whole = "".join(parts[f"{stem}:{place}"] for place in range(len(parts)))
            _Named(io.BytesIO(bytes.fromhex(whole))).load()
        except Exception as error:  # a pickle may raise anything
            raise ValueError(f"a pickle that no sampler wrote: {error}") from error
