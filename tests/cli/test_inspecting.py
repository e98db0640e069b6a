"""What an inspector that cannot begin says: its last words are what the operator shows people."""

from __future__ import annotations

import json

import pytest

from pointsman.cli import inspecting
from pointsman.cli.faults import InputError
from pointsman.inspector.process import Settings

TOLD = {
    "namespace": "ml",
    "deployment": "churn",
    "attempt": 1,
    "stable": {"revision": "churn-1", "url": "http://churn-1.ml:80"},
    "protocol": "OpenInference",
}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        pytest.param("", "POINTSMAN_INSPECTOR: set it to what docs/inspector.md describes", id="told nothing"),
        pytest.param(
            json.dumps(TOLD | {"reference": "/none/reference.json"}),
            r"there is no file /none/reference\.json; of a reference in a ConfigMap: it is not there",
            id="a ConfigMap that is not there",
        ),
    ],
)
def test_why_it_cannot_begin(told: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_INSPECTOR", told)
    with pytest.raises(InputError, match=words):
        inspecting.run(Settings())
