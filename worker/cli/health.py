"""`classify-worker health`: whether the worker on this machine is alive, for containers."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli.health_request import TIMEOUT, ask
from worker.cli.options import EXIT_FAILED, Config, Overrides
from worker.errors import SettingsError

__all__ = ["health"]


def health(
    ready: Annotated[
        bool,
        typer.Option("--ready", help="Ask /readyz (may it get work?) instead of /livez."),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Time for the answer.")
    ] = TIMEOUT,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Ask the worker that runs on this machine whether it is well: exit code 0, or 1 and why.

    It is asked at http.metrics_port (http.port if unset), on the loopback address if it listens on
    all, and over TLS if it has http.tls.cert_file.

    Example:
        classify-worker health --ready
    """
    # Here, so that `--help` and other commands do not pay for it.
    from worker.settings.sources import load  # noqa: PLC0415

    http = load(config, overrides or ()).settings.http
    if http.probe_port == 0:
        name = "http.port" if http.metrics_port is None else "http.metrics_port"
        raise SettingsError(
            f"{name} is 0, a port that nobody knows beforehand: set one, or name it as in "
            f"classify-worker health --set {name}=8080"
        )
    healthy, reason = ask(
        http.host, http.probe_port, ready=ready, timeout=timeout, secure=http.tls.enabled
    )
    typer.echo(reason, err=not healthy)
    if not healthy:
        raise typer.Exit(EXIT_FAILED)
