from typing import Any

import pytest
import yaml

from tests.render.examples import EXAMPLES
from tests.render.golden import FOLDER, text


@pytest.mark.parametrize("name", EXAMPLES)
def test_renders_what_the_golden_file_has(name: str) -> None:
    assert text(EXAMPLES[name]) == (FOLDER / f"{name}.yaml").read_text(), (
        "if this is meant: python -m tests.render.golden, and read the diff"
    )


def test_every_golden_file_has_an_example() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_null_reaches_an_object(name: str) -> None:
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(nulls(child) for child in value.values())
        return any(map(nulls, value)) if isinstance(value, list) else value is None

    assert not nulls(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
