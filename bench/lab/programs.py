"""The processes around a benchmark: the real operator, a real Prometheus and the exporter, each with its log in the results."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench.lab.figures import RESULTS
from hack.cluster import binaries

ROOT = Path(__file__).resolve().parents[2]
_PROC = Path("/proc")
_LAST_LINES = 15


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, kw_only=True)
class Program:
    """A running process."""

    name: str
    pid: int
    port: int
    log: Path

    @property
    def url(self) -> str:
        """Where it answers HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> Mapping[str, int]:
        """Bytes by the names of /proc/PID/status: VmRSS is what it holds now, VmHWM the most it ever held."""
        lines = (_PROC / str(self.pid) / "status").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")}

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        after_name = (_PROC / str(self.pid) / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

    async def metrics(self, *names: str) -> dict[tuple[str, ...], float]:
        """Its /metrics, all or these: (name, label values in the labels' order ...) -> value."""
        asked = [("name[]", name) for name in names]
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics", params=asked) as answer:
            text = await answer.text()
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@asynccontextmanager
async def operator(
    kubeconfig: Path, namespace: str, *, prometheus: str | None, log: str, wrapper: tuple[str, ...] = ()
) -> AsyncIterator[Program]:
    """`python -m pointsman operator` for one namespace, leading."""
    port = free_port()
    command = [
        *(wrapper or (sys.executable,)),
        *("-m", "pointsman", "operator", f"--kubeconfig={kubeconfig}", f"--namespaces={namespace}"),
        *(f"--lease-namespace={namespace}", f"--probes-port={port}"),
        *((f"--prometheus-url={prometheus}",) if prometheus else ()),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    async with _running("operator", command, port=port, log=log, env=environment) as program:
        await _answering(program, "/readyz")
        await _until_leading(program)
        yield program


@asynccontextmanager
async def exporter(*, seed: int, rate: float, log: str) -> AsyncIterator[Program]:
    """The counters of pretended pods."""
    port = free_port()
    command = [sys.executable, "-m", "bench.lab.exporter", f"--port={port}", f"--seed={seed}", f"--rate={rate}"]
    async with _running("exporter", command, port=port, log=log) as program:
        await _answering(program, "/pods/none/none")
        yield program


@asynccontextmanager
async def backend(*, log: str, name: str) -> AsyncIterator[Program]:
    """A trivial model server."""
    port = free_port()
    command = [sys.executable, "-m", "bench.lab.plain", f"--port={port}"]
    async with _running(name, command, port=port, log=log) as program:
        await _answering(program, "/")
        yield program


@asynccontextmanager
async def inspector(told: str, *, port: int, core: int, log: str) -> AsyncIterator[Program]:
    """`python -m pointsman inspector` on one core; requests go to `port`, the program's own is that of its metrics."""
    probes = free_port()
    command = [
        *("taskset", "--cpu-list", str(core), sys.executable, "-m", "pointsman", "inspector"),
        *(f"--port={port}", f"--probes-port={probes}"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "POINTSMAN_INSPECTOR": told}
    async with _running("inspector", command, port=probes, log=log, env=environment) as program:
        await _answering(program, "/readyz")
        yield program


@asynccontextmanager
async def prometheus(
    kubeconfig: Path, namespace: str, *, exporter: Program, scrape: str, log: str
) -> AsyncIterator[Program]:
    """A real Prometheus that finds the namespace's pods by itself and scrapes each one at the exporter."""
    config = scraping(kubeconfig, namespace, exporter=exporter.port, scrape=scrape)
    async with configured_prometheus(config, log=log) as program:
        yield program


@asynccontextmanager
async def configured_prometheus(configuration: Mapping[str, Any], *, log: str) -> AsyncIterator[Program]:
    """A real Prometheus with this configuration."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="bench-prometheus-"))
    try:
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        command = [
            str(binaries.program("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        async with _running("prometheus", command, port=port, log=log) as program:
            await _answering(program, "/-/ready")
            yield program
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def scraping(kubeconfig: Path, namespace: str, *, exporter: int, scrape: str) -> dict[str, Any]:
    """Prometheus' configuration."""
    name = ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name"]
    relabelling: list[dict[str, Any]] = [
        {"source_labels": ["__meta_kubernetes_pod_phase"], "action": "keep", "regex": "Running"},
        {"target_label": "__address__", "replacement": f"127.0.0.1:{exporter}"},
        {"source_labels": name, "separator": "/", "target_label": "__metrics_path__", "replacement": "/pods/$1"},
        {"source_labels": name, "separator": "/", "target_label": "instance"},
        {"action": "labelmap", "regex": "__meta_kubernetes_pod_label_(.+)"},
        {"source_labels": name[:1], "target_label": "namespace"},
        {"source_labels": name[1:], "target_label": "pod"},
    ]
    discovery = {"role": "pod", "kubeconfig_file": str(kubeconfig), "namespaces": {"names": [namespace]}}
    return {
        "global": {"scrape_interval": scrape, "scrape_timeout": scrape},
        "scrape_configs": [{"job_name": "pods", "kubernetes_sd_configs": [discovery], "relabel_configs": relabelling}],
    }


@asynccontextmanager
async def _running(
    name: str, command: list[str], *, port: int, log: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """A process, asked to end at the end of the block and killed where it does not."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{log}-{name}.log"
    with path.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, stdin=asyncio.subprocess.DEVNULL, env=env, cwd=ROOT
        )
    try:
        yield Program(name=name, pid=process.pid, port=port, log=path)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _answering(program: Program, where: str, seconds: float = 30.0) -> None:
    """Wait for HTTP 200.

    Raises:
        TimeoutError: it did not answer; carries the end of its log.
    """
    async with aiohttp.ClientSession() as session:
        for _ in range(int(seconds * 20)):
            try:
                async with session.get(program.url + where) as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            if not (_PROC / str(program.pid)).exists():
                break
            await asyncio.sleep(0.05)
    raise TimeoutError(f"{program.name} does not answer at {where}; its log ends with:\n{_end(program.log)}")


async def _until_leading(program: Program, seconds: float = 60.0) -> None:
    for _ in range(int(seconds * 20)):
        if (await program.metrics()).get(("pointsman_leading",)) == 1:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"the operator does not lead; its log ends with:\n{_end(program.log)}")


def _end(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
