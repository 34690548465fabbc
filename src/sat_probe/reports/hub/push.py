"""Push a report to a dataset repository on the Hugging Face Hub, and read it back.

One repository holds the reports of many models, each in `reports/{org}__{model}/{revision}/`; every table is a
configuration of the dataset, so `load_dataset("me/heads", "heads")` gives the heads of all models, no script needed.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from huggingface_hub import HfApi, RepoCard

from sat_probe.configs import available_configs, config_folder
from sat_probe.errors import HubError
from sat_probe.hub.commit import Change, Published, prepare_repository, publish, signed_in
from sat_probe.reports.hub.card import TAGS, evaluation_results, repository_card
from sat_probe.reports.hub.layout import (
    CARD,
    INDEX,
    Entry,
    describe,
    keyed_table,
    read_index,
    report_path,
    write_index,
)
from sat_probe.reports.hub.pull import read_file

OPEN_LICENSES = ("Apache-2.0", "MIT", "CC0", "CC-BY-4", "CC-BY-SA-4")
RESULTS = ".eval_results/sat-probe.yaml"

if TYPE_CHECKING:
    from sat_probe.reports.head_report import HeadReport


def push_report(
    report: HeadReport | str | Path,
    repo_id: str,
    *,
    private: bool | None = None,
    create_pr: bool = False,
    replace: bool = False,
    example: bool | None = None,
    pictures: bool = True,
    token: str | bool | None = None,
) -> Published:
    """Publish a report in one commit: its tables, figures, page and card, and the repository's card brought up to date.

    Reports of other models stay. The report on disk, or in memory, is not changed.

    Args:
        report: a report, or the folder of one.
        repo_id: dataset repository, "owner/name"; made if it does not exist.
        private: whether a new repository is private; None leaves it to the owner's settings.
        create_pr: open a pull request instead of committing to `main`.
        replace: allow to replace a report of the same model and revision measured on something else.
        example: whether the example utterance, which is audio of the corpus, is published too; None publishes it if the
            corpus is one whose licence is known to allow that.
        pictures: draw figures and page of a report in memory, which takes some seconds.
        token: to use instead of the one of `hf auth login` or HF_TOKEN; it is neither kept nor shown.

    Raises:
        HubError: no token, no permission, a repository of another type, or the Hub is out of reach.
        ReportError: the report cannot be read.
    """
    files = _files_of(report, example, pictures)
    described = describe("reports", files)
    path = report_path(described.model, described.revision)
    keyed = {
        name: keyed_table(content, described.model, described.revision, name)
        if name.endswith(".parquet")
        else content
        for name, content in files.items()
    }
    entry = describe(path, keyed)
    api = signed_in(token)
    repo_id = prepare_repository(api, repo_id, "dataset", private, create_pr)

    def build(parent: str) -> Change:
        return _change(api, repo_id, parent, entry, keyed, replace)

    return publish(api, repo_id, "dataset", build, _message(entry), create_pr)


def offer_results(report: HeadReport, published: Published, *, token: str | bool | None = None) -> Published:
    """Offer the count of heads of each category to the model's repository: a pull request with `.eval_results/*.yaml`.

    Args:
        report: that was published.
        published: what `push_report` gave.
        token: to use instead of the one of `hf auth login` or HF_TOKEN.

    Raises:
        ReportError: if the report is not about a model on the Hub.
        HubError: no token, no such model, or the Hub is out of reach.
    """
    content = evaluation_results(report, published.repo_id, published.commit).encode()
    model = str(report.provenance["model"])
    change = Change({RESULTS: content}, {})
    message = f"Kinds of attention heads, measured with sat-probe ({published.repo_id})"
    return publish(signed_in(token), model, "model", lambda parent: change, message, create_pr=True)


def check_offer(report: HeadReport) -> None:
    """Raise a ReportError if there is no model on the Hub to offer results to, before anything is published."""
    evaluation_results(report, "", "")


def may_publish_audio(corpus: object) -> bool:
    """Whether the licence of a corpus is known to let anyone pass its audio on."""
    if corpus not in available_configs("datasets"):
        return False
    config = yaml.safe_load((config_folder("datasets") / f"{corpus}.yaml").read_text(encoding="utf-8"))
    return str(config["license"]).startswith(OPEN_LICENSES)


def _files_of(report: HeadReport | str | Path, example: bool | None, pictures: bool) -> dict[str, bytes]:
    """All files of a report by name inside its folder; saved anew if it is in memory, or its audio may not go along."""
    from sat_probe.reports.head_report import HeadReport

    folder = None if isinstance(report, HeadReport) else Path(report)
    loaded = report if isinstance(report, HeadReport) else HeadReport.load(report)
    if example is None:
        example = may_publish_audio(loaded.provenance.get("corpus"))
    if folder is not None and (example or not loaded.examples):
        return _read_folder(folder)
    published = loaded if example else dataclasses.replace(loaded, examples={})
    with tempfile.TemporaryDirectory() as scratch:
        return _read_folder(published.save(Path(scratch) / "report", pictures=pictures))


def _read_folder(folder: Path) -> dict[str, bytes]:
    visible = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(visible)}


def _change(
    api: HfApi, repo_id: str, parent: str, entry: Entry, files: Mapping[str, bytes], replace: bool
) -> Change:
    """What the commit on top of `parent` writes: the report's folder as a whole, the index and the card."""
    paths = api.list_repo_files(repo_id, repo_type="dataset", revision=parent)
    entries = {other.path: other for other in _entries(api, repo_id, parent, paths)}
    if not entries and CARD in paths:
        _refuse_foreign_card(repo_id, read_file(api, repo_id, CARD, parent))
    earlier = entries.get(entry.path, entry)
    if earlier.model != entry.model:
        raise HubError(
            f"{repo_id}: has a report of {earlier.model} where that of {entry.model} would lie ({entry.path}): "
            "push to another repository"
        )
    if earlier.measured_on != entry.measured_on and not replace:
        raise HubError(
            f"{repo_id}: has a report of {entry.model} at this revision measured on "
            f"{' '.join(earlier.measured_on).strip()}, this one is on {' '.join(entry.measured_on).strip()}: "
            "push to another repository, or replace it (--replace)"
        )
    entries[entry.path] = entry
    own: dict[str, bytes | Path | None] = {f"{entry.path}/{name}": content for name, content in files.items()}
    for path in paths:
        if path.startswith(f"{entry.path}/") and path not in own:
            own[path] = None
    listed = [entries[path] for path in sorted(entries)]
    return Change(own, {INDEX: write_index(listed), CARD: repository_card(repo_id, listed).encode()})


