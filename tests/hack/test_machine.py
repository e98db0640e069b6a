"""What a machine must offer: each thing that is missing is one sentence."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import __main__ as command_line
from hack.cluster import machine
from hack.cluster.problem import SetupError

ROUTES = """\
default via 192.0.2.1 dev eth0
10.233.4.0/24 dev tun0 proto kernel scope link src 10.233.4.9
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
"""


def test_root_is_asked_for_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SetupError, match=r"^A cluster that runs pods needs root: run this again with sudo"):
        machine.require_root("A cluster that runs pods")


def test_without_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        SetupError, match=r"^Go 1\.26 or newer is needed to build the cluster and there is none on PATH"
    ):
        machine.require_go()


@pytest.mark.parametrize(
    ("words", "enough"), [("go1.25.9", False), ("go1.26.0", True), ("go1.30", True), ("go2.0", True)]
)
def test_an_old_go(words: str, *, enough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/go")
    monkeypatch.setattr(machine, "run", lambda *_: f"go version {words} linux/amd64")
    if enough:
        machine.require_go()
        return
    with pytest.raises(SetupError, match=rf"this is {words}"):
        machine.require_go()


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(
        SetupError, match=r"^1000000000 GB of free disk are needed in .* make room, or set POINTSMAN_CACHE"
    ):
        machine.require_disk(tmp_path / "not" / "there" / "yet", gigabytes=10**9)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SetupError, match=rf"^Port {port} on 127\.0\.0\.1, for api of the local cluster, is taken"):
            machine.require_free(IPv4Address("127.0.0.1"), {"api": port})
    machine.require_free(IPv4Address("127.0.0.1"), {"api": port})


def test_a_taken_range_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "run", lambda *_: ROUTES)
    machine.require_unrouted({"pods": IPv4Network("10.231.0.0/24")})
    with pytest.raises(SetupError, match=r"uses 10\.233\.0\.0/16 for services .*10\.233\.4\.0/24 dev tun0"):
        machine.require_unrouted({"pods": IPv4Network("10.231.0.0/24"), "services": IPv4Network("10.233.0.0/16")})


def test_missing_packages_are_installed_once_and_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[Any, ...]] = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name, **_: None if name.startswith("absent") else f"/bin/{name}")
    monkeypatch.setattr(machine, "run", lambda *words, **_: done.append(words))
    machine.require_programs({"sh": "dash"})
    assert not done
    machine.require_programs({"sh": "dash", "absent": "one", "absent-too": "one", "/no/such/file": "two"})
    assert [words[:2] for words in done] == [("apt-get", "update"), ("apt-get", "install")]
    assert done[1][-2:] == ("one", "two")


def test_missing_packages_on_a_machine_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(SetupError, match=r"^These packages are needed and there is no apt-get to install them: one"):
        machine.require_programs({"absent": "one"})


@pytest.mark.parametrize(("name", "components"), [("debian", "main"), ("ubuntu", "main,universe")])
def test_images_are_made_of_the_machines_own_release(
    name: str, components: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"ID": name, "VERSION_CODENAME": "nice"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: facts)
    assert machine.codename() == machine.Suite("nice", components)


def test_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "alpine"})
    with pytest.raises(SetupError, match="runs on Debian and Ubuntu; this is alpine"):
        machine.codename()


def test_a_problem_is_one_sentence_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise SetupError("The disk is full: make room.")

    monkeypatch.setattr(command_line, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "The disk is full: make room.\n"
