"""The rules of the CRDs, judged offline: the same examples that the API server is asked in tests/api."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pointsman.api import schema
from pointsman.api.cel import RULES
from pointsman.api.modeldeployment import InlineRollout
from pointsman.api.rolloutpolicy import RolloutPolicySpec
from pointsman.cli import expressions
from tests.api.cel_examples import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator


def _rules(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((rule["rule"], rule["message"]) for rule in node.get(RULES, ()))
    for part in (*node.get("properties", {}).values(), *([node["items"]] if "items" in node else ())):
        yield from _rules(part)


POLICY_RULES = sorted(
    {pair for model in (RolloutPolicySpec, InlineRollout) for pair in _rules(schema.structural(model))}
)


@pytest.mark.parametrize(("rule", "message"), POLICY_RULES, ids=[message[:60] for _, message in POLICY_RULES])
def test_every_rule_of_a_policy_says_offline_what_it_says_in_the_cluster(rule: str, message: str) -> None:
    examples = EXAMPLES[message]
    assert [value for value in examples.bad if expressions.holds(rule, value)] == []
    assert [value for value in examples.good if not expressions.holds(rule, value)] == []


@pytest.mark.parametrize(
    ("expression", "self", "said"),
    [
        ("self.a > 1 || self.b > 1", {"b": 2}, True),  # the side that has a value decides
        ("self.a > 1 && self.b > 1", {"b": 2}, False),
        ("!(self.a > 1 && self.b > 1)", {"b": 0}, True),
        ("has(self.a.b)", {"a": {}}, False),
        ("has(self.a.b)", {}, False),
        ("self.a ? self.b == 1 : self.b == 2", {"a": False, "b": 2}, True),
        ("self.map(x, x + 1).filter(x, x > 2) == [3]", [1, 2], True),
        ("self.exists(x, x in ['a', 'b'])", ["b"], True),
        ("size(self) - 1 == -1 && self.size() == 0", [], True),
        ("self[0].startsWith('a') && self[0].endsWith('c') && self[0].contains('b')", ["abc"], True),
        ("self.matches('^a$')", "a\n", False),  # RE2's `$` is the end
        (r"self == 'it\'s'", "it's", True),
        ("duration(self) < duration('1h')", "59m", True),
        ("duration(self) < duration('1h')", "soon", False),  # no value: not true
        ("type(self) == int", True, False),
    ],
)
def test_expressions(expression: str, self: object, said: bool) -> None:  # noqa: FBT001  a table
    assert expressions.holds(expression, self) is said


@pytest.mark.parametrize(
    "expression", ["self.reduce(x, x)", "quantity(self)", "self ~ 1", "self == ", "(self", "self self"]
)
def test_what_is_not_built_says_so(expression: str) -> None:
    with pytest.raises(expressions.UnsupportedError):
        expressions.holds(expression, 1)
