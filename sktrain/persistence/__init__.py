"""One file per model that opens safely anywhere; it holds no code."""

from .._optional import postponed

with postponed(
    "scipy.stats"
):  # half a second; scikit-learn imports it for what no prediction needs
    from ._facts import fingerprint
    from ._file import load, read_manifest, save

__all__ = ["fingerprint", "load", "read_manifest", "save"]
