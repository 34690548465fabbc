"""Two processes give the numbers of one, also where the corpus is streamed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

from sat_probe.reports.head_report import HeadReport
from tests.models.tiny_models import tiny_model


@pytest.fixture(scope="module")
def analyze(tmp_path_factory):
    """The command, on a model and a corpus on disk."""
    folder = tmp_path_factory.mktemp("distributed")
    tiny_model("mockingjay").save_pretrained(folder / "model")
    audio = folder / "audio"
    audio.mkdir()
    generator = np.random.default_rng(0)
    for index in range(7):
        samples = 0.1 * generator.standard_normal(4000 + 777 * index)
        soundfile.write(audio / f"{index}.wav", samples, 16_000)
    (audio / "broken.wav").write_text("this is no audio")
    return ["-m", "sat_probe", "analyze", str(folder / "model"), "--dataset", str(audio), "--json"]


@pytest.fixture(scope="module")
def of_one(analyze):
    one = subprocess.run([sys.executable, *analyze], capture_output=True, text=True, check=True)
    return json.loads(one.stdout)


@pytest.mark.parametrize("options", [[], ["--streaming"]], ids=["listed", "streamed"])
def test_two_processes_give_the_report_of_one(analyze, of_one, options, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, *analyze, *options, "--output", str(tmp_path / "out")]
    two = subprocess.run(command, capture_output=True, text=True, check=False)
    assert two.returncode == 0, two.stderr[-2000:]
    found = json.loads(two.stdout)
    heads = [pd.DataFrame(report["heads"]) for report in (of_one, found)]
    pd.testing.assert_frame_equal(*heads, check_exact=False, rtol=1e-9, atol=1e-12)
    assert found["provenance"]["processes"] == 2
    for key in ("utterances", "skipped", "seconds", "corpus"):
        assert found["provenance"][key] == of_one["provenance"][key]
    assert len(HeadReport.load(tmp_path / "out").heads) == 12
