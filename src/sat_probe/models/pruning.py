"""Attention pruning: removal of the rows and columns of a model's projections that belong to heads.

The configuration lists removed heads (``sat_probe_pruned_heads``), so a saved model is built in its smaller shape
before its weights are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sat_probe.errors import ModelError
from sat_probe.models.attention_without_heads import Bias, FewerHeads, MaskOfKept, headless_class, mask_class

PRUNED_HEADS = "sat_probe_pruned_heads"  # {"layer": [heads]} in the numbering of the intact model
SHARED = "the layers share their weights: remove the same heads from each of them"


@dataclass(frozen=True, slots=True)
class Pruning:
    """Places of the heads in a family's attention module. Names that a module lacks are skipped.

    Attributes:
        inputs: linear layers whose output features belong to heads, head by head.
        output: the linear layer that reads all heads side by side; the first of these names that exists.
        outer_output: path of that layer from the module's parent, if it is outside of the module.
        per_head: parameters whose first axis counts heads.
        counts: attributes of the module that count heads.
        widths: attributes of the module that count the features of all heads.
        config_counts: attributes of the module's configuration that count heads, if the module reads them there.
        outputs: number of values that the module returns (attended frames, weights, ...).
        mask_per_head: the module receives a mask with an axis of heads, those of the intact model.
        own_headless: the module itself handles having no heads (empty ``kept_heads``).
    """

    inputs: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "linear_q", "linear_k", "linear_v", "linear_pos", "relative_k_proj",
    )  # fmt: skip
    output: tuple[str, ...] = ("out_proj", "o_proj", "linear_out")
    outer_output: str | None = None
    per_head: tuple[str, ...] = ("pos_bias_u", "pos_bias_v", "bias_u", "bias_v")
    counts: tuple[str, ...] = ()
    widths: tuple[str, ...] = ()
    config_counts: tuple[str, ...] = ()
    outputs: int = 2
    mask_per_head: bool = False
    own_headless: bool = False


def pruned_heads(config: Any) -> dict[int, list[int]]:
    """Return the removed heads of each layer, as the configuration lists them.

    Raises:
        ModelError: if the configuration lists something else.
    """
    stored = getattr(config, PRUNED_HEADS, None) or {}
    try:
        return {int(layer): sorted(int(head) for head in heads) for layer, heads in stored.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{PRUNED_HEADS} of the configuration must list heads by layer, as in {{'0': [1, 2]}}; it is {stored!r}"
        ) from error


def checked_heads(remove: Iterable[tuple[int, int]], layers: int, heads: int) -> dict[int, list[int]]:
    """Return heads to remove by layer, after checking each.

    Raises:
        ModelError: if a head is out of range or named twice, or no head of the model would be left.
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
    modules: Sequence[tuple[nn.Module, nn.Module]],
    present: Sequence[Sequence[int]],
    removed: Mapping[int, Sequence[int]],
    plan: Pruning,
) -> None:
    """Cut heads out of attention modules, in place.

    Args:
        modules: attention module of each layer, and its parent.
        present: heads that each layer has now.
        removed: heads to remove, by layer.
        plan: their places.

    Raises:
        ModelError: if layers that share one module would lose different heads, heads share keys and values, or a
            projection is adapted or quantised.
    """
    left = [
        tuple(place for place, head in enumerate(heads) if head not in removed.get(layer, ()))
        for layer, heads in enumerate(present)
    ]
    kept_of: dict[nn.Module, tuple[int, ...]] = {}
    for (module, _), kept in zip(modules, left, strict=True):
        if kept_of.setdefault(module, kept) != kept:
            raise ModelError(SHARED)
    for module, parent in modules:
        _check_layers(module, parent, plan)
    done: set[nn.Module] = set()
    for (module, parent), kept, heads in zip(modules, left, present, strict=True):
        if module not in done and len(kept) < len(heads):
            _cut(module, parent, kept, heads, plan)
        done.add(module)


