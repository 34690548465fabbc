"""Heads removed for good: the rows and columns of a model's projections that belong to them are cut out.

What was removed stands in the configuration (``sat_probe_pruned_heads``), so that a saved model is built in its smaller
shape before its weights are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from sat_probe.errors import ModelError
from sat_probe.models.attention import attachment_of

PRUNED_HEADS = "sat_probe_pruned_heads"  # {"layer": [heads]} in the numbering of the intact model
SHARED = "the layers share their weights: the same heads must go from each of them"


@dataclass(frozen=True, slots=True)
class Pruning:
    """Where the heads of a family's attention module are; paths are relative to it.

    Attributes:
        inputs: linear layers whose output features belong to heads, head by head.
        output: the linear layer that takes all heads side by side.
        per_head: parameters whose first axis counts heads.
        outputs: how many values the module returns (attended frames, weights, ...).
        finish: (module, kept heads) -> None, for what else a family stores per head.
    """

    inputs: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    output: str = "out_proj"
    per_head: tuple[str, ...] = ()
    outputs: int = 2
    finish: Callable[[nn.Module, list[int]], None] | None = None


def pruned_heads(config: Any) -> dict[int, list[int]]:
    """Which heads of which layers a configuration says were removed.

    Raises:
        ModelError: if what it says is no such thing.
    """
    stored = getattr(config, PRUNED_HEADS, None) or {}
    try:
        return {int(layer): sorted(int(head) for head in heads) for layer, heads in stored.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{PRUNED_HEADS} of the configuration must list heads by layer, as in {{'0': [1, 2]}}; it is {stored!r}"
        ) from error


def checked_heads(remove: Iterable[tuple[int, int]], layers: int, heads: int) -> dict[int, list[int]]:
    """Heads to remove by layer, each checked.

    Raises:
        ModelError: if a head is out of range or named twice, or none would be left anywhere.
    """
    chosen: dict[int, list[int]] = {}
    for layer, head in remove:
        if not (0 <= layer < layers and 0 <= head < heads):
            raise ModelError(
                f"there is no head {head} in layer {layer}: layers are 0 to {layers - 1}, heads 0 to {heads - 1}"
            )
        if head in chosen.setdefault(layer, []):
            raise ModelError(f"head {head} of layer {layer} is named twice")
        chosen[layer].append(head)
    if sum(map(len, chosen.values())) == layers * heads:
        raise ModelError(f"all {layers * heads} heads would be removed; leave at least one")
    return {layer: sorted(chosen[layer]) for layer in sorted(chosen)}


def prune(
    modules: Sequence[nn.Module],
    present: Sequence[Sequence[int]],
    removed: Mapping[int, Sequence[int]],
    plan: Pruning,
) -> None:
    """Cut heads out of attention modules, in place.

    Args:
        modules: the attention of each layer.
        present: the heads that each layer has now.
        removed: heads to take away, by layer.
        plan: where they are.

    Raises:
        ModelError: if layers that share one module would lose different heads.
    """
    by_module: dict[nn.Module, tuple[int, ...]] = {}
    done: set[nn.Module] = set()
    for layer, module in enumerate(modules):
        kept = tuple(place for place, head in enumerate(present[layer]) if head not in removed.get(layer, ()))
        if by_module.setdefault(module, kept) != kept:
            raise ModelError(SHARED)
    for layer, module in enumerate(modules):
        places, heads = list(by_module[module]), len(present[layer])
        if module not in done and len(places) < heads:
            if places:
                _cut(module, places, heads, plan)
            else:
                _behead(module, plan)
        done.add(module)


def _cut(module: nn.Module, kept: list[int], heads: int, plan: Pruning) -> None:
    for path in plan.inputs:
        _replace(module, path, kept_rows(module.get_submodule(path), kept, heads))
    _replace(module, plan.output, kept_columns(module.get_submodule(plan.output), kept, heads))
    for path in plan.per_head:
        parent, name = _owner(module, path)
        old = getattr(parent, name)
        setattr(parent, name, nn.Parameter(old.detach()[kept].clone(), requires_grad=old.requires_grad))
    if plan.finish is not None:
        plan.finish(module, kept)


def kept_rows(linear: nn.Module, kept: Sequence[int], heads: int) -> nn.Linear:
    """The linear layer with only the output features of some of its ``heads``."""
    assert isinstance(linear, nn.Linear)
    index = _features(linear.out_features, kept, heads, linear.weight.device)
    bias = None if linear.bias is None else linear.bias[index]
    return _linear(linear.weight[index], bias, linear)


def kept_columns(linear: nn.Module, kept: Sequence[int], heads: int) -> nn.Linear:
    """The linear layer with only the input features of some of the ``heads`` it reads."""
    assert isinstance(linear, nn.Linear)
    index = _features(linear.in_features, kept, heads, linear.weight.device)
    return _linear(linear.weight[:, index], linear.bias, linear)


def _features(features: int, kept: Sequence[int], heads: int, device: torch.device) -> Tensor:
    size = features // heads
    return (torch.tensor(kept, device=device)[:, None] * size + torch.arange(size, device=device)).flatten()


def _linear(weight: Tensor, bias: Tensor | None, like: nn.Linear) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=like.weight.requires_grad)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=like.weight.requires_grad)
    return made.train(like.training)


def _owner(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    parent, _, name = path.rpartition(".")
    return module.get_submodule(parent), name


def _replace(module: nn.Module, path: str, new: nn.Module) -> None:
    parent, name = _owner(module, path)
    setattr(parent, name, new)


class _Bias(nn.Module):
    """What is left of an output projection without inputs."""

    def __init__(self, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.register_parameter("bias", bias)


class _Headless:
    """Attention without any head: it adds the bias of its output projection, and shows maps of no heads."""

    _output_path: str
    _output_count: int

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        assert isinstance(self, nn.Module)
        attachment, maps = attachment_of(self), None
        if attachment is not None:
            layer = attachment.next_layer()
            attachment.probe.seen.add(layer)
            if attachment.probe.output_attentions:
                batch, frames = hidden_states.shape[:2]
                maps = attachment.probe.maps[layer] = hidden_states.new_zeros(batch, 0, frames, frames)
        output = torch.zeros_like(hidden_states)
        bias = self.get_submodule(self._output_path).bias
        if bias is not None:
            output = output + bias
        return (output, maps, *[None] * (self._output_count - 2))


@cache
def _headless_class(attention: type[nn.Module], path: str, count: int) -> type[nn.Module]:
    # the name stays: it is how a probed model finds and numbers its attention modules
    body = {"__module__": attention.__module__, "_output_path": path, "_output_count": count}
    return type(attention.__name__, (_Headless, attention), body)


def _behead(module: nn.Module, plan: Pruning) -> None:
    """Take the last heads of a layer, and everything that served them."""
    output = module.get_submodule(plan.output)
    assert isinstance(output, nn.Linear)
    for path in (*plan.inputs, *plan.per_head):
        parent, name = _owner(module, path)
        setattr(parent, name, None)
    _replace(module, plan.output, _Bias(output.bias))
    module.__class__ = _headless_class(type(module), plan.output, plan.outputs)
