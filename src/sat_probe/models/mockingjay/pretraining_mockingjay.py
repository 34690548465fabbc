"""Mockingjay with its reconstruction head, for pre-training."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .configuration_mockingjay import MockingjayConfig
from .frame_stacking import reconstruction_loss, stack_frames, stack_mask
from .modeling_mockingjay import MockingjayModel, MockingjayPreTrainedModel


@dataclass
class MockingjayForPreTrainingOutput(ModelOutput):
    """Output of `MockingjayForPreTraining`.

    loss: mean absolute error over the selected positions, a scalar; `None` without labels.
    prediction: reconstructed frames, (batch, frames // R * R, target_size).
    last_hidden_state: (batch, frames // R, hidden_size).
    hidden_states, attentions: as `MockingjayModel` gives them.
    """

    loss: torch.Tensor | None = None
    prediction: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class MockingjayReconstructionHead(nn.Module):
    """Reconstruction of the R frames of each position, side by side."""

    def __init__(self, config: MockingjayConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.output = nn.Linear(config.hidden_size, config.target_size * config.downsample_rate)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.output(self.layer_norm(self.activation(self.dense(hidden_states))))


class MockingjayForPreTraining(MockingjayPreTrainedModel):
    """Mockingjay encoder with its reconstruction head."""

    def __init__(self, config: MockingjayConfig):
        super().__init__(config)
        self.mockingjay = MockingjayModel(config)
        self.head = MockingjayReconstructionHead(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        mask_positions: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MockingjayForPreTrainingOutput:
        """
        input_features: frames, already masked, (batch, frames, feature_size).
        attention_mask: 1 on true frames, (batch, frames).
        mask_positions: positions of the loss, bool (batch, frames // R), or (batch, frames // R, target_size * R)
            when single columns were masked (TERA); `None`: every true position.
        labels: the unmasked target frames, (batch, frames, target_size).
        """
        outputs = self.mockingjay(input_features, attention_mask=attention_mask, **kwargs)
        stacked_prediction = self.head(outputs.last_hidden_state)
        rate = self.config.downsample_rate
        loss = None
        if labels is not None:
            selected = mask_positions
            if selected is None and attention_mask is not None:
                selected = stack_mask(attention_mask, rate)
            loss = reconstruction_loss(stacked_prediction, stack_frames(labels, rate), selected)
        batch, rows, _ = stacked_prediction.shape
        return MockingjayForPreTrainingOutput(
            loss=loss,
            prediction=stacked_prediction.view(batch, rows * rate, -1),
            last_hidden_state=outputs.last_hidden_state,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["MockingjayForPreTraining", "MockingjayForPreTrainingOutput"]
