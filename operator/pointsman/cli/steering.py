"""The commands that show and steer rollouts in a cluster, and their options, which are kubectl's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pointsman.cli.outputs import Shown
from pointsman.cli.place import Place

if TYPE_CHECKING:
    from pointsman.cli.asking import Verb

_CLUSTER: Final = "Which cluster"
_WAITING: Final = "Waiting"


def _names(asked: typer.Context, incomplete: str) -> list[str]:
    """The ModelDeployments that begin so: what a shell offers."""
    from pointsman.cli import showing  # noqa: PLC0415  only what a command needs is loaded

    given = {key: asked.params.get(key) or "" for key in ("kubeconfig", "context", "namespace")}
    return showing.names(Place(**given), incomplete)


Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The ModelDeployment.", show_default=False, autocompletion=_names),
]
Namespace = Annotated[
    str,
    typer.Option(
        "--namespace", "-n", help="The namespace; by default the kubeconfig context's.", rich_help_panel=_CLUSTER
    ),
]
Context = Annotated[
    str,
    typer.Option("--context", help="The kubeconfig's context; by default the current one.", rich_help_panel=_CLUSTER),
]
Kubeconfig = Annotated[
    str,
    typer.Option(
        "--kubeconfig", help="The kubeconfig; by default KUBECONFIG or ~/.kube/config.", rich_help_panel=_CLUSTER
    ),
]
As = Annotated[Shown, typer.Option("--output", "-o", help="text for people; json or yaml for programs.")]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait/--no-wait", help="Wait until the operator has acted, and say what happened.", rich_help_panel=_WAITING
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, max=86_400, help="Wait at most so many seconds.", rich_help_panel=_WAITING)
]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=_codes("it was shown"))(get)
    app.command(epilog=_codes("it was shown"))(status)
    app.command(epilog=_codes("it was shown"))(explain)
    app.command(epilog=_codes("it was shown"))(history)
    app.command(epilog=_codes("there is no mistake", "there is one"))(lint)
    for verb, said in _VERBS.items():
        app.command(
            name=verb,
            help=said,
            epilog=_codes("it was done", f"there is nothing to {verb}, or the operator did not act in time"),
        )(_action(verb))


def get(
    *,
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.", rich_help_panel=_CLUSTER)
    ] = False,
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    output: As = Shown.TEXT,
) -> None:
    """All rollouts, one line each."""
    from pointsman.cli import faults, showing  # noqa: PLC0415  only what a command needs is loaded

    with faults.told():
        showing.get(
            Place(kubeconfig=kubeconfig, context=context, namespace=namespace), everywhere=everywhere, shown=output
        )


def status(
    name: Name,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, and show every change, until interrupted.")
    ] = False,
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    output: As = Shown.TEXT,
) -> None:
    """One rollout: arms, pods, percentage, step, gates with counts, interval and what is still needed."""
    from pointsman.cli import faults, showing  # noqa: PLC0415  as above

    place = Place(kubeconfig=kubeconfig, context=context, namespace=namespace)
    with faults.told():
        (showing.watch if watch else showing.status)(place, name, shown=output, program=_program())


def explain(
    name: Name,
    *,
    revision: Annotated[
        str,
        typer.Option(metavar="REVISION", help="A ModelRevision; by default what runs, or else what ended last."),
    ] = "",
    revision_label: Annotated[
        str,
        typer.Option(
            envvar="POINTSMAN_REVISION_LABEL",
            help="What the scrape calls the pods' label pointsman.dev/revision, as the operator was told.",
        ),
    ] = "pointsman_dev_revision",
    gateway_metrics: Annotated[
        str,
        typer.Option(
            envvar="POINTSMAN_GATEWAY_METRICS",
            help="How the gateway's metrics separate the arms, as the operator was told, such as envoy-gateway.",
        ),
    ] = "",
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    output: As = Shown.TEXT,
) -> None:
    """The whole story of a decision: policy, counts, evidence, Events, and the PromQL to check it by hand."""
    from pointsman.cli import faults, showing  # noqa: PLC0415  as above
    from pointsman.signals.queries import Labels  # noqa: PLC0415

    metrics = showing.Metrics(labels=Labels(revision=revision_label), gateway=gateway_metrics or None)
    with faults.told():
        showing.explain(
            Place(kubeconfig=kubeconfig, context=context, namespace=namespace),
            name,
            revision=revision,
            metrics=metrics,
            shown=output,
        )


def history(
    name: Name,
    *,
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    output: As = Shown.TEXT,
) -> None:
    """How the attempts of a model ended, the newest first."""
    from pointsman.cli import faults, showing  # noqa: PLC0415  as above

    with faults.told():
        showing.history(Place(kubeconfig=kubeconfig, context=context, namespace=namespace), name, shown=output)


def lint(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="Manifests, folders of manifests, or - for standard input.", show_default=False
        ),
    ],
    *,
    server: Annotated[
        bool,
        typer.Option(
            "--server",
            help="Ask a cluster, too: what is there, and what it says to a dry run.",
            rich_help_panel=_CLUSTER,
        ),
    ] = False,
    gateway_metrics: Annotated[
        str,
        typer.Option(
            envvar="POINTSMAN_GATEWAY_METRICS",
            help="With --server: how the gateway's metrics separate the arms, as the operator was told.",
            rich_help_panel=_CLUSTER,
        ),
    ] = "",
    namespace: Namespace = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    output: As = Shown.TEXT,
) -> None:
    """What the API server and the operator would say of manifests, each mistake with its line, without applying them."""
    from pointsman.cli import faults, linting  # noqa: PLC0415  as above

    with faults.told():
        if server:
            from pointsman.cli import rehearsing  # noqa: PLC0415  as above

            place = Place(kubeconfig=kubeconfig, context=context, namespace=namespace)
            found = rehearsing.online(files, place, gateway_metrics=gateway_metrics)
        else:
            found = linting.offline(files, namespace=namespace)
        status = linting.say(found, output)
    raise typer.Exit(status)


_VERBS: Final[Mapping[Verb, str]] = {
    "promote": "Leave out the steps and open verdicts that remain; never harm, readiness or capacity.",
    "abort": "Take the traffic back to the stable version; after a promotion, to the previous one while it is kept.",
    "approve": "Say yes to the approval that the rollout waits for.",
    "pause": "Let steps and deadline stand still; looks, harm and abort go on.",
    "resume": "Let steps and deadline go on.",
    "retry": "Try a version again that was rolled back or aborted.",
}


def _action(verb: Verb) -> Callable[..., None]:
    def action(
        name: Name,
        *,
        wait: Wait = True,
        timeout: Timeout = 60,
        namespace: Namespace = "",
        context: Context = "",
        kubeconfig: Kubeconfig = "",
    ) -> None:
        from pointsman.cli import acting, faults  # noqa: PLC0415  as above

        with faults.told():
            acting.act(
                Place(kubeconfig=kubeconfig, context=context, namespace=namespace),
                name,
                verb,
                acting.Patience(seconds=timeout if wait else 0),
            )

    return action


def _codes(done: str, not_now: str = "") -> str:
    said = f"1 {not_now}; " if not_now else ""
    return (
        f"Exit codes: 0 {done}; {said}2 an option cannot be used; 3 the cluster cannot be reached, refuses, or has no"
        " Pointsman; 4 there is no such object."
    )


def _program() -> str:
    """How the person called us."""
    return Path(sys.argv[0]).name.replace("kubectl-pointsman", "kubectl pointsman").replace("__main__.py", "pointsman")
