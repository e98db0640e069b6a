"""Helm as the cluster builds it, and what it makes of the chart."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import binaries

CHART = Path(__file__).parents[2] / "charts" / "pointsman"
PROMETHEUS = "prometheus.url=http://prometheus:9090"  # the only value that has no default


def setting(value: str) -> tuple[str, str]:
    """How helm is told `path=value`, or `path:=JSON`."""
    path, told, written = value.partition(":=")
    return ("--set-json", f"{path}={written}") if told else ("--set", value)


@dataclass(frozen=True)
class Helm:
    """The helm program."""

    program: Path

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own helm and our own chart
            [self.program, *words], capture_output=True, text=True, check=False
        )

    def render(self, *values: str, files: Sequence[Path] = ()) -> list[dict[str, Any]]:
        """The objects of the chart with these values (`path=value`, `path:=JSON`), hooks included."""
        words = [word for value in (PROMETHEUS, *values) for word in setting(value)]
        words += [word for file in files for word in ("-f", str(file))]
        done = self("template", "pointsman", CHART, "--namespace", "pointsman", *words)
        assert not done.returncode, done.stderr
        return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


@pytest.fixture(scope="session")
def helm() -> Helm:
    tool = next(tool for tool in binaries.ALL_TOOLS if "helm" in tool.packages)
    binaries.build((tool,))
    return Helm(binaries.program("helm"))
