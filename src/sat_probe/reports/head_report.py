"""`HeadReport`: a report that can be saved, loaded, published and shown."""

from __future__ import annotations

import dataclasses
import logging
import re
import tempfile
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from sat_probe.errors import ReportError
from sat_probe.files import replace_folder
from sat_probe.hub.commit import Published
from sat_probe.reports import report_folder
from sat_probe.reports.example import load_example, save_example
from sat_probe.reports.hub.card import report_card
from sat_probe.reports.hub.pull import pull_folder
from sat_probe.reports.hub.push import may_publish_audio, push_files
from sat_probe.reports.page.render import render_page
from sat_probe.reports.report_data import ReportData
from sat_probe.reports.terminal import as_html, as_rich, as_text

logger = logging.getLogger(__name__)


class HeadReport(ReportData):
    """What each head of a model does, and how that was measured; see `ReportData` for the attributes and questions.

    Example:
        >>> import pandas as pd
        >>> heads = pd.DataFrame({"layer": [0], "head": [0], "category": ["diagonal"]})
        >>> heads = heads.assign(globalness=0.4, verticality=-2.0, diagonality=-0.1)
        >>> HeadReport(heads, {"model": "org/model"})
        HeadReport(org/model: 1 heads, 0 global, 0 vertical, 1 diagonal)
    """

    def save(self, folder: str | Path, *, pictures: bool = True, overwrite: bool = False) -> Path:
        """Write the report into a folder, as a whole or not at all; an earlier report of the same model and corpus is
        replaced.

        Args:
            folder: new, empty, or an earlier report.
            pictures: also draw `figures/` and the page `report.html`, which takes some seconds.
            overwrite: also replace a report of another model or corpus.

        Raises:
            ReportError: if the folder holds anything else, or it cannot be written.
        """
        replaced = report_folder.check_destination(folder, self.provenance, overwrite)
        target = replace_folder(folder, lambda fresh: self._write(fresh, pictures))
        if replaced is not None:
            logger.warning(replaced)
        return target

    def _write(self, folder: Path, pictures: bool) -> None:
        tables = {"heads": self.heads, **self.tables}
        report_folder.write_description(folder, self.provenance, list(tables))
        for name, table in tables.items():
            report_folder.write_table(folder, name, table)
        if self.example is not None:
            save_example(self.example, folder)
        shown: list[str] = []
        if pictures:
            from sat_probe.reports.plots.all import save_figures  # matplotlib

            drawn = save_figures(self, folder / "figures")
            shown = [path.relative_to(folder).as_posix() for path in drawn if path.suffix == ".png"]
            (folder / "report.html").write_text(render_page(self), encoding="utf-8")
        (folder / "README.md").write_text(report_card(self, shown), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> HeadReport:
        """Read a report that `save` wrote.

        Raises:
            ReportError: no report there, a damaged one, or one of a newer version of sat-probe.
        """
        path = Path(folder).expanduser()
        description = report_folder.read_description(path)
        tables = {name: report_folder.read_table(path, name) for name in description["tables"]}
        try:
            return cls(tables.pop("heads"), description["provenance"], tables, load_example(path))
        except ReportError as error:
            raise ReportError(f"{folder}: {error}") from error

    @classmethod
    def open(cls, source: str | Path) -> HeadReport:
        """A report from a folder, or from the Hub: `OWNER/NAME`, `OWNER/NAME:MODEL` or `OWNER/NAME:MODEL@REVISION`.

        Raises:
            HubError: no such report on the Hub.
            ReportError: no report in that folder.
        """
        repo_id, _, wanted = str(source).partition(":")
        if Path(source).exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
            return cls.load(source)
        model, _, revision = wanted.partition("@")
        return cls.from_hub(repo_id, model or None, revision or None)

    @classmethod
    def from_hub(
        cls,
        repo_id: str,
        model: str | None = None,
        revision: str | None = None,
        *,
        repo_revision: str = "main",
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
    ) -> HeadReport:
        """Read the published report of a model, equal to the one that was pushed.

        Args:
            repo_id: dataset repository, "owner/name".
            model: name of the model in the report, "org/model"; optional if the repository has one report.
            revision: of the model, or the beginning of it; optional if there is one.
            repo_revision: branch, tag or commit of the repository, or a pull request as "refs/pr/1".
            token: to use instead of the one of `hf auth login` or HF_TOKEN.
            cache_dir: instead of the Hub's cache. With HF_HUB_OFFLINE=1 only the cache is read.

        Raises:
            HubError: no such repository or report, a damaged download, or the Hub is out of reach.
            ReportError: the report cannot be read, or comes from a newer version.
        """
        folder = pull_folder(repo_id, model, revision, repo_revision=repo_revision, token=token, cache_dir=cache_dir)
        try:
            return cls.load(folder)
        except ReportError as error:  # names the report in the repository, not the file in the cache
            place = f"{repo_id}: {folder.parent.name}/{folder.name}"
            raise ReportError(str(error).replace(str(folder), place)) from error

    def push_to_hub(self, repo_id: str, **options: Any) -> Published:
        """Publish the report in a dataset repository; see `push_report` for the options."""
        return push_report(self, repo_id, **options)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"HeadReport({self.model_name}: {len(self.heads)} heads, {counts})"

    def __str__(self) -> str:
        return as_text(self)

    def __rich__(self) -> RenderableType:
        return as_rich(self)

    def _repr_html_(self) -> str:
        return as_html(self)


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
    """Publish a report in one commit: its tables, figures, page and card, and an update of the repository's card.

    Reports of other models in the repository stay. The report on disk, or in memory, is not changed.

    Args:
        report: a report, or the folder of one.
        repo_id: dataset repository, "owner/name"; created if it does not exist.
        private: whether a new repository is private; None leaves it to the owner's settings.
        create_pr: open a pull request instead of committing to `main`.
        replace: allow to replace a report of the same model and revision measured on something else.
        example: whether to publish the example utterance too, which is audio of the corpus; None publishes it if the
            licence of the corpus is known to allow that.
        pictures: draw figures and page of a report in memory, which takes some seconds.
        token: to use instead of the one of `hf auth login` or HF_TOKEN; it is neither kept nor shown.

    Raises:
        HubError: no token, no permission, a repository of another type, or the Hub is out of reach.
        ReportError: the report cannot be read.
    """
    files = _files_of(report, example, pictures)
    return push_files(files, repo_id, private=private, create_pr=create_pr, replace=replace, token=token)


def _files_of(report: HeadReport | str | Path, example: bool | None, pictures: bool) -> dict[str, bytes]:
    """All files of a report by name inside its folder. A report in memory, or without its audio, is saved anew."""
    folder = None if isinstance(report, HeadReport) else Path(report)
    loaded = report if isinstance(report, HeadReport) else HeadReport.load(report)
    if example is None:
        example = may_publish_audio(loaded.provenance.corpus)
    if folder is not None and (example or loaded.example is None):
        return report_folder.read_files(folder)
    published = loaded if example else dataclasses.replace(loaded, example=None)
    with tempfile.TemporaryDirectory() as scratch:
        return report_folder.read_files(published.save(Path(scratch) / "report", pictures=pictures))
