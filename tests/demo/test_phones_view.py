"""The effect of an ablation on phones: numbers are those of the measures; a probe of other weights is not used."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from sat_probe.demo import model_pool
from sat_probe.demo.ablate import tab as ablate_tab
from sat_probe.demo.ablate.phones import ABSENT, phones_html
from sat_probe.demo.clips import example_clip, examples
from sat_probe.demo.session import Session
from sat_probe.errors import ModelError
from sat_probe.measures.posterior_change import changed, divergence
from sat_probe.studies.probing import phone_probe
from sat_probe.studies.probing.probe import Probe

PHONES = ("aa", "iy", "m", "s", "t", "sil")
MADE = {"strangers_speech": {"accuracy": 0.273, "constant": 0.081}}
PROBE = phone_probe.PhoneProbe(Probe(1, 4, len(PHONES), None), PHONES, -1, "0", MADE)


@pytest.fixture
def clip():
    return example_clip(next(iter(examples())))


@pytest.fixture
def times(clip):
    return 0.00625 + 0.0125 * np.arange(int(clip.seconds / 0.0125))


def read_of(clip, times, right: float):
    """Return log posteriors that are right in this share of the frames of phones that the probe knows, else silence."""
    rng = np.random.default_rng(0)
    chosen = np.full(len(times), PHONES.index("sil"))
    for start, end, label in clip.phones:
        inside = (times >= start) & (times < end) & (rng.random(len(times)) < right)
        if label in PHONES:
            chosen[inside] = PHONES.index(label)
    posteriors = np.full((len(times), len(PHONES)), 0.02)
    posteriors[np.arange(len(times)), chosen] = 0.9
    return np.log(posteriors)


def test_the_numbers_are_those_of_the_measures(clip, times):
    read = np.stack([read_of(clip, times, 1.0), read_of(clip, times, 0.0)])
    shown = phones_html(read, PROBE, clip, times)
    assert f"In {changed(*read).mean():.0%} of the frames the probe reads another phone" in shown
    assert f"the mean divergence is {divergence(*read).mean():.2f} nats" in shown
    right = re.search(r"it reads (\d+)% correctly with all heads, (\d+)% after", shown)
    assert int(right[1]) > int(right[2]) == 0
    assert "it reads 27% of the speech frames correctly" in shown
    assert "the most frequent phone gives 8%" in shown
    spoken, before, after = re.findall(r'class="sat-phones"><span>[^<]*</span>(.*?)</p>', shown)
    assert spoken.split()[0] == spoken.split()[-1] == "sil"
    assert "<mark>" not in before
    assert set(before.split()) > {"sil"} == set(re.sub("</?mark>", "", after).split())
    assert shown.count("<svg") == 1


def test_only_changed_phones_are_marked(clip, times):
    read = read_of(clip, times, 1.0)
    moved = read.copy()
    moved[40:60] = np.log([0.02, 0.9, 0.02, 0.02, 0.02, 0.02])
    shown = phones_html(np.stack([read, moved]), PROBE, clip, times)
    assert re.findall("<mark>(.*?)</mark>", shown) == ["iy"]
    shown = phones_html(np.stack([read, read]), PROBE, replace(clip, alignment=None), times)
    assert "In 0% of the frames" in shown
    for absent in ("<mark>", "spoken:", "Of the speech frames"):
        assert absent not in shown


def ablated(clip) -> str:
    mode = next(iter(ablate_tab.MODES))
    return ablate_tab.ablate(Session(clip), frozenset({(0, 0)}), ablate_tab.WIDEST, mode)


@pytest.mark.parametrize("trouble", ["other weights", "damaged"])
def test_without_a_fitting_probe_the_rest_is_shown(monkeypatch, clip, trouble):
    fitting = phone_probe.bundled_phone_probe()

    def bundled():
        if trouble == "damaged":
            raise ModelError("phone_probe: is no phone probe that can be read")
        return replace(fitting, model_digest="of another model")

    monkeypatch.setattr(phone_probe, "bundled_phone_probe", bundled)
    monkeypatch.setattr(ablate_tab, "phone_probe", model_pool.phone_probe.__wrapped__)
    shown = ablated(clip)
    assert ABSENT in shown
    assert "sat-phones" not in shown
    assert shown.count("<audio controls") == 3


def test_the_phones_of_the_bundled_model_are_shown(clip):
    shown = ablated(clip)
    assert ABSENT not in shown
    assert shown.count("sat-phones") == 3
