"""`sat-probe demo`: the head explorer in the browser, on this machine."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Annotated

import typer


def demo(
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report",
            "-r",
            metavar="DIR|OWNER/NAME",
            help="A saved report, or one on the Hub, to browse and compare; give it several times for more.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Offer this model too (a folder, or org/name on the Hub); give it several times for more.",
            show_default=False,
        ),
    ] = None,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", min=1, help="Longest recording that is analysed.")
    ] = 20.0,
    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="ADDRESS", help="Address to listen on.", show_default="this machine alone"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            min=1,
            max=65535,
            help="Port to listen on.",
            show_default="the first free one from 7860 on",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """See, hear and switch off the heads of a speech model, in the browser, until Ctrl-C.

    Needs pip install 'sat-probe\\[demo]'. Starts with the bundled model; nothing is sent anywhere.

    sat-probe demo

    sat-probe demo --report sat-probe-report --model facebook/hubert-base-ls960
    """
    from sat_probe.demo import require_gradio

    require_gradio()
    from sat_probe.demo.app import serve
    from sat_probe.demo.settings import DemoSettings, named_models, preset_models
    from sat_probe.reports.head_report import HeadReport

    for source in report or ():
        if Path(source).exists() or source.startswith((".", "~")) or source.partition(":")[0].count("/") != 1:
            HeadReport.load(source)  # a folder that is none is told now, not to the visitor who chooses it
    models = preset_models()
    models |= named_models(name for name in model or () if name not in models)
    settings = DemoSettings(models, tuple(report or ()), max_seconds)
    app = serve(settings, host=host, port=port, block=False, quiet=True)
    typer.echo(json.dumps({"url": app.local_url}) if as_json else f"Open {app.local_url} (Ctrl-C stops)")
    try:
        threading.Event().wait()
    finally:
        app.close(verbose=False)
