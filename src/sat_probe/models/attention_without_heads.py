"""Attention modules after pruning, including modules with no heads left."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from sat_probe.models.attention.interface import attachment_of


class Bias(nn.Module):
    """An output projection without inputs: its bias alone."""

    def __init__(self, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, like: Tensor) -> Tensor:
        """Return zeros in the shape of ``like``, plus the bias."""
        zeros = torch.zeros_like(like)
        return zeros if self.bias is None else zeros + self.bias


class _Headless:
    """Attention without heads: it returns the bias of its output projection, and maps of no heads."""

    _output_path: str | None  # None: the projection is outside of the module
    _output_count: int

    def __reduce_ex__(self, protocol: Any) -> Any:
        base, path, count = type(self).__mro__[2], self._output_path, self._output_count
        return _pickled(super().__reduce_ex__(protocol), headless_class, base, path, count)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        assert isinstance(self, nn.Module)
        path = self._output_path
        output, maps = without_heads(self, hidden_states, None if path is None else self.get_submodule(path))
        if self._output_count == 1:
            return output
        return (output, maps, *[None] * (self._output_count - 2))


def without_heads(module: nn.Module, hidden_states: Tensor, output: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Return the output of attention without heads, and maps (batch, 0, frames, frames) if a probe asks for them.

    Args:
        module: the attention.
        hidden_states: (batch, frames, size).
        output: the rest of its output projection; None if that is outside of the module.
    """
    attachment, maps = attachment_of(module), None
    if attachment is not None:
        layer = attachment.next_layer()
        if attachment.probe.output_attentions:
            batch, frames = hidden_states.shape[:2]
            maps = attachment.probe.maps[layer] = hidden_states.new_zeros(batch, 0, frames, frames)
    return hidden_states[..., :0] if output is None else output(hidden_states), maps


@cache
def headless_class(attention: Any, path: str | None, count: int) -> type[nn.Module]:
    # a probed model finds and numbers its attention modules by this name
    body = {"__module__": attention.__module__, "_output_path": path, "_output_count": count}
    return type(attention.__name__, (_Headless, attention), body)


class MaskOfKept:
    """Attention that selects its own heads from a mask for all heads of the intact model."""

    kept_heads: list[int]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _pickled(super().__reduce_ex__(protocol), mask_class, type(self).__mro__[2])

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, *args: Any, **kwargs: Any) -> Any:
        mask = attention_mask if attention_mask.shape[1] == 1 else attention_mask[:, self.kept_heads]
        return super().forward(hidden_states, mask, *args, **kwargs)  # type: ignore[misc]


@cache
def mask_class(attention: Any) -> type[nn.Module]:
    return type(attention.__name__, (MaskOfKept, attention), {"__module__": attention.__module__})


def _pickled(reduced: Any, make_class: Any, *arguments: Any) -> tuple[Any, ...]:
    """Return a reduction that makes the class again: it has the name of another class."""
    return (_unpickled, (make_class, arguments), *reduced[2:])


def _unpickled(make_class: Any, arguments: tuple[Any, ...]) -> nn.Module:
    return object.__new__(make_class(*arguments))


class FewerHeads:
    """Configuration of a model with the number of heads of one of its attention modules."""

    def __init__(self, config: Any, names: tuple[str, ...], count: int) -> None:
        self.__dict__.update(
            config=config.config if isinstance(config, FewerHeads) else config, names=names, count=count
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "names" not in self.__dict__:
            raise AttributeError(name)
        return self.count if name in self.names else getattr(self.config, name)
