"""Brings a cluster up, takes it down without a trace, and says what runs."""

from __future__ import annotations

import fcntl
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hack.cluster import addons, binaries, controlplane, host, images, machine, node, pretence, processes
from hack.cluster.console import say, step
from hack.cluster.layout import cache
from hack.cluster.problem import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.cluster.layout import Layout, Network


@dataclass(frozen=True)
class Status:
    """What is there of a cluster.

    Attributes:
        complete: `up` came to its end, some time ago.
        answers: the API server says that it is ready, now.
        components: process id of each component, None for one that should run and does not.
    """

    complete: bool
    answers: bool
    components: dict[str, int | None]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.complete and self.answers and not self.missing

    @property
    def missing(self) -> list[str]:
        """Components that should run and do not."""
        return [name for name, pid in self.components.items() if pid is None]

    @property
    def nothing(self) -> bool:
        """Whether there is no trace of the cluster."""
        return not self.complete and not any(self.components.values())


def status(layout: Layout) -> Status:
    """Look at what runs."""
    found = processes.components(layout)
    expected = (*controlplane.COMPONENTS, *(node.COMPONENTS if layout.network else pretence.COMPONENTS))
    return Status(
        complete=layout.complete.exists(),
        answers=bool(found) and controlplane.answers(layout),
        components={name: found.get(name) for name in expected},
    )


def up(layout: Layout) -> None:
    """Start a cluster, building first what is missing; does nothing where it runs already.

    Raises:
        SetupError: the machine lacks something, or the cluster ran and has lost a component since.
    """
    with _alone(layout.lock):
        now = status(layout)
        if now.whole:
            say(f"{layout.name} is up already: export KUBECONFIG={layout.kubeconfig}")
            return
        if now.complete and any(now.components.values()):
            lost = ", ".join(now.missing) or "the answer of its API server"
            raise SetupError(
                f"{layout.name} was up and has lost {lost}: read {layout.logs}, then take it down and start it again."
            )
        begun = time.monotonic()
        _prepare(layout)
        if layout.run.exists() or not now.nothing:
            say(f"  something is left of an earlier {layout.name} that nobody took down: cleaning up after it")
            _remove(layout)
        if layout.network:
            _start_whole(layout, layout.network)
        else:
            _start_bare(layout)
        say(f"{layout.name} is up after {time.monotonic() - begun:.0f} s: export KUBECONFIG={layout.kubeconfig}")


def down(layout: Layout) -> None:
    """Stop a cluster, whole or half started, and leave the machine as it was; does nothing where there is none."""
    with _alone(layout.lock):
        if status(layout).nothing and not layout.run.exists():
            say(f"{layout.name} is not up: nothing to do")
            return
        if layout.network:
            machine.require_root("Taking down the cluster")
        with step(f"taking {layout.name} down"):
            _remove(layout)


def build(layout: Layout) -> None:
    """Make everything that `up` needs, without starting anything."""
    _prepare(layout)


def load(layout: Layout, archive: Path) -> None:
    """Take an image archive into the node.

    Raises:
        SetupError: the cluster is not up.
    """
    if not status(layout).whole:
        raise SetupError(f"{layout.name} is not up: start it with `python -m hack.cluster up`, then load the image.")
    node.load(layout, archive)


def _prepare(layout: Layout) -> None:
    with _alone(cache() / "locks" / "build"):  # both clusters are built from the same sources into the same folders
        _make(layout)


def _make(layout: Layout) -> None:
    if layout.network:
        machine.require_root("A cluster that runs pods")
        machine.require_programs(machine.NODE_PACKAGES)
        binaries.build(binaries.ALL_TOOLS)
        addons.fetch_chart()
        for image in (*images.node_images(), images.adapter(), *images.model_images()):
            images.build(image)
    else:
        machine.require_programs(machine.BARE_PACKAGES)
        binaries.build(binaries.BARE_TOOLS)
        pretence.fetch()
    addons.fetch_gateway_api()


def _start_bare(layout: Layout) -> None:
    machine.require_free(layout.address, layout.ports.named())
    layout.run.mkdir(parents=True)
    controlplane.launch(layout)
    addons.install_gateway_api(layout.kubeconfig)
    pretence.launch(layout)
    layout.complete.touch()


def make_way(layout: Layout, network: Network) -> None:
    """Clean up after a cluster that was started from another folder, if nothing of it runs any more.

    Raises:
        SetupError: it runs; a machine has room for one.
    """
    run = host.owner(network.link)
    if run is None or run == layout.run:
        return
    other = replace(layout, run=run)
    if processes.running(other):
        raise SetupError(
            f"Another {layout.name} runs on this machine, in {run}: take it down with `POINTSMAN_RUN={run.parent} make cluster-down`."
        )
    say(f"  something is left of a {layout.name} in {run} that nobody took down: cleaning up after it")
    _remove(other)


def _start_whole(layout: Layout, network: Network) -> None:
    make_way(layout, network)
    machine.require_unrouted({"services": layout.services, "pods": network.pods})
    layout.run.mkdir(parents=True)
    host.remember(layout)
    with step("network namespace"):
        host.change(layout, network)
    node.launch_runtime(layout, network)
    with ThreadPoolExecutor(max_workers=1) as aside:
        # Models' images are large and nothing waits for them until the end.
        with step("images"):
            for image in images.node_images():
                node.load(layout, image.archive)
        later = [aside.submit(node.load, layout, image.archive) for image in images.model_images()]
        controlplane.launch(layout)
        node.launch(layout)
        addons.install_gateway_api(layout.kubeconfig)
        addons.install_prometheus(layout.kubeconfig)
        addons.install_gateway(layout.kubeconfig)
        with step("images for models"):
            for loading in later:
                loading.result()
    layout.complete.touch()


def _remove(layout: Layout) -> None:
    processes.kill_all(layout)
    if layout.network and layout.run.exists():
        host.restore(layout)
    if layout.run.exists():
        shutil.rmtree(layout.run)
    with suppress(OSError):  # the other cluster is in there
        layout.run.parent.rmdir()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one at a time of those who name a lock go on; another waits for it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start or stop on this machine to end")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
