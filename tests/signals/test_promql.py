"""PromQL of users: what is read, how it is confined, and what is refused with which sentence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.signals.promql import Matcher, Selector, confined, selector
from pointsman.signals.tokens import PromqlError, Token, quoted, tokens, unquoted
from tests.signals.queries_of_users import QUERIES, queries

NAMES = {"namespace": "ml", "deployment": "churn", "revision": "churn-81d0aa37"}
OWN = 'namespace="ml"'


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("up", f"up{{{OWN}}}"),
        ("up{}", f"up{{{OWN}}}"),
        ('max(gpu{revision="$revision"})', f'max(gpu{{revision="churn-81d0aa37",{OWN}}})'),
        ('gpu{pod=~"$revision-.*|$deployment-[0-9]$"}', f'gpu{{pod=~"churn-81d0aa37-.*|churn-[0-9]$",{OWN}}}'),
        ('up{namespace="other"}', f'up{{namespace="other",{OWN}}}'),  # both hold: nothing is found
        ('up{namespace=~".*"} or up', f'up{{namespace=~".*",{OWN}}} or up{{{OWN}}}'),
        ('{__name__=~"a.*"}', f'{{__name__=~"a.*",{OWN}}}'),
        ("a:b:c", f"a:b:c{{{OWN}}}"),
        ("rate(a[5m] offset -1h)", f"rate(a{{{OWN}}}[5m] offset -1h)"),
        ("max_over_time((a + b)[1h:1m] @ end())", f"max_over_time((a{{{OWN}}} + b{{{OWN}}})[1h:1m] @ end())"),
        ("a @ 1600000000 offset 5m", f"a{{{OWN}}} @ 1600000000 offset 5m"),
        ("SUM(a) BY (on, by,) / scalar(b)", f"sum by (on, by) (a{{{OWN}}}) / scalar(b{{{OWN}}})"),
        ("a * ON(x) GROUP_LEFT(y) b", f"a{{{OWN}}} * on (x) group_left (y) b{{{OWN}}}"),
        ("a and ignoring() b unless c", f"a{{{OWN}}} and ignoring () b{{{OWN}}} unless c{{{OWN}}}"),
        ("-a ^ 2 > bool 1e-3", f"- a{{{OWN}}} ^ 2 > bool 1e-3"),
        ("a # b\n+ b", f"a{{{OWN}}} + b{{{OWN}}}"),
        ("rate", f"rate{{{OWN}}}"),  # the name of a function is one of a metric, too
        (r'label_replace(a,"x","$1","y",`(.*)\.z`)', rf'label_replace(a{{{OWN}}}, "x", "$1", "y", "(.*)\\.z")'),
        (r"""a{b='it\'s',c="\u00e9\n"}""", rf'a{{b="it\'s",c="é\n",{OWN}}}'.replace("\\'", "'")),
        ("vector(1) + NaN + 0x1F + time()", "vector(1) + nan + 0x1F + time()"),
    ],
)
def test_a_query_is_written_with_our_matcher_in_every_selector(query: str, written: str) -> None:
    assert confined(query, NAMES) == written


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "column 1, at the end: a metric, a number, a function or `(` should stand here"),
        ("a b", "column 3, at 'b': the query should end here, or go on with an operator"),
        ("sum(a", "column 6, at the end: `,` should stand here"),
        ("a ?", "column 3: '?' is no PromQL"),
        ("a{b}", "column 4, at '}': after the label `b` write =, !=, =~ or !~"),
        ("a{b=c}", "column 5, at 'c': write a string in quotes, such as \"shop\""),
        ('a{b="$version"}', "b: there is no $version here; there are $namespace, $deployment, $revision"),
        ('a{b="1" or c="2"}', "column 9, at 'or': `,` should stand here"),  # an extension: either of two groups
        ('{"a b", c="1"}', "column 2, at '\"a b\"': write the name of a label, without quotes"),
        ("{}", "`{}` selects everything: name a metric"),
        ("info(a)", "`info` is no function that a gate can use"),  # it reads series that no selector names
        ("soon(a)", "`soon` is no function that a gate can use"),
        ("by", "`by` is a word of PromQL: for a metric of that name use a recording rule"),
        ("sum + 1", "after `sum` write what to aggregate in parentheses"),
        ("a[5m]", "the query answers with a range: write one that answers with numbers of now"),
        ('"a"', "the query answers with a string"),
        ("rate(a[5 m])", "write a range, such as [5m], or of a subquery [1h:1m]"),
        ("a offset 5", "write a duration, such as 5m or 1h30m"),
        ("a @ b", "after `@` write a Unix time, start() or end()"),
        (r'a{b=~"\."}', r"there is no `\.` in a string: a backslash of a pattern is written twice"),
        (r'a{b="\ud800"}', r"`\ud800` is no character"),
        ("(" * 50 + "a" + ")" * 50, "more than 40 levels"),
        ("-" * 100 + "a", "so many signs say nothing"),
    ],
)
def test_what_is_refused_and_what_is_said(query: str, says: str) -> None:
    with pytest.raises(PromqlError) as refused:
        confined(query, NAMES)
    assert says in str(refused.value)


@given(query=st.one_of(queries(), st.lists(st.sampled_from(QUERIES.split()), max_size=12).map(" ".join), st.text()))
@settings(max_examples=500)
def test_no_query_selects_outside_of_its_namespace(query: str) -> None:
    """Whatever is accepted: in what is written every name that is not called and every brace has our matcher last."""
    try:
        written = confined(query, NAMES)
    except PromqlError:
        return
    assert confined(written, NAMES).count(OWN) == written.count(OWN) + len(selections(tokens(written)))
    for matchers in selections(tokens(written)):
        assert [token.text for token in matchers[-3:-1]] == ["namespace", "="]
        assert unquoted(matchers[-1]) == "ml"


def selections(words: list[Token]) -> list[list[Token]]:
    """The matchers of every selector, found without the parser: names in braces, and that no name stands bare."""
    found: list[list[Token]] = []
    index = 0
    while words[index].kind != "end":
        word, following = words[index], words[index + 1]
        if word.text == "{":
            end = next(at for at in range(index, len(words)) if words[at].text == "}" and words[at].kind == "sign")
            found.append(words[index + 1 : end])
            index = end
        elif word.text in ("by", "without", "on", "ignoring", "group_left", "group_right"):
            index = next(at for at in range(index, len(words)) if words[at].text == ")")
        elif word.kind == "name" and following.text not in ("{", "("):
            called = word.text in ("and", "or", "unless", "atan2", "bool", "offset", "inf", "nan")
            grouped = following.text in ("by", "without", "on", "ignoring")
            assert called or grouped, f"{word} stands bare"
        index += 1
    return found


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_string_means_itself(value: str) -> None:
    (token, _) = tokens(quoted(value))
    assert unquoted(token) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("orders_total", Selector("orders_total")),
        (
            'orders_total{app="shop", model=~"$deployment-.*",}',
            Selector("orders_total", (Matcher("app", "=", "shop"), Matcher("model", "=~", "churn-.*"))),
        ),
    ],
)
def test_counters_of_events_are_plain_selectors(text: str, found: Selector) -> None:
    assert selector(text, {"namespace": "ml", "deployment": "churn"}) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate(orders_total[5m])", "write a plain selector of counters, such as orders_total"),
        ("orders_total[5m]", "write a plain selector"),
        ("orders_total offset 5m", "write a plain selector"),
        ("sum", "write a plain selector"),
        ('{__name__="orders_total"}', "write a plain selector"),
        ('orders_total{__name__!="a"}', "write the metric by its name alone"),
        ('orders_total{revision="$revision"}', "there is no $revision here; there are $namespace, $deployment"),
    ],
)
def test_what_is_no_plain_selector(text: str, says: str) -> None:
    with pytest.raises(PromqlError) as refused:
        selector(text, {"namespace": "ml", "deployment": "churn"})
    assert says in str(refused.value)
