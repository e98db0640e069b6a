"""Starts the cluster's processes and finds them again, without trusting a process id that someone else may have got since."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster.console import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hack.cluster.layout import Layout

# Every process of a cluster carries this variable, and so do the ones it starts (containerd's shims). A process is found by
# its environment: nothing has to be written down before a crash, and no reused process id is ever killed.
MARK = "POINTSMAN_PROCESS"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROC = Path("/proc")
LONGEST_DEATH = 10.0  # seconds


@dataclass(frozen=True)
class Process:
    """A running process of a cluster; `name` is the component that `up` started, itself or an ancestor of this one."""

    pid: int
    name: str
    leader: bool


def start(layout: Layout, name: str, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
    """Start a component in the background, in the cluster's network namespace, with its output in `log/<name>.log`."""
    layout.logs.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    if layout.network:
        # nsenter only changes the network; `ip netns exec` would also make a mount namespace, in which containerd
        # would not see the volumes that kubelet mounts.
        words = ["nsenter", f"--net={layout.netns}", *words]
    # In a session of its own, and nobody's child but init's: it outlives this program and leaves no zombie in it.
    words = ["setsid", "--fork", *words]
    with (layout.logs / f"{name}.log").open("ab") as log:
        subprocess.run(
            words,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=layout.run,
            check=True,
            # Nothing of the environment of whoever calls `up` (proxies, ETCD_*, GO*) may change a cluster.
            env={"PATH": SYSTEM_PATH, "HOME": str(layout.run), **(env or {}), MARK: f"{layout.run}:{name}"},
        )


def running(layout: Layout) -> list[Process]:
    """Every process of the cluster, containers excepted."""
    prefix = f"{MARK}={layout.run}:".encode()
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            marks = [word for word in (folder / "environ").read_bytes().split(b"\0") if word.startswith(prefix)]
            state, session = _state_and_session(folder)
        except OSError:  # it ended while we looked, or is not ours to read
            continue
        if marks and state != "Z":
            pid = int(folder.name)
            found.append(Process(pid=pid, name=marks[0][len(prefix) :].decode(), leader=session == pid))
    return sorted(found, key=lambda process: process.pid)


def components(layout: Layout) -> dict[str, int]:
    """Process ids of the components that `up` started, by name."""
    return {process.name: process.pid for process in running(layout) if process.leader}


def kill_all(layout: Layout) -> None:
    """Kill every process of the cluster, again until none is left.

    Without a goodbye: nothing of a cluster outlives `down`, and an API server asked to stop lingers a minute over open
    watches.
    """

    def gone() -> bool:
        left = running(layout)
        kill([process.pid for process in left])
        return not left

    wait_for(f"The end of the processes of {layout.name}", gone, seconds=60, logs=layout.logs)


def kill(pids: Iterable[int]) -> None:
    """Kill processes and wait until they have ended, sockets closed and all: a dying one still holds its ports."""
    with ExitStack() as opened:
        dying = []
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                opened.callback(os.close, descriptor)
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                dying.append(descriptor)
        for descriptor in dying:
            select.select([descriptor], [], [], LONGEST_DEATH)


def _state_and_session(folder: Path) -> tuple[str, int]:
    """Read after the name of the process, which is in brackets and may hold any character."""
    state, _parent, _group, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
    return state, int(session)
