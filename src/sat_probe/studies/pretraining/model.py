"""The network and the features that a recipe asks for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sat_probe.errors import ConfigurationError
from sat_probe.studies.pretraining.recipe import ModelShape

if TYPE_CHECKING:
    from sat_probe.models.mockingjay import (
        MockingjayConfig,
        MockingjayFeatureExtractor,
        MockingjayForPreTraining,
    )


def model_config(shape: ModelShape) -> MockingjayConfig:
    """The transformers configuration of a network.

    Raises:
        ConfigurationError: its sizes do not fit together.
    """
    from huggingface_hub.errors import StrictDataclassError

    from sat_probe.models.mockingjay import MockingjayConfig

    try:
        return MockingjayConfig(**asdict(shape))
    except (ValueError, StrictDataclassError) as error:
        raise ConfigurationError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error


def feature_extractor(config: MockingjayConfig) -> MockingjayFeatureExtractor:
    """The extractor a configuration asks for.

    Raises:
        ConfigurationError: no known features have its sizes.
    """
    from sat_probe.models.mockingjay import MockingjayFeatureExtractor

    try:
        extractor = MockingjayFeatureExtractor.for_config(config)
        for recipe in (extractor.recipe, extractor.target_recipe):
            if recipe is not None:
                recipe["hop_length"] = config.hop_length
        return extractor
    except ValueError as error:
        raise ConfigurationError(f"model: {error}") from error


def new_model(config: MockingjayConfig, seed: int) -> MockingjayForPreTraining:
    """A network with weights that depend on the seed alone."""
    from transformers import set_seed

    from sat_probe.models.mockingjay import MockingjayForPreTraining

    set_seed(seed)
    return MockingjayForPreTraining(config)
