"""Whether the matchers of a metric profile are regular expressions that Prometheus can read: RE2's, which are not Python's."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Final

from pointsman.api.modelruntime import Metrics

_REPEATS: Final = 1000  # RE2 takes no more of one thing

_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|$)", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:(?P<known>[AabBCdDfnrsStvwW]|[^0-9A-Za-z]|0[0-7]{0,2}|[1-7][0-7]{1,2}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\})"
    r"|(?P<end>z)|(?P<property>[pP](?:[A-Z]|\{\^?[A-Za-z_]+\}))|(?P<unknown>.?))",
    re.DOTALL,
)
_NAMED_CLASS = re.compile(r"\[:\^?[a-z]+:\]")
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_GROUP = re.compile(
    r"\(\?(?:[imsU]*(?:-[imsU]+)?(?P<flags>[:)])|P?<(?P<name>[A-Za-z0-9_]+)>|(?P<unknown>.{0,2}))", re.DOTALL
)
_POSSESSIVE = re.compile(r"[*+?}]\+")
_REPETITION = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def pattern_fault(metrics: Metrics) -> str | None:
    """Which matcher of a metric profile is no regular expression; None: all are."""
    for field in ("requests", "latency", "time_to_first_token", "time_per_output_token"):
        measured = getattr(metrics, field)
        for group in ("match", "failed"):
            for label, pattern in (getattr(measured, group, None) or {}).items():
                fault = _fault(pattern)
                if fault is not None:
                    name = type(metrics).model_fields[field].alias or field
                    return f"metrics.{name}.{group}.{label}: {pattern!r} is not a regular expression of RE2: {fault}"
    return None


@lru_cache(maxsize=4096)
def _fault(pattern: str) -> str | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what Python may read otherwise one day
            re.compile(_as_python_writes_it(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None


def _as_python_writes_it(pattern: str) -> str:
    """An expression of Python's that is one if and only if the pattern is one of RE2's; it need not match the same."""
    plain = _QUOTED.sub(lambda quoted: "q" * len(quoted[1]), pattern)
    plain = _ESCAPE.sub(_escape, plain)
    plain = _NAMED_CLASS.sub("a", plain).replace("{,", "l")  # `{,3}` is no repetition, but these four characters
    outside = _CLASS.sub(_class, plain)
    if _POSSESSIVE.search(outside):
        raise re.error("there is no possessive repetition such as `a++`")
    if any(int(times) > _REPEATS for found in _REPETITION.finditer(outside) for times in found.groups() if times):
        raise re.error(f"a repetition of more than {_REPEATS}")
    return _GROUP.sub(_group, outside)


def _escape(found: re.Match[str]) -> str:
    if found["unknown"] is not None:
        raise re.error(f"there is no `\\{found['unknown']}`")
    return "e"


def _class(found: re.Match[str]) -> str:
    re.compile(found[0])
    return "c"


def _group(found: re.Match[str]) -> str:
    if found["unknown"] is not None:
        raise re.error(
            f"there is no `(?{found['unknown']}`: neither lookaround nor conditions, comments or flags but imsU"
        )
    return "" if found["flags"] == ")" else "(?:"
