"""Facts about one family of speech encoders: a row of the table of families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from sat_probe.frames import FrameGrid
from sat_probe.models.families.lengths import library_lengths
from sat_probe.models.pruning import Pruning

Masking = Literal["padded", "always", "never", "keys"]


@dataclass(frozen=True, slots=True)
class Family:
    """One family of encoders.

    Attributes:
        model_type: ``config.model_type`` of its encoders.
        model: the class of transformers.
        attention: name of the class of its self-attention modules.
        feature_extractor: config -> the feature extractor of checkpoints without one.
        grid: (config, feature extractor) -> times of the encoder's frames.
        lengths: (model, input lengths) -> numbers of encoder frames with speech.
        padding_changes_frames: config -> True if padding changes valid frames, so that utterances must run one by one.
        stacking: config -> R, input frames stacked into one encoder frame (1 for most).
        layers: name of the configuration's number of layers.
        heads: name of the configuration's number of heads.
        within: regular expression for the prefix of the encoder's weights in a checkpoint of the whole model.
        masking: when the model receives the mask of its inputs: if something is ``padded``, ``always``, ``never``, or
            as scores of the ``keys``, if callers of the encoder compute them.
        arguments: names of forward's arguments for features and mask; None is ``main_input_name``.
        extraction: options for the call of its feature extractor.
        frame_axis: axis of the frames in the features' shape, batch included.
        longest: (config, feature extractor) -> largest number of samples that the model accepts.
        limits: what a user should know, in a few words.
        pruning: places of the heads in its attention modules; None if they cannot be removed.
    """

    model_type: str
    model: str
    attention: str
    feature_extractor: Callable[[Any], Any]
    grid: Callable[[Any, Any], FrameGrid]
    lengths: Callable[[Any, Tensor], Tensor] = library_lengths
    padding_changes_frames: Callable[[Any], bool] = lambda config: False
    stacking: Callable[[Any], int] = lambda config: 1
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    within: str | None = None
    masking: Masking = "padded"
    arguments: tuple[str | None, str] = (None, "attention_mask")
    extraction: Mapping[str, Any] = field(default_factory=lambda: {"padding": True})
    frame_axis: int = 1
    longest: Callable[[Any, Any], float] | None = None
    limits: str = ""
    pruning: Pruning | None = field(default_factory=Pruning)


def group_norm_over_time(config: Any) -> bool:
    """Return whether a group norm averages over the whole time axis, padding included."""
    return config.feat_extract_norm == "group"


def always(config: Any) -> bool:
    """Return True: the architecture mixes padding into valid frames, or accepts no mask."""
    return True