def _check_layers(module: nn.Module, parent: nn.Module, plan: Pruning) -> None:
    """Raise a ModelError before anything is cut if a projection is not plain: adapted, or quantised."""
    outer = [] if plan.outer_output is None else [(plan.outer_output, parent.get_submodule(plan.outer_output))]
    inside = [(name, getattr(module, name, None)) for name in (*plan.inputs, *plan.output)]
    for name, layer in [*inside, *outer]:
        if layer is None or isinstance(layer, Bias):
            continue
        if not isinstance(layer, nn.Linear) or not layer.weight.is_floating_point():
            raise ModelError(
                f"heads cannot be removed: {name} is a {type(layer).__name__}, not a plain linear layer; merge "
                "adapters first (model.merge_and_unload()), and quantise afterwards"
            )


def _cut(module: nn.Module, parent: nn.Module, kept: Sequence[int], present: Sequence[int], plan: Pruning) -> None:
    if plan.outer_output is None:
        owner, path = module, next(name for name in plan.output if hasattr(module, name))
    else:
        owner, path = parent, plan.outer_output
    output = owner.get_submodule(path)
    inputs = [name for name in plan.inputs if getattr(module, name, None) is not None]
    per_head = [name for name in plan.per_head if isinstance(getattr(module, name, None), nn.Parameter)]
    assert isinstance(output, nn.Linear)
    if any(getattr(module, name).out_features != output.in_features for name in inputs):
        raise ModelError("heads that share keys and values (grouped-query attention) cannot be removed one by one")
    if kept or plan.outer_output is not None:
        _replace(owner, path, kept_columns(output, kept, len(present)))
    else:
        _replace(owner, path, Bias(output.bias))
    for name in inputs:
        linear = getattr(module, name)
        setattr(module, name, kept_rows(linear, kept, len(present)) if kept else None)
    for name in per_head:
        old = getattr(module, name)
        new = nn.Parameter(old.detach()[list(kept)].clone(), requires_grad=old.requires_grad)
        setattr(module, name, new if kept else None)
    for name in plan.counts:
        setattr(module, name, len(kept))
    for name in plan.widths:
        setattr(module, name, len(kept) * (output.in_features // len(present)))
    if plan.config_counts:
        setattr(module, "config", FewerHeads(module.config, plan.config_counts, len(kept)))  # noqa: B010
    setattr(module, "kept_heads", [present[place] for place in kept])  # noqa: B010
    attention: Any = type(module)
    if not kept and not plan.own_headless:
        inside = path if plan.outer_output is None else None
        module.__class__ = headless_class(attention, inside, plan.outputs)
    elif plan.mask_per_head and not isinstance(module, MaskOfKept):
        module.__class__ = mask_class(attention)


def kept_rows(linear: nn.Module, kept: Sequence[int], heads: int) -> nn.Linear:
    """Return a linear layer with the output features of the ``kept`` of its ``heads``."""
    assert isinstance(linear, nn.Linear)
    index = _features(linear.out_features, kept, heads, linear.weight.device)
    bias = None if linear.bias is None else linear.bias[index]
    return _linear(linear.weight[index], bias, linear)


def kept_columns(linear: nn.Module, kept: Sequence[int], heads: int) -> nn.Linear:
    """Return a linear layer with the input features of the ``kept`` of its ``heads``."""
    assert isinstance(linear, nn.Linear)
    index = _features(linear.in_features, kept, heads, linear.weight.device)
    return _linear(linear.weight[:, index], linear.bias, linear)


def _features(features: int, kept: Sequence[int], heads: int, device: torch.device) -> Tensor:
    size = features // heads
    return (
        torch.tensor(kept, dtype=torch.long, device=device)[:, None] * size + torch.arange(size, device=device)
    ).flatten()


def _linear(weight: Tensor, bias: Tensor | None, like: nn.Linear) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=like.weight.requires_grad)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=like.weight.requires_grad)
    return made.train(like.training)


def _replace(module: nn.Module, path: str, new: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, new)
