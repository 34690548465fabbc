"""What one visitor works on. It lives in their session alone and is forgotten with it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sat_probe.demo.clips import Clip, bundled_clip
from sat_probe.demo.explore.page_frame import bundled_report
from sat_probe.demo.settings import DemoSettings, ModelChoice

Categories = tuple[tuple[str, ...], ...]  # per layer, of each head


@dataclass(frozen=True, slots=True)
class Session:
    """One visitor's recording, the model that read it, and what is chosen; replaced, never changed.

    Attributes:
        clip: None before the first analysis, when the bundled report is shown.
        model: that read it; None likewise.
        sent: the uploads that the clip was read from, (recording, alignment), deleted by now: their paths only. An
            alignment that was refused is none of them.
        head: (layer, head) in detail; None before one is chosen.
        own_categories: of the heads on the clip; empty before the first analysis.
    """

    clip: Clip | None = None
    model: ModelChoice | None = None
    sent: tuple[str | None, str | None] = (None, None)
    head: tuple[int, int] | None = None
    own_categories: Categories = ()

    def shown(self, settings: DemoSettings) -> tuple[Clip, ModelChoice]:
        """What is worked on; before the first analysis the example of the bundled report, and the first model."""
        if self.clip is None or self.model is None:
            return bundled_clip(str(bundled_report().examples["id"])), settings.models[0]
        return self.clip, self.model

    @property
    def categories(self) -> Categories:
        """As the grid shows them."""
        return self.own_categories or categories_of(bundled_report().heads)


def categories_of(heads: pd.DataFrame) -> Categories:
    """Per layer, the category of each head."""
    ordered = heads.sort_values(["layer", "head"])
    return tuple(tuple(map(str, layer["category"])) for _, layer in ordered.groupby("layer"))
