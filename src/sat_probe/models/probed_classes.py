"""Probed classes by family: written out for some, made from the table of families for the others."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from transformers import CONFIG_MAPPING, HubertModel, PreTrainedModel, Wav2Vec2Model
from transformers.conversion_mapping import get_checkpoint_conversion_mapping, register_checkpoint_conversion_mapping

from sat_probe.errors import ModelError
from sat_probe.models.families.table import FAMILIES, family_of
from sat_probe.models.mockingjay import MockingjayModel
from sat_probe.models.probed import ProbedModel


class ProbedWav2Vec2Model(ProbedModel, Wav2Vec2Model):
    """wav2vec 2.0 (Baevski et al. 2020), XLSR and their kin; takes ``input_values`` at 16 kHz, one frame per 20 ms."""


class ProbedHubertModel(ProbedModel, HubertModel):
    """HuBERT (Hsu et al. 2021); takes ``input_values`` at 16 kHz, one frame per 20 ms."""


class ProbedMockingjayModel(ProbedModel, MockingjayModel):
    """Mockingjay (Liu et al. 2020), TERA and AudioALBERT; takes ``input_features``, one frame per R input frames."""

    def _check_observable(self) -> None:
        if self.config.chunk_length is not None:
            raise ModelError(
                f"chunk_length={self.config.chunk_length} cuts utterances into chunks that do not see each other, so "
                "there is no attention over the utterance to observe; set model.config.chunk_length = None"
            )


_MODULES = dict.fromkeys(("wav2vec2", "hubert", "mockingjay"), "probed_classes") | dict.fromkeys(
    ("wavlm", "sew-d", "speecht5"), "own_attention"
)  # the others need nothing but their row of the table


@cache
def probed_class(model_type: str) -> type[ProbedModel]:
    """Return the probed class of a model type; made from the row of its family if it has none of its own.

    Raises:
        ModelError: if the type is unknown; the message lists the known ones.
    """
    family = family_of(model_type)
    name = f"Probed{family.model}"
    if model_type in _MODULES:
        return getattr(import_module(f"sat_probe.models.{_MODULES[model_type]}"), name)
    base = _transformers_class(model_type, family.model)
    body = {"__module__": __name__, "__doc__": f"{family.model} of transformers, probed."}
    renamed = get_checkpoint_conversion_mapping(family.model)
    if renamed is not None:  # checkpoints have other names for weights (AST), looked up by the name of the class
        register_checkpoint_conversion_mapping(name, renamed, overwrite=True)
    return type(name, (ProbedModel, base), body)


def __getattr__(name: str) -> type[ProbedModel]:
    """Return a class made from the table as an attribute of this module, so that it can be pickled."""
    for model_type, family in FAMILIES.items():
        if name == f"Probed{family.model}":
            return probed_class(model_type)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _transformers_class(model_type: str, name: str) -> type[PreTrainedModel]:
    # not all encoders are exported, but each is in the file next to its configuration
    configuration = CONFIG_MAPPING[model_type].__module__
    return getattr(import_module(configuration.replace("configuration_", "modeling_")), name)
