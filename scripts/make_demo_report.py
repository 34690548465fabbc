"""Make the two reports that come with the package: the bundled model, and the same model with random weights.

    python scripts/make_demo_report.py

Run it again when the bundled model or speech changes. To keep the package small, tables are rounded to the digits
that a page shows.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import torch

from sat_probe.audio import audio_duration
from sat_probe.demo.browse.published import bundled_report_folder
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.example_utterance import example_utterance
from sat_probe.studies.head_analysis import analyze_model
from sat_probe.studies.inputs import open_model

DIGITS = 3
SHOWN = ["relation", "concentration", "low", "high"]


def slim(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table in single precision, rounded to the digits that a page shows, so that it compresses well."""
    numbers = table.select_dtypes("floating")
    table = table.assign(**{str(name): numbers[name].astype("float32") for name in numbers})
    return table.round({name: DIGITS for name in SHOWN if name in table})


def main() -> None:
    """Make both reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=bundled_report_folder())
    folder = parser.parse_args().output
    model, corpus = open_model(ModelChoice(device="cpu")), load_corpus("bundled")
    report = analyze_model(None, corpus, device="cpu")
    provenance = report.provenance.replace(command="python scripts/make_demo_report.py")
    shortest = min(range(len(corpus)), key=lambda index: audio_duration(corpus[index].audio))
    example = example_utterance(model, corpus.shard(shortest, len(corpus)))
    tables = {name: slim(table) for name, table in report.tables.items()}
    keep(HeadReport(report.heads, provenance, tables, example), folder)
    keep(untrained_twin(model, corpus), folder.with_name("report-untrained"))


def untrained_twin(model: ProbedModel, corpus: Corpus) -> HeadReport:
    """Return a report of the heads of the same architecture with random weights (seed 0), without further tables."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        type(model)(model.config).save_pretrained(folder)
        model.preprocessor.save_pretrained(folder)
        report = analyze_model(folder, corpus, device="cpu")
    provenance = {**report.provenance, "model": "bundled, untrained", "command": "python scripts/make_demo_report.py"}
    return HeadReport(report.heads, provenance)


def keep(report: HeadReport, folder: Path) -> None:
    """Save the files that `HeadReport.load` reads, without figures and pages."""
    with tempfile.TemporaryDirectory() as temporary:
        saved = report.save(Path(temporary) / "report", pictures=False)
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for file in saved.iterdir():
            if file.suffix in {".json", ".parquet", ".npz", ".flac"}:
                shutil.copy(file, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 2**20:.2f} MB")


if __name__ == "__main__":
    main()
