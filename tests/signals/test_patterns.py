"""Which matchers Prometheus can read: each of these was put to Go's regexp/syntax, as Prometheus does."""

from __future__ import annotations

import pytest

from pointsman.api.modelruntime import Metrics
from pointsman.signals.patterns import pattern_fault

READ = (
    "5..", ".*", "(?i)x", "a(?i)b", "(?s:a)", "(?U)a+", "(?P<n>a)", "(?<n>a)", "[[:alpha:]]+", "\\d+|\\pL", "\\p{Greek}", "a\\z", "\\x{1F600}",
    "\\Qa(b\\E", "a{1000}", "a{,3}", "[]a]", "\\012", "😀", "\\.", "a|", "$^",
)  # fmt: skip
NOT_READ = {
    "(": "unterminated subpattern",
    "[": "unterminated character set",
    "a{1001}": "more than 1000",
    "a{2,1}": "min repeat greater than max repeat",
    "*a": "nothing to repeat",
    "a**": "multiple repeat",
    "a++": "possessive",
    "(?=a)": "there is no `(?=",
    "(?!x)": "there is no `(?!",
    "(?<=x)": "there is no `(?<=",
    "(?>a)": "there is no `(?>",
    "(?#c)": "there is no `(?#",
    "(?x)a": "there is no `(?x",
    "(a)\\1": "there is no `\\1`",
    "(?P<n>a)(?P=n)": "there is no `(?P=",
    "(?(1)a|b)": "there is no `(?(1",
    "a\\Z": "there is no `\\Z`",
    "\\u0041": "there is no `\\u`",
    "\\": "there is no `\\`",
    "[b-a]": "bad character range",
}


def profile(pattern: str, *, of: str = "requests") -> Metrics:
    series = (
        {"counter": "requests_total", "failed": {"code": pattern}} if of == "requests" else {"histogram": "seconds"}
    )
    return Metrics.model_validate({"port": 80, of: {**series, "match": {"path": pattern}}})


@pytest.mark.parametrize("pattern", READ)
def test_expressions_of_re2(pattern: str) -> None:
    assert pattern_fault(profile(pattern)) is None


@pytest.mark.parametrize(("pattern", "words"), NOT_READ.items(), ids=NOT_READ)
def test_expressions_that_re2_does_not_know(pattern: str, words: str) -> None:
    said = pattern_fault(profile(pattern))
    assert said is not None
    assert said.startswith(f"metrics.requests.match.path: {pattern!r} is not a regular expression of RE2: ")
    assert words in said


@pytest.mark.parametrize("of", ["latency", "timeToFirstToken", "timePerOutputToken"])
def test_every_histogram_is_read(of: str) -> None:
    said = pattern_fault(profile("(", of=of))
    assert said is not None
    assert said.startswith(f"metrics.{of}.match.path: ")
