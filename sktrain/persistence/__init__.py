"""One file per model that opens safely anywhere; it holds no code."""

from ._facts import fingerprint
from ._file import load, read_manifest, save

__all__ = ["fingerprint", "load", "read_manifest", "save"]
