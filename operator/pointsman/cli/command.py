"""The command line: what can be asked of Pointsman, and with which options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from pointsman import __version__
from pointsman.cli.outputs import Extent, Output

app = typer.Typer(
    name="pointsman",
    help="Moves traffic to a new model only when there is proof that it is no worse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:  # noqa: FBT001  typer calls it so
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def pointsman(
    *,
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Moves traffic to a new model only when there is proof that it is no worse."""


def _option(name: str, text: str) -> typer.models.OptionInfo:
    """An option that is also an environment variable: `--probes-port` is `POINTSMAN_PROBES_PORT`."""
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}", envvar="POINTSMAN_" + name.upper().replace("-", "_"), help=text
    )
    return option


@app.command()
def operator(  # one option each
    *,
    kubeconfig: Annotated[
        Optional[str],  # noqa: UP045  typer reads the annotation
        _option("kubeconfig", "A kubeconfig; by default KUBECONFIG or the pod's service account."),
    ] = None,
    namespaces: Annotated[
        str,
        _option("namespaces", "Serve these namespaces only, separated by commas; those of their Gateways included."),
    ] = "",
    prometheus_url: Annotated[
        str, _option("prometheus-url", "Where the models' metrics are, such as http://prometheus:9090.")
    ] = "",
    storage_initializer: Annotated[
        Optional[str],  # noqa: UP045  as above
        _option("storage-initializer", "The image that fetches models (`<uri> <directory>`); by default KServe's."),
    ] = None,
    gateway_metrics: Annotated[
        str, _option("gateway-metrics", "How the gateway's metrics separate the arms, such as envoy-gateway.")
    ] = "",
    deployment_label: Annotated[
        str, _option("deployment-label", "What the scrape calls the pods' label pointsman.dev/deployment.")
    ] = "pointsman_dev_deployment",
    revision_label: Annotated[
        str, _option("revision-label", "What the scrape calls the pods' label pointsman.dev/revision.")
    ] = "pointsman_dev_revision",
    lease_namespace: Annotated[
        str, _option("lease-namespace", "Where the Lease is that decides which operator leads; by default its own.")
    ] = "",
    lease_name: Annotated[str, _option("lease-name", "The Lease's name.")] = "pointsman",
    probes_port: Annotated[int, _option("probes-port", "Port of /healthz, /readyz and /metrics.")] = 8080,
    workers: Annotated[int, _option("workers", "How many ModelDeployments are worked on at a time.")] = 8,
    log_level: Annotated[str, _option("log-level", "debug, info, warning or error.")] = "info",
) -> None:
    """Run the operator until it is told to stop."""
    from pointsman.cluster.connection import own_namespace  # noqa: PLC0415  the clients take half a second: not for --help
    from pointsman.controller import process  # noqa: PLC0415
    from pointsman.controller.settings import STORAGE_INITIALIZER, Settings  # noqa: PLC0415
    from pointsman.rollout import decision  # noqa: PLC0415

    settings = Settings(
        kubeconfig=kubeconfig,
        namespaces=tuple(name.strip() for name in namespaces.split(",") if name.strip()),
        prometheus_url=prometheus_url or None,
        storage_initializer=storage_initializer or STORAGE_INITIALIZER,
        gateway_metrics=gateway_metrics or None,
        deployment_label=deployment_label,
        revision_label=revision_label,
        lease_namespace=lease_namespace or own_namespace(),
        lease_name=lease_name,
        probes_port=probes_port,
        workers=workers,
        log_level=log_level,
    )
    raise typer.Exit(process.main(settings, decision))


POLICY = typer.Argument(
    metavar="POLICY", help="A file with a RolloutPolicy, or a ModelDeployment with its `rollout`; - for standard input."
)


@app.command()
def replay(
    policy: Annotated[str, POLICY],
    counts: Annotated[
        str,
        typer.Argument(
            metavar="COUNTS.csv", help="Cumulative counters, `time,arm,pod,gate,le,value`; - for standard input."
        ),
    ],
    *,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="text: a line a look for people; json: a JSON line a look.")
    ] = Output.TEXT,
    extent: Annotated[
        Extent,
        typer.Option(
            "--looks",
            help="decision: every look up to the decision; all: go on to the end of the recording;"
            " changes: only looks at which a verdict, the step or the decision is another.",
        ),
    ] = Extent.DECISION,
    everything: Annotated[bool, typer.Option("--all", help="The same as --looks all.")] = False,
) -> None:
    """What a policy decides over recorded counters, look by look, by the code that runs in the cluster.

    The rollout begins at the first time at which the candidate has a row; rows of stable before it are its history. Every later
    time is a look. Exit codes: 0 the recording was replayed, whatever was decided; 2 the policy or the counters cannot be used.
    """
    from pointsman.cli import faults, replaying  # noqa: PLC0415  only what a command needs is loaded

    with faults.told():
        replaying.run(policy, counts, output=output, extent=Extent.ALL if everything else extent)
