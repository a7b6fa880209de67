"""Scopes and switches leave every global as they found it."""

import os
import random
import threading

import numpy as np
import pytest
import torch

from sktrain import DeterministicTrainingConfig
from sktrain.reproducibility import alone, draw_seed, rng_scope


def global_state():
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


def draws():
    return random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002


@pytest.mark.parametrize(
    "params",
    [
        {"enabled": True},
        {"enabled": False, "num_threads": 2},
        {"enabled": True, "num_threads": 2, "seed": 7},
    ],
)
def test_the_block_restores_every_global_even_after_an_error(params):
    before = global_state()
    with pytest.raises(KeyError), DeterministicTrainingConfig(**params) as config:  # noqa: PT012
        assert config.enabled == torch.are_deterministic_algorithms_enabled()
        if config.num_threads:
            assert torch.get_num_threads() == 2
        draws()
        raise KeyError
    assert global_state() == before


def test_blocks_nest_and_repeat():
    before = global_state()
    config = DeterministicTrainingConfig(enabled=True, seed=3)
    with config:
        first = draws()
        with config:
            assert draws() == first
        inner = draws()
        assert inner != first
    assert global_state() == before
    with config:
        assert draws() == first


def test_apply_alone_seeds():
    with DeterministicTrainingConfig():  # puts the globals back
        one = (DeterministicTrainingConfig(enabled=True, seed=5).apply(), draws())[1]
        two = (DeterministicTrainingConfig(enabled=True, seed=5).apply(), draws())[1]
        assert one == two
        assert not torch.backends.cudnn.benchmark
        DeterministicTrainingConfig(enabled=False, benchmark=True).apply()
        assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    "params",
    [
        {"enabled": 1.5},
        {"seed": -1},
        {"seed": True},
        {"seed": 2**32},
        {"num_threads": 0},
        {"num_threads": 1.0},
    ],
)
def test_nonsense_is_refused_and_changes_nothing(params):
    before = global_state()
    with pytest.raises(ValueError, match=next(iter(params))), DeterministicTrainingConfig(**params):
        pass
    assert global_state() == before


def test_scope_and_seeds():
    before = global_state()
    with rng_scope(1):
        one = draws()
    with rng_scope(1):
        assert draws() == one
    assert global_state() == before
    assert draw_seed(0) == draw_seed(0) != draw_seed(1)
    assert draw_seed(None) != draw_seed(None)
    assert draw_seed(np.random.RandomState(0)) == draw_seed(np.random.RandomState(0))
    assert draw_seed(np.random.default_rng(0)) == draw_seed(np.random.default_rng(0))


def test_a_scope_in_another_thread_waits_for_a_training():
    """Folds of a search in threads seeded the global generators in the middle of a net's training:
    its scores changed from run to run."""

    def folds():
        with rng_scope(1):
            entered.set()

    entered = threading.Event()
    with alone(), rng_scope(0):
        expected = np.random.RandomState(0).random_sample(4)
        other = threading.Thread(target=folds)
        drawn = [np.random.random() for _ in range(2)]  # noqa: NPY002
        other.start()
        assert not entered.wait(0.2)
        drawn += [np.random.random() for _ in range(2)]  # noqa: NPY002
    other.join()
    assert entered.is_set()
    np.testing.assert_array_equal(drawn, expected)
