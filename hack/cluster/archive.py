"""Writes image archives in the OCI layout, without a daemon, a registry or root; the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSWD = b"root:x:0:0:root:/:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n"
FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp", "var", "var/run")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
HISTORY = [{"created_by": "pointsman hack/cluster"}]  # one entry a layer, or buildah cannot build on the image
FORMAT = "2"  # change it with the shape of what is written here: archives are kept by it
OCI = "application/vnd.oci.image"


@dataclass(frozen=True)
class Contents:
    """What is in an image of one layer.

    Attributes:
        files: path in the image -> file on the host.
        entrypoint: the command it runs.
        links: path in the image -> what that symbolic link says.
    """

    files: Mapping[str, Path]
    entrypoint: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)


def write(target: Path, *, reference: str, contents: Contents) -> None:
    """Write an archive with one image, of the given files on an otherwise empty file system."""
    with tempfile.TemporaryFile(dir=target.parent) as layer:
        with tarfile.open(fileobj=layer, mode="w") as tar:
            for folder in FOLDERS:
                _add_folder(tar, folder)
            _add(tar, "etc/passwd", io.BytesIO(PASSWD), size=len(PASSWD), mode=0o644)
            for path, link in sorted(contents.links.items()):
                _add_link(tar, path.lstrip("/"), link)
            for path, source in sorted(contents.files.items()):
                with source.open("rb") as opened:
                    _add(tar, path.lstrip("/"), opened, size=source.stat().st_size, mode=0o755)
        _write(target, reference=reference, layer=layer, config={"Entrypoint": list(contents.entrypoint)})


def write_root(target: Path, *, reference: str, root: Path) -> None:
    """Write an archive with one image, whose only layer is a tar file that holds a root file system."""
    with root.open("rb") as layer:
        _write(target, reference=reference, layer=layer, config={"Cmd": ["/bin/sh"]})


def _write(target: Path, *, reference: str, layer: IO[bytes], config: dict[str, Any]) -> None:
    layer_digest, layer_size = _measure(layer)
    environment = {"Env": [f"PATH={PATH}"], "WorkingDir": "/"}
    architecture = {"architecture": ARCHITECTURES.get(platform.machine(), platform.machine()), "os": "linux"}
    image = _json(
        {
            **architecture,
            "config": {**environment, **config},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
            "history": HISTORY,
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": _descriptor(f"{OCI}.config.v1+json", _digest(image), len(image)),
            "layers": [_descriptor(f"{OCI}.layer.v1.tar", layer_digest, layer_size)],
        }
    )
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1]}
    listed = _descriptor(f"{OCI}.manifest.v1+json", _digest(manifest), len(manifest))
    index = _json({"schemaVersion": 2, "manifests": [{**listed, "platform": architecture, "annotations": names}]})
    unfinished = target.with_name(f".{target.name}")
    with tarfile.open(unfinished, "w") as tar:
        small = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
        small |= {f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}": blob for blob in (image, manifest)}
        for name, body in small.items():
            _add(tar, name, io.BytesIO(body), size=len(body), mode=0o644)
        layer.seek(0)
        _add(tar, f"blobs/sha256/{layer_digest.removeprefix('sha256:')}", layer, size=layer_size, mode=0o644)
    shutil.move(unfinished, target)


def _measure(layer: IO[bytes]) -> tuple[str, int]:
    layer.seek(0)
    digest = f"sha256:{hashlib.file_digest(layer, 'sha256').hexdigest()}"  # type: ignore[arg-type]  # IO[bytes] is one
    return digest, layer.seek(0, io.SEEK_END)


def _add(tar: tarfile.TarFile, name: str, body: IO[bytes], *, size: int, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, 0
    tar.addfile(entry, body)


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mtime, entry.mode = tarfile.DIRTYPE, 0, 0o1777 if name == "tmp" else 0o755
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mtime = tarfile.SYMTYPE, target, 0
    tar.addfile(entry)


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
