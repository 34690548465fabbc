"""Features: equal to the originals', and never changed by a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from sat_probe.errors import AudioError, ModelError
from sat_probe.models.mockingjay import (
    FEATURE_RECIPES,
    MockingjayConfig,
    MockingjayFeatureExtractor,
    feature_recipe,
    spectral_features,
)
from tests.models.mockingjay.originals import speech_like

KINDS = sorted(FEATURE_RECIPES)


@pytest.mark.shared
@pytest.mark.parametrize(
    "key, kind, changes, normalize",
    [
        ("legacy_mel160", "legacy_mel", {}, True),
        ("legacy_mel160_nocmvn", "legacy_mel", {}, False),
        ("legacy_linear1025", "legacy_linear", {}, True),
        ("legacy_linear1025_nocmvn", "legacy_linear", {}, False),
        ("legacy_fbank160", "legacy_fbank", {}, True),
        ("kaldi_fbank240", "kaldi_fbank", {}, True),
        ("kaldi_fbank240_nocmvn", "kaldi_fbank", {}, False),
        ("online_logmel80", "online_log_mel", {}, True),
        # these two were stored without the scaling to -25 dB that comes first
        ("online_logmel80_nocmvn", "online_log_mel", {"level_db": None}, False),
        ("online_loglinear201_nocmvn", "online_log_linear", {"level_db": None}, False),
    ],
)
def test_features_equal_the_originals(shared_data, key, kind, changes, normalize):
    stored = np.load(shared_data / "mockingjay-reference" / "features.npz")
    ours = MockingjayFeatureExtractor(kind, changes, do_normalize=normalize).extract(stored["wav"])
    assert ours.shape == stored[key].shape
    error = np.abs(ours - stored[key])
    # A few cells of the bare linear spectrum lie at the floor of the logarithm, where float32 has no digits left.
    assert np.sort(error.ravel())[-5] < 1e-3
    assert error.max() < (2e-3 if key == "online_loglinear201_nocmvn" else 1e-3)


@pytest.mark.shared
def test_features_of_single_utterances_equal_s3prl(shared_data):
    stored = np.load(shared_data / "mockingjay-reference" / "s3prl_small_linear.npz")
    extractor = MockingjayFeatureExtractor("online_log_mel", target_kind="online_log_linear")
    for index in range(2):
        features = extractor.extract(stored[f"wav{index}"])
        np.testing.assert_allclose(features, stored[f"features_single{index}"], atol=1e-3)
    target = extractor.extract(stored["wav0"], target=True)
    np.testing.assert_allclose(target, stored["target_linear_single0"], atol=1e-3)
    # what the original made of the shorter utterance in a batch is something else
    assert np.abs(stored["features"][1, 5:85] - stored["features_single1"][5:85]).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_changes_nothing(kind):
    waveforms = [speech_like(samples, seed=samples) for samples in (9_000, 16_001, 12_345)]
    extractor = MockingjayFeatureExtractor(kind, downsample_rate=3)
    batch = extractor(waveforms, sampling_rate=16_000, return_labels=True, return_tensors="pt")
    assert batch["input_features"].shape[-1] == extractor.feature_size
    for index, waveform in enumerate(waveforms):
        alone = extractor(waveform, sampling_rate=16_000, return_tensors="pt")["input_features"][0]
        frames = feature_recipe(kind).frame_count(len(waveform)) // 3 * 3
        assert int(batch["attention_mask"][index].sum()) == len(alone) == frames
        assert torch.equal(batch["input_features"][index, :frames], alone)
        assert torch.equal(batch["labels"][index, :frames], alone)
        assert not batch["input_features"][index, frames:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_normalised_features_have_mean_0_and_variance_1(kind):
    features = MockingjayFeatureExtractor(kind).extract(speech_like(16_000)).astype(np.float64)
    moving = features.std(0) > 0.5
    assert moving.mean() > 0.9
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)
    correction = feature_recipe(kind).std_correction
    np.testing.assert_allclose(features.std(0, ddof=correction)[moving], 1, atol=1e-4)


def test_frames_are_centred_where_the_recipe_says():
    """A click moves the energy maximum of every kind to the frame whose centre is nearest."""
    for kind in KINDS:
        recipe = feature_recipe(kind, {"delta_order": 0})
        click = 8_000
        waveform = np.full(16_000, 1e-4, dtype=np.float32)
        waveform[::2] *= -1
        waveform[click] = 0.9
        features = MockingjayFeatureExtractor(kind, {"delta_order": 0}, do_normalize=False).extract(waveform)
        centres = recipe.first_centre + recipe.hop_length * np.arange(len(features))
        loudest = centres[features.mean(1).argmax()]
        assert abs(loudest - click) <= recipe.hop_length


def test_deltas_of_a_ramp_are_its_slope():
    from sat_probe.models.mockingjay.spectral_features import slopes

    ramp = torch.arange(20, dtype=torch.float64)[:, None] * torch.tensor([1.0, -2.0], dtype=torch.float64)
    line = slopes(ramp, feature_recipe("legacy_mel"))
    torch.testing.assert_close(line, torch.tensor([[1.0, -2.0]], dtype=torch.float64).expand(20, -1))
    repeat = slopes(ramp, feature_recipe("kaldi_fbank"))
    torch.testing.assert_close(repeat[2:-2, 0], torch.ones(16, dtype=torch.float64))
    assert repeat[0, 0] == pytest.approx((0 * -2 + 0 * -1 + 1 * 1 + 2 * 2) / 10)
    short = slopes(ramp[:4], feature_recipe("legacy_mel"))
    torch.testing.assert_close(short[:, 0], torch.ones(4, dtype=torch.float64))
    assert not slopes(ramp[:1], feature_recipe("legacy_mel")).any()


def test_the_extractor_survives_saving(tmp_path):
    extractor = MockingjayFeatureExtractor(
        "online_log_mel", {"mel_bins": 40}, target_kind="online_log_linear", downsample_rate=3
    )
    extractor.save_pretrained(tmp_path)
    back = MockingjayFeatureExtractor.from_pretrained(tmp_path)
    assert back.to_dict() == extractor.to_dict()
    assert back.feature_size == 40
    waveform = speech_like(8_000)
    np.testing.assert_array_equal(back.extract(waveform), extractor.extract(waveform))
    np.testing.assert_array_equal(back.extract(waveform, target=True), extractor.extract(waveform, target=True))
    MockingjayConfig(feature_size=40).save_pretrained(tmp_path)
    assert isinstance(AutoFeatureExtractor.from_pretrained(tmp_path), MockingjayFeatureExtractor)


@pytest.mark.parametrize(
    "kind, size, bins, deltas",
    [
        ("online_log_mel", 80, 80, 0),
        ("legacy_mel", 80, 80, 0),
        ("legacy_mel", 160, 80, 1),
        ("online_log_mel", 40, 40, 0),
    ],
)
def test_the_extractor_of_a_configuration_fits_it(kind, size, bins, deltas):
    config = MockingjayConfig(feature_kind=kind, feature_size=size, target_size=size, downsample_rate=2)
    extractor = MockingjayFeatureExtractor.for_config(config)
    assert (extractor.recipe["mel_bins"], extractor.recipe["delta_order"]) == (bins, deltas)
    assert extractor.extract(speech_like(8_000)).shape[1] == size
    assert len(extractor.extract(speech_like(8_000))) % 2 == 0


def test_configurations_without_an_extractor_say_why():
    with pytest.raises(ModelError, match="no recipe makes"):
        MockingjayFeatureExtractor.for_config(MockingjayConfig(feature_kind=None))
    with pytest.raises(ModelError, match="target_kind must be set"):
        MockingjayFeatureExtractor.for_config(MockingjayConfig(target_size=201))
    config = MockingjayConfig(feature_kind="online_log_linear", feature_size=80)
    with pytest.raises(ModelError, match="201 values per frame, never 80"):
        MockingjayFeatureExtractor.for_config(config)


@pytest.mark.parametrize(
    "waveform, message",
    [
        (np.zeros(0, dtype=np.float32), "no audio"),
        (np.zeros(160, dtype=np.float32), r"160 samples \(10.0 ms\) are too short"),
        (np.zeros(300, dtype=np.float32), "too short for online_log_mel features stacked by 3"),
        (np.full(8_000, np.nan, dtype=np.float32), "NaN or infinite"),
        (np.zeros((2, 8_000), dtype=np.float32)[None], "one channel"),
    ],
)
def test_bad_waveforms_are_refused(waveform, message):
    extractor = MockingjayFeatureExtractor(downsample_rate=3)
    with pytest.raises(AudioError, match=message):
        extractor(waveform, sampling_rate=16_000)


def test_other_sampling_rates_and_kinds_are_refused():
    with pytest.raises(AudioError, match="expected audio at 16000 Hz, got 8000 Hz"):
        MockingjayFeatureExtractor()(speech_like(8_000), sampling_rate=8_000)
    with pytest.raises(ModelError, match="unknown feature kind 'mel'; known kinds: online_log_mel"):
        MockingjayFeatureExtractor("mel")
    with pytest.raises(ModelError, match="no such parameter"):
        MockingjayFeatureExtractor(recipe={"mels": 3})


def test_silence_gives_finite_features():
    for kind in KINDS:
        assert np.isfinite(MockingjayFeatureExtractor(kind).extract(np.zeros(8_000))).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_once", [1, 37])
def test_spectra_of_some_frames_at_a_time_are_those_of_all(kind, at_once, monkeypatch):
    waveform = speech_like(20_000)
    extractor = MockingjayFeatureExtractor(kind, do_normalize=False)
    whole = extractor.extract(waveform)
    monkeypatch.setattr(spectral_features, "FRAMES_AT_ONCE", at_once)
    np.testing.assert_allclose(extractor.extract(waveform), whole, atol=1e-5)
