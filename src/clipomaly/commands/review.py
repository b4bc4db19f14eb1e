"""`clipomaly review`: the web app over a store."""

from __future__ import annotations

import typer

from clipomaly.errors import MissingExtra
from clipomaly.review.serve import ReviewOptions, serve

__all__ = ["run_review"]


def run_review(options: ReviewOptions, *, open_browser: bool = False) -> None:
    """Serve until stopped."""

    def ready(address: str) -> None:
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(options, lambda text: typer.echo(text, err=True), ready)
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "review", "the review app") from error
    except KeyboardInterrupt:
        typer.echo("stopped; every decision is kept", err=True)
