"""Where clusters live: nothing of one may meet another one, ours or not."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path

import pytest

from hack.cluster import layout, pretence

DEFAULT_PORTS = {2379, 2380, 6443, 8080, 9090, 10248, 10250, 10256, 10257, 10259}
SHIM_SOCKET_FOLDER_LIMIT = 42  # containerd refuses a longer one


def test_clusters_share_no_port_and_take_none_of_the_usual() -> None:
    bare, whole = (set(it.ports.named().values()) for it in (layout.bare(), layout.whole()))
    assert not bare & whole
    assert not (bare | whole) & DEFAULT_PORTS


def test_clusters_share_no_address() -> None:
    bare, whole = layout.bare(), layout.whole()
    assert whole.network
    ranges = [bare.services, whole.services, whole.network.pods, IPv4Network(pretence.PODS)]
    assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))


def test_clusters_share_no_folder() -> None:
    bare, whole = layout.bare(), layout.whole()
    assert bare.run != whole.run
    assert bare.lock != whole.lock


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"POINTSMAN_CACHE": "/disk/c"}, "/disk/c"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/pointsman"),
        ({"POINTSMAN_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/home/someone"}, "/home/someone/.cache/pointsman"),
    ],
)
def test_the_cache_is_where_the_makefile_has_it(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POINTSMAN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert layout.cache() == Path(expected)


@pytest.mark.parametrize(
    ("user", "expected"), [(0, "/var/lib/pointsman"), (1000, "/home/someone/.local/state/pointsman")]
)
def test_clusters_run_where_their_user_may_write(user: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POINTSMAN_RUN", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert layout.runs() == Path(expected)


def test_the_bare_cluster_moves_to_other_ports_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_BARE_PORT", "31000")
    assert list(layout.bare().ports.named().values()) == list(range(31000, 31006))


def test_the_node_leaves_room_for_its_sockets_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSMAN_RUN", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert len(str(layout.whole().run / "s")) <= SHIM_SOCKET_FOLDER_LIMIT
