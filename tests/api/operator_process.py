"""The operator as a process of its own: started, killed, and asked about itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.api.operator_server import eventually

_REPOSITORY = Path(__file__).parents[2]
_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_STARTS_WITHIN = 60.0  # Python alone takes half of it on a machine that is busy with ten other clusters
_ENDS_WITHIN = 30.0


@dataclass(frozen=True)
class Source:
    """Which operator: the repository that it is in, and the Python that has its dependencies."""

    repository: Path
    python: Path


TODAYS = Source(_REPOSITORY, Path(sys.executable))


class Operator:
    """`python -m pointsman operator`, with everything it says in a file."""

    def __init__(self, log: Path, source: Source = TODAYS, **options: str | Path) -> None:
        self.log = log
        self._port = _free_port()
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        self._words = ("-m", "pointsman", "operator", *words, "--probes-port", str(self._port))
        self._source = source
        self._process: subprocess.Popen[bytes] | None = None

    def upgrade(self, source: Source) -> None:
        """Stop it in order and start another version of it in its place."""
        assert self.stop() == 0, self.log.read_text(encoding="utf-8")[-2000:]
        self._source = source
        self.start()

    def start(self) -> None:
        """Start it; returns when it leads."""
        environment = {**os.environ, "PYTHONPATH": str(self._source.repository / "operator")}
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [str(self._source.python), *self._words],
                cwd=self._source.repository,
                env=environment,
                stdout=out,
                stderr=out,
            )
        eventually(self._leads, bool, _STARTS_WITHIN)

    @property
    def url(self) -> str:
        """Where it answers about itself."""
        return f"http://127.0.0.1:{self._port}"

    def kill(self) -> None:
        """End it without a word, as a node that dies does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        return self._end(signal.SIGTERM)

    def metrics(self) -> dict[str, float]:
        """Its own metrics: by name and labels, as written."""
        text = httpx.get(f"{self.url}/metrics").text
        return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in _LINE.findall(text)}

    def writes(self) -> dict[str, int]:
        """What it has written so far, by verb and kind; without the Lease, which it renews all the time."""
        prefix = "pointsman_api_writes_total"
        return {
            name.removeprefix(prefix): int(count)
            for name, count in self.metrics().items()
            if name.startswith(prefix) and 'kind="Lease"' not in name
        }

    def crashes(self) -> list[str]:
        """What it logged about bugs of its own."""
        return [
            line for line in self.log.read_text(encoding="utf-8").splitlines() if "Traceback" in line or "crash" in line
        ]

    def _leads(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the operator ended: {self.log.read_text(encoding='utf-8')[-2000:]}")
        try:
            return self.metrics().get("pointsman_leading") == 1
        except httpx.TransportError:
            return False

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(how)
        status = self._process.wait(_ENDS_WITHIN)
        self._process = None
        return status


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
