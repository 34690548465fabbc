"""Features turned into sound: the sound has these features again."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from sat_probe.audio import read_audio
from sat_probe.errors import ModelError
from sat_probe.models.mockingjay.feature_recipes import FEATURE_RECIPES, feature_recipe
from sat_probe.models.mockingjay.spectral_features import spectral_features
from sat_probe.models.mockingjay.spectral_inversion import sounds_like

CENTRED = sorted(name for name, recipe in FEATURE_RECIPES.items() if recipe.centered)


@pytest.fixture(scope="module")
def speech():
    return read_audio(str(files("sat_probe") / "data" / "speech" / "slt-01.flac"))[:32_000]


@pytest.mark.parametrize("name", CENTRED)
@pytest.mark.parametrize("normalized", [True, False])
def test_the_sound_has_the_features_again_and_the_level_of_the_recording(speech, name, normalized):
    recipe = feature_recipe(name)
    features = spectral_features(speech, recipe, normalize=normalized)
    sound = sounds_like(features, speech, recipe, normalized=normalized)
    assert sound.dtype == np.float32
    assert len(speech) - recipe.hop_length < len(sound) <= len(speech)
    again = spectral_features(sound, recipe, normalize=False)[:, : recipe.static_size]
    truth = spectral_features(speech, recipe, normalize=False)[:, : recipe.static_size]
    frames = min(len(again), len(truth)) - 2  # the last ones see past the end
    loud = truth[:frames] > np.median(truth)  # what is near silence is phase noise
    spread = truth[:frames][loud].std()
    assert np.abs(again[:frames] - truth[:frames])[loud].mean() < 0.25 * spread
    level, wanted = (np.sqrt(np.mean(np.square(one))) for one in (sound, speech))
    assert level == pytest.approx(wanted, rel=0.15)
    assert np.array_equal(sound, sounds_like(features, speech, recipe, normalized=normalized)), "no chance in it"


def test_other_features_sound_otherwise(speech):
    recipe = feature_recipe("online_log_mel")
    features = spectral_features(speech, recipe)
    quiet = features.copy()
    quiet[:, 40:] -= 5  # no high frequencies
    bright, dull = (np.abs(np.fft.rfft(sounds_like(one, speech, recipe))) for one in (features, quiet))
    top = len(bright) // 2
    assert dull[top:].sum() < 0.2 * bright[top:].sum()


def test_what_cannot_be_turned_back_is_refused(speech):
    with pytest.raises(ModelError, match="not centred"):
        sounds_like(np.zeros((100, 240), np.float32), speech, feature_recipe("kaldi_fbank"))
    with pytest.raises(ModelError, match=r"expected features \(frames, 80\), got \(100, 81\)"):
        sounds_like(np.zeros((100, 81), np.float32), speech, feature_recipe("online_log_mel"))
