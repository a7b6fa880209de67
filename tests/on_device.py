"""Every net of the tests on another device, unless it says otherwise: NETS_DEVICE=cuda pytest ...

What cannot hold there, and why, stands in ``EXCEPTIONS``.
"""

import os

DEVICE = os.environ.get("NETS_DEVICE")
EXCEPTIONS: dict[str, str] = {}
"""Part of a test's name: why it is left out."""


def move_nets():
    """Make ``DEVICE`` the default of the nets' parameter ``device``."""
    from sktrain.nets._base import NetClassifier

    defaults = NetClassifier.__init__.__kwdefaults__
    defaults["device"] = DEVICE


def exception(name):
    """Why the test is left out; None for those that run."""
    return next((reason for part, reason in EXCEPTIONS.items() if part in name), None)
