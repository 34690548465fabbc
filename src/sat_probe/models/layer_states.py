"""Hidden states at the frame rate of the attention, also where a model pools or up-samples behind its last layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

_LAYER = re.compile(r"^.*?\b\d+(?=\.)")


def layers_of(model: nn.Module, attention_names: Sequence[str]) -> list[nn.Module]:
    """The layer that each attention module belongs to: the first numbered ancestor."""
    names = [match[0] for name in attention_names if (match := _LAYER.match(name))]
    return [model.get_submodule(name) for name in names]


@contextmanager
def recorded_states(layers: Sequence[nn.Module], everything: bool) -> Iterator[list[Tensor]]:
    """Inside the block, a forward pass fills the list: what enters the first layer and leaves every layer.

    Without ``everything``, only what leaves the last one.
    """
    states: list[Tensor] = []

    def entering(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        states.append(arguments[0] if arguments else options["hidden_states"])

    def leaving(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    watched = layers if everything else layers[-1:]
    hooks = [layer.register_forward_hook(leaving) for layer in watched]
    if everything and layers:
        hooks.append(layers[0].register_forward_pre_hook(entering, with_kwargs=True))
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def output_of_frames(output: Any, states: Sequence[Tensor], maps: tuple[Tensor, ...]) -> BaseModelOutput:
    """What a model returned, with one vector per attention frame.

    Args:
        output: of the model's forward; the encoder's last state itself, or an object that has it.
        states: recorded during the forward pass.
        maps: of every layer, as the attention itself gave them; used where the model returns others or none.
    """
    last = output if isinstance(output, Tensor) else output.last_hidden_state
    frames = states[-1].shape[1]
    hidden = None if isinstance(output, Tensor) else output.get("hidden_states")
    attentions = None if isinstance(output, Tensor) else output.get("attentions")
    if len(states) > 1 and (
        not hidden or len(hidden) != len(states) or any(h.shape[1] != frames for h in hidden)
    ):
        hidden = tuple(states)
    if maps and (not attentions or len(attentions) != len(maps)):
        attentions = maps
    return BaseModelOutput(
        last_hidden_state=last if last.shape[1] == frames else states[-1],
        hidden_states=hidden,
        attentions=attentions,
    )
