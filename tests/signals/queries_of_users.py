"""PromQL as users may write it, some of it meant to look into other namespaces; drawn from its grammar."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

QUERIES = """a { } ( ) , + - by (x) on bool offset 5m "q" 'q' `q` namespace = "other" =~ ".*" or and unless sum rate [5m]
[5m:1m] @ 1 info inf nan 1 {} {a="b"} __name__ # x group_left without ignoring start() \\ $revision atan2 : a:b \n"""
"""Words in any order make the other half of the examples."""

_NAMES = st.sampled_from(["a", "up", "a:b", "rate", "by", "on", "sum", "namespace", "bool", "start", "Inf"])
_LABELS = st.sampled_from(["namespace", "a", "by", "on", "le", "__name__"])
_VALUES = st.one_of(
    st.sampled_from(["other", ".*", '"}', '\\"', "ml", "$revision", "a\nb", "} or up"]), st.text(max_size=4)
)


def _string(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@st.composite
def _selector(draw: Any) -> str:
    matchers = draw(st.lists(st.tuples(_LABELS, st.sampled_from(["=", "!=", "=~", "!~"]), _VALUES), max_size=3))
    braces = "{" + ",".join(f"{label}{op}{_string(value)}" for label, op, value in matchers) + "}"
    return str(draw(st.one_of(_NAMES, _NAMES.map(lambda name: name + braces), st.just(braces))))


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    labels = st.lists(_LABELS, max_size=2).map(lambda found: f"({','.join(found)})")
    operators = st.sampled_from(["+", "or", "and", "unless", "> bool", "* on(a) group_left()", "/ ignoring(namespace)"])
    return st.one_of(
        st.tuples(inner, operators, inner).map(" ".join),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"-{one}"),
        inner.map(lambda one: f"max_over_time(({one})[1h:5m])"),
        inner.map(lambda one: f"{one} offset 5m"),
        inner.map(lambda one: f"absent({one})"),
        inner.map(lambda one: f'label_replace({one}, "namespace", "other", "a", ".*")'),
        st.tuples(inner, labels).map(lambda both: f"sum by {both[1]} ({both[0]})"),
        st.tuples(inner, labels).map(lambda both: f"topk(3, {both[0]}) without {both[1]}"),
    )


def queries() -> st.SearchStrategy[str]:
    """Expressions of a few levels."""
    selectors = _selector()
    small = st.one_of(selectors, selectors.map(lambda one: f"rate({one}[5m])"), st.sampled_from(["1", "time()"]))
    return st.recursive(small, _larger, max_leaves=6)
