"""What the machine must offer before a cluster can start, and what can be installed when it is missing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from hack.cluster.console import step
from hack.cluster.problem import SetupError
from hack.cluster.shell import run

if TYPE_CHECKING:
    from collections.abc import Mapping

GO = (1, 26)
# Debian package of each program we run; on Ubuntu they have the same names.
BARE_PACKAGES = {"openssl": "openssl"}
NODE_PACKAGES = {
    "openssl": "openssl",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
}


def require_root(why: str) -> None:
    """Refuse to go on without root.

    Raises:
        SetupError: this is another user; says `why` root is needed.
    """
    if os.geteuid() != 0:
        raise SetupError(f"{why} needs root: run this again with sudo, or use CLUSTER=kind where there is Docker.")


def require_go() -> None:
    """Refuse to go on without a Go that can build the cluster.

    Raises:
        SetupError: Go is missing or too old.
    """
    wanted = ".".join(map(str, GO))
    if not shutil.which("go"):
        raise SetupError(
            f"Go {wanted} or newer is needed to build the cluster and there is none on PATH: see go.dev/dl."
        )
    words = run("go", "version")
    found = re.search(r"go(\d+)\.(\d+)\S*", words)
    if found and (int(found[1]), int(found[2])) < GO:
        raise SetupError(f"Go {wanted} or newer is needed to build the cluster; this is {found[0]}: see go.dev/dl.")


def require_disk(folder: Path, *, gigabytes: int) -> None:
    """Refuse to start what would fill the disk.

    Raises:
        SetupError: less than `gigabytes` are free where `folder` is or will be.
    """
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"{gigabytes} GB of free disk are needed in {folder} and {free:.1f} are there: make room, "
            "or set POINTSMAN_CACHE to a folder on another disk."
        )


def require_programs(packages: Mapping[str, str]) -> None:
    """Install the packages whose programs are missing.

    Args:
        packages: Debian package by the program (a name on PATH or an absolute path) that it brings.

    Raises:
        SetupError: something is missing and this is not a machine with apt, or not root.
    """
    missing = sorted({package for program, package in packages.items() if not _there(program)})
    if not missing:
        return
    wanted = " ".join(missing)
    if not shutil.which("apt-get"):
        raise SetupError(f"These packages are needed and there is no apt-get to install them: {wanted}.")
    require_root(f"Installing {wanted}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {wanted}"):
        run("apt-get", "update", "-qq", env=quiet)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=quiet)


def require_free(address: IPv4Address, ports: Mapping[str, int]) -> None:
    """Refuse to start where someone else listens.

    Raises:
        SetupError: a port is taken; says which and what it is for.
    """
    for purpose, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free to us
            try:
                probe.bind((str(address), port))
            except OSError as taken:
                raise SetupError(
                    f"Port {port} on {address}, for {purpose} of the local cluster, is taken by another program ({taken.strerror}): "
                    "stop that one, or set POINTSMAN_BARE_PORT to the first of six free ports."
                ) from taken


def require_unrouted(ranges: Mapping[str, IPv4Network]) -> None:
    """Refuse to take addresses that the host already reaches somewhere.

    Raises:
        SetupError: a route of the host overlaps one of the ranges.
    """
    for line in run("ip", "-4", "route", "show").splitlines():
        target = line.split()[0]
        if not re.match(r"\d", target):
            continue  # `default` and the like lead everywhere and nowhere in particular
        route = IPv4Network(target, strict=False)
        for purpose, wanted in ranges.items():
            if route.overlaps(wanted):
                raise SetupError(
                    f"The local cluster uses {wanted} for {purpose} and this machine has a route to it already "
                    f"({line.strip()}): remove that route, or run the cluster on another machine."
                )


def _there(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).exists()
    # Debian keeps some of them in folders that are not on every user's PATH.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


@dataclass(frozen=True)
class Suite:
    """The release of the machine's distribution, and the parts of it that hold Python."""

    name: str
    components: str


def codename() -> Suite:
    """The release of Debian or Ubuntu that this machine runs, and that images are made of.

    Raises:
        SetupError: it is another distribution.
    """
    facts = platform.freedesktop_os_release()
    components = {"debian": "main", "ubuntu": "main,universe"}
    if facts["ID"] not in components:
        raise SetupError(
            f"The local cluster runs on Debian and Ubuntu; this is {facts['ID']}. Use CLUSTER=kind with Docker."
        )
    return Suite(facts["VERSION_CODENAME"], components[facts["ID"]])
