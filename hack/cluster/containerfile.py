"""Builds an image from a Containerfile with buildah, without a daemon, into an archive that any cluster can load."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.layout import cache
from hack.cluster.shell import run

# A certificate authority or an index of the machine's own is needed to install packages in the build, where the
# machine has one; nothing of it stays in the image.
HOST_SETTINGS = {
    "/etc/ssl/certs": ("/etc/ssl/certs",),
    "/etc/pip.conf": ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf"),
}


@dataclass(frozen=True)
class Recipe:
    """What to build: the name of the image, its Containerfile, and the folder that the Containerfile copies from."""

    reference: str
    containerfile: Path
    context: Path


def build(recipe: Recipe, *, base: Path) -> Path:
    """Build an image whose Containerfile begins with `ARG BASE` and `FROM ${BASE}`.

    Unchanged steps come from buildah's own cache, and an unchanged image is not written again.

    Args:
        recipe: what to build.
        base: the archive of the base image.

    Returns:
        The image's archive, under its content's own name in the cache.
    """
    with tempfile.NamedTemporaryFile(mode="r") as identity:
        run(
            *_buildah(),
            "build",
            "--quiet",
            "--layers",
            "--isolation=chroot",
            "--network=host",
            f"--build-arg=BASE=oci-archive:{base}",
            f"--tag={recipe.reference}",
            f"--file={recipe.containerfile}",
            f"--iidfile={identity.name}",
            *_mounts(),
            recipe.context,
        )
        image = identity.read().strip().removeprefix("sha256:")
    name = re.sub(r"[^\w.-]", "_", recipe.reference)
    target = cache() / "images" / "built" / f"{name}-{image[:12]}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}")
        unfinished.unlink(missing_ok=True)
        run(*_buildah(), "push", "--quiet", image, f"docker-archive:{unfinished}:{recipe.reference}")
        unfinished.rename(target)
        for old in target.parent.glob(f"{name}-????????????.tar"):
            if old != target:
                old.unlink()
    return target


def _buildah() -> tuple[str, ...]:
    """Buildah with storage of our own, so that nobody else's images are met."""
    return ("buildah", f"--root={cache()}/containers", f"--runroot={cache()}/containers-run")


def _mounts() -> list[str]:
    found = []
    for inside, candidates in HOST_SETTINGS.items():
        there = next((path for path in map(os.path.expanduser, candidates) if Path(path).exists()), None)
        if there:
            found.append(f"--volume={there}:{inside}:ro")
    return found
