"""Bad input: one clear line on standard error, exit status 1 or 2 (130 for Ctrl-C), and nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sat_probe import HeadReport
from sat_probe.cli import run

RATE = 16_000
Outcome = tuple[int, str, str]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A wav2vec2 so small that loading it is all the work."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("model")
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture
def speech(tmp_path) -> Path:
    """A folder with one good file, and a report folder's place beside it."""
    folder = tmp_path / "speech"
    folder.mkdir()
    write_noise(folder / "good.wav", seconds=0.5)
    return folder


def write_noise(path: Path, seconds: float, subtype: str = "PCM_16") -> None:
    samples = np.random.default_rng(0).normal(scale=0.1, size=round(seconds * RATE))
    soundfile.write(path, samples, RATE, subtype=subtype)


def corrupt(path: Path) -> None:
    write_noise(path.with_suffix(".flac"), seconds=1.0)
    path.with_suffix(".flac").rename(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 4 :] = bytes(len(content) - len(content) // 4)
    path.write_bytes(content)


def not_finite(path: Path) -> None:
    samples = np.zeros(RATE, dtype=np.float32)
    samples[100] = np.nan
    soundfile.write(path, samples, RATE, subtype="FLOAT")


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "corrupt": corrupt,
    "header-only": lambda path: path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt "),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("This is no recording.\n" * 50),
    "zero-seconds": lambda path: write_noise(path, seconds=0),
    "ten-milliseconds": lambda path: write_noise(path, seconds=0.01),
    "nan": not_finite,
}


def analyze(capfd, *arguments: object) -> Outcome:
    capfd.readouterr()
    status = run(["analyze", *map(str, arguments)])
    return status, *capfd.readouterr()


