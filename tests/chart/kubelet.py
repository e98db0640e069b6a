"""What a kubelet would run of the chart's pods, run here: our own command with the pod's arguments, as the pod's service account."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import binaries
from hack.cluster.fixtures import Cluster
from tests.api.operator_process import TODAYS, Operator, Source

NAMESPACE = "pointsman"
NOWHERE = "nodeSelector.no=where"
"""Pods of a release with this value wait for ever: for who runs them here."""

_ASIDE = "app.kubernetes.io/component in (crds,test)"


@dataclass
class Kubelet:
    """Runs pods of one cluster; `replaced` are arguments that name what only pods can reach, by what they begin with."""

    cluster: Cluster
    folder: Path
    replaced: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    _operators: list[Operator] = field(default_factory=list)

    def account(self, name: str) -> Path:
        """A kubeconfig of a service account, with no other rights than it was given."""
        token = self.cluster.kubectl("--namespace", NAMESPACE, "create", "token", name).strip()
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = self.folder / f"{name}-{time.time_ns()}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def helm(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run helm; the pods of hooks that it waits for are run meanwhile."""
        homes = {f"HELM_{kind}_HOME": f"{self.folder}/helm/{kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA")}
        command = [
            binaries.program("helm"),
            f"--kubeconfig={self.cluster.kubeconfig}",
            *words,
            f"--namespace={NAMESPACE}",
        ]
        running = subprocess.Popen(  # noqa: S603  our own helm
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **homes}
        )
        while running.poll() is None:
            self._run_what_waits()
        out, err = running.communicate()
        return subprocess.CompletedProcess(command, running.returncode, out, err)

    def operator(self, log: Path, source: Source = TODAYS) -> Operator:
        """The operator that the release's Deployment would run, not started yet."""
        found = json.loads(
            self.cluster.kubectl("--namespace", NAMESPACE, "get", "deployment", "pointsman", "-o", "json")
        )
        spec = found["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        verb, *words = container["args"]
        assert verb == "operator"
        options = dict(word.removeprefix("--").split("=", 1) for word in words)
        kubeconfig = self.account(spec["serviceAccountName"])
        made = Operator(log, source, **options, kubeconfig=kubeconfig, lease_namespace=NAMESPACE)
        self._operators.append(made)
        return made

    def end(self) -> None:
        """End what a test that failed has left running."""
        for operator in self._operators:
            operator.kill()

    def _run_what_waits(self) -> None:
        listed = self.cluster.kubectl("--namespace", NAMESPACE, "get", "pods", "--selector", _ASIDE, "-o", "json")
        waiting = [pod for pod in json.loads(listed)["items"] if pod["status"]["phase"] == "Pending"]
        for pod in waiting:
            self._run(pod)
        if not waiting:
            time.sleep(0.1)

    def _run(self, pod: dict[str, Any]) -> None:
        (container,) = pod["spec"]["containers"]
        done = subprocess.run(  # noqa: S603  our own command
            [TODAYS.python, "-m", "pointsman", *map(self._argument, container["args"])],
            env={
                **os.environ,
                "PYTHONPATH": str(TODAYS.repository / "operator"),
                "KUBECONFIG": str(self.account(pod["spec"]["serviceAccountName"])),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.said.append(done.stdout + done.stderr)
        phase = "Failed" if done.returncode else "Succeeded"
        end = {"exitCode": done.returncode, "reason": phase}
        ran = [
            {
                "name": container["name"],
                "image": "",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {"terminated": end},
            }
        ]
        patch = json.dumps({"status": {"phase": phase, "containerStatuses": ran}})
        name = pod["metadata"]["name"]
        self.cluster.kubectl("--namespace", NAMESPACE, "patch", "pod", name, "--subresource=status", "--patch", patch)

    def _argument(self, word: str) -> str:
        return next((new for begin, new in self.replaced.items() if word.startswith(begin)), word)
