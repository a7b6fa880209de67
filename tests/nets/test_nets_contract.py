"""scikit-learn's own checks, all of them, without exceptions."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktrain import GRUClassifier, LSTMClassifier, MLPNetClassifier, TCNClassifier, TransformerClassifier

SMALL = {"module__hidden_size": 16, "max_epochs": 30, "lr": 0.01}


@parametrize_with_checks([MLPNetClassifier(**SMALL)])
def test_the_fully_connected_net(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([net(**SMALL) for net in (GRUClassifier, LSTMClassifier, TCNClassifier, TransformerClassifier)])
def test_the_nets_with_memory(estimator, check):
    check(estimator)
