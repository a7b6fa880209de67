"""One file per model that opens safely anywhere: a fitted estimator enters, ``model.sktrain`` leaves, and back; no code travels."""

from ._file import load, read_manifest, save

__all__ = ["load", "read_manifest", "save"]
