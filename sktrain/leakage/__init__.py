"""The auditor: finds where the future reaches a model, says what it costs, and repairs what can be repaired."""

from ._price_tag import PriceTag
from ._report import Finding, LeakageReport
from ._source import audit_source
from ._validator import LeakageValidator

__all__ = ["Finding", "LeakageReport", "LeakageValidator", "PriceTag", "audit_source"]
