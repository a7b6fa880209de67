"""The leakage audit: where future information reaches a model, what it costs, and its repair."""

from ._price_tag import PriceTag
from ._report import Finding, LeakageReport
from ._source import audit_source
from ._validator import LeakageValidator

__all__ = ["Finding", "LeakageReport", "LeakageValidator", "PriceTag", "audit_source"]
