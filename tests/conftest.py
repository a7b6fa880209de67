"""What every test shares: one thread, no network, and the bundled bars loaded once."""

from functools import cache
import os
import random
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("SCIPY_ARRAY_API", "1")  # else scikit-learn skips some of its checks

from hypothesis import settings
import numpy as np
import on_device
import pytest

# a landing draws the same examples every time; a developer draws new ones
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_configure(config):
    if on_device.DEVICE:
        on_device.move_nets()


def pytest_collection_modifyitems(items):
    for item in items:
        if on_device.DEVICE and (reason := on_device.exception(item.nodeid)):
            item.add_marker(pytest.mark.skip(reason=reason))
        elif item.get_closest_marker("cuda") and not _has_card():
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))


@cache
def _has_card():
    import torch

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def seeded():
    """What a test, or a check of scikit-learn's or imbalanced-learn's, draws without a seed of its
    own is the same in every run and order; TESTS_SEED tries other numbers."""
    seed = int(os.environ.get("TESTS_SEED", "0"))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the generator that unseeded code draws from)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@pytest.fixture(scope="session")
def sp500():
    """The bundled S&P 500 bars, with their history."""
    from sktrain.datasets import load_sp500

    return load_sp500()


@pytest.fixture(scope="session")
def us_stocks():
    """The bundled uneven panel of five stocks, with its history."""
    from sktrain.datasets import load_us_stocks

    return load_us_stocks()
