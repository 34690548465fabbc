"""Attention function of transformers' interface, which shows weights to observers and masks heads.

:func:`attach` gives the attention modules of a view of a model the :class:`AttentionProbe` of its pass. A module
without one runs transformers' own SDPA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from sat_probe.models.attention.blocks import attend
from sat_probe.models.attention.probe import AttentionProbe

IMPLEMENTATION = "sat_probe"  # transformers interprets names with "sdpa", "flash" or "/"


@dataclass(slots=True)
class _Attachment:
    probe: AttentionProbe
    layers: list[int]  # several if layers share one module
    calls: int = 0

    def next_layer(self) -> int:
        layer = self.layers[self.calls % len(self.layers)]
        self.calls += 1
        return layer


def attach(modules: Sequence[nn.Module], probe: AttentionProbe) -> None:
    """Let ``modules``, the attention of each layer in order, attend as ``probe`` says from now on.

    A module that serves several layers is listed once for each of them.
    """
    for module in set(modules):
        layers = [layer for layer, other in enumerate(modules) if other is module]
        module.__dict__["_attention_probe"] = _Attachment(probe, layers)


def layers_without_attention(modules: Sequence[nn.Module]) -> list[int]:
    """Return the layers whose attention has not run since a probe was attached to ``modules``."""
    attachments = [module.__dict__["_attention_probe"] for module in set(modules)]
    return sorted(layer for attachment in attachments for layer in attachment.layers[attachment.calls :])


def attachment_of(module: nn.Module) -> _Attachment | None:
    """Return what :func:`attach` gave the module, if anything."""
    return module.__dict__.get("_attention_probe")


def attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend as ``attn_implementation="sat_probe"``; the signature is that of transformers' attention interface."""
    attachment = attachment_of(module)
    if attachment is None:
        if position_bias is not None:
            kwargs["position_bias"] = position_bias
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if key.shape[1] != query.shape[1]:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    output, maps = attend_as_probed(attachment, query * scaling, key, value, attention_mask, position_bias, dropout)
    return output.transpose(1, 2), maps


def attend_as_probed(
    attachment: _Attachment,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor | None]:
    """Call :func:`attend` for the next layer of a module with a probe; families with their own attention use it.

    Shapes and results are those of ``attend``; maps are also stored in ``probe.maps``.
    """
    layer = attachment.next_layer()
    output, maps = attend(attachment.probe, layer, query, key, value, mask, bias, dropout)
    if maps is not None:
        attachment.probe.maps[layer] = maps
    return output, maps


def _mask_function(*args: Any, **kwargs: Any) -> Tensor | None:
    """Return SDPA's boolean mask, explicit even where SDPA would rely on its ``is_causal`` flag."""
    return sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})


# without the mask function transformers passes no mask at all, and padding would be attended to
AttentionInterface.register(IMPLEMENTATION, attention_forward)
AttentionMaskInterface.register(IMPLEMENTATION, _mask_function)
