"""The command line: what can be asked of Pointsman, and with which options."""

from __future__ import annotations

import os
from typing import Annotated, Optional

import typer

from pointsman import __version__
from pointsman.cli import admin, reference, steering
from pointsman.cli.outputs import Extent, Form, Noise, Output

app = typer.Typer(
    name="pointsman",
    help="Moves traffic to a new model only when there is proof that it is no worse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(reference.app)
app.add_typer(admin.app)
steering.add(app)


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


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


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
    prometheus_token_file: Annotated[
        str, _option("prometheus-token-file", "A file with a bearer token for it; read anew for every query.")
    ] = "",
    prometheus_headers_folder: Annotated[
        str,
        _option(
            "prometheus-headers-folder", "A folder with a file for each header to send, named as the header; read anew."
        ),
    ] = "",
    prometheus_ca_file: Annotated[
        str, _option("prometheus-ca-file", "The certificate authorities of its https:// URL, as PEM, if not public.")
    ] = "",
    storage_initializer: Annotated[
        Optional[str],  # noqa: UP045  as above
        _option("storage-initializer", "The image that fetches models (`<uri> <directory>`); by default KServe's."),
    ] = None,
    inspector_image: Annotated[
        str, _option("inspector-image", "The image of inspectors: the operator's own; without it nothing is mirrored.")
    ] = "",
    inspector_pull_secrets: Annotated[
        str,
        _option(
            "inspector-pull-secrets",
            "Secrets that inspectors' image is pulled with, separated by commas: in every namespace with models.",
        ),
    ] = "",
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
    lease_duration: Annotated[
        int, _option("lease-duration", "Seconds without a renewal after which another operator may lead.")
    ] = 15,
    renew_deadline: Annotated[
        float,
        _option("renew-deadline", "Seconds without a renewal after which a leader stops; less than the duration."),
    ] = 10.0,
    retry_period: Annotated[
        float, _option("retry-period", "Seconds between two tries to take the lease, or to renew one in need.")
    ] = 2.0,
    probes_port: Annotated[int, _option("probes-port", "Port of /healthz, /readyz and /metrics.")] = 8080,
    workers: Annotated[int, _option("workers", "How many ModelDeployments are worked on at a time.")] = 16,
    log_level: Annotated[str, _option("log-level", "debug, info, warning or error.")] = "info",
) -> None:
    """Run the operator until it is told to stop."""
    from pointsman.cluster.connection import own_namespace  # noqa: PLC0415  the clients take half a second: not for --help
    from pointsman.controller import process  # noqa: PLC0415
    from pointsman.controller.settings import STORAGE_INITIALIZER, Settings  # noqa: PLC0415
    from pointsman.rollout import decision  # noqa: PLC0415

    settings = Settings(
        kubeconfig=kubeconfig,
        namespaces=_listed(namespaces),
        prometheus_url=prometheus_url or None,
        prometheus_token_file=prometheus_token_file or None,
        prometheus_headers_folder=prometheus_headers_folder or None,
        prometheus_ca_file=prometheus_ca_file or None,
        storage_initializer=storage_initializer or STORAGE_INITIALIZER,
        inspector_image=inspector_image or None,
        inspector_pull_secrets=_listed(inspector_pull_secrets),
        gateway_metrics=gateway_metrics or None,
        deployment_label=deployment_label,
        revision_label=revision_label,
        lease_namespace=lease_namespace or own_namespace(),
        lease_name=lease_name,
        lease_duration=lease_duration,
        renew_deadline=renew_deadline,
        retry_period=retry_period,
        probes_port=probes_port,
        workers=workers,
        log_level=log_level,
    )
    raise typer.Exit(process.main(settings, decision))


