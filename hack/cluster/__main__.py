"""The command line: `python -m hack.cluster up|down|status|build|env|build-image|load-image`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hack.cluster import addons, binaries, containerfile, images, kind, layout, lifecycle
from hack.cluster.console import say, step
from hack.cluster.problem import SetupError

app = typer.Typer(
    help="A real Kubernetes cluster on this machine, built from source.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Bare = Annotated[bool, typer.Option("--bare", help="The API server and controllers only, with pretended nodes.")]

Archive = Annotated[Path, typer.Argument(exists=True, dir_okay=False, resolve_path=True)]
Reference = Annotated[str, typer.Argument(help="Name and tag, such as pointsman.local/operator:dev.")]
File = Annotated[Path, typer.Argument(metavar="CONTAINERFILE", exists=True, dir_okay=False, resolve_path=True)]
Context = Annotated[Path, typer.Argument(exists=True, file_okay=False, resolve_path=True)]

InKind = Annotated[bool, typer.Option("--kind", help="In kind, where there is Docker, instead of from source.")]


def chosen(*, bare: bool) -> layout.Layout:
    """The cluster that `--bare` or its absence names."""
    return layout.bare() if bare else layout.whole()


@app.command()
def up(*, bare: Bare = False, in_kind: InKind = False) -> None:
    """Start a cluster, building first what is missing. Does nothing where it runs already."""
    if in_kind:
        kind.up()
    else:
        lifecycle.up(chosen(bare=bare))


@app.command()
def down(*, bare: Bare = False, in_kind: InKind = False) -> None:
    """Stop a cluster, whole or half started, and leave the machine as it was."""
    if in_kind:
        kind.down()
    else:
        lifecycle.down(chosen(bare=bare))


@app.command()
def build(*, bare: Bare = False) -> None:
    """Build binaries and images without starting anything."""
    lifecycle.build(chosen(bare=bare))


@app.command()
def env(*, bare: Bare = False, in_kind: InKind = False) -> None:
    """Print how to reach a running cluster, for `eval "$(python -m hack.cluster env)"`.

    KUBECONFIG, a PATH with kubectl and helm, and, but for the bare one, GATEWAY_URL and PROMETHEUS_URL.
    """
    found = {"KUBECONFIG": str(kind.kubeconfig() if in_kind else chosen(bare=bare).kubeconfig)}
    if in_kind:
        found |= kind.addresses()
    elif not bare:
        found |= addons.addresses(layout.whole().kubeconfig)
    found["PATH"] = ":".join([*map(str, binaries.client_folders()), "$PATH"])
    for name, value in found.items():
        print(f'export {name}="{value}"')


@app.command()
def load_image(archive: Archive, *, in_kind: InKind = False) -> None:
    """Take an image archive, OCI or docker-archive, into the node of the running cluster."""
    if in_kind:
        kind.load(archive)
    else:
        with step(f"loading {archive.name}"):
            lifecycle.load(layout.whole(), archive)


@app.command()
def build_image(reference: Reference, file: File, context: Context) -> None:
    """Build an image on Debian with Python, given to the Containerfile as its argument BASE, and print the archive's path."""
    recipe = containerfile.Recipe(reference, file, context)
    print(containerfile.build(recipe, base=images.build(images.python_base())))


@app.command()
def status() -> None:
    """Say what runs."""
    for it in (layout.bare(), layout.whole()):
        name, state = it.name, lifecycle.status(it)
        if state.nothing:
            print(f"{name}: not up")
            continue
        print(f"{name}: {'up' if state.whole else 'broken'}  KUBECONFIG={it.kubeconfig}  {it.api}")
        for component, pid in state.components.items():
            print(f"  {component:<24}{pid or 'NOT RUNNING'}")


def main() -> None:
    """Run the command line; what only the person can change is one sentence and code 2."""
    try:
        app()
    except SetupError as problem:
        say(str(problem))
        sys.exit(2)


if __name__ == "__main__":
    main()
