"""Two processes give the numbers of one."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import soundfile

from sat_probe.reports.head_report import HeadReport
from tests.models.tiny_models import tiny_model


def test_two_processes_give_the_report_of_one(tmp_path):
    tiny_model("mockingjay").save_pretrained(tmp_path / "model")
    audio = tmp_path / "audio"
    audio.mkdir()
    generator = np.random.default_rng(0)
    for index in range(7):
        samples = 0.1 * generator.standard_normal(4000 + 777 * index)
        soundfile.write(audio / f"{index}.wav", samples, 16_000)
    (audio / "broken.wav").write_text("this is no audio")
    analyze = ["-m", "sat_probe", "analyze", str(tmp_path / "model"), "--dataset", str(audio), "--json"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one = subprocess.run([sys.executable, *analyze], capture_output=True, text=True, check=True)
    two = subprocess.run(
        [*launch, *analyze, "--output", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert two.returncode == 0, two.stderr[-2000:]
    expected, found = (json.loads(run.stdout) for run in (one, two))
    heads = [pd.DataFrame(report["heads"]) for report in (expected, found)]
    pd.testing.assert_frame_equal(*heads, check_exact=False, rtol=1e-9, atol=1e-12)
    assert found["provenance"]["processes"] == 2
    for key in ("utterances", "skipped", "seconds", "corpus"):
        assert found["provenance"][key] == expected["provenance"][key]
    assert len(HeadReport.load(tmp_path / "out").heads) == 12
