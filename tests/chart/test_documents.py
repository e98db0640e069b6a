"""Values in the documentation are values of the chart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import Block, blocks

if TYPE_CHECKING:
    from tests.chart.conftest import Helm

VALUES = [block for block in blocks() if block.info == "yaml values"]


@pytest.mark.parametrize("block", VALUES, ids=lambda block: block.place)
def test_values_in_the_documentation_are_taken(helm: Helm, block: Block, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(block.text)
    helm.render(files=(file,))
