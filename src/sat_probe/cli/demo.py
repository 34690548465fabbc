"""`sat-probe demo`: the head explorer in the browser, on this machine."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson, with_groups
from sat_probe.studies.choices import ModelChoice


@with_groups()
def demo(
    model: ModelChoice,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Offer this model too: a folder, org/name or org/name@revision. Repeatable.",
        ),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report",
            "-r",
            metavar="DIR|OWNER/NAME",
            help="A saved report, or one on the Hub, to browse and compare. Repeatable.",
        ),
    ] = None,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", min=1, help="Longest recording that is analysed.")
    ] = 20.0,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on.", show_default="this machine alone"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "-p", min=1, max=65535, help="Port to listen on.", show_default="the first free one from 7860"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """See, hear and switch off the heads of a speech model, in the browser, until Ctrl-C.

    Starts with MODEL, and offers the bundled model and those of the presets too. Nothing is sent anywhere. Needs an
    extra: pip install -c constraints.txt '.\\[demo]' in a checkout.

    sat-probe demo

    sat-probe demo facebook/hubert-base-ls960 --report sat-probe-report
    """
    from sat_probe.demo import require_gradio

    require_gradio()
    from sat_probe.demo.app import serve
    from sat_probe.demo.settings import DemoSettings, named_models, preset_models
    from sat_probe.reports.head_report import HeadReport

    for source in report or ():
        if Path(source).exists() or source.startswith((".", "~")) or source.partition(":")[0].count("/") != 1:
            HeadReport.load(source)  # raises now, not when a visitor chooses it
    first = {} if model.is_bundled else {model.name: model}
    more = {**preset_models(), **named_models(models or ())}
    where = {name: getattr(model, name) for name in ("allow_pickle", "device", "dtype") if getattr(model, name)}
    offered = first | {label: replace(one, **where) for label, one in more.items() if label not in first}
    settings = DemoSettings(offered, tuple(report or ()), max_seconds)
    app = serve(settings, host=host, port=port, block=False, quiet=True)
    typer.echo(json.dumps({"url": app.local_url}) if as_json else f"Open {app.local_url} (Ctrl-C stops)")
    try:
        threading.Event().wait()
    finally:
        app.close(verbose=False)