def assert_one_line(outcome: Outcome, status: int = 1) -> str:
    code, out, err = outcome
    assert code == status, err
    assert out == ""
    *warnings, line = err.strip().splitlines()
    assert all(warning.startswith("Warning: ") for warning in warnings), err
    assert line.startswith("Error: ")
    assert len(line) < 1000  # a list of all known kinds of models is long, a traceback is longer
    return line


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_alone(kind, model, tmp_path, capfd):
    folder = tmp_path / "speech"
    folder.mkdir()
    BAD_FILES[kind](folder / "bad.wav")
    line = assert_one_line(analyze(capfd, model, "--dataset", folder, "--output", tmp_path / "report"))
    assert "bad" in line
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_among_good_ones_is_skipped_and_counted(kind, model, speech, tmp_path, capfd):
    BAD_FILES[kind](speech / "bad.wav")
    status, out, err = analyze(capfd, model, "--dataset", speech, "--json")
    assert status == 0, err
    warnings = [line for line in err.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 1, err
    assert "bad" in warnings[0]
    assert "Traceback" not in err
    known = json.loads(out)["provenance"]
    assert (known["utterances"], known["skipped"]) == (1, 1)
    assert known["skipped_files"][0].startswith("bad")


def test_a_report_on_disk_counts_what_was_skipped(model, speech, tmp_path, capfd):
    BAD_FILES["empty"](speech / "bad.wav")
    status, out, err = analyze(capfd, model, "--dataset", speech, "--output", tmp_path / "report")
    assert status == 0, err
    assert "1 skipped" in out
    assert HeadReport.load(tmp_path / "report").provenance["skipped"] == 1


@pytest.mark.parametrize("kind", ["corrupt", "nan"])
def test_strict_stops_at_a_bad_file(kind, model, speech, tmp_path, capfd):
    BAD_FILES[kind](speech / "bad.wav")
    outcome = analyze(capfd, model, "--dataset", speech, "--strict", "--output", tmp_path / "report")
    assert "bad" in assert_one_line(outcome)
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


def test_a_folder_without_audio(model, tmp_path, capfd):
    (tmp_path / "notes.txt").write_text("nothing to hear")
    assert "no audio" in assert_one_line(analyze(capfd, model, "--dataset", tmp_path, "--json"))


def test_a_folder_that_is_not_there(model, tmp_path, capfd):
    assert "nowhere" in assert_one_line(analyze(capfd, model, "--dataset", tmp_path / "nowhere", "--json"))


def test_a_model_that_is_not_there(speech, tmp_path, capfd):
    outcome = analyze(capfd, tmp_path / "no-model", "--dataset", speech, "--json")
    assert "no-model" in assert_one_line(outcome)


def test_a_model_that_is_not_on_the_hub(speech, capfd):
    assert "nobody/nothing" in assert_one_line(analyze(capfd, "nobody/nothing", "--dataset", speech, "--json"))


def test_a_folder_without_a_model(speech, tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    assert "empty" in assert_one_line(analyze(capfd, tmp_path / "empty", "--dataset", speech, "--json"))


def test_a_model_of_text(speech, tmp_path, capfd):
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path / "bert")
    line = assert_one_line(analyze(capfd, tmp_path / "bert", "--dataset", speech, "--json"))
    assert "bert" in line
    assert "wav2vec2" in line  # the kinds that would work


def test_damaged_weights(model, speech, tmp_path, capfd):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in model.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "damaged" in assert_one_line(analyze(capfd, damaged, "--dataset", speech, "--json"))


def test_a_device_that_is_not_there(model, speech, capfd):
    outcome = analyze(capfd, model, "--dataset", speech, "--device", "warp:9", "--json")
    assert "warp:9" in assert_one_line(outcome)


def test_an_output_that_is_something_else_is_refused_before_the_work(tmp_path, capfd):
    (tmp_path / "thesis.tex").write_text("years of work")
    outcome = analyze(capfd, "no/model", "--output", tmp_path)
    assert "is not empty and no head report" in assert_one_line(outcome)


def test_without_alignments_it_says_why_there_are_no_phones(model, speech, tmp_path, capfd):
    status, out, err = analyze(capfd, model, "--dataset", speech, "--output", tmp_path / "report")
    assert status == 0, err
    assert "No phone maps: this speech has no phone alignments. Make them from transcripts with sat-probe align" in out
    status, out, err = analyze(capfd, model, "--dataset", speech, "--json", "--phone-set", "timit-39")
    assert status == 0, err
    assert err == "Warning: --phone-set timit-39 changes nothing: the corpus has no phone alignments\n"
    json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--limit", "0"], "invalid value for '--limit' / '-n'"),
        (["--limit", "many"], "invalid value for '--limit' / '-n'"),
        (["--limit"], "option '--limit' requires an argument"),
        (["--datset", "x"], "no such option: --datset (Possible options: --dataset, --dtype, --preset)"),
        (["--xyzxyz"], "no such option: --xyzxyz."),
        (["a", "b"], "(b)"),
        (["--resume", "--json"], "needs the --output"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, said, capfd):
    line = assert_one_line(analyze(capfd, *arguments), status=2)
    assert line.startswith("Error: sat-probe analyze: ")
    assert said in line
    assert line.endswith("See sat-probe analyze --help")


def test_a_misspelt_command_and_what_is_missing_are_one_line(capfd):
    assert run(["analyse"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "Error: sat-probe: no such command 'analyse'. Did you mean 'analyze'? See sat-probe --help\n"
    assert run(["compare", "one"]) == 2
    assert capfd.readouterr().err == (
        "Error: sat-probe compare: missing argument 'SECOND'. See sat-probe compare --help\n"
    )


def test_no_arguments_teach(capfd):
    assert run([]) == 0
    out = capfd.readouterr().out
    assert "sat-probe analyze" in out
    assert "--help" in out


def command(model: Path, speech: Path, output: Path) -> list[str]:
    options = ["--dataset", str(speech), "--output", str(output)]
    return [sys.executable, "-m", "sat_probe", "analyze", str(model), *options]


def test_a_full_disk(model, speech, tmp_path):
    """No file may grow past 8 kB, which the table of heads does."""
    done = subprocess.run(
        command(model, speech, tmp_path / "report"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "report could not be written (File too large), and nothing of it was left" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"speech", "cache"}


def test_ctrl_c(model, speech, tmp_path):
    for index in range(400):
        os.link(speech / "good.wav", speech / f"again-{index}.wav")
    process = subprocess.Popen(
        command(model, speech, tmp_path / "report"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # where tests run in the background the shell has made Ctrl-C ignored, also for what they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(2.0)  # somewhere between the first import and the last utterance
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert out == ""
    assert err.strip() == "Interrupted."
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


STUDIES = ("analyze", "segment", "importance", "refine")


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["recordngs"], 1, "no folder named 'recordngs' was found here; models on the Hub are named owner/name"),
        (["--revision", "main"], 1, "the bundled model has no revision main"),
        (["--device", "warp:9"], 1, "device 'warp:9' cannot be used"),
        (["--dtype", "float8"], 2, "--dtype"),
        (["--dataset", "nowhere"], 1, "nowhere: no such folder"),
        (["--limit", "0"], 2, "--limit"),
        (["--gaps", "guess"], 2, "--gaps"),
        (["--preset", "hubert-bse"], 1, "did you mean 'hubert-base'?"),
        (["--data-dir", "nowhere", "--dataset", "timit"], 1, "nowhere"),
    ],
)
def test_the_door_answers_alike_in_every_study(study, arguments, status, said, tmp_path, capfd):
    capfd.readouterr()
    where = [] if study == "segment" else ["--output", str(tmp_path / "out")]
    what = ["--heads", "0.0"] if study == "refine" else []
    code = run([study, *what, *where, *arguments])
    line = assert_one_line((code, *capfd.readouterr()), status)
    assert said in line
    assert not (tmp_path / "out").exists()


def test_a_report_of_something_else_is_replaced_only_if_asked(model, speech, tmp_path, capfd):
    report = tmp_path / "report"
    assert analyze(capfd, model, "--dataset", speech, "--output", report)[0] == 0
    status, _, err = analyze(capfd, model, "--dataset", speech, "--output", report)
    assert (status, err) == (0, f"Warning: replaced the report of {model.name} on speech in {report}\n")
    before = (report / "report.json").read_bytes()
    write_noise(speech / "another.wav", seconds=0.5)
    line = assert_one_line(analyze(capfd, model, "--dataset", speech, "--output", report))
    assert "holds the report of" in line
    assert "--overwrite" in line
    assert (report / "report.json").read_bytes() == before
    assert analyze(capfd, model, "--dataset", speech, "--output", report, "--overwrite")[0] == 0
    assert HeadReport.load(report).provenance["utterances"] == 2


def test_resuming_needs_the_output_of_the_run(capfd):
    assert run(["segment", "--resume"]) == 2
    assert "needs the --output of the interrupted run" in capfd.readouterr().err
