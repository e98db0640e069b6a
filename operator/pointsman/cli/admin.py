"""`pointsman admin`: what the Helm chart runs beside the operator; people need not know of it."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(name="admin", help="What the Helm chart runs beside the operator.", no_args_is_help=True, hidden=True)


def _option(name: str, text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(f"--{name}", help=text)
    return option


@app.command("apply-crds")
def apply_crds(
    *,
    kubeconfig: Annotated[
        str, _option("kubeconfig", "A kubeconfig; by default KUBECONFIG or the pod's service account.")
    ] = "",
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until it gives up.")] = 60.0,
) -> None:
    """Server-side apply the CRDs of this version, and wait until the API server serves them.

    Exit codes: 0 they are served; 1 they are not.
    """
    from pointsman.cli import administering  # noqa: PLC0415  only what a command needs is loaded

    raise typer.Exit(administering.apply_crds(kubeconfig or None, timeout))


@app.command()
def check(
    *,
    operator: Annotated[str, _option("operator", "The URL of the operator's probes.")] = "",
    kubeconfig: Annotated[
        str, _option("kubeconfig", "A kubeconfig; by default KUBECONFIG or the pod's service account.")
    ] = "",
    prometheus_url: Annotated[str, _option("prometheus-url", "As the operator's.")] = "",
    prometheus_token_file: Annotated[str, _option("prometheus-token-file", "As the operator's.")] = "",
    prometheus_headers_folder: Annotated[str, _option("prometheus-headers-folder", "As the operator's.")] = "",
    prometheus_ca_file: Annotated[str, _option("prometheus-ca-file", "As the operator's.")] = "",
) -> None:
    """Say whether an installation can work: the operator is ready, the kinds are served, Prometheus answers.

    Exit codes: 0 it can; 1 it cannot.
    """
    from pointsman.cli import administering  # noqa: PLC0415  as above
    from pointsman.prometheus.credentials import Credentials  # noqa: PLC0415

    credentials = Credentials.named(
        token_file=prometheus_token_file, headers_folder=prometheus_headers_folder, ca_file=prometheus_ca_file
    )
    request = administering.Request(
        kubeconfig=kubeconfig or None, operator=operator, prometheus_url=prometheus_url, credentials=credentials
    )
    raise typer.Exit(administering.check(request))
