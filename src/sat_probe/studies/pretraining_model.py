"""The network and the features that a recipe asks for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sat_probe.errors import ConfigurationError

from .pretraining_recipe import ModelShape

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

    from sat_probe.models.mockingjay import MockingjayConfig, feature_recipe

    try:
        recipe = feature_recipe(shape.feature_kind)
        return MockingjayConfig(
            **asdict(shape), hop_length=recipe.hop_length, first_frame_centre=recipe.first_centre
        )
    except (ValueError, StrictDataclassError) as error:
        raise ConfigurationError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error


def feature_extractor(config: MockingjayConfig) -> MockingjayFeatureExtractor:
    """The extractor a configuration asks for.

    Raises:
        ConfigurationError: no known features have its sizes.
    """
    from sat_probe.models.mockingjay import MockingjayFeatureExtractor

    try:
        return MockingjayFeatureExtractor.for_config(config)
    except ValueError as error:
        raise ConfigurationError(f"model: {error}") from error


def new_model(config: MockingjayConfig, seed: int) -> MockingjayForPreTraining:
    """A network with weights that depend on the seed alone."""
    from transformers import set_seed

    from sat_probe.models.mockingjay import MockingjayForPreTraining

    set_seed(seed)
    return MockingjayForPreTraining(config)
