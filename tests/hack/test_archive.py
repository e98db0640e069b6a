"""Image archives: an OCI layout that containerd and buildah take, the same bytes for the same input."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import archive

NAME = "pointsman.local/example:v1"


@pytest.fixture
def contents(tmp_path: Path) -> archive.Contents:
    (tmp_path / "program").write_bytes(b"#!/bin/true\n")
    return archive.Contents(
        files={"/usr/bin/example": tmp_path / "program"},
        entrypoint=("/usr/bin/example", "--now"),
        links={"/e": "usr/bin/example"},
    )


def opened(image: Path) -> tuple[dict[str, bytes], dict[str, Any], dict[str, Any]]:
    """All files of the archive, and the manifest and configuration that its index leads to."""
    with tarfile.open(image) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]

    def blob(descriptor: dict[str, Any]) -> dict[str, Any]:
        body = files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
        assert len(body) == descriptor["size"]
        return dict(json.loads(body))

    manifest = blob(json.loads(files["index.json"])["manifests"][0])
    return files, manifest, blob(manifest["config"])


def test_every_blob_is_what_its_name_says(tmp_path: Path, contents: archive.Contents) -> None:
    archive.write(tmp_path / "image.tar", reference=NAME, contents=contents)
    files, _, _ = opened(tmp_path / "image.tar")
    for name, body in files.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(body).hexdigest() == name.removeprefix("blobs/sha256/")


def test_the_image_has_its_name_command_and_path(tmp_path: Path, contents: archive.Contents) -> None:
    archive.write(tmp_path / "image.tar", reference=NAME, contents=contents)
    files, _, config = opened(tmp_path / "image.tar")
    named = json.loads(files["index.json"])["manifests"][0]["annotations"]
    assert named["io.containerd.image.name"] == NAME
    assert config["config"]["Entrypoint"] == ["/usr/bin/example", "--now"]
    assert config["config"]["Env"][0].startswith("PATH=/usr/local/sbin:")
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"])  # or buildah cannot build on it


def test_the_layer_holds_the_files(tmp_path: Path, contents: archive.Contents) -> None:
    archive.write(tmp_path / "image.tar", reference=NAME, contents=contents)
    files, manifest, config = opened(tmp_path / "image.tar")
    (layer,) = manifest["layers"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    with tarfile.open(fileobj=io.BytesIO(files[f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}"])) as tar:
        program = tar.getmember("usr/bin/example")
        assert tar.extractfile(program).read() == b"#!/bin/true\n"  # type: ignore[union-attr]
        assert program.mode == 0o755
        assert tar.getmember("e").linkname == "usr/bin/example"
        assert tar.getmember("tmp").mode == 0o1777


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, contents: archive.Contents) -> None:
    for name in ("one.tar", "two.tar"):
        archive.write(tmp_path / name, reference=NAME, contents=contents)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_root_file_system_becomes_the_only_layer(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(b"a tar file, as far as an archive knows")
    archive.write_root(tmp_path / "image.tar", reference=NAME, root=tmp_path / "root.tar")
    files, manifest, _ = opened(tmp_path / "image.tar")
    (layer,) = manifest["layers"]
    assert files[f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}"] == (tmp_path / "root.tar").read_bytes()