@app.command()
def inspector(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port that requests are mirrored to.")] = 8080,
    probes_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of /healthz, /readyz and /metrics.")] = 8081,
    grace: Annotated[float, typer.Option(min=0, help="Seconds to finish what was begun when told to stop.")] = 20.0,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Replay mirrored requests to both versions, compare their answers and count; POINTSMAN_INSPECTOR says how.

    Exit codes: 0 it was told to stop; 1 it could not begin; 2 POINTSMAN_INSPECTOR cannot be used.
    """
    from pointsman.cli import faults, inspecting  # noqa: PLC0415  only what a command needs is loaded
    from pointsman.inspector.process import Settings  # noqa: PLC0415

    with faults.told():
        status = inspecting.run(Settings(port=port, probes_port=probes_port, grace=grace, log_level=log_level))
    raise typer.Exit(status)


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

    The rollout begins where the candidate has its first row; rows of stable before it are its history.

    Exit codes: 0 the recording was replayed, whatever was decided; 2 the policy or the counters cannot be used.
    """
    from pointsman.cli import faults, replaying  # noqa: PLC0415  only what a command needs is loaded

    with faults.told():
        replaying.run(policy, counts, output=output, extent=Extent.ALL if everything else extent)


@app.command()
def simulate(  # one option each
    policy: Annotated[str, POLICY],
    *,
    traffic: Annotated[
        float, typer.Option(min=0.001, max=1e6, help="Requests per second, both versions together.", show_default=False)
    ],
    base_rate: Annotated[float, typer.Option(min=0, max=50, help="Stable's failures, percent of requests.")] = 0.5,
    replicas: Annotated[
        Optional[int],  # noqa: UP045  typer reads the annotation
        typer.Option(min=1, max=1000, help="Pods of the model; by default the ModelDeployment's, or 4."),
    ] = None,
    regression: Annotated[
        Optional[list[str]],  # noqa: UP045  as above
        typer.Option(
            metavar="errors=2x|latency=1.5x|p99=3x",
            help="What the new version does worse, by how much; several with commas between them, and the option once for"
            " each version. By default a few of what the policy measures. An equal version is always simulated.",
        ),
    ] = None,
    begins_after: Annotated[
        str, typer.Option(metavar="DURATION", help="The regression begins so long after the first step, such as 1h.")
    ] = "",
    latency_median: Annotated[str, typer.Option(metavar="DURATION", help="Stable's median latency.")] = "50ms",
    latency_p99: Annotated[str, typer.Option(metavar="DURATION", help="Stable's p99.")] = "200ms",
    buckets: Annotated[
        str,
        typer.Option(
            metavar="SECONDS,...", help="Edges of the latency histogram; by default Prometheus' own, 0.005 to 10."
        ),
    ] = "",
    noise: Annotated[
        Noise,
        typer.Option(
            help="iid: independent requests at a constant rate; realistic: load and failure rate wander, incidents hit both"
            " versions, scrapes come late; clustered: failures come in runs, too; pods: pods differ, too."
        ),
    ] = Noise.REALISTIC,
    runs: Annotated[int, typer.Option(min=20, max=100_000, help="Simulated rollouts of each version.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers: the same seed gives the same figures.")] = 1,
    jobs: Annotated[
        int, typer.Option(min=0, max=64, help="Processes that simulate side by side; 0: one for each core, at most 8.")
    ] = 0,
    output: Annotated[Form, typer.Option("--output", "-o", help="A table for people, or JSON.")] = Form.TABLE,
    png: Annotated[
        Optional[str],  # noqa: UP045  as above
        typer.Option(metavar="FILE", help="Write the plot to this file."),
    ] = None,
    plot: Annotated[bool, typer.Option(help="Draw the plot in the terminal, below the table.")] = True,
) -> None:
    """What a policy would do: chance and time of promotion and rollback, and requests exposed until then.

    No cluster is needed: traffic is simulated, the decisions are made by the code that runs in the cluster.

    Exit codes: 0 it was simulated; 2 the policy or an option cannot be used.
    """
    from pointsman.cli import faults, simulating  # noqa: PLC0415  only what a command needs is loaded

    request = simulating.Request(
        policy=policy,
        traffic=traffic,
        base_rate=base_rate,
        replicas=replicas,
        regressions=tuple(regression or ()),
        begins_after=begins_after,
        latency_median=latency_median,
        latency_p99=latency_p99,
        buckets=buckets,
        noise=noise.value,
        runs=runs,
        seed=seed,
        jobs=jobs or min(os.cpu_count() or 1, 8),
        form=output,
        png=png,
        plot=plot,
    )
    with faults.told():
        simulating.run(request)
