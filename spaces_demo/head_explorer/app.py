"""The head explorer as a Space. Its limits are below; variables of the Space with the same names override them."""

from __future__ import annotations

import os

from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings, named_models, preset_models

MODELS = os.environ.get("MODELS", "")  # models in addition to the presets: "org/name@commit org/other@commit"
REPORTS = os.environ.get("REPORTS", "")  # datasets of reports on the Hub: "owner/name owner/other:model"
MAX_SECONDS = float(os.environ.get("MAX_SECONDS", "20"))
MAX_MEGABYTES = float(os.environ.get("MAX_MEGABYTES", "16"))
CONCURRENCY = int(os.environ.get("CONCURRENCY", "2"))


def settings() -> DemoSettings:
    """Return the settings of this Space."""
    return DemoSettings(
        models=preset_models() | named_models(MODELS.split()),
        reports=tuple(REPORTS.split()),
        max_seconds=MAX_SECONDS,
        max_upload_bytes=int(MAX_MEGABYTES * 2**20),
        concurrency=CONCURRENCY,
    )


if __name__ == "__main__":
    serve(settings())
