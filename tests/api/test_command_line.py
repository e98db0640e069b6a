"""The command line on a real cluster: what it shows of rollouts, and that what it asks for is done by the operator and said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hack.cluster.fixtures import Cluster
from pointsman.cli.command import app
from tests.api.conftest import Site
from tests.api.operator_model import QUICK, Model

pytestmark = pytest.mark.bare

Make = Callable[..., Model]
Pointsman = Callable[..., str]

ROOT = Path(__file__).parents[2]
LONG = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "10m"}]}
WITH_APPROVAL = QUICK | {"steps": [{"canary": {"percent": 20}, "hold": "1s"}, {"approval": {}}]}


@pytest.fixture
def pointsman(crds: Cluster, site: Site) -> Pointsman:
    """Runs `pointsman`; what it prints, if it ends with this code."""

    def run(*words: str, code: int = 0) -> str:
        where = ("--kubeconfig", str(crds.kubeconfig), "-n", site.server.namespace)
        result = CliRunner().invoke(app, [words[0], *where, *words[1:]])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.stdout if code == 0 else result.stderr

    return run


def test_what_is_shown_of_a_rollout(pointsman: Pointsman, model: Make) -> None:
    churn = model(rollout=QUICK | {"steps": [*QUICK["steps"][:1], {"canary": {"percent": 50}, "hold": "10m"}]})
    candidate = churn.until_on_its_way()
    churn.until_percent(50)
    (row,) = (line.split() for line in pointsman("get").splitlines() if line.startswith(churn.name))
    assert row[:8] == [churn.name, "1", "2", "50", "Canary", "2", "True", "InProgress"]
    listed = json.loads(pointsman("get", "-A", "-o", "json"))["rollouts"]
    assert {"name": churn.name, "version": "1", "candidate": "2", "percent": 50}.items() <= next(
        one for one in listed if one["name"] == churn.name
    ).items()
    shown = pointsman("status", churn.name)
    assert "Canary at 50 %, step 2 of 2" in shown
    assert "✓ 1. canary 20 %, held for 1s" in shown
    assert "requests to the candidate failed" in shown
    assert f"abort {churn.name} -n" in shown
    data = yaml.safe_load(pointsman("status", churn.name, "-o", "yaml"))
    assert data["candidate"]["revision"] == candidate
    assert [gate["name"] for gate in data["gates"]] == ["errors"]
    assert {action["name"] for action in data["actions"]} == {"promote", "abort", "pause"}
    explained = pointsman("explain", churn.name)
    assert 'inference_requests_total{namespace="' in explained
    assert "RolloutStarted: version 2" in explained


def test_abort_and_retry(pointsman: Pointsman, model: Make) -> None:
    churn = model(rollout=LONG)
    candidate = churn.until_on_its_way()
    assert pointsman("abort", churn.name).startswith(
        f"{churn.name}: aborted: version 2 (attempt 1) gets no requests; version 1 (revision {churn.revision()}) serves"
    )
    assert churn.share(candidate) == 0
    assert pointsman("abort", churn.name, code=1).endswith(
        "there is nothing to abort: no rollout runs, and no previous version is kept\n"
    )
    assert "Aborted  " in pointsman("history", churn.name)
    assert "Aborted" in pointsman("explain", churn.name)
    assert pointsman("retry", churn.name).startswith(f"{churn.name}: attempt 2 of version 2 has begun: ")


def test_approve_only_what_waits_for_it(pointsman: Pointsman, model: Make) -> None:
    churn = model(rollout=WITH_APPROVAL)
    churn.apply("1")
    churn.until_serves("1")
    assert pointsman("approve", churn.name, code=1).endswith(
        "there is nothing to approve: no rollout runs, version 1 takes all traffic\n"
    )
    churn.apply("2")
    churn.until_says("UpToDate", "False", "AwaitingApproval")
    assert pointsman("approve", churn.name).startswith(f"{churn.name}: ")
    assert churn.until_ended("Promoted")["version"] == "2"


def test_pause_resume_and_promote(pointsman: Pointsman, model: Make) -> None:
    churn = model(rollout=LONG | {"keepPrevious": "10m"})
    churn.until_on_its_way()
    assert "steps and deadline stand still" in pointsman("pause", churn.name)
    assert "Paused=True" in pointsman("status", churn.name)
    assert "resumed: version 2 goes on from step 1 of 1" in pointsman("resume", churn.name)
    assert "promot" in pointsman("promote", churn.name)
    churn.until_ended("Promoted")
    assert "version 1 (revision" in pointsman("abort", churn.name)
    churn.until(lambda s: s["stable"]["version"] == "1")


def test_the_operator_does_not_act(pointsman: Pointsman, site: Site, model: Make) -> None:
    churn = model(rollout=LONG)
    churn.until_on_its_way()
    site.operator.stop()
    try:
        said = pointsman("abort", churn.name, "--timeout", "1", code=1)
    finally:
        site.operator.start()
    assert "the operator has not acted for 1 s: is it running?" in said
    churn.until_ended("Aborted")


def test_status_goes_on_with_every_change(crds: Cluster, site: Site, model: Make) -> None:
    churn = model(rollout=WITH_APPROVAL)
    churn.apply("1")
    churn.until_serves("1")
    where = ("--kubeconfig", str(crds.kubeconfig), "-n", site.server.namespace)
    words = [sys.executable, "-m", "pointsman", "status", churn.name, "--watch", "-o", "json", *where]
    with subprocess.Popen(  # noqa: S603  our own program
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "operator"},
        cwd=ROOT,
    ) as watching:
        try:
            assert watching.stdout is not None
            seen = map(json.loads, watching.stdout)
            assert next(seen)["stable"]["version"] == "1"
            churn.apply("2")
            phases = []
            for shown in seen:
                phase = shown.get("rollout", {}).get("phase")
                phases += [phase] if phase and phase not in phases else []
                if phase == "AwaitingApproval":
                    break
            assert phases[-2:] == ["Canary", "AwaitingApproval"]
        finally:
            watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said) == (130, "")


def test_somebody_without_rights(crds: Cluster, site: Site, tmp_path: Path) -> None:
    config = yaml.safe_load(crds.kubeconfig.read_text(encoding="utf-8"))
    token = crds.kubectl("create", "token", "default", "-n", site.server.namespace)
    config["users"][0]["user"] = {"token": token.strip()}
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    for words in (["get"], ["status", "churn"], ["abort", "churn"], ["lint", "--server", str(ROOT / "examples")]):
        result = CliRunner().invoke(app, [*words, "--kubeconfig", str(file), "-n", site.server.namespace])
        assert (result.exit_code, result.stdout) == (3, ""), result.output
        assert " says no: " in result.stderr
        assert "is forbidden: User" in result.stderr
        assert result.stderr.count("\n") == 1


def test_what_is_not_there(pointsman: Pointsman, site: Site) -> None:
    assert pointsman("status", "nobody", code=4) == (
        f"there is no ModelDeployment 'nobody' in namespace '{site.server.namespace}'\n"
    )
