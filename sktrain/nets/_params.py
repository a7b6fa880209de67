"""Parameters by skorch's double-underscore names, under scikit-learn's rules.

What is learned stays out of the parameters, unknown names are refused with the nearest valid ones,
and a fitted net whose network was redefined is no longer fitted.
"""

import copy
import difflib
from inspect import Parameter, signature
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import validate_parameter_constraints
from skorch.utils import params_for
import torch

from ..exceptions import SktrainError
from ._components import check_components, check_module, check_patterns, names_of
from ._modules import Standardized
from ._optimizers import make_optimizer

__all__ = ["NetParams"]

_FULL_BATCH_DROPOUT = 0.0  # where every step sees all rows: a judgment
_NETWORK = ("module", "lookback", "standardize", "n_members")  # what the trained weights belong to


class NetParams:
    """Mixin: reading, setting and checking parameters, and building components from them."""

    prefixes_ = (
        "module", "criterion", "optimizer", "iterator_train", "iterator_valid", "callbacks",
        "compile",
    )
    cuda_dependent_attributes_ = ("module_", "criterion_", "optimizer_")
    _modules, _criteria, _optimizers = ("module",), ("criterion",), ("optimizer",)
    initialized_, history_ = False, None
    virtual_params_: dict[str, Any] = {}
    classes, predict_nonlinearity, use_caching, torch_load_kwargs = None, "auto", "auto", None
    __delattr__, __repr__ = object.__delattr__, BaseEstimator.__repr__
    _sizes = ("n_features", "n_steps", "n_classes")

    def __getattr__(self, name):
        """Parameters of components, kept apart from the net's own so that ``__init__`` sets no
        attribute but its parameters."""
        components = vars(self).get("_components", ())
        if name in components:
            return components[name]
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if vars(self).get("members_") and name.endswith("_"):
            text += f": ask one of its {len(self.members_)} members, as in members_[0].{name}"
        raise AttributeError(text)

    def __setattr__(self, name, value):
        if "__" in name and name[0] != "_":
            name, value = "_components", {**self._components, name: value}
        object.__setattr__(self, name, value)

    def _get_param_names(self):
        own = [name for name in vars(self) if not name.endswith("_") and not name.startswith("_")]
        return own + list(self._components)

    def _get_params_for(self, prefix):
        return params_for(prefix, self._components)

    def get_params(self, deep: bool = True) -> dict:
        """Parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add those of the network, the loss and the callbacks.

        Returns
        -------
        dict
            Values by name; of a component as ``module__name``.
        """
        own = {name: getattr(self, name) for name in self._get_param_names()}
        if not deep:
            return own
        found = {}
        for prefix in ("module", "criterion"):
            names = names_of(self._component(prefix)) or {}
            found.update(
                {
                    f"{prefix}__{name}": default
                    for name, default in names.items()
                    if name not in self._sizes and default is not Parameter.empty
                }
            )
        for name, callback in self._named_callbacks().items():
            found[f"callbacks__{name}"] = callback
            if hasattr(callback, "get_params") and not isinstance(callback, type):
                found.update(
                    {
                        f"callbacks__{name}__{key}": value
                        for key, value in callback.get_params(deep=False).items()
                    }
                )
        return {**found, **own}

    def _component(self, prefix):
        value = getattr(self, prefix)
        if prefix == "module" and value is None:
            return self._network
        return type(value) if isinstance(value, torch.nn.Module) else value

    def _named_callbacks(self):
        if self.callbacks == "disable":
            return {}
        own = self.callbacks if isinstance(self.callbacks, (list, tuple)) else []
        listed: list[Any] = [
            item
            if isinstance(item, (tuple, list))
            else (getattr(item, "__name__", type(item).__name__), item)
            for item in own
        ]
        return dict([*self.get_default_callbacks(), *listed])

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Changing the network of a fitted net (``module``, ``module__...``) makes it unfitted:
        weights never serve another network than the one they were trained in. A lower
        ``replay_rows`` drops rows kept at once.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self
            The net.

        Raises
        ------
        ValueError
            An unknown name; the message says the nearest one.
        """
        known = set(self._get_param_names()) | set(signature(type(self).__init__).parameters)
        for name in params:
            if "__" not in name and name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator "
                    f"{type(self).__name__}.{self._nearest(name)}"
                )
        before, components = {name: getattr(self, name, None) for name in params}, self._components
        inner = {
            name: value for name, value in params.items() if "__" in name or name in components
        }
        own = {name: value for name, value in params.items() if name not in inner}
        vars(self).update(own, _components={**components, **inner})
        try:
            self._check_names([name for name in inner if "__" in name])
        except SktrainError:
            vars(self).update({name: before[name] for name in own}, _components=components)
            raise
        self._set_at_once(params)
        if "replay_rows" in params:
            self._forget()
        changed = [
            name
            for name in params
            if name.split("__")[0] in _NETWORK
            and before[name] is not params[name]
            and before[name] != params[name]
        ]
        if changed and self.initialized_:
            self.initialized_, self.changed_ = False, changed[0]
        self._pass_on(params)
        return self

    def _set_at_once(self, params):
        """Settings of the optimizer act on the one in use, for a callback may speak while training;
        a network is not exchanged then."""
        for name, value in params.items():
            key = "lr" if name == "lr" else name.removeprefix("optimizer__")
            if name.split("__")[0] in _NETWORK and vars(self).get("_named") is not None:
                raise SktrainError(f"{name} cannot change while the net trains.")
            if "optimizer_" not in vars(self) or not (
                name == "lr" or name.startswith("optimizer__")
            ):
                continue
            if key == "lr":
                self._set_rates()
                continue
            for group in self.optimizer_.param_groups:
                if key in group:
                    group[key] = value

    def _nearest(self, name):
        near = difflib.get_close_matches(
            name, [one for one in self.get_params(deep=True) if one != name], n=3, cutoff=0.5
        )
        return f" Did you mean {' or '.join(near)}?" if near else ""

    def _check_names(self, names):
        """Refuse parameters no component takes."""
        for name in names:
            prefix, _, rest = name.partition("__")
            if "__" not in name or prefix not in self.prefixes_:
                raise SktrainError(
                    f"{type(self).__name__} has no parameter {name!r}.{self._nearest(name)}"
                )
            if prefix == "callbacks":
                self._check_callback_name(name, rest)
            elif prefix != "compile":
                valid = names_of(self._component(prefix))
                taken = self._sizes if prefix == "module" else ()
                if valid is not None and (rest not in (*valid, "param_groups") or rest in taken):
                    raise SktrainError(
                        f"{type(self).__name__} has no parameter {name!r}.{self._nearest(name)}"
                    )

    def _check_callback_name(self, name, rest):
        callback, _, parameter = rest.partition("__")
        callbacks = self._named_callbacks()
        if callback not in callbacks:
            raise SktrainError(
                f"{type(self).__name__} has no parameter {name!r}: its callbacks are "
                f"{', '.join(callbacks)}."
            )
        holder = self._components.get(f"callbacks__{callback}", callbacks[callback])
        if (
            parameter
            and holder is not None
            and not isinstance(holder, type)
            and parameter not in holder.get_params(deep=False)
        ):
            raise SktrainError(
                f"{type(self).__name__} has no parameter {name!r}.{self._nearest(name)}"
            )

    def _validate_params(self):
        own = self.get_params(deep=False)
        validate_parameter_constraints(self._parameter_constraints, own, type(self).__name__)
        _one_of("class_sampling", self.class_sampling, (None, "weighted"))
        _one_of("calibration", self.calibration, ("temperature", None))
        _one_of(
            "mixed_precision", self.mixed_precision, ("auto", True, False, "bfloat16", "float16")
        )
        if self.train_split not in (None, "last") and not callable(self.train_split):
            raise SktrainError(
                f"train_split must be 'last', None or a callable, got {self.train_split!r}."
            )
        check_components(self)
        self._check_names(list(self._components))

    def get_params_for(self, prefix: str) -> dict:
        """Parameters of one component, as skorch asks for them.

        Parameters
        ----------
        prefix : str
            Name of the component, such as ``"module"``, which also gets its sizes from the data.

        Returns
        -------
        dict
            Keyword arguments of the component.
        """
        # switched off: its parameters rest
        if prefix.startswith("callbacks__") and getattr(self, prefix, self) is None:
            return {}
        params = self._get_params_for(prefix)
        if prefix != "module":
            return params
        if vars(self).get("full_batch_") and "dropout" in (
            names_of(self._component("module")) or {}
        ):
            params.setdefault("dropout", _FULL_BATCH_DROPOUT)
        sizes = {
            "n_features": self.step_features_,
            "n_steps": self.lookback_,
            "n_classes": len(self.classes_),
        }
        takes = names_of(self._component("module"))
        return {
            **{name: size for name, size in sizes.items() if takes is None or name in takes},
            **params,
        }

    def initialize_module(self) -> Self:
        """Make the network, or copy the instance given; its standardization starts as the identity.

        Returns
        -------
        self
            The net, with ``module_``.
        """
        if isinstance(self.module, torch.nn.Module) and not self._get_params_for("module"):
            made = copy.deepcopy(self.module)
        else:
            made = self._component("module")(**self.get_params_for("module"))
        if not isinstance(made, torch.nn.Module):
            raise SktrainError(
                f"module={self.module!r} must make a torch Module; it made {made!r}."
            )
        complete = hasattr(made, "logits") and hasattr(getattr(made, "standardize", None), "mean")
        self.module_ = made if complete else Standardized(made, self.step_features_)
        if self.module is not None:
            check_module(self)
        return self

    def initialize_optimizer(self) -> Self:
        """Make the optimizer: fused where torch has it, no decay on biases and norm weights.

        Returns
        -------
        self
            The net, with ``optimizer_``.
        """
        params = self.get_params_for("optimizer")
        takes = names_of(self.optimizer) or {}
        chosen = {"fused", "foreach", "capturable", "differentiable"} & params.keys()
        fused = {"fused": True} if "fused" in takes and not chosen else {}
        learnable = list(self.get_all_learnable_params())
        if "param_groups" in params:
            check_patterns(params["param_groups"], [name for name, _ in learnable])
            args, params = self.get_params_for_optimizer("optimizer", learnable)
            self.optimizer_ = make_optimizer(self.optimizer, *args, **{**fused, **params})
            return self
        params.update(fused)
        params.setdefault("lr", self.lr)
        groups: list[dict[str, Any]] = [{"params": [p for _, p in learnable]}]
        if "weight_decay" in takes:
            matrices = [p for _, p in learnable if p.ndim > 1]
            rest = [p for _, p in learnable if p.ndim <= 1]
            groups = [
                {"params": matrices, "decays": True},
                {"params": rest, "decays": False, "weight_decay": 0.0},
            ]
        groups = [group for group in groups if group["params"]]
        self.optimizer_ = make_optimizer(self.optimizer, groups, **params)
        return self

    def torch_compile(self, module: torch.nn.Module, name: str) -> torch.nn.Module:
        """Keep the network as it is, so that it can be saved; training compiles ``logits``.

        Parameters
        ----------
        module : torch.nn.Module
            The network or the loss.
        name : str
            Its attribute.

        Returns
        -------
        torch.nn.Module
            ``module``.
        """
        return module

    def _another_network(self):
        return (
            f"{vars(self)['changed_']} was changed after fit, so the trained weights of this "
            f"{type(self).__name__} no longer belong to it. Call fit again."
        )

    def _refuse_another_network(self):
        if vars(self).get("changed_"):
            raise SktrainError(self._another_network())


def _one_of(name, value, options):
    if not any(
        value is option or (isinstance(value, str) and value == option) for option in options
    ):
        raise SktrainError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}.")
