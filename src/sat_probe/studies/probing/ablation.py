"""Ablation of a model while it runs: masked heads, limited span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from sat_probe.models.attention.probe import SpanMode
from sat_probe.models.probed import ProbedModel


@dataclass(frozen=True, slots=True)
class Ablation:
    """What a model lacks while it runs.

    Attributes:
        heads: removed heads as (layer, head).
        span: number of frames that attention reaches; None for all.
        span_mode: ``zero`` or ``mask``.
    """

    heads: frozenset[tuple[int, int]] = frozenset()
    span: int | None = None
    span_mode: SpanMode = "zero"

    @property
    def key(self) -> str:
        """Text that identifies the ablation."""
        heads = ",".join(f"{layer}.{head}" for layer, head in sorted(self.heads))
        return f"heads={heads} span={'full' if self.span is None else f'{self.span} {self.span_mode}'}"

    def arguments(self, model: ProbedModel) -> dict[str, Any]:
        """Return the ablation as keyword arguments of `ProbedModel.encode`."""
        mask = torch.ones(model.num_probed_layers, model.num_probed_heads, device=model.device)
        for layer, head in self.heads:
            mask[layer, head] = 0.0
        return {
            "head_mask": mask if self.heads else None,
            "attention_span": self.span,
            "span_mode": self.span_mode,
        }
