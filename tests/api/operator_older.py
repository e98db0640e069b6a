"""The operator of the main job, with its chart and CRDs: what upgrades begin with."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from hack.cluster import layout, lifecycle
from hack.cluster.fixtures import Cluster
from hack.cluster.problem import SetupError
from hack.cluster.shell import run
from tests.api.operator_process import Source

BEFORE = "ff75d593eafd5bdd84deb641422d5ed9d27e1534"
"""The last commit before evidence was calibrated by stable's past: the operator of the main job."""

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([a-z][\w.-]*==\S+)", re.MULTILINE)


def older(folder: Path) -> Source:
    """The older operator, with the dependencies it was locked with; skips the test where the clone does not have it."""
    archive = folder / "older.tar"
    try:
        run("git", "archive", f"--output={archive}", BEFORE, cwd=ROOT)
    except SetupError:
        pytest.skip(f"this clone does not have the commit {BEFORE[:7]}: `git fetch --unshallow` gets it")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "source", filter="data")
    return Source(folder / "source", _python(folder / "source" / "requirements" / "operator.txt"))


@contextmanager
def cluster_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch, first_port: int) -> Iterator[Cluster]:
    """An API server for one test: CRDs are the whole cluster's, and others work with today's meanwhile."""
    monkeypatch.setenv("POINTSMAN_RUN", str(folder / "run"))
    monkeypatch.setenv("POINTSMAN_BARE_PORT", str(first_port))
    cluster = Cluster(layout.bare())
    lifecycle.up(cluster.layout)
    try:
        yield cluster
    finally:
        lifecycle.down(cluster.layout)


def _python(lock: Path) -> Path:
    """Today's Python where it has everything that the lock names, else one of its own, kept for the next time."""
    today = set(PINNED.findall((ROOT / "requirements" / "operator.txt").read_text()))
    if set(PINNED.findall(lock.read_text())) <= today:
        return Path(sys.executable)
    home = layout.cache() / "venv" / sha256(lock.read_bytes()).hexdigest()[:12]
    made = home / "bin" / "python"
    if not (home / ".ok").exists():
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        run(made, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock)
        (home / ".ok").touch()
    return made
