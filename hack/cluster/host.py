"""Everything that a cluster with a node changes on the host, each change beside what takes it back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster.console import wait_for
from hack.cluster.problem import SetupError
from hack.cluster.processes import kill
from hack.cluster.shell import run, works

if TYPE_CHECKING:
    from hack.cluster.layout import Layout, Network

# What kubelet writes, whether asked to or not (k8s.io/kubernetes/pkg/kubelet/cm/container_manager_linux.go).
SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
# What the CNI library remembers of each pod, in a folder that nobody can choose.
CNI_RESULTS = Path("/var/lib/cni/results")
# Folders that kubelet and the CNI library make wherever their own folders are.
FOREIGN_FOLDERS = ("/var/lib/kubelet", "/var/log/containers", str(CNI_RESULTS.parent))
CGROUPS = Path("/sys/fs/cgroup")
PROC_SYS = Path("/proc/sys")
MOUNTS = Path("/proc/mounts")


def remember(layout: Layout) -> None:
    """Write down how the host is, before anything changes it."""
    before = {
        "sysctls": {name: (PROC_SYS / name).read_text().strip() for name in SYSCTLS if (PROC_SYS / name).exists()},
        "absent": [folder for folder in FOREIGN_FOLDERS if not Path(folder).exists()],
    }
    _memory(layout).write_text(json.dumps(before))


def change(layout: Layout, network: Network) -> None:
    """Make the network namespace with its link and routes, and the control group."""
    _make_network(layout, network)
    for controller in _controllers():
        (controller / layout.cgroup).mkdir(exist_ok=True)


def owner(link: str) -> Path | None:
    """The folder of the cluster that made a link; None: there is no such link."""
    if not works("ip", "link", "show", link):
        return None
    (found,) = json.loads(run("ip", "-json", "link", "show", link))
    return Path(found["ifalias"]) if "ifalias" in found else None


def restore(layout: Layout) -> None:
    """Take back whatever of it has happened; the cluster's own processes have ended before."""
    kill_pods(layout)
    if layout.network:
        _remove_link(layout, layout.network.link)
    unmount(layout.run)
    _remove_cgroups(layout)
    _forget_pods(layout)
    if not _memory(layout).exists():
        return
    before = json.loads(_memory(layout).read_text())
    for name, value in before["sysctls"].items():
        (PROC_SYS / name).write_text(value)
    for folder in before["absent"]:
        _remove_tree(Path(folder))


def _remove_link(layout: Layout, link: str) -> None:
    """Remove the link, and with it its other end and the routes through it.

    A network namespace that nobody holds any more takes its link along, some time later: then there is nothing to delete
    any more, or there soon will be.
    """

    def gone() -> bool:
        return works("ip", "link", "del", link) or not works("ip", "link", "show", link)

    wait_for(f"The removal of {link}", gone, seconds=30, logs=layout.logs)


def kill_pods(layout: Layout) -> None:
    """Kill every process of every pod: nothing but their control group knows them once containerd is gone."""
    for controller in _controllers():
        for members in (controller / layout.cgroup).rglob("cgroup.procs"):
            kill(int(pid) for pid in members.read_text().split() if int(pid))


def unmount(below: Path) -> None:
    """Unmount everything at or below a folder, the last mounted first."""
    targets = [line.split()[1] for line in MOUNTS.read_text().splitlines()]
    for target in reversed(targets):
        if Path(target).is_relative_to(below):
            works("umount", "--lazy", target)
    left = [line.split()[1] for line in MOUNTS.read_text().splitlines() if Path(line.split()[1]).is_relative_to(below)]
    if left:
        raise SetupError(f"Could not unmount {', '.join(left[:5])}: see what uses it with `fuser -vm`, then try again.")


def _make_network(layout: Layout, network: Network) -> None:
    layout.netns.touch()
    run("unshare", f"--net={layout.netns}", "true")  # a namespace that lives as long as it is mounted on this file
    run("ip", "link", "add", network.link, "type", "veth", "peer", "name", "eth0", "netns", layout.netns)
    run("ip", "link", "set", network.link, "alias", layout.run)  # whoever finds it later knows where it came from
    inside = ("nsenter", f"--net={layout.netns}")
    prefix = 30  # two addresses: the host's and the node's
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "addr", "add", f"{network.node}/{prefix}", "dev", "eth0")
    run(*inside, "ip", "link", "set", "eth0", "up")
    # Only so that a packet to a service without pods gets as far as kube-proxy's refusal: the others never use it.
    run(*inside, "ip", "route", "add", str(layout.services), "via", str(network.host), "dev", "eth0")
    run(*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    run("ip", "addr", "add", f"{network.host}/{prefix}", "dev", network.link)
    run("ip", "link", "set", network.link, "up")
    for reached in (network.pods, layout.services):
        run("ip", "route", "add", str(reached), "via", str(network.node), "dev", network.link)


def _controllers() -> list[Path]:
    """The roots of the control group hierarchies: one of version 2, or one for each controller of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted(folder for folder in CGROUPS.iterdir() if folder.is_dir() and (folder / "cgroup.procs").exists())


def _remove_cgroups(layout: Layout) -> None:
    end = time.monotonic() + 10  # a control group stays busy until its last process has been collected
    for controller in _controllers():
        root = controller / layout.cgroup
        for folder in sorted((root, *root.rglob("*/")), key=lambda path: len(path.parts), reverse=True):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)


def _forget_pods(layout: Layout) -> None:
    for result in CNI_RESULTS.glob("*"):
        if str(layout.run) in result.read_text():  # in the path of the pod's network namespace
            result.unlink()


def _remove_tree(folder: Path) -> None:
    if not folder.exists():
        return
    unmount(folder)
    run("rm", "-rf", "--one-file-system", folder)


def _memory(layout: Layout) -> Path:
    return layout.run / "host.json"
