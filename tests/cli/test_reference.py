from __future__ import annotations

from tests.cli.reference import DOCUMENT, written


def test_the_document_has_every_command_and_option() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == written(text), "run `make generate`"
