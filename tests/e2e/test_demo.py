"""`make demo` itself, at full size: every version ends as its chapter says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hack.cluster.fixtures import WholeCluster
from hack.demo import place
from hack.demo.chapters import STORY
from tests.sizes import FULL

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(not FULL, reason="takes ten minutes: make test-full")]


def test_every_version_ends_as_its_chapter_says(cluster: WholeCluster) -> None:
    assert cluster.kubeconfig.exists()
    done = subprocess.run([sys.executable, "-m", "hack.demo"], cwd=place.ROOT, timeout=1800, check=False)
    assert done.returncode == 0
    rows = json.loads((place.ROOT / "demo-report.json").read_text())
    assert [(row["version"], row["outcome"]) for row in rows] == [(one.version, one.outcome) for one in STORY]
