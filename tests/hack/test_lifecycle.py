"""The life of a cluster, on a bare one of our own beside whatever runs on this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import addons, clients, controlplane, layout, lifecycle, processes
from hack.cluster.pretence import WAITING
from hack.cluster.problem import SetupError

pytestmark = pytest.mark.bare
FIRST_PORT = 27640


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[layout.Layout]:
    monkeypatch.setenv("POINTSMAN_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("POINTSMAN_BARE_PORT", str(FIRST_PORT))
    it = layout.bare()
    yield it
    lifecycle.down(it)


def assert_no_trace(it: layout.Layout) -> None:
    assert processes.running(it) == []
    assert not it.run.exists()
    assert not it.run.parent.exists()
    for port in it.ports.named().values():
        with socket.create_server((str(it.address), port)):
            pass


def pod(name: str, **annotations: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": annotations},
            "spec": {"containers": [{"name": "model", "image": "pretended:1"}]},
        }
    )


def test_up_up_status_down_down(mine: layout.Layout, capfd: pytest.CaptureFixture[str]) -> None:
    assert lifecycle.status(mine).nothing
    lifecycle.up(mine)
    assert "API server ... " in capfd.readouterr().err  # it says what it does, and how long it took
    state = lifecycle.status(mine)
    assert state.whole
    assert set(state.components) == {*controlplane.COMPONENTS, "kwok"}

    lifecycle.up(mine)
    assert capfd.readouterr().err == f"bare is up already: export KUBECONFIG={mine.kubeconfig}\n"
    assert lifecycle.status(mine) == state  # the same processes

    clients.apply(mine.kubeconfig, pod("good"))
    clients.apply(mine.kubeconfig, pod("bad", **{WAITING: "ImagePullBackOff"}))
    clients.kubectl(mine.kubeconfig, "wait", "pod/good", "--for=condition=Ready", "--timeout=30s")
    waits = "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff"
    clients.kubectl(mine.kubeconfig, "wait", "pod/bad", waits, "--timeout=30s")
    clients.kubectl(mine.kubeconfig, "get", "httproutes.gateway.networking.k8s.io", "--all-namespaces")

    lifecycle.down(mine)
    assert_no_trace(mine)
    capfd.readouterr()
    lifecycle.down(mine)
    assert capfd.readouterr().err == "bare is not up: nothing to do\n"


def test_a_start_that_did_not_end_is_cleaned_up_by_down_or_by_the_next_start(
    mine: layout.Layout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(addons, "install_gateway_api", crash)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.up(mine)
        assert processes.components(mine).keys() == set(controlplane.COMPONENTS)
        lifecycle.down(mine)
        assert_no_trace(mine)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.up(mine)
    lifecycle.up(mine)
    assert "something is left of an earlier bare that nobody took down: cleaning up after it" in capfd.readouterr().err
    assert lifecycle.status(mine).whole

    lost = processes.components(mine)["kwok"]
    processes.kill([lost])
    assert lifecycle.status(mine).missing == ["kwok"]
    with pytest.raises(SetupError, match=r"^bare was up and has lost kwok: read .*/log, then take it down"):
        lifecycle.up(mine)


def test_after_a_restart_of_the_machine_the_next_start_cleans_up(
    mine: layout.Layout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    mine.run.mkdir(parents=True)
    mine.complete.touch()  # it was up, and not one process of it is left
    monkeypatch.setattr(lifecycle, "_start_bare", lambda _: None)
    lifecycle.up(mine)
    assert "cleaning up after it" in capfd.readouterr().err
    assert not mine.run.exists()


def test_a_port_that_someone_else_has_is_named_and_nothing_is_started(mine: layout.Layout) -> None:
    with socket.create_server(("127.0.0.1", mine.ports.api)):
        with pytest.raises(SetupError, match=f"^Port {mine.ports.api} on 127"):
            lifecycle.up(mine)
        assert processes.running(mine) == []


def test_an_image_needs_a_cluster_to_be_loaded_into(mine: layout.Layout, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"^bare is not up: start it with"):
        lifecycle.load(mine, tmp_path / "image.tar")
