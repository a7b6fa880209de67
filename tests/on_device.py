"""Every net of the tests on another device, unless it says otherwise: NETS_DEVICE=cuda pytest ...

What cannot hold there, and why, stands in ``EXCEPTIONS``.
"""

import os

DEVICE = os.environ.get("NETS_DEVICE")

_TENSORS = "the test takes a tensor of the card for an array, or gives the network one of the CPU"
_SUMS = "exact across batch sizes on CPUs; on a card rows agree to 1e-5, moments to 1e-3"
_OTHERS = "the test compares the captured with the plain step, bit by bit"
EXCEPTIONS: dict[str, str] = {
    "test_the_narrow_net_is_the_full_one_with_silent_units": _TENSORS,
    "test_the_temperature_stays_that_of_the_dimensions_before": _TENSORS,
    "test_positions_that_are_the_same_at_every_step": _TENSORS,
    "test_dense_arithmetic_becomes_less": _TENSORS,
    "test_what_layers_receive_is_what_a_loop": _TENSORS,
    "test_every_matrix_of_a_transformer_is_seen": _TENSORS,
    "test_rows_are_thinned_evenly_to_the_last": _TENSORS,
    "test_resumed_training_equals_uninterrupted": _TENSORS,
    "test_balanced_weights_follow_running_counts": _TENSORS,
    "test_the_change_is_the_loss_after_less_the_loss_before": _TENSORS,
    "test_standardization_is_learned_on_the_training_rows_alone": _TENSORS,
    "test_the_pickle_holds_no_float_copy_and_is_small": _TENSORS,
    "test_dense_layers_are_whole_numbers_too": _TENSORS,
    "test_rows_of_zeros_and_missing_values_have_answers": _TENSORS,
    "test_a_row_gets_the_same_answer_in_any_company_and_form": _SUMS,
    "test_compression_calibration.py::test_weights_of_rows_count_as_repetitions": _SUMS,
    "test_torch_data_loader_trains_alike": _OTHERS,
    "test_worker_processes_change_nothing": "processes that load batches leave the captured step",
    "test_nets_members.py::test_ctrl_c_keeps_what_was_trained": "on a card 3 members train in turn",
    "test_a_net_says_why_its_precision": "the reasons are those of a CPU",
    "test_where_a_net_lives_is_noticed": "the test takes the default device for the CPU",
    "test_a_net_on_another_device_is_tried_as_it_will_open": "the test says what a CPU opens",
}
"""Part of a test's name: why it is left out."""


def move_nets():
    """Make ``DEVICE`` the default of the nets' parameter ``device``."""
    from sktrain.nets._base import NetClassifier

    NetClassifier.__init__.__kwdefaults__["device"] = DEVICE


def exception(name):
    """Why the test is left out; None for those that run."""
    return next((reason for part, reason in EXCEPTIONS.items() if part in name), None)
