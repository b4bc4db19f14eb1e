"""`clipomaly review`: the web app over a store."""

from __future__ import annotations

import contextlib

import typer

from clipomaly.review.serve import ReviewOptions, serve

__all__ = ["run_review"]


def run_review(options: ReviewOptions, *, open_browser: bool = False) -> None:
    """Serve until stopped."""

    def ready(address: str) -> None:
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    # The server ends by the signal, or quietly where the shell has it ignored.
    with contextlib.suppress(KeyboardInterrupt):
        serve(options, lambda text: typer.echo(text, err=True), ready)
    typer.echo("stopped; every decision is kept", err=True)
