"""Processes of a cluster are found by what they carry, and no others are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import layout, processes
from hack.cluster.console import wait_for

TREE = "sleep 600 & exec sleep 600"


@pytest.fixture
def mine(tmp_path: Path) -> layout.Layout:
    return replace(layout.bare(), run=tmp_path / "mine")


def started(it: layout.Layout, name: str, *, processes_expected: int) -> None:
    it.run.mkdir(exist_ok=True)
    processes.start(it, name, "sh", "-c", TREE)
    wait_for(name, lambda: len(processes.running(it)) == processes_expected, seconds=10, logs=it.logs)


def test_a_component_is_found_with_what_it_started(mine: layout.Layout) -> None:
    started(mine, "etcd", processes_expected=2)
    found = processes.running(mine)
    assert {process.name for process in found} == {"etcd"}
    assert [process.leader for process in found].count(True) == 1
    (leader,) = (process.pid for process in found if process.leader)
    assert processes.components(mine) == {"etcd": leader}
    processes.kill_all(mine)


def test_killing_one_cluster_leaves_the_other(mine: layout.Layout, tmp_path: Path) -> None:
    other = replace(mine, run=tmp_path / "mine-too")  # a name that begins like the first one's
    started(mine, "etcd", processes_expected=2)
    started(other, "etcd", processes_expected=2)
    processes.kill_all(mine)
    assert processes.running(mine) == []
    assert len(processes.running(other)) == 2
    processes.kill_all(other)
    assert processes.running(other) == []


def test_killing_a_process_that_is_gone_is_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    processes.kill([child])


def test_what_a_component_says_is_in_its_log(mine: layout.Layout) -> None:
    mine.run.mkdir()
    processes.start(mine, "kwok", "sh", "-c", "echo said; echo cried >&2")
    log = mine.logs / "kwok.log"
    wait_for("its words", lambda: log.read_text() == "said\ncried\n", seconds=10, logs=mine.logs)


def test_a_component_knows_nothing_of_the_environment_of_who_started_it(
    mine: layout.Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    mine.run.mkdir()
    processes.start(mine, "etcd", "env", env={"GIVEN": "yes"})
    log = mine.logs / "etcd.log"
    wait_for("its words", lambda: "GIVEN=yes\n" in log.read_text(), seconds=10, logs=mine.logs)
    assert "PROXY" not in log.read_text()
