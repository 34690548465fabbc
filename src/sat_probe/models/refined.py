"""Refined models: heads removed and attention span limited permanently, as their configuration says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sat_probe.errors import ModelError
from sat_probe.models.attention.probe import AttentionBlock, AttentionProbe, Observer, SpanMode
from sat_probe.models.pruning import PRUNED_HEADS, SHARED, checked_heads, prune, pruned_heads

if TYPE_CHECKING:
    from sat_probe.models.waveform_encoder import WaveformEncoder as _Base
else:
    _Base = object

SPAN = "sat_probe_span"  # frames, see AttentionProbe.span
SPAN_MODE = "sat_probe_span_mode"


class RefinedModel(_Base):
    """Mixin over a probed model: permanent removal of heads, and a span that limits every forward pass.

    Heads keep their numbers of the intact model in head masks, observed blocks and later removals.
    """

    if TYPE_CHECKING:
        _named_attention: Callable[[], list[tuple[str, nn.Module]]]

        @property
        def num_probed_layers(self) -> int: ...
        @property
        def num_probed_heads(self) -> int: ...

    def _build_refined(self) -> None:
        """Remove the heads that the configuration lists from a model that was just built."""
        layers, heads = self.num_probed_layers, self.num_probed_heads
        self._present_heads = [list(range(heads)) for _ in range(layers)]
        stored = [(layer, head) for layer, gone in pruned_heads(self.config).items() for head in gone]
        if stored:
            self._remove(checked_heads(stored, layers, heads))

    @property
    def present_heads(self) -> list[list[int]]:
        """Heads that each layer still has, in the numbering of the intact model."""
        return [list(heads) for heads in self._present_heads]

    @property
    def limited_span(self) -> int | None:
        """Distance in frames that queries reach at most in every pass; None if they reach all frames."""
        return getattr(self.config, SPAN, None)

    def limit_span(self, span: int | None, mode: SpanMode) -> None:
        """Limit attention to ``span`` frames in all later forward passes; saved with the model.

        Raises:
            ModelError: if the span is negative, or the mode unknown.
        """
        if span is not None and (not isinstance(span, int) or span < 0):
            raise ModelError(f"a span must be a whole number, 0 or more frames, got {span!r}")
        if mode not in ("zero", "mask"):
            raise ModelError(f"span_mode must be 'zero' or 'mask', got {mode!r}")
        setattr(self.config, SPAN, span)
        setattr(self.config, SPAN_MODE, None if span is None else mode)

    def remove_heads(self, heads: Iterable[tuple[int, int]]) -> None:
        """Remove heads, given as (layer, head), from the weights; saved with the model.

        Raises:
            ModelError: if a head does not exist or is named twice, no head would be left, layers that share weights
                would lose different heads, or projections are adapted or quantised.
        """
        layers, count = self.num_probed_layers, self.num_probed_heads
        wanted = list(heads)
        for layer, head in wanted:
            if 0 <= layer < layers and 0 <= head < count and head not in self._present_heads[layer]:
                raise ModelError(f"head {head} of layer {layer} was removed before")
        removed = checked_heads(wanted, layers, count)
        if sum(map(len, removed.values())) == sum(map(len, self._present_heads)):
            raise ModelError("every head that is left would be removed; leave at least one")
        self._remove(removed)
        gone = {
            str(layer): [head for head in range(count) if head not in present]
            for layer, present in enumerate(self._present_heads)
        }
        setattr(self.config, PRUNED_HEADS, {layer: heads for layer, heads in gone.items() if heads})

    def _remove(self, removed: Mapping[int, Sequence[int]]) -> None:
        shared = getattr(self.config, "share_layers", False)
        if shared and len({tuple(removed.get(layer, ())) for layer in range(len(self._present_heads))}) > 1:
            raise ModelError(SHARED)
        plan = self.family.pruning
        if plan is None:
            raise ModelError(
                f"heads of {self.config.model_type} cannot be removed: parts of its layers need them all; "
                "mask them instead"
            )
        modules = [(module, self.get_submodule(name.rpartition(".")[0])) for name, module in self._named_attention()]
        prune(modules, self._present_heads, removed, plan)
        self._present_heads = [
            [head for head in present if head not in removed.get(layer, ())]
            for layer, present in enumerate(self._present_heads)
        ]
        if shared:
            self.tie_weights()

    def _refined_probe(self) -> AttentionProbe:
        """Return the probe of a forward pass without arguments of its own."""
        mode: SpanMode = getattr(self.config, SPAN_MODE, None) or "mask"
        return AttentionProbe(span=self.limited_span, span_mode=mode)

    def _mask_of_present(self, head_mask: Tensor) -> Tensor:
        """Return a head mask in the numbering of the smaller modules: present heads come first."""
        count = self.num_probed_heads
        if all(len(present) == count for present in self._present_heads):
            return head_mask
        order = [present + [head for head in range(count) if head not in present] for present in self._present_heads]
        return head_mask.gather(1, torch.tensor(order, device=head_mask.device))

    def _with_intact_numbers(self, observers: Sequence[Observer]) -> tuple[Observer, ...]:
        """Return observers that see heads under their numbers in the intact model."""
        if all(len(present) == self.num_probed_heads for present in self._present_heads):
            return tuple(observers)
        return tuple(_Renumbered(observer, self._present_heads) for observer in observers)


class _Renumbered:
    """Shows an observer each head of a block alone, under its number in the intact model."""

    def __init__(self, observer: Observer, present: Sequence[Sequence[int]]) -> None:
        self.observer, self.present = observer, present

    def observe(self, block: AttentionBlock) -> None:
        for index, head in enumerate(self.present[block.layer][block.heads]):
            self.observer.observe(block.of_head(index, head))
