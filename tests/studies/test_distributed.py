"""Two processes give the numbers of one, for listed and streamed corpora."""

from __future__ import annotations

import json
import os
import pickle
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
        half, end = len(samples) // 2, len(samples)
        (audio / f"{index}.phn").write_text(f"0 {half} {'s' if index % 2 else 'aa'}\n{half} {end} h#\n")
    (audio / "broken.wav").write_text("this is no audio")
    return ["-m", "sat_probe", "analyze", str(folder / "model"), "--dataset", str(audio), "--json"]


@pytest.fixture(scope="module")
def of_one(analyze, tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "out"
    command = [sys.executable, *analyze, "--output", str(output)]
    one = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(one.stdout), HeadReport.load(output).tables


@pytest.mark.parametrize("options", [[], ["--streaming"]], ids=["listed", "streamed"])
def test_two_processes_give_the_report_of_one(analyze, of_one, options, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, *analyze, *options, "--output", str(tmp_path / "out")]
    two = subprocess.run(command, capture_output=True, text=True, check=False)
    assert two.returncode == 0, two.stderr[-2000:]
    found = json.loads(two.stdout)
    expected, tables = of_one
    heads = [pd.DataFrame(report["heads"]) for report in (expected, found)]
    pd.testing.assert_frame_equal(*heads, check_exact=False, rtol=1e-9, atol=1e-12)
    assert found["provenance"]["processes"] == 2
    for key in ("utterances", "skipped", "seconds", "corpus"):
        assert found["provenance"][key] == expected["provenance"][key]
    saved = HeadReport.load(tmp_path / "out")
    assert len(saved.heads) == 12
    assert saved.example
    assert saved.tables.keys() == tables.keys() > {"relation_maps", "concentration"}
    for name, table in tables.items():
        pd.testing.assert_frame_equal(saved.tables[name], table, check_exact=False, rtol=1e-9, atol=1e-12)


STUDIES = """
import pickle, sys
from sat_probe import head_importance, segment_model
from sat_probe.studies.corpus_pass.processes import this_process
from sat_probe.studies.importance.options import Options
from sat_probe.studies.segmentation.sources import Settings
model, audio, output = sys.argv[1:]
few = Settings(alphas=(0.3,), betas=(1.0, 1.75))
found = segment_model(model, audio, counting="strict", settings=few, progress=False, output=output + "/segment")
options = Options(
    tasks=["phones_linear", "reconstruction"], rankings=["gradient", "leave_one_out", "globalness"],
    spans=[1, 3], steps=2, missing_phones="ignore",
)
report = head_importance(model, audio, options, progress=False)
with open(f"{output}/{this_process().index}.pickle", "wb") as file:
    pickle.dump([found.table, found.curve, found.counts, *report.tables.values(), found.provenance["utterances"]], file)
"""


def test_two_processes_segment_and_ablate_as_one(analyze, tmp_path):
    arguments = ["-c", STUDIES, analyze[3], analyze[5]]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    results = {}
    for name, start in (("one", []), ("two", [*launch, sys.executable])):
        (tmp_path / name).mkdir()
        command = [sys.executable, *start, *arguments, str(tmp_path / name)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        results[name] = [pickle.loads(path.read_bytes()) for path in sorted((tmp_path / name).glob("*.pickle"))]
        assert not list((tmp_path / name).glob(".*"))
        assert "segmentation" in HeadReport.load(tmp_path / name / "segment").tables
    (expected,) = results["one"]
    assert len(results["two"]) == 2
    for found in results["two"]:
        assert found.pop() == expected[-1]
        for table, other in zip(found, expected[:-1], strict=True):
            pd.testing.assert_frame_equal(table, other, check_exact=False, rtol=1e-6, atol=1e-9)
