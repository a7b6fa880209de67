"""Splitters that respect time: rows cut between unique times, purged by label spans, embargoed."""

from ._combinatorial import CombinatorialPurgedCV
from ._temporal import TemporalSplitter
from ._walk_forward import EnhancedWalkForwardCV

__all__ = ["CombinatorialPurgedCV", "EnhancedWalkForwardCV", "TemporalSplitter"]
