"""Views of a model: the same weights in module objects of their own, so that one call never changes another; and
the hidden states that a call records.

Mode, hooks, configuration and attached probes belong to module objects; parameters and buffers are shared. Every
observed pass runs on a view that nobody else holds, and needs neither locks nor anything to be restored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from types import MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

Model = TypeVar("Model", bound=nn.Module)

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
)
_CAPTURING = "_output_capturing_hooks_installed"  # set by transformers once all of its recording hooks are there


def view_of(model: Model, evaluating: bool = False) -> Model:
    """Return a model of the same class with the same parameters and buffers, but its own module objects.

    Changes of mode, hooks, configuration or submodules of either do not reach the other; changes of weights do.

    Args:
        model: any module; it is only read.
        evaluating: put the view into evaluation mode instead of the mode of each module.
    """
    views: dict[nn.Module, nn.Module] = {}
    copied: dict[int, Any] = {}  # configurations, each once

    def view(module: nn.Module, capturing: bool) -> nn.Module:
        if module in views:
            return views[module]
        if isinstance(module, torch.jit.ScriptModule):
            return module
        other = object.__new__(type(module))
        views[module] = other
        state = other.__dict__
        state.update(attributes := module.__dict__.copy())
        capturing = state.get(_CAPTURING, capturing)
        for name in _HOOKS:
            state[name] = state[name].copy()
        if not capturing and state["_forward_hooks"]:
            # another thread may be installing transformers' recording hooks right now: the view gets its own
            for key, hook in list(state["_forward_hooks"].items()):
                if getattr(hook, "__name__", "") == "output_capturing_hook":
                    del state["_forward_hooks"][key]
        if evaluating:
            state["training"] = False
        if "config" in state:
            state["config"] = deepcopy(state["config"], copied)
        for name, value in attributes.items():
            if type(value) in (MethodType, partial):  # accelerate replaces `forward`; activations choose a method
                state[name] = _rebound(value, module, other)
        state["_compiled_call_impl"] = None
        state["_parameters"] = state["_parameters"].copy()
        state["_buffers"] = state["_buffers"].copy()
        state["_modules"] = {
            name: None if child is None else view(child, capturing) for name, child in state["_modules"].items()
        }
        return other

    return view(model, False)  # type: ignore[return-value]


def _rebound(function: Any, module: nn.Module, other: nn.Module) -> Any:
    """Return a method, or a partial of a function of ``module``, for ``other``."""
    if isinstance(function, MethodType) and function.__self__ is module:
        return MethodType(function.__func__, other)
    if isinstance(function, partial):
        arguments = [other if argument is module else argument for argument in function.args]
        return partial(_rebound(function.func, module, other), *arguments, **function.keywords)
    return function


_LAYER = re.compile(r"^.*?\b\d+(?=\.)")


def layers_of(model: nn.Module, attention: Sequence[tuple[str, nn.Module]]) -> list[nn.Module]:
    """Return the layer of each named attention module: its first numbered ancestor."""
    names = [match[0] for name, _ in attention if (match := _LAYER.match(name))]
    return [model.get_submodule(name) for name in names]


def record_states(layers: Sequence[nn.Module], everything: bool) -> list[Tensor]:
    """Return a list that the next forward pass fills with the output of every layer, and the input of the first.

    The hooks stay: give layers of a view that makes one pass. Without ``everything``, only the output of the last
    layer is recorded.
    """
    states: list[Tensor] = []

    def entering(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        states.append(arguments[0] if arguments else options["hidden_states"])

    def leaving(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    for layer in layers if everything else layers[-1:]:
        layer.register_forward_hook(leaving)
    if everything and layers:
        layers[0].register_forward_pre_hook(entering, with_kwargs=True)
    return states


def output_of_frames(output: Any, states: Sequence[Tensor], maps: tuple[Tensor, ...]) -> BaseModelOutput:
    """Return the output of a model with one vector per attention frame.

    Args:
        output: of the model's forward: the last hidden state, or an object with it.
        states: recorded in the forward pass.
        maps: of the attention of every layer; used if the model returns none, or of other layers.
    """
    last = output if isinstance(output, Tensor) else output.last_hidden_state
    frames = states[-1].shape[1]
    hidden = None if isinstance(output, Tensor) else output.get("hidden_states")
    attentions = None if isinstance(output, Tensor) else output.get("attentions")
    if len(states) > 1 and (not hidden or len(hidden) != len(states) or any(h.shape[1] != frames for h in hidden)):
        hidden = tuple(states)
    if maps and (not attentions or len(attentions) != len(maps)):
        attentions = maps
    return BaseModelOutput(
        last_hidden_state=last if last.shape[1] == frames else states[-1], hidden_states=hidden, attentions=attentions
    )
