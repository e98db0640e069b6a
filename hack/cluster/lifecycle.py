"""Brings a cluster up, takes it down without a trace, and says what runs."""

from __future__ import annotations

import fcntl
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.cluster import binaries, controlplane, gatewayapi, machine, pretence, processes
from hack.cluster.console import say, step
from hack.cluster.problem import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.cluster.layout import Layout


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
    expected = (*controlplane.COMPONENTS, *pretence.COMPONENTS)
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
    with _alone(layout):
        now = status(layout)
        if now.whole:
            say(f"{layout.name} is up already: export KUBECONFIG={layout.kubeconfig}")
            return
        if now.complete:
            lost = ", ".join(now.missing) or "the answer of its API server"
            raise SetupError(
                f"{layout.name} was up and has lost {lost}: read {layout.logs}, then take it down and start it again."
            )
        begun = time.monotonic()
        _prepare(layout)
        if layout.run.exists() or not now.nothing:
            say(f"  an earlier start of {layout.name} did not come to its end: cleaning up after it")
            _remove(layout)
        _start(layout)
        say(f"{layout.name} is up after {time.monotonic() - begun:.0f} s: export KUBECONFIG={layout.kubeconfig}")


def down(layout: Layout) -> None:
    """Stop a cluster, whole or half started, and leave the machine as it was; does nothing where there is none."""
    with _alone(layout):
        if status(layout).nothing and not layout.run.exists():
            say(f"{layout.name} is not up: nothing to do")
            return
        if layout.network:
            machine.require_root("Taking down the cluster")
        with step(f"taking {layout.name} down"):
            _remove(layout)


def build(layout: Layout) -> None:
    """Make everything that `up` needs, without starting anything."""
    with _alone(layout):
        _prepare(layout)


def _prepare(layout: Layout) -> None:
    if layout.network:
        machine.require_root("A cluster that runs pods")
        machine.require_programs(machine.NODE_PACKAGES)
        binaries.build(binaries.ALL_TOOLS)
        return
    machine.require_programs(machine.BARE_PACKAGES)
    binaries.build(binaries.BARE_TOOLS)
    pretence.fetch()
    gatewayapi.fetch()


def _start(layout: Layout) -> None:
    if layout.network:
        machine.require_unrouted({"services": layout.services, "pods": layout.network.pods})
    else:
        machine.require_free(layout.address, layout.ports.named())
    layout.run.mkdir(parents=True)
    controlplane.launch(layout)
    gatewayapi.install(layout)
    pretence.launch(layout)
    layout.complete.touch()


def _remove(layout: Layout) -> None:
    processes.kill_all(layout)
    shutil.rmtree(layout.run, ignore_errors=True)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Let one `up` or `down` of a cluster run at a time; another waits for it."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another `up` or `down` of {layout.name} to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
