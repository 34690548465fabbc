"""Mockingjay as a transformers model; importing this package registers it with the Auto classes."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

from .configuration_mockingjay import MockingjayConfig
from .feature_extraction_mockingjay import MockingjayFeatureExtractor
from .feature_recipes import FEATURE_RECIPES, FeatureRecipe, feature_recipe
from .modeling_mockingjay import MockingjayModel, MockingjayPreTrainedModel
from .pretraining_mockingjay import MockingjayForPreTraining, MockingjayForPreTrainingOutput

AutoConfig.register(MockingjayConfig.model_type, MockingjayConfig, exist_ok=True)
AutoModel.register(MockingjayConfig, MockingjayModel, exist_ok=True)
AutoModelForPreTraining.register(MockingjayConfig, MockingjayForPreTraining, exist_ok=True)
AutoFeatureExtractor.register(MockingjayConfig, MockingjayFeatureExtractor, exist_ok=True)

__all__ = [
    "FEATURE_RECIPES",
    "FeatureRecipe",
    "MockingjayConfig",
    "MockingjayFeatureExtractor",
    "MockingjayForPreTraining",
    "MockingjayForPreTrainingOutput",
    "MockingjayModel",
    "MockingjayPreTrainedModel",
    "feature_recipe",
]
