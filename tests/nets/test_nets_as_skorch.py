"""skorch's own tests of its nets, run on ours; what may fail, and why, stands in one table."""

import pytest

pytest.importorskip("flaky", reason="skorch's tests use it")
from skorch.tests import test_classifier as of_classifiers, test_net as of_nets
from skorch.tests.conftest import *  # noqa: F403 - their fixtures

from sktrain import MLPNetClassifier

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# why: their tests, without "test_"; one with brackets is that case alone
EXCEPTIONS = {
    "sizes come from the rows, so `initialize` (and whatever needs it: files, further modules) before `fit` is refused": """
        classifier:takes_log_with_nllloss classifier:takes_no_log_without_nllloss
        net_init_one_unknown_argument net_init_two_unknown_arguments
        net_init_missing_dunder_in_2_prefix_arguments net_init_missing_dunder_and_unknown
        net_with_new_attribute_with_name_clash
        net_init_with_iterator_valid_shuffle_false_no_warning
        net_init_with_iterator_valid_shuffle_true_warns not_init_raises device_torch_device[cpu]
        save_load_state_dict_file save_load_state_dict_str save_optimizer_with_safetensors_raises
        save_load_state_dict_str_with_history_optimizer save_and_load_from_checkpoint
        save_and_load_from_checkpoint_formatting save_params_not_init_optimizer
        load_params_not_init_optimizer save_state_dict_not_init load_state_dict_not_init
        load_cuda_params_to_cpu save_params_with_history_file_obj
        save_params_with_history_file_path initializing_net_with_custom_history
        set_params_then_initialize_remembers_param
        set_params_on_callback_then_initialize_remembers_param
        setting_lr_after_init_reflected_in_optimizer reinitializing_module_optimizer_message
        optimizer_param_groups module_initialized_with_partial_module criterion_init_with_params
        criterion_set_params criterion_non_module callback_with_name_init_with_params
        callback_set_params callback_name_collides_with_default callback_same_inferred_name_twice
        callback_keeps_order callback_custom_name_is_untouched
        callback_unique_naming_avoids_conflicts get_params_with_uninit_callbacks no_callbacks
        message_fit_with_initialized_net repr_initialized_works fit_params_passed_to_module
        fit_params_passed_to_module_in_pipeline fit_params_passed_to_train_split
        predict_with_dataset predict_with_dataset_one_item_error
        predict_with_dataset_three_items_error multioutput_forward_iter multioutput_forward
        multioutput_predict multiouput_predict_proba setting_callback_possible
        setting_callback_default_possible set_params_on_init_net_normal_param_works
        no_grad_during_evaluation_unless_training setattr_custom_module setattr_custom_criterion
        setattr_custom_optimizer custom_optimizer_virtual_params
        module_referencing_another_module_no_duplicate_params
        custom_optimizer_lr_is_associated_with_optimizer
        custom_non_default_module_with_check_is_fitted setattr_custom_module_no_duplicates
        setattr_does_not_modify_class_attribute set_params_on_custom_module
        save_load_state_dict_custom_module
        torch_load_kwargs_auto_weights_only_true_when_load_params
        torch_load_kwargs_forwarded_to_torch_load torch_load_kwargs_auto_weights_true
        torch_load_kwargs_forwarded_to_torch_load_unpickle unpickle_no_pytorch_warning
        custom_module_params_passed_to_optimizer criterion_params_passed_to_optimizer_if_any
        custom_criterion_attribute_name_predict_works
        custom_module_is_init_when_default_module_already_is
        setting_custom_module_outside_initialize_raises
        setting_custom_optimizer_outside_initialize_raises
        setting_custom_module_without_trailing_underscore_raises moving_custom_modules_to_device
        set_params_on_custom_module_preserves_its_device custom_optimizer_performs_updates
        optimizer_initialized_after_module_moved_to_device predict_nonlinearity_called_with_predict
        predict_nonlinearity_called_with_predict_proba predict_nonlinearity_none
        predict_nonlinearity_type_error predict_nonlinearity_is_identity_with_multiple_criteria
    """,
    "max_epochs=0 trains nothing and is refused": """
        classifier:non_binary_classes_set_by_default classifier:classes_data_torch_tensor
        classifier:classes_with_gaps classifier:pass_classes_explicitly_overrides
        classifier:classes_are_set_with_tensordataset_explicit_y
        classifier:classes_are_set_with_tensordataset_implicit_y
        classifier:pass_empty_classes_raises classifier:error_when_classes_could_not_be_inferred
        clone_results_in_uninitialized_net with_initialized_module_partial_fit
        with_initialized_module_warm_start call_fit_twice_retrains call_fit_twice_warmstart
        call_partial_fit_after_fit
    """,
    "`partial_fit` takes no `epochs`; `update_epochs` is a parameter": """
        train_net_after_copy
    """,
    "messages and registration of further modules that are not made here, class scores where skorch gives what the module gives": """
        net_init_missing_dunder_in_prefix_argument not_fitted_raises forward
        save_load_state_dict_no_duplicate_registration_after_initialize
        save_load_state_dict_no_duplicate_registration_after_clone
        save_load_state_dict_file_with_history_optimizer_criterion
        changing_model_reinitializes_optimizer reinitializing_module_optimizer_message
        reinitializing_module_optimizer_when_initialized_message
        setting_callback_to_none_and_more_params_during_init_raises no_grad_during_validation
        set_lr_at_runtime_sets_lr_via_pgroup_0 set_lr_at_runtime_sets_lr_pgroups criterion_training_set_correctly
        set_params_on_custom_module_triggers_reinit_of_criterion_and_optimizer
        set_params_on_custom_criterion_triggers_reinit_of_optimizer
        set_params_on_custom_module_with_default_module_params_msg
        set_params_on_custom_criterion_with_default_criterion_params_msg
        modules_reinit_when_both_initialized_but_custom_module_changed
        criteria_reinit_when_both_initialized_but_custom_criterion_changed
        custom_criterion_is_init_when_default_criterion_already_is
    """,
    "reads a file by a path relative to skorch repository": """
        pickle_load
    """,
    "the callback double of skorch is looked up on the instance, hooks here on the class": """
        callback_is_called
    """,
    "other default callbacks, and scikit-learn representation and messages of our own": """
        unknown_set_params_gives_helpful_message get_params_works repr_uninitialized_works
        repr_fitted_works setting_callback_to_none_and_more_params_later_raises
    """,
    "overrides a method that is never called, which is refused": """
        change_get_loss accumulator_that_returns_last_value gradient_accumulation
        custom_modules_and_criteria_training_mode_set_correctly
    """,
    "rows are arrays with labels: no Datasets of single items, no `dataset` parameter, no dicts, no further fit_params": """
        net_initialized_with_custom_dataset_args net_initialized_with_partialed_dataset
        net_initialized_with_initalized_dataset_and_kwargs_raises data_dict_and_fit_params
        data_dict_and_fit_params_conflicting_names_raises
        fit_with_dataset_X_y_inaccessible_does_not_raise
        fit_with_dataset_stratified_without_explicit_y_raises fit_with_dataset_one_item_error
        fit_with_dataset_three_items_error net_variable_prediction_lengths
        net_variable_label_lengths
    """,
    "the last rows are held back, purged and at least 20, not a fifth at random; past epochs keep one batch": """
        batch_size_neg_1_uses_whole_dataset predefined_split batch_count
    """,
    "LBFGS is refused by name": """
        fit_lbfgs_optimizer
    """,
}


class TestAsClassifier(of_classifiers.TestNeuralNet):
    @pytest.fixture(scope="module")
    def net_cls(self):
        return MLPNetClassifier


class TestAsNet(of_nets.TestNeuralNet):
    @pytest.fixture(scope="module")
    def net_cls(self):
        return MLPNetClassifier
