"""`pointsman simulate`: what it prints, its files, and the exit code of what cannot be simulated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pointsman.cli.command import app
from pointsman.cli.outputs import Noise
from pointsman.simulation.world import NOISES

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """
apiVersion: pointsman.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  steps: [{canary: {percent: 50}, hold: 1m}]
  gates: [{name: errors, signal: Errors}]
  interval: 30s
  deadline: 20m
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    return str(file)


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["simulate", *arguments, "--runs", "20"], env={"COLUMNS": "100"})
    assert result.exit_code == code, result.output
    return result.output


def test_a_table_a_plot_and_a_png(policy: str, tmp_path: Path) -> None:
    png = tmp_path / "plot.png"
    said = run(policy, "--traffic", "200", "--jobs", "1", "--png", str(png))
    rows = [line.split() for line in said.splitlines()]
    assert ["equal", "100", "%", "0", "%", "0", "%"] in [row[:7] for row in rows]
    assert [row[:2] for row in rows if row[:1] == ["failures"]] == [["failures", "x2"], ["failures", "x10"]]
    assert "● equal: promoted" in said
    assert "100 %┤" in said
    assert "\x1b" not in said  # colours only on terminals
    assert png.read_bytes().startswith(b"\x89PNG")


def test_json(policy: str) -> None:
    said = json.loads(run(policy, "--traffic", "200", "--regression", "errors=10x", "-o", "json", "--jobs", "1"))
    assert [version["name"] for version in said["versions"]] == ["equal", "failures x10"]
    equal, failing = said["versions"]
    assert equal["promoted"] == 1
    assert failing["rolledBack"] == 1
    assert failing["secondsToRollBack"]["median"] <= failing["secondsToRollBack"]["p90"] < 1200
    assert failing["secondsToPromote"] == {"median": None, "p90": None}
    assert failing["requestsExposed"] < equal["requestsExposed"]
    assert said["outOfReach"] is None


def test_processes_side_by_side_find_the_same(policy: str) -> None:
    arguments = (policy, "--traffic", "200", "-o", "json")
    assert run(*arguments, "--jobs", "2") == run(*arguments, "--jobs", "1")


def test_a_policy_out_of_reach_is_told_so(policy: str) -> None:
    said = run(policy, "--traffic", "1", "--jobs", "1", "--no-plot")
    assert "At this traffic no verdict is expected within the deadline of 20m: errors" in said
    assert "Undecided at the deadline, whenUndecided: Hold" in said
    assert "┤" not in said


def test_a_regression_that_no_gate_sees_is_said(policy: str) -> None:
    said = run(policy, "--traffic", "50", "--jobs", "1", "--no-plot", "--regression", "latency=2x")
    assert "No gate of this policy measures what is worse in `latency x2`." in said


def test_a_deployments_replicas(tmp_path: Path) -> None:
    file = tmp_path / "churn.yaml"
    rollout = "rollout: {steps: [{canary: {percent: 50}, hold: 1m}], interval: 1m, deadline: 10m}"
    file.write_text(
        f"apiVersion: pointsman.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {{name: churn}}\nspec: {{replicas: 7, {rollout}}}\n",
        encoding="utf-8",
    )
    said = json.loads(run(str(file), "--traffic", "50", "-o", "json", "--jobs", "1", "--regression", "p99=3x"))
    assert said["replicas"] == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--regression", "errors"), "--regression errors: write errors=2x, latency=1.5x or p99=3x"),
        (("--regression", "errors=many"), "--regression errors=many: write errors=2x"),
        (("--regression", "memory=2x"), "--regression memory=2x: write errors=2x"),
        (("--regression", "errors=0x"), "--regression errors=0x: write errors=2x"),
        (("--regression", "p99=0.5x"), "--regression p99=0.5x: p99 is made slower by a factor above 1"),
        (("--begins-after", "soon"), "--begins-after soon: write a duration, such as 50ms, 2s or 1h"),
        (("--begins-after", "20m"), "--begins-after 20m: that is not before the policy's deadline"),
        (("--latency-median", "1s"), "--latency-p99 200ms: write more than the median, 1s"),
        (("--buckets", "a,b"), "--buckets a,b: write the edges in seconds"),
        (("--buckets", "-1"), "--buckets -1: write the edges in seconds"),
        (("--png", "no/such/folder/plot.png"), "--png no/such/folder/plot.png: cannot be written: No such file"),
        (("--traffic", "nan"), "Invalid value for '--traffic'"),
        (("--latency-median", "0"), "--latency-p99 200ms: write more than the median, 0"),
        (("--traffic", "0"), "Invalid value for '--traffic'"),
        (("--replicas", "0"), "Invalid value for '--replicas'"),
    ],
)
def test_what_cannot_be_simulated(policy: str, options: tuple[str, str], said: str) -> None:
    assert said in run(policy, "--traffic", "20", "--jobs", "1", *options, code=2)


@pytest.mark.parametrize(
    "options",
    [
        ("--base-rate", "0"),
        ("--traffic", "1000000"),
        ("--traffic", "0.001"),
        ("--replicas", "1"),
        ("--replicas", "1000"),
        ("--buckets", "100"),
        ("--buckets", "1e-9,1e9"),
        ("--latency-p99", "52ms", "--regression", "p99=1000x"),
        ("--regression", "errors=1000x,latency=0.001x"),
        ("--noise", "clustered"),
        ("--noise", "pods"),
    ],
)
def test_whatever_is_allowed_can_be_simulated(tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / "both.yaml"
    file.write_text(
        POLICY.replace("signal: Errors}", "signal: Errors}, {name: slow, signal: Latency}").replace("20m", "5m"),
        encoding="utf-8",
    )
    said = json.loads(run(str(file), "--traffic", "20", "--jobs", "1", "-o", "json", *options))
    for version in said["versions"]:
        assert version["promoted"] + version["rolledBack"] + version["undecided"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("interval: 30m", "a deadline of 1200 s is over before the first look, after 1800 s"),
        ("deadline: 999999h", "over 100,000 looks"),
    ],
)
def test_policies_whose_looks_are_too_few_or_too_many(tmp_path: Path, fields: str, said: str) -> None:
    file = tmp_path / "odd.yaml"
    kept = [line for line in POLICY.splitlines() if not line.strip().startswith(fields.partition(":")[0])]
    file.write_text("\n".join([*kept, f"  {fields}"]), encoding="utf-8")
    assert said in run(str(file), "--traffic", "20", code=2)


def test_a_policy_in_which_a_person_decides(tmp_path: Path) -> None:
    file = tmp_path / "blue-green.yaml"
    file.write_text(
        POLICY.replace("{canary: {percent: 50}, hold: 1m}", "{approval: {}}").replace(
            "[{name: errors, signal: Errors}]", "[]"
        )
        + "  capacity: {maxSurge: '100%'}\n",
        encoding="utf-8",
    )
    assert "this policy compares nothing, a person decides" in run(str(file), "--traffic", "20", code=2)


def test_the_noises_that_can_be_asked_for_are_those_that_there_are() -> None:
    assert [noise.value for noise in Noise] == list(NOISES)
