"""State of one visitor. It is kept in the visitor's Gradio session only, and forgotten with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sat_probe.demo.browse.published import bundled_report
from sat_probe.demo.clips import Clip, bundled_clip
from sat_probe.demo.settings import BUNDLED_LABEL
from sat_probe.errors import ConfigurationError
from sat_probe.reports.report_data import ReportData
from sat_probe.studies.choices import ModelChoice

Categories = tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor's recording, the model that it was analyzed with, and the chosen head; replaced, never changed.

    Before the first analysis it stands for the bundled report: its example and the bundled model.

    Attributes:
        clip: the recording; None before the first analysis.
        label: label of the model.
        model: the model.
        sent: paths of the uploads that the clip was read from, (recording, alignment); the files are deleted. An
            alignment that was refused is not among them.
        head: (layer, head) whose boundaries are shown; None before one is chosen.
        analyzed_heads: see `categories`; None before the first analysis.
        limited_span: frames that the model's attention reaches at most; None for any number.
    """

    clip: Clip | None = None
    label: str = BUNDLED_LABEL
    model: ModelChoice = field(default_factory=ModelChoice)
    sent: tuple[str | None, str | None] = (None, None)
    head: tuple[int, int] | None = None
    analyzed_heads: Categories | None = None
    limited_span: int | None = None

    @property
    def shown_clip(self) -> Clip:
        """The recording; before the first analysis the example of the bundled report."""
        if self.clip is not None:
            return self.clip
        example = bundled_report().example
        assert example is not None
        return bundled_clip(example.id)

    @property
    def categories(self) -> Categories:
        """Category of every head of the intact model, by layer; None for heads that were removed."""
        return self.analyzed_heads or categories_of(bundled_report())

    @property
    def refinement(self) -> str:
        """Sentences on heads that were removed from the model and on a limit of its span; empty for an intact one."""
        heads = [category for layer in self.categories for category in layer]
        sentences = ""
        if removed := heads.count(None):
            sentences += f"{removed} of {len(heads)} heads were removed from this model. "
        if self.limited_span is not None:
            sentences += f"Its attention reaches ± {self.limited_span} frames; maps and metrics ignore this limit. "
        return sentences

    def check_head(self, layer: int, head: int) -> None:
        """Raise a ConfigurationError if the model does not have this head, or it was removed."""
        if not (0 <= layer < len(self.categories) and 0 <= head < len(self.categories[layer])):
            raise ConfigurationError(f"{self.label} has no head {head} in layer {layer}")
        if self.categories[layer][head] is None:
            raise ConfigurationError(f"head {head} of layer {layer} was removed from {self.label}")


def categories_of(report: ReportData) -> Categories:
    """Return the category of every head of the intact model, by layer; None for heads that were removed."""
    layers, count = report.shape
    rows: list[list[str | None]] = [[None] * count for _ in range(layers)]
    columns = (report.heads[name] for name in ("layer", "head", "category"))
    for layer, head, category in zip(*columns, strict=True):
        rows[layer][head] = str(category)
    return tuple(map(tuple, rows))
