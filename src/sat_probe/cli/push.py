"""`sat-probe push`: publish a report, or a saved model, on the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson
from sat_probe.errors import ConfigurationError


def push(
    folder: Annotated[Path, typer.Argument(help="A report, or a saved model.", metavar="FOLDER")],
    repo: Annotated[
        str, typer.Argument(help="A dataset repository for reports, else a model repository.", metavar="OWNER/NAME")
    ],
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public", help="Visibility of a new repository.", show_default="the default of its owner"
        ),
    ] = None,
    pull_request: Annotated[
        bool, typer.Option("--pr", help="Open a pull request instead of committing to main.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a report of the same model measured on another corpus.")
    ] = False,
    example: Annotated[
        bool | None,
        typer.Option(
            "--example/--no-example",
            help="Publish the example utterance, which is audio.",
            show_default="if the licence of the corpus allows it",
        ),
    ] = None,
    offer_results: Annotated[
        bool, typer.Option("--offer-results", help="Also offer the results to the model's repository.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a report or a saved model on the Hugging Face Hub, in one commit.

    Reports of many models can share one dataset repository; each push updates its card and its tables. Needs a token:
    [bold]hf auth login[/bold], or HF_TOKEN.

    [bold]Examples[/bold]

    sat-probe push hubert me/heads

    sat-probe push hubert some-lab/heads --pr

    To read it in Python: [bold]HeadReport.from_hub("me/heads", model="org/model")[/bold], or the heads of all models:
    [bold]load_dataset("me/heads", "heads")[/bold]
    """
    if (folder / "config.json").is_file() and not (folder / "report.json").is_file():
        given = {"--offer-results": offer_results, "--replace": replace, "--example": example is not None}
        if wrong := next((name for name, there in given.items() if there), None):
            raise ConfigurationError(f"{folder} holds a model; {wrong} is for reports")
        from sat_probe.models.publishing import push_model_folder

        published = push_model_folder(folder, repo, private=private, create_pr=pull_request)
        if not as_json:
            typer.echo(f"Published: {published.pull_request or published.url}")
        offered = None
    else:
        from sat_probe.reports.head_report import HeadReport, push_report
        from sat_probe.reports.hub import push as hub

        report = HeadReport.load(folder)
        if offer_results:
            hub.check_offer(report)
        if report.example and example is None and not hub.may_publish_audio(report.provenance.corpus):
            typer.echo(
                "The example utterance is not published, because the licence of its audio is unknown (--example).",
                err=True,
            )
        published = push_report(folder, repo, private=private, create_pr=pull_request, replace=replace, example=example)
        if not as_json:  # before the offer, which another repository may refuse
            typer.echo(f"Published: {published.pull_request or published.url}")
        offered = hub.offer_results(report, published) if offer_results else None
    if as_json:
        result = {
            "repository": published.repo_id,
            "commit": published.commit,
            "url": published.url,
            "pull_request": published.pull_request,
            "offered_results": offered.pull_request if offered else None,
        }
        typer.echo(json.dumps(result, indent=2))
    elif offered:
        typer.echo(f"Results offered: {offered.pull_request or offered.url}")
