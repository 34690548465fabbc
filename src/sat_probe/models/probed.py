"""Models of transformers that let their attention be watched, masked and limited."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from sat_probe.errors import ModelError
from sat_probe.models.attention.interface import IMPLEMENTATION, attach, attachment_of
from sat_probe.models.attention.probe import AttentionProbe, Observer, SpanMode
from sat_probe.models.eval_mode import evaluating
from sat_probe.models.inputs_outputs import ModelInputs, ProbedOutput, join_outputs
from sat_probe.models.layer_states import layers_of, output_of_frames, recorded_states
from sat_probe.models.long_audio import in_pieces
from sat_probe.models.publishing import PublishedModel
from sat_probe.models.refined import RefinedModel
from sat_probe.models.waveform_encoder import WaveformEncoder
from sat_probe.models.waveforms import Waveform

# not attributes of the models: a lock cannot be copied
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


class ProbedModel(RefinedModel, PublishedModel, WaveformEncoder):
    """Mixin over an encoder of transformers that adds attention maps, head masks, limited spans and observers.

    Outside :meth:`probe`, and when none of the arguments it adds is given, a probed model runs exactly as its base
    class.
    """

    # of families whose attention bypasses transformers' interface
    own_attention: type[nn.Module] | None = None

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        # a config may be shared with another model, which must not notice that this one is being probed
        super().__init__(deepcopy(config), *args, **kwargs)
        if self.own_attention is not None:
            for module in self.attention_modules:
                module.__class__ = self.own_attention
        self._build_refined()

    @property
    def attention_modules(self) -> list[nn.Module]:
        """The self-attention of each layer, from the input on; a shared module stands there once for each layer."""
        return [module for _, module in self._named_attention()]

    def _named_attention(self) -> list[tuple[str, nn.Module]]:
        return [
            (name, module)
            for name, module in self.named_modules(remove_duplicate=False)
            if any(kind.__name__ == self.family.attention for kind in type(module).__mro__)
            and "adapter" not in name  # a wav2vec2-like model may attend once more behind its encoder
        ]

    @property
    def num_probed_layers(self) -> int:
        """Layers with self-attention."""
        return getattr(self.config, self.family.layers)

    @property
    def num_probed_heads(self) -> int:
        """Heads per layer."""
        return getattr(self.config, self.family.heads)

    def forward(
        self,
        *args: Any,
        output_attentions: bool | None = None,
        head_mask: Tensor | None = None,
        attention_span: int | None = None,
        span_mode: SpanMode = "zero",
        **kwargs: Any,
    ) -> Any:
        """The forward of the base class, with three more arguments.

        Args:
            *args: as the base class.
            output_attentions: return ``attentions``, per layer (batch, heads, frames, frames), as the model used them.
            head_mask: (layers, heads) factor on the weights of each head after the softmax; 1 keeps, 0 ablates,
                differentiable.
            attention_span: each query reaches keys at most this many frames away.
            span_mode: ``"zero"`` drops weights beyond the span after the softmax (the paper's), ``"mask"`` before it.
            **kwargs: as the base class.

        Raises:
            ModelError: if head_mask has the wrong shape, or the span is negative.
        """
        if (
            not output_attentions
            and head_mask is None
            and attention_span is None
            and self.limited_span is None
        ):
            return super().forward(*args, **kwargs)
        attention_mask = kwargs.get("attention_mask")
        lengths = None
        if attention_mask is not None and attention_mask.ndim == 2:
            lengths = self.frame_lengths(attention_mask.sum(-1).tolist())
        limited = attention_span is not None or self.limited_span is not None
        watched = self.probe(
            lengths=lengths,
            head_mask=head_mask,
            attention_span=attention_span,
            span_mode=span_mode,
            output_attentions=bool(output_attentions),
        )
        # where attention costs little, convolutions decide the time
        with watched, in_pieces(self) if limited else nullcontext():
            if output_attentions:
                kwargs["output_attentions"] = True
            return super().forward(*args, **kwargs)

    @contextmanager
    def probe(
        self,
        observers: Sequence[Observer] = (),
        lengths: Sequence[int] | None = None,
        head_mask: Tensor | None = None,
        attention_span: int | None = None,
        span_mode: SpanMode = "zero",
        output_attentions: bool = False,
        first_utterance: int = 0,
    ) -> Iterator[AttentionProbe]:
        """Every forward pass inside the block attends as asked, and shows its attention to the observers.

        The implementation and the masks that were set before are set again on leaving, also after an exception. One
        thread at a time probes a model; others wait. Blocks may be nested: the inner one adds to the outer one.

        Args:
            observers: see every block of attention weights, taken before masks.
            lengths: true frames of each utterance of the batches to come; None if nothing is padded.
            head_mask: (layers, heads), as in :meth:`forward`.
            attention_span: as in :meth:`forward`, in encoder frames.
            span_mode: as in :meth:`forward`.
            output_attentions: maps are returned by the attention modules.
            first_utterance: what observers hear as index of the batch's first utterance.

        Raises:
            ModelError: on leaving, if the model attended somewhere that was not seen; at once, for a wrong mask or
                span, and in training with gradient checkpointing.
        """
        head_mask = None if head_mask is None else torch.as_tensor(head_mask)
        self._check_arguments(head_mask, attention_span, span_mode)
        learning = self.training and torch.is_grad_enabled()
        if learning and any(getattr(module, "gradient_checkpointing", False) for module in self.modules()):
            raise ModelError(
                "gradient checkpointing computes layers again in the backward pass, without masks and spans: call "
                "model.gradient_checkpointing_disable()"
            )
        if observers:
            self._check_observable()
        modules = self.attention_modules
        with _LOCKS.setdefault(self, threading.RLock()):
            outer = attachment_of(modules[0])
            probe = self._refined_probe() if outer is None else replace(outer.probe, seen=set())
            probe.observers = (*probe.observers, *self._with_intact_numbers(observers))
            probe.lengths = probe.lengths if lengths is None else tuple(lengths)
            if head_mask is not None:
                probe.head_mask = self._mask_of_present(head_mask)
            if attention_span is not None:
                probe.span, probe.span_mode = attention_span, span_mode
            probe.output_attentions |= output_attentions
            probe.first_utterance = first_utterance or probe.first_utterance
            implementation = self.config._attn_implementation
            if self.own_attention is None:
                self.set_attn_implementation(IMPLEMENTATION)
            try:
                with attach(modules, probe):
                    yield probe
            finally:
                if self.own_attention is None:
                    self.set_attn_implementation(implementation)
        missed = set(range(len(modules))) - probe.seen
        if probe.seen and missed and not self.training:  # in training, layers are dropped at random
            raise ModelError(f"{type(self).__name__}: the attention of layers {sorted(missed)} was not seen")

    def encode(
        self,
        waveforms: Sequence[Waveform] | Sequence[ModelInputs],
        observers: Sequence[Observer] = (),
        head_mask: Tensor | None = None,
        attention_span: int | None = None,
        span_mode: SpanMode = "zero",
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        gradients: bool = False,
    ) -> ProbedOutput:
        """Waveforms to hidden states, with every utterance's numbers as if it were alone; always in evaluation mode.

        Args:
            waveforms: each (samples,) at :attr:`sampling_rate`; or what :meth:`prepare` made of them.
            observers: see every block of attention weights; ``block.utterance`` counts through ``waveforms``.
            head_mask: as in :meth:`forward`.
            attention_span: as in :meth:`forward`.
            span_mode: as in :meth:`forward`.
            output_hidden_states: keep every layer's output.
            output_attentions: keep every map.
            gradients: keep what a derivative by ``head_mask`` needs, instead of inference mode.

        Raises:
            AudioError: if there is no waveform, or as :meth:`prepare`.
            ModelError: as :meth:`forward`.
        """
        with nullcontext() if gradients else torch.inference_mode():
            prepared: Any = waveforms
            if not len(waveforms) or not all(isinstance(item, ModelInputs) for item in waveforms):
                prepared = self.prepare(prepared)
            asked = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
            options = {name: True for name, wanted in asked.items() if wanted}
            outputs: list[BaseModelOutput] = []
            first, layers = 0, layers_of(self, [name for name, _ in self._named_attention()])
            for inputs in prepared:
                watched = self.probe(
                    observers, inputs.lengths, head_mask, attention_span, span_mode, output_attentions, first
                )
                recorded = recorded_states(layers, output_hidden_states)
                with evaluating(self), watched as probe, recorded as states, in_pieces(self):
                    output = super().forward(**inputs.tensors, **options)
                maps = tuple(probe.maps[layer] for layer in sorted(probe.maps))
                outputs.append(output_of_frames(output, states, maps))
                first += len(inputs.lengths)
            return join_outputs(outputs, [inputs.lengths for inputs in prepared])

    def _check_observable(self) -> None:
        """Raise a ModelError if what the configuration asks for would show observers something else."""

    def _check_arguments(self, head_mask: Tensor | None, span: int | None, span_mode: str) -> None:
        shape = (self.num_probed_layers, self.num_probed_heads)
        if head_mask is not None and tuple(head_mask.shape) != shape:
            raise ModelError(
                f"head_mask must have shape {shape} (layers, heads), got {tuple(head_mask.shape)}"
            )
        if span is not None and (not isinstance(span, (int, np.integer)) or span < 0):
            raise ModelError(f"attention_span must be a whole number, 0 or more frames, got {span!r}")
        if span_mode not in ("zero", "mask"):
            raise ModelError(f"span_mode must be 'zero' or 'mask', got {span_mode!r}")
