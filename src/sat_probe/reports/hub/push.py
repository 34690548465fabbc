"""Publication of reports in a dataset repository on the Hugging Face Hub.

One repository holds the reports of many models, each in `reports/{org}__{model}/{revision}/`; every table is a
configuration of the dataset, so `load_dataset("me/heads", "heads")` gives the heads of all models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from huggingface_hub import HfApi, RepoCard

from sat_probe.configs import available_configs, config_folder
from sat_probe.errors import HubError
from sat_probe.hub.commit import Change, Published, Repository, prepare_repository, publish, signed_in
from sat_probe.reports.hub.card import TAGS, evaluation_results, repository_card
from sat_probe.reports.hub.layout import CARD, INDEX, Entry, describe, keyed_report, read_index, write_index
from sat_probe.reports.hub.pull import read_file
from sat_probe.reports.report_data import ReportData

OPEN_LICENSES = ("Apache-2.0", "MIT", "CC0", "CC-BY-4", "CC-BY-SA-4")
RESULTS = ".eval_results/sat-probe.yaml"


def push_files(
    files: Mapping[str, bytes],
    repo_id: str,
    *,
    private: bool | None = None,
    create_pr: bool = False,
    replace: bool = False,
    token: str | bool | None = None,
) -> Published:
    """Publish the files of a report in one commit, with an update of the repository's card and index.

    Args:
        files: content by path in the folder of the report; the other arguments are those of `push_report`.

    Raises:
        HubError: no token, no permission, a repository of another type, or the Hub is out of reach.
        ReportError: the files are not a report.
    """
    entry, keyed = keyed_report(files)
    repository = prepare_repository(signed_in(token), repo_id, "dataset", private, create_pr)
    where = " ".join(part for part in entry.measured_on if part)
    message = f"Head report of {entry.model} at {entry.revision[:12]}" + (f" on {where}" if where else "")
    return publish(repository, lambda parent: _change(repository, parent, entry, keyed, replace), message, create_pr)


def offer_results(report: ReportData, published: Published, *, token: str | bool | None = None) -> Published:
    """Open a pull request in the model's repository with the number of heads of each category (`.eval_results/*.yaml`).

    Args:
        report: the published report.
        published: result of `push_report`.
        token: to use instead of the one of `hf auth login` or HF_TOKEN.

    Raises:
        ReportError: if the report is not about a model on the Hub.
        HubError: no token, no such model, or the Hub is out of reach.
    """
    content = evaluation_results(report, published.repo_id, published.commit).encode()
    model = Repository(signed_in(token), str(report.provenance.model), "model")
    change = Change({RESULTS: content}, {})
    message = f"Kinds of attention heads, measured with sat-probe ({published.repo_id})"
    return publish(model, lambda parent: change, message, create_pr=True)


def check_offer(report: ReportData) -> None:
    """Raise a ReportError if there is no model on the Hub to offer results to, before anything is published."""
    evaluation_results(report, "", "")


def may_publish_audio(corpus: object) -> bool:
    """Whether the licence of a corpus is known to allow the publication of its audio."""
    if corpus not in available_configs("datasets"):
        return False
    config = yaml.safe_load((config_folder("datasets") / f"{corpus}.yaml").read_text(encoding="utf-8"))
    return str(config["license"]).startswith(OPEN_LICENSES)


def _change(repository: Repository, parent: str, entry: Entry, files: Mapping[str, bytes], replace: bool) -> Change:
    """The commit on top of `parent`: the whole folder of the report, the index and the card."""
    api, repo_id = repository.api, repository.repo_id
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
    """Raise a HubError if the card belongs to something else: ours would replace its text and its configurations."""
    text = card.decode("utf-8", "replace")
    content = RepoCard(text, ignore_metadata_errors=True)
    if TAGS[0] in (content.data.get("tags") or ()) or not (content.text.strip() or content.data.get("configs")):
        return
    raise HubError(
        f"{repo_id}: holds something else, whose card (README.md) a push would replace: choose another repository"
    )


def _entries(api: HfApi, repo_id: str, parent: str, paths: list[str]) -> list[Entry]:
    """The reports in the repository; those that are not in the index are read."""
    listed = read_index(read_file(api, repo_id, INDEX, parent) if INDEX in paths else None)
    known = {entry.path: entry for entry in listed}
    entries = []
    for marker in paths:
        folder, _, name = marker.rpartition("/")
        if name != "report.json" or not folder.startswith("reports/"):
            continue
        if folder not in known:
            content = {}
            for path in (path for path in paths if path.startswith(f"{folder}/")):
                is_data = path.endswith((".parquet", ".json"))
                content[path.removeprefix(f"{folder}/")] = read_file(api, repo_id, path, parent) if is_data else b""
            known[folder] = describe(folder, content)
        entries.append(known[folder])
    return entries
