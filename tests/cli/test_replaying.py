"""`pointsman replay`: what it prints, and the exit code of what cannot be replayed."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pointsman.cli.command import app
from tests.conftest import CRDS

if TYPE_CHECKING:
    from pathlib import Path

POLICY = """
apiVersion: pointsman.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  steps: [{canary: {percent: 20}, hold: 60s}]
  warmup: {requests: 0}
"""
EXAMPLE = CRDS.parent / "examples" / "replay"


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    return str(file)


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    rows = ["time,arm,pod,gate,le,value"]
    for look in range(21):
        for arm, requests, bad in (("stable", 800, 8), ("candidate", 200, 40)):
            rows += [
                f"{10 * look},{arm},a,errors,total,{look * requests}",
                f"{10 * look},{arm},a,errors,bad,{look * bad}",
            ]
    file = tmp_path / "COUNTS.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    return file


def run(*arguments: str, code: int = 0, given: bytes | None = None) -> str:
    result = CliRunner().invoke(app, ["replay", *arguments], input=given)
    assert result.exit_code == code, result.output
    return result.output


def test_a_json_line_a_look_up_to_the_decision(policy: str, counts: Path) -> None:
    lines = [json.loads(line) for line in run(policy, str(counts), "-o", "json").splitlines()]
    assert [line["time"] for line in lines] == [10 * look for look in range(len(lines))]
    assert {line["decision"] for line in lines[:-1]} == {"Hold"}
    assert lines[-1]["decision"] == "Rollback"
    (gate,) = lines[-1]["gates"]
    assert list(gate) == ["name", "verdict", "logHarm", "logSafe", "estimate", "interval"]
    assert (gate["name"], gate["verdict"]) == ("errors", "Harm")
    assert gate["interval"][0] < gate["estimate"]
    assert lines[0]["gates"][0]["estimate"] is None


def test_all_goes_on_to_the_end(policy: str, counts: Path) -> None:
    assert len(run(policy, str(counts), "-o", "json", "--all").splitlines()) == 21


def test_people_read_every_verdict_and_at_the_end_why(policy: str, counts: Path) -> None:
    said = run(policy, str(counts))
    assert "errors Harm" in said
    assert "Rollback: errors: Harm: " in said
    assert "\x1b" not in said  # colours only on terminals


def test_changes_only(policy: str, counts: Path) -> None:
    every, changes = (
        run(policy, str(counts), "-o", "json", "--looks", looks).splitlines() for looks in ("decision", "changes")
    )
    assert changes == [every[0], every[-1]]


def test_counts_from_standard_input(policy: str, counts: Path) -> None:
    assert run(policy, "-", "-o", "json", given=counts.read_bytes()) == run(policy, str(counts), "-o", "json")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,candidate,c,errors,total,many\n", "COUNTS.csv:2: column 6 (value): write how many requests"),
        ("0,canary,c,errors,total,1\n", "COUNTS.csv:2: column 2 (arm): write stable or candidate"),
        ("0,candidate,c,erors,total,1\n", "COUNTS.csv:2: column 4 (gate): the policy has no gate 'erors'"),
        ("", "COUNTS.csv:1: no row is of the arm `candidate`"),
    ],
)
def test_a_bad_row_is_two_with_its_line_and_column(policy: str, counts: Path, rows: str, said: str) -> None:
    counts.write_text("time,arm,pod,gate,le,value\n" + rows, encoding="utf-8")
    assert said in run(policy, str(counts), code=2)


def test_a_file_that_is_no_text(policy: str, counts: Path) -> None:
    counts.write_bytes(b"time,arm,pod,gate,le,value\n0,candidate,\xff,errors,total,1\n")
    assert f"{counts}:2: this is not UTF-8 text" in run(policy, str(counts), code=2)


def test_what_cannot_be_used_at_all(policy: str, counts: Path) -> None:
    assert "nothing.csv: cannot be read: No such file" in run(policy, "nothing.csv", code=2)
    assert "nothing.yaml: cannot be read: No such file" in run("nothing.yaml", str(counts), code=2)
    assert "standard input can be read once" in run("-", "-", code=2)


def test_a_policy_without_gates_has_nothing_to_replay(counts: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text(POLICY.replace("spec:", "spec:\n  gates: []"), encoding="utf-8")
    assert "this policy has no gates" in run(str(bare), str(counts), code=2)


@pytest.mark.parametrize(
    ("counts", "decision"), [("equal.csv", "Promote"), ("failing.csv", "Rollback"), ("slower.csv", "Rollback")]
)
def test_the_shipped_example(counts: str, decision: str) -> None:
    last = run(str(EXAMPLE / "policy.yaml"), str(EXAMPLE / counts), "-o", "json").splitlines()[-1]
    assert json.loads(last)["decision"] == decision


@pytest.mark.parametrize("output", ["json", "text"])
def test_a_reader_that_goes_away_is_no_error(policy: str, counts: Path, output: str) -> None:
    process = subprocess.Popen(  # noqa: S603  ourselves
        [sys.executable, "-m", "pointsman", "replay", policy, str(counts), "-o", output, "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert said == b""


def test_no_command_loads_the_operator_for_it() -> None:
    """A person waits for it."""
    code = "import sys, pointsman.cli.replaying; print(*[m for m in ('kopf', 'kubernetes', 'aiohttp', 'matplotlib') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  ourselves
    assert loaded.stdout.strip() == ""


def test_the_shipped_recordings_are_those_of_the_script_beside_them() -> None:
    source = runpy.run_path(str(EXAMPLE / "record.py"))
    for number, (name, factors) in enumerate(source["VERSIONS"].items()):
        assert source["recording"](*factors, seed=number) == (EXAMPLE / name).read_text(encoding="utf-8")