def _refuse_foreign_card(repo_id: str, card: bytes) -> None:
    """A repository of something else keeps its card: ours would take its text and its configurations away."""
    text = card.decode("utf-8", "replace")
    content = RepoCard(text, ignore_metadata_errors=True)
    if TAGS[0] in (content.data.get("tags") or ()) or not (
        content.text.strip() or content.data.get("configs")
    ):
        return
    raise HubError(
        f"{repo_id}: holds something else, whose card (README.md) a push would replace: choose another repository"
    )


def _entries(api: HfApi, repo_id: str, parent: str, paths: list[str]) -> list[Entry]:
    """The reports that are in the repository; those the index does not know are read."""
    listed = read_index(read_file(api, repo_id, INDEX, parent) if INDEX in paths else None)
    known = {entry.path: entry for entry in listed}
    entries = []
    for marker in paths:
        folder, _, name = marker.rpartition("/")
        if name != "report.json" or not folder.startswith("reports/"):
            continue
        if folder not in known:
            inside = [path.removeprefix(f"{folder}/") for path in paths if path.startswith(f"{folder}/")]
            content = {
                name: read_file(api, repo_id, f"{folder}/{name}", parent) if _is_data(name) else b""
                for name in inside
            }
            known[folder] = describe(folder, content)
        entries.append(known[folder])
    return entries


def _message(entry: Entry) -> str:
    where = " ".join(part for part in entry.measured_on if part)
    return f"Head report of {entry.model} at {entry.revision[:12]}" + (f" on {where}" if where else "")


def _is_data(name: str) -> bool:
    return name.endswith((".parquet", ".json"))
