"""Encoders of transformers whose attention can be observed, masked and limited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from sat_probe.errors import ModelError
from sat_probe.models.attention.interface import IMPLEMENTATION, attach, layers_without_attention
from sat_probe.models.attention.probe import AttentionProbe, Observer, SpanMode
from sat_probe.models.inputs_outputs import ModelInputs, ProbedOutput, join_outputs
from sat_probe.models.long_audio import compute_in_pieces
from sat_probe.models.publishing import PublishedModel
from sat_probe.models.refined import RefinedModel
from sat_probe.models.views import layers_of, output_of_frames, record_states, view_of
from sat_probe.models.waveform_encoder import Waveform, WaveformEncoder

# the probe of each model in this thread (or task), inside of `with model.probe()`
_PROBES: ContextVar[Mapping[nn.Module, AttentionProbe] | None] = ContextVar("sat_probe_probes", default=None)


class ProbedModel(RefinedModel, PublishedModel, WaveformEncoder):
    """Mixin over an encoder of transformers that adds attention maps, head masks, limited spans and observers.

    Outside :meth:`probe`, and without any of the arguments that it adds, a probed model runs exactly as its base
    class. Every other pass runs on a view of the model (:func:`~sat_probe.models.views.view_of`), so threads may use
    one model in any mixture of calls: none sees the observers, masks, hooks or mode of another.
    """

    # class of the attention modules of families that do not use transformers' attention interface
    own_attention: type[nn.Module] | None = None
    _shares_weights = False  # with a model in memory

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(deepcopy(config), *args, **kwargs)
        self._prepare_attention()

    def _prepare_attention(self) -> None:
        """Give freshly built modules the attention class of the family and the heads of the configuration."""
        if self.own_attention is not None:
            for module in self.attention_modules:
                module.__class__ = self.own_attention
        self._build_refined()

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Move or convert the model (`to`, `half`, ...), but never the model in memory that it shares weights with."""
        if self._shares_weights:
            own: dict[nn.Parameter, nn.Parameter] = {}
            for module in self.modules():
                for name, weight in module._parameters.items():
                    if weight is not None:
                        copy = nn.Parameter(weight.detach(), weight.requires_grad)  # of the same memory
                        module._parameters[name] = own.setdefault(weight, copy)
            self._shares_weights = False
        return super()._apply(fn, *args, **kwargs)

    @property
    def attention_modules(self) -> list[nn.Module]:
        """Self-attention module of each layer, counted from the input; a shared module is listed for each layer."""
        return [module for _, module in self._named_attention()]

    def _named_attention(self) -> list[tuple[str, nn.Module]]:
        wanted, kinds = self.family.attention, dict[Any, bool]()
        for module in self.modules():
            if type(module) not in kinds:
                kinds[type(module)] = any(base.__name__ == wanted for base in type(module).__mro__)
        return [
            (name, module)
            for name, module in self.named_modules(remove_duplicate=False)
            if kinds[type(module)]
            and "adapter" not in name  # a wav2vec2-like model may attend once more behind its encoder
        ]

    @property
    def num_probed_layers(self) -> int:
        """Number of layers with self-attention."""
        return getattr(self.config, self.family.layers)

    @property
    def num_probed_heads(self) -> int:
        """Number of heads per layer in the intact model."""
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
        """Run the forward pass of the base class, with four more arguments.

        Args:
            *args: as in the base class.
            output_attentions: return ``attentions``, the weights the model used: per layer (batch, heads, frames,
                frames), with the heads of ``present_heads``.
            head_mask: (layers, heads) factor on the weights of each head after the softmax; 1 keeps, 0 ablates.
                Differentiable.
            attention_span: each query reaches only keys at most this many frames away.
            span_mode: ``"zero"`` drops weights beyond the span after the softmax (as in the paper), ``"mask"`` before.
            **kwargs: as in the base class.

        Raises:
            ModelError: if head_mask has the wrong shape, the span is negative, or gradient checkpointing is on in
                training.
        """
        active = (_PROBES.get() or {}).get(self)
        asked = output_attentions or head_mask is not None or attention_span is not None
        if not asked and self.limited_span is None:
            if active is None:
                return super().forward(*args, **kwargs)
            return self._observed(active, self._view(), args, kwargs)
        if output_attentions is None:
            output_attentions = getattr(self.config, "output_attentions", False)
        attention_mask = kwargs.get("attention_mask")
        lengths = None
        if attention_mask is not None and attention_mask.ndim == 2:
            lengths = self.frame_lengths(attention_mask.sum(-1).tolist())
        with self.probe(
            lengths=lengths,
            head_mask=head_mask,
            attention_span=attention_span,
            span_mode=span_mode,
            output_attentions=bool(output_attentions),
        ) as probe:
            if output_attentions:
                kwargs["output_attentions"] = True
            view = self._view()
            if probe.span is not None:  # where attention costs little, convolutions decide the time
                compute_in_pieces(view)
            return self._observed(probe, view, args, kwargs)

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
        """Apply masks and show attention to observers in every forward pass of this model inside the block.

        Only calls of the model itself in this thread are affected. Blocks may be nested: an inner one adds to the
        outer one.

        Args:
            observers: see every block of attention weights, taken before masks.
            lengths: true frames of each utterance of the batches to come; None if nothing is padded.
            head_mask: (layers, heads), as in :meth:`forward`.
            attention_span: as in :meth:`forward`, in encoder frames.
            span_mode: as in :meth:`forward`.
            output_attentions: return the maps of the attention modules; ``probe.maps`` keeps them too.
            first_utterance: index that observers see for the first utterance of the batch.

        Raises:
            ModelError: for a wrong mask or span; in a forward pass, if an attention module was not observed, or for
                gradient checkpointing in training.
        """
        head_mask = None if head_mask is None else torch.as_tensor(head_mask)
        self._check_arguments(head_mask, attention_span, span_mode)
        if observers:
            self._check_observable()
        active = _PROBES.get() or {}
        probe = replace(active[self]) if self in active else self._refined_probe()
        probe.observers = (*probe.observers, *self._with_intact_numbers(observers))
        probe.lengths = probe.lengths if lengths is None else tuple(lengths)
        if head_mask is not None:
            probe.head_mask = self._mask_of_present(head_mask)
        if attention_span is not None:
            probe.span, probe.span_mode = attention_span, span_mode
        probe.output_attentions |= output_attentions
        probe.first_utterance = first_utterance or probe.first_utterance
        token = _PROBES.set({**active, self: probe})
        try:
            yield probe
        finally:
            _PROBES.reset(token)

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
        """Encode waveforms, each as if it were alone; always in evaluation mode, whatever mode the model is in.

        Args:
            waveforms: each (samples,) at :attr:`sampling_rate`; or the result of :meth:`prepare`.
            observers: see every block of attention weights; ``block.utterance`` is the index in ``waveforms``.
            head_mask: as in :meth:`forward`.
            attention_span: as in :meth:`forward`.
            span_mode: as in :meth:`forward`.
            output_hidden_states: keep every layer's output.
            output_attentions: keep every map.
            gradients: keep what a derivative with respect to ``head_mask`` needs, instead of inference mode.

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
            first = 0
            for inputs in prepared:
                with self.probe(
                    observers, inputs.lengths, head_mask, attention_span, span_mode, output_attentions, first
                ) as probe:
                    view = self._view(evaluating=True)
                    view.config.return_dict = True
                    compute_in_pieces(view)
                    states = record_states(layers_of(view, view._named_attention()), output_hidden_states)
                    output = self._observed(probe, view, (), {**inputs.tensors, **options})
                maps = tuple(probe.maps[layer] for layer in sorted(probe.maps))
                outputs.append(output_of_frames(output, states, maps))
                first += len(inputs.lengths)
            return join_outputs(outputs, [inputs.lengths for inputs in prepared])

    def _view(self, evaluating: bool = False) -> ProbedModel:
        """Return a view of the model for one pass, in evaluation mode or in the mode of the model."""
        view = view_of(self, evaluating)
        if self.own_attention is None:
            view.set_attn_implementation(IMPLEMENTATION)
        learning = view.training and torch.is_grad_enabled()
        if learning and any(getattr(module, "gradient_checkpointing", False) for module in view.modules()):
            raise ModelError(
                "gradient checkpointing computes layers again in the backward pass, without masks and spans: call "
                "model.gradient_checkpointing_disable()"
            )
        return view

    def _observed(self, probe: AttentionProbe, view: ProbedModel, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """Run the forward pass of the base class on a view that attends as ``probe`` says."""
        modules = view.attention_modules
        attach(modules, probe)
        output = super(ProbedModel, view).forward(*args, **kwargs)
        missed = layers_without_attention(modules)
        if missed and not view.training:  # in training, layers are dropped at random
            raise ModelError(f"{type(self).__name__}: the attention of layers {missed} was not observed")
        return output

    def _check_observable(self) -> None:
        """Raise a ModelError if what the configuration asks for would show observers something else."""

    def _check_arguments(self, head_mask: Tensor | None, span: int | None, span_mode: str) -> None:
        shape = (self.num_probed_layers, self.num_probed_heads)
        if head_mask is not None and tuple(head_mask.shape) != shape:
            raise ModelError(f"head_mask must have shape {shape} (layers, heads), got {tuple(head_mask.shape)}")
        if span is not None and (not isinstance(span, (int, np.integer)) or span < 0):
            raise ModelError(f"attention_span must be a whole number, 0 or more frames, got {span!r}")
        if span_mode not in ("zero", "mask"):
            raise ModelError(f"span_mode must be 'zero' or 'mask', got {span_mode!r}")
