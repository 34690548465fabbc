"""Printable rows of the table of families."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

from transformers import CONFIG_MAPPING

from sat_probe.errors import ModelError
from sat_probe.models.families.family import Family, always, group_norm_over_time
from sat_probe.models.families.table import FAMILIES


def family_rows() -> list[dict[str, Any]]:
    """Return one row per family, for its default configuration.

    ``frame_hop_ms`` and ``first_centre_ms`` are None if positions are not frames in time, or if the feature extractor
    needs a package that is not installed.
    """
    return [_row(family) for family in FAMILIES.values()]


def _row(family: Family) -> dict[str, Any]:
    config = CONFIG_MAPPING[family.model_type]()
    hop: float | None = None
    first: float | None = None
    with contextlib.suppress(ModelError, ImportError):
        with warnings.catch_warnings():
            # default extractors have more mel bins than their short windows can fill
            warnings.simplefilter("ignore")
            extractor = family.feature_extractor(config)
        grid = family.grid(config, extractor)
        hop, first = 1000 * grid.hop_seconds, 1000 * grid.first_centre / grid.sampling_rate
    return {
        "model_type": family.model_type,
        "model": family.model,
        "class": f"Probed{family.model}",
        "frame_hop_ms": hop,
        "first_centre_ms": first,
        "stacked_frames": family.stacking(config),
        "batches": _batches(family),
        "limits": family.limits,
    }


def _batches(family: Family) -> str:
    """Return whether padding keeps valid frames exact; if not, utterances run one by one."""
    if family.padding_changes_frames is always:
        return "no"
    return "with layer norm" if family.padding_changes_frames is group_norm_over_time else "yes"
