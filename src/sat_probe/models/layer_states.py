"""Hidden states at the frame rate of the attention, even if a model pools or up-samples after its last layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

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
