"""A real Prometheus that scrapes exporters of the test every quarter of a second; targets come and go by file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import urlopen

from hack.cluster import binaries
from pointsman.prometheus.reader import Reader
from pointsman.signals.counts import look
from pointsman.signals.queries import plan
from pointsman.signals.reading import Answered, Watch
from pointsman.signals.samples import Failed
from tests.prometheus.protobuf import CONTENT_TYPE

TEXT = "text/plain; version=0.0.4"
PATIENCE = 30.0  # seconds until a condition that a test waits for counts as never

CONFIG = """
global: {scrape_interval: 250ms, scrape_timeout: 250ms, scrape_native_histograms: true}
scrape_configs:
- job_name: pods
  file_sd_configs: [{files: ["TARGETS/*.json"], refresh_interval: 1s}]
- job_name: converted
  convert_classic_histograms_to_nhcb: true
  file_sd_configs: [{files: ["TARGETS/converted/*.json"], refresh_interval: 1s}]
"""

Seen = TypeVar("Seen")


class Exporter:
    """One target: `page` is what the next scrape sees, text or protobuf; None makes it fail."""

    def __init__(self) -> None:
        self.page: Callable[[], str | bytes] | None = None
        exporter = self

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if exporter.page is None:
                    self.send_error(500)
                    return
                page = exporter.page()
                content = page.encode() if isinstance(page, str) else page
                self.send_response(200)
                self.send_header("Content-Type", TEXT if isinstance(page, str) else CONTENT_TYPE)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name that http.server gives
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def shows(self, page: str | bytes) -> Exporter:
        self.page = lambda: page
        return self

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Prometheus:
    """One that scrapes what tests give it; targets given before it runs are there at once, later ones take seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.exporters: list[Exporter] = []
        (folder / "targets" / "converted").mkdir(parents=True)

    def exporter(self, page: str | bytes) -> Exporter:
        made = Exporter().shows(page)
        self.exporters.append(made)
        return made

    def scrape(self, group: str, *targets: tuple[Exporter, dict[str, str]]) -> None:
        """Scrape these under the labels given; replaces the group's targets of before. A group is a file, `converted/x` too."""
        found = [{"targets": [exporter.address], "labels": labels} for exporter, labels in targets]
        whole = self.folder / "targets" / f"{group}.new"
        whole.write_text(json.dumps(found))
        whole.rename(self.folder / "targets" / f"{group}.json")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it, built with the cluster's programs where it is not there yet."""
        binaries.build(tuple(tool for tool in binaries.NODE_TOOLS if tool.name == "prometheus"))
        (self.folder / "prometheus.yml").write_text(CONFIG.replace("TARGETS", f"{self.folder}/targets"))
        command = [
            str(binaries.program("prometheus")),
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        with (self.folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:  # noqa: S603  ours
            try:
                wait_for(lambda: _ready(self.url), f"Prometheus is ready: {self.folder}/log")
                yield
            finally:
                process.terminate()
                process.wait()
                for exporter in self.exporters:
                    exporter.close()


async def see(reader: Reader, asked: Watch, later: timedelta = timedelta()) -> Answered:
    """What the watch's only gate, `gate`, reads now."""
    at = datetime.now(UTC) + later
    made = plan([asked])
    answers = await reader.read(made.queries, at)
    assert not [answer for answer in answers.values() if isinstance(answer, Failed)]
    return look(made, answers, at).read(asked).gates["gate"]


async def settle(reader: Reader, asked: Watch, *, on: type[Answered], says: str = "") -> Answered:
    """Look until the answer is of this type and says so: scrapes take their time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = await see(reader, asked)
        if isinstance(seen, on) and says in str(seen):
            return seen
        assert time.monotonic() < deadline, f"still {seen}"
        await asyncio.sleep(0.05)


def wait_for(condition: Callable[[], Seen], what: str) -> Seen:
    """What the condition returns as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s until {what}"
        time.sleep(0.05)
    return seen


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=1) as answer:  # noqa: S310  our own server
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])
