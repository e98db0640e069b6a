"""What is printed of a rollout: the files in golden/ say it; `make generate` writes them."""

from __future__ import annotations

import io
import json

import pytest
import yaml
from rich.console import Console

from pointsman.cli import tree
from pointsman.cli.faults import AbsentError, ClusterError
from pointsman.cli.model import model
from pointsman.cli.story import story
from pointsman.signals.queries import Labels
from tests.cli import rollouts as r
from tests.cli.views import EVENTS, GOLDEN, views

VIEWS = views()


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_printed(name: str) -> None:
    assert (GOLDEN / name).read_text(encoding="utf-8") == VIEWS[name], "run `make generate` and look at the difference"


def test_no_file_is_left_over() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == set(VIEWS)


def printed(*, terminal: bool, **environment: str) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, _environ={"TERM": "xterm-256color", **environment})
    console.print(tree.tree(r.canary(), now=r.NOW, program="pointsman"))
    return out.getvalue()


def test_colours_are_for_terminals() -> None:
    green = "\x1b[32m"
    assert green in printed(terminal=True)
    assert green not in printed(terminal=True, NO_COLOR="1")
    assert "\x1b[" not in printed(terminal=False)


def test_a_name_that_looks_like_markup_is_printed_as_it_is() -> None:
    obj = r.deployment("[bold]7[/]", stable=r.arm("[red]6", 1, 1), conditions=[r.SERVES[0]])
    out = io.StringIO()
    Console(file=out, width=200).print(tree.tree(model(obj), now=r.NOW, program="pointsman"))
    assert "version [red]6" in out.getvalue()


def test_documents_are_what_their_formats_say() -> None:
    assert json.loads(VIEWS["get.json"])["rollouts"][0]["phase"] == "Canary"
    assert yaml.safe_load(VIEWS["status-canary.yaml"])["gates"][0]["neededRequests"] == 8400


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        (
            "churn-00000000",
            "churn: it has no ModelRevision 'churn-00000000'; there are: churn-006e73c5, churn-9a1be823",
        ),
        (
            "churn-9a1be823",
            "churn: nothing was decided about churn-9a1be823: the first version serves without being compared",
        ),
    ],
)
def test_what_cannot_be_explained(revision: str, said: str) -> None:
    with pytest.raises(AbsentError) as caught:
        story(r.canary(), EVENTS, revision=revision, labels=Labels(), gateway=None)
    assert str(caught.value) == said


def test_nothing_to_explain_yet() -> None:
    with pytest.raises(
        AbsentError, match="churn: there is nothing to explain: no rollout runs, and none has ended yet"
    ):
        story(r.refused(), EVENTS, revision="", labels=Labels(), gateway=None)


def test_objects_of_another_version() -> None:
    obj = r.deployment("7", stable=r.arm("6", 1, 1), rollout=r.rollout("Teleporting", 1, 5, ""))
    with pytest.raises(
        ClusterError, match=r"^ModelDeployment ml/churn: status.rollout.phase: .*: it was written by another"
    ):
        model(obj)
