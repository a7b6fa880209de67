"""Every error and warning sktrain raises: one small tree under ValueError, one under UserWarning.

A caller who catches :class:`SktrainError` catches every refusal of the library; scikit-learn's own
``InvalidParameterError`` (a ``ValueError`` too) is what bad constructor parameters raise.
"""


__all__ = [
    "ColdStartWarning",
    "CorruptFileError",
    "DataQualityWarning",
    "DriftDetectedError",
    "DriftWarning",
    "InvalidBarsError",
    "InvalidSplitError",
    "LeakageError",
    "MissingDependencyError",
    "NotEnoughDataError",
    "NotReplayedWarning",
    "PersistenceError",
    "RegimeCoverageWarning",
    "ResamplingWarning",
    "SktrainError",
    "SktrainWarning",
    "StaleHistoryWarning",
    "StudyMismatchError",
    "TrainingDivergedError",
    "UnknownHorizonWarning",
    "VersionDriftWarning",
]


class SktrainError(ValueError):
    """Base of every error sktrain raises on its own account."""


class InvalidBarsError(SktrainError):
    """Bars that no market could have produced, or whose times are out of order."""


class InvalidSplitError(SktrainError):
    """A split that was asked for in contradictory terms."""


class NotEnoughDataError(InvalidSplitError):
    """Too few rows for what was asked; the message says how many are needed."""


class LeakageError(SktrainError):
    """An audit found that information crosses from test to training rows."""


class DriftDetectedError(SktrainError):
    """New data differ from the reference and the detector was told to raise.

    Parameters
    ----------
    message : str
        What drifted.
    report : DriftReport, optional
        The measurements behind the message.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self):
        return type(self), (self.args[0], self.report)


class TrainingDivergedError(SktrainError):
    """The training loss became NaN or infinite.

    Parameters
    ----------
    message : str
        What happened and what to change.
    epoch, batch : int, optional
        Where it happened, counted from 1.
    lr : float, optional
        The learning rate at that moment.
    """

    def __init__(
        self,
        message: str,
        epoch: int | None = None,
        batch: int | None = None,
        lr: float | None = None,
    ) -> None:
        super().__init__(message)
        self.epoch, self.batch, self.lr = epoch, batch, lr

    def __reduce__(self):
        return type(self), (self.args[0], self.epoch, self.batch, self.lr)


class MissingDependencyError(SktrainError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""


class PersistenceError(SktrainError):
    """A model could not be saved or opened."""


class CorruptFileError(PersistenceError):
    """A model file is truncated, altered or not one of ours; nothing in it was executed."""


class StudyMismatchError(SktrainError):
    """A stored study belongs to another problem; the message says what differs."""


class SktrainWarning(UserWarning):
    """Base of every warning sktrain gives on its own account."""


class UnknownHorizonWarning(SktrainWarning):
    """Nothing says how far the labels look ahead, so nothing could be purged."""


class RegimeCoverageWarning(SktrainWarning):
    """Regime coverage was asked for, but no regimes are known."""


class StaleHistoryWarning(SktrainWarning):
    """The remembered history disagrees with the rows that carry it and was ignored."""


class ColdStartWarning(SktrainWarning):
    """Rows have no context before them, so their first values are missing."""


class DataQualityWarning(SktrainWarning):
    """Bars that are legal but suspicious."""


class ResamplingWarning(SktrainWarning):
    """A resampler had to adapt its parameters to a small class."""


class DriftWarning(SktrainWarning):
    """New data differ from the reference."""


class VersionDriftWarning(SktrainWarning):
    """A model file was written with other versions of libraries than those that open it."""


class NotReplayedWarning(SktrainWarning):
    """A model file has probe rows that were not predicted again when it was opened."""
