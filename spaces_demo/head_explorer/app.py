"""The head explorer as a Space. What visitors may do stands here; each line can be set from the Space's variables."""

from __future__ import annotations

import os

from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings, ModelChoice, preset_models

MODELS = os.environ.get("MODELS", "")  # more models than the presets: "org/name@commit org/other@commit"
REPORTS = os.environ.get("REPORTS", "")  # heads datasets on the Hub to browse: "owner/name owner/other:model"
MAX_SECONDS = float(os.environ.get("MAX_SECONDS", "20"))
MAX_MEGABYTES = float(os.environ.get("MAX_MEGABYTES", "16"))
CONCURRENCY = int(os.environ.get("CONCURRENCY", "2"))


def settings() -> DemoSettings:
    """What this Space allows."""
    own = []
    for name in MODELS.split():
        model, _, revision = name.partition("@")
        own.append(ModelChoice(model, model, revision or None))
    return DemoSettings(
        models=preset_models() + tuple(own),
        reports=tuple(REPORTS.split()),
        max_seconds=MAX_SECONDS,
        max_upload_bytes=int(MAX_MEGABYTES * 2**20),
        concurrency=CONCURRENCY,
    )


if __name__ == "__main__":
    serve(settings())
