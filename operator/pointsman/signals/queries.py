"""From questions to PromQL: one instant query per shape over all active rollouts, one per source for freshness, and ranges of the past."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pointsman.signals import distributions
from pointsman.signals.distributions import INFO, Inspected
from pointsman.signals.matching import (
    FAILED,
    NOWHERE,
    PRESENT,
    SCRAPED,
    STARTED,
    UNLABELLED,
    literal,
    mark,
    matcher,
    union,
)
from pointsman.signals.own import Asked, EventsQuestion, EventsShape, ThresholdQuestion
from pointsman.signals.profiles import Arm, Counter, Matchers, Question, ServedQuestion, Shape
from pointsman.signals.promql import Matcher
from pointsman.signals.reading import Watch
from pointsman.signals.tokens import quoted

CLUSTER: Final = "envoy_cluster_name"
_CLUSTER_GAUGE = "envoy_cluster_membership_total"  # exported from the start, unlike a counter that has not moved
_UPTIME = "envoy_server_uptime"
_TARGET = "(job, instance)"

REPLAYED: Final = "revision"
"""The label with which the inspector tells the versions apart."""


STEPS: Final = 360
"""A range query has at most so many."""

_AT_ONCE: Final = 16  # revisions in a range query: 16 x 50 pods x 20 buckets x 360 steps are 6 million points


@dataclass(frozen=True, slots=True)
class Span:
    """How far a look goes back, in seconds, and in which steps."""

    seconds: float
    step: float


@dataclass(frozen=True, slots=True)
class Labels:
    """What the scrape calls the pod labels of Pointsman, the namespace and the pod."""

    deployment: str = "pointsman_dev_deployment"
    revision: str = "pointsman_dev_revision"
    namespace: str = "namespace"
    pod: str = "pod"


@dataclass(frozen=True, slots=True)
class Query:
    """An instant query; `about` says in a few words what it asks for."""

    text: str
    about: str


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """A query of the `seconds` before the look, evaluated every `step` seconds."""

    text: str
    about: str
    seconds: float
    step: float


Whose: TypeAlias = tuple[Shape | EventsShape, str, str]
"""A shape, the namespace, and the name of the revision that it is asked of, or of events what their label holds for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The queries of one look: their number grows with shapes, never with rollouts; only queries of users are their own.

    events  of users' counters
    values  users' queries, by their text
    inspected  of distributions, by the kind of question
    past  by what is asked of whom; one query per shape, window and step for at most `_AT_ONCE` revisions together
    """

    labels: Labels
    shapes: Mapping[Shape, Query]
    freshness: Mapping[Counter, Query]
    events: Mapping[EventsShape, Query] = field(default_factory=dict)
    values: Mapping[str, Query] = field(default_factory=dict)
    inspected: Mapping[type[Inspected], Query] = field(default_factory=dict)
    past: Mapping[tuple[Whose, Span], RangeQuery] = field(default_factory=dict)

    @property
    def queries(self) -> tuple[Query, ...]:
        """All instant ones, each once; users' own come last, so that a slow one delays nobody else's."""
        own = (*self.events.values(), *self.values.values())
        return (*self.shapes.values(), *self.freshness.values(), *self.inspected.values(), *own)

    @property
    def ranges(self) -> tuple[RangeQuery, ...]:
        """All of the past, each once."""
        return tuple(dict.fromkeys(self.past.values()))


def plan(watches: Iterable[Watch], labels: Labels = Labels()) -> Plan:
    """The queries that answer all questions of all watches."""
    watches = tuple(watches)
    revisions: dict[Shape, set[tuple[str, str]]] = defaultdict(set)
    events: dict[EventsShape, set[tuple[str, str]]] = defaultdict(set)
    values: dict[str, Query] = {}
    for watch in watches:
        for question in watch.questions:
            if isinstance(question, Question):
                revisions[question.stable].add((watch.namespace, watch.stable))
                revisions[question.candidate].add((watch.namespace, watch.candidate))
            elif isinstance(question, EventsQuestion):
                events[question.shape] |= {(watch.namespace, question.stable), (watch.namespace, question.candidate)}
            elif isinstance(question, ThresholdQuestion):
                values[question.query] = Query(text=question.query, about=f"gate {question.gate} of {watch.candidate}")
    freshness: dict[Counter, Query] = {}
    for source in sorted({shape.source for shape in revisions}):
        asked = sorted({pair for shape, pairs in revisions.items() if shape.source == source for pair in pairs})
        freshness[source] = _up_of(source, asked, labels)
    return Plan(
        labels=labels,
        shapes={shape: _counters(shape, sorted(asked), labels) for shape, asked in revisions.items()},
        freshness=freshness,
        events={shape: _events(shape, sorted(asked), labels) for shape, asked in events.items()},
        values=values,
        inspected=_inspected(watches, labels),
        past=_past(watches, labels),
    )


def _inspected(watches: Iterable[Watch], labels: Labels) -> dict[type[Inspected], Query]:
    asking: dict[type[Inspected], list[Watch]] = defaultdict(list)
    for watch in watches:
        for kind in {type(one) for one in watch.questions if isinstance(one, Inspected)}:
            asking[kind].append(watch)
    found = {}
    for kind, those in asking.items():
        build = distributions.served if kind is ServedQuestion else distributions.predictions
        whose = _who([(watch.namespace, watch.candidate or watch.stable) for watch in those])
        text = build(those, namespace=labels.namespace, pod=labels.pod)
        found[kind] = Query(text=text, about=f"what the inspectors of {whose} count")
    return found


def span(watch: Watch) -> Span | None:
    """The past that a watch asks for: steps of whole seconds, no more of them than `STEPS`."""
    if watch.calibrate is None:
        return None
    seconds = watch.calibrate.total_seconds()
    step = math.ceil(max(watch.interval.total_seconds(), seconds / STEPS))
    return Span(seconds=step * max(1, math.floor(seconds / step)), step=step)


def promql(shape: Shape, *, namespace: str, revision: str, labels: Labels = Labels()) -> tuple[str, ...]:
    """What a person pastes into Prometheus to see what the gate saw of one revision: failed and all, or the buckets."""
    if shape.source == "Gateway":
        arm = matcher(CLUSTER, f"service/{literal(namespace)}/{literal(revision)}/.+")
    else:
        told_by = labels.revision if shape.source == "Runtime" else REPLAYED
        arm = f"{labels.namespace}={quoted(namespace)},{told_by}={quoted(revision)}"
    if shape.counts_requests:
        match = (*shape.match, (shape.by, "")) if shape.by else shape.match  # all of them, whatever they are by
        return (
            f"sum({_select(shape.metric, arm, match, shape.failed)})",
            f"sum({_select(shape.metric, arm, match)})",
        )
    buckets, native = (_select(name, arm, shape.match) for name in _series(shape))
    return (f"sum by (le) ({buckets}) or sum ({native})",)


def checks(asked: Asked, arm: Arm, *, namespace: str, revision: str, labels: Labels = Labels()) -> tuple[str, ...]:
    """What a person pastes into Prometheus to check what a gate saw of one arm: the bad ones and all, or what it compares."""
    if isinstance(asked, ThresholdQuestion):
        return (asked.query,)
    if isinstance(asked, EventsQuestion):
        value = asked.stable if arm == "stable" else asked.candidate
        within = Matcher(asked.shape.label, "=", value), Matcher(labels.namespace, "=", namespace)
        return asked.shape.bad.within(*within), asked.shape.total.within(*within)
    if isinstance(asked, Inspected):
        owner = f"{labels.namespace}={quoted(namespace)},{REPLAYED}={quoted(revision)}"
        return (f"sum by (output,le) (pointsman_inspector_predictions_bucket{{{owner}}})",)
    shape = asked.stable if arm == "stable" else asked.candidate
    return promql(shape, namespace=namespace, revision=revision, labels=labels)


def pasted(asked: Asked, arm: Arm, *, namespace: str, revision: str, labels: Labels = Labels()) -> str:
    """The last of these: all of what the gate compares, to see whether anything is there."""
    return checks(asked, arm, namespace=namespace, revision=revision, labels=labels)[-1]


def _events(shape: EventsShape, pairs: Sequence[tuple[str, str]], labels: Labels) -> Query:
    """Each series of the user's counters, and when it was scraped; nothing is summed: each is a counter of its own."""
    total = shape.total.within(*_arms_of_events(shape, pairs, labels))
    parts = (*_rising_events(shape, pairs, labels), mark(f"timestamp({total})", SCRAPED))
    return Query(text=" or ".join(parts), about=f"{shape.total.metric} of {_who(pairs)}")


def _rising_events(shape: EventsShape, pairs: Sequence[tuple[str, str]], labels: Labels) -> tuple[str, str]:
    arms = _arms_of_events(shape, pairs, labels)
    return shape.total.within(*arms), mark(shape.bad.within(*arms), FAILED)


def _arms_of_events(shape: EventsShape, pairs: Sequence[tuple[str, str]], labels: Labels) -> tuple[Matcher, Matcher]:
    return (
        Matcher(labels.namespace, "=~", union(namespace for namespace, _ in pairs)),
        Matcher(shape.label, "=~", union(value for _, value in pairs)),
    )


def _counters(shape: Shape, pairs: Sequence[tuple[str, str]], labels: Labels) -> Query:
    """Each pod's counters, and in the same query what they are judged by.

    One query reads one snapshot: were failures, requests and the process's start asked for apart, a scrape that lands in
    between would show more failures than requests, or a restart with the counters of the process before.
    """
    arms = _arms(shape, pairs, labels)
    parts = _rising(shape, arms, labels)
    if shape.source == "Gateway":
        present = f"{_CLUSTER_GAUGE}{{{arms}}}"
        parts.append(mark(present, PRESENT))
        parts.append(mark(f"(timestamp({_UPTIME}) - {_UPTIME}) and on {_TARGET} {present}", STARTED))
    elif shape.source == "Inspector":
        present = _inspectors(pairs, labels)
        named = f'label_replace({present},"{REPLAYED}","$1","candidate","(.*)")'
        parts.append(mark(named, PRESENT))
        parts.append(mark(f"process_start_time_seconds and on {_TARGET} {present}", STARTED))
    return Query(text=" or ".join(parts), about=f"{shape.metric} of {_who(pairs)}")


def _rising(shape: Shape, arms: str, labels: Labels) -> list[str]:
    """Each pod's counters, summed over what tells its series apart, never over pods; a runtime's with its start.

    Summed by Prometheus, because the labels of thousands of series are most of an answer.
    """
    owner = {
        "Runtime": (labels.namespace, labels.revision),
        "Gateway": (CLUSTER,),
        "Inspector": (labels.namespace, REPLAYED),
    }[shape.source]
    apart = (shape.by,) if shape.by else ()
    by = ",".join(dict.fromkeys((*owner, labels.pod, "job", "instance", *apart)))
    keys = (by,) if shape.counts_requests else (f"{by},le", by)
    parts = [
        f"sum by ({key}) ({_select(name, arms, shape.match)})" for key, name in zip(keys, _series(shape), strict=True)
    ]
    if shape.counts_requests:
        parts.append(mark(f"sum by ({by}) ({_select(shape.metric, arms, shape.match, shape.failed)})", FAILED))
    if shape.source == "Runtime":
        parts.append(mark(f"max by ({by}) (process_start_time_seconds{{{arms}}})", STARTED))
    return parts


def _arms(shape: Shape, pairs: Sequence[tuple[str, str]], labels: Labels) -> str:
    if shape.source == "Gateway":
        return _clusters(pairs)
    return _pods(pairs, labels) if shape.source == "Runtime" else _revisions(pairs, labels, REPLAYED)


def _series(shape: Shape) -> tuple[str, ...]:
    """What Prometheus calls it: a histogram is there as buckets, as one native series, or as both."""
    return (shape.metric,) if shape.counts_requests else (f"{shape.metric}_bucket", shape.metric)


def _past(watches: Iterable[Watch], labels: Labels) -> dict[tuple[Whose, Span], RangeQuery]:
    asked: dict[tuple[Shape | EventsShape, Span], set[tuple[str, str]]] = defaultdict(set)
    for watch in watches:
        long = span(watch)
        if long is not None:
            for question in watch.questions:
                if isinstance(question, Question):
                    asked[question.stable, long].add((watch.namespace, watch.stable))
                elif isinstance(question, EventsQuestion):
                    asked[question.shape, long].add((watch.namespace, question.stable))
    found: dict[tuple[Whose, Span], RangeQuery] = {}
    for (shape, long), pairs in asked.items():
        ordered = sorted(pairs)
        for begin in range(0, len(ordered), _AT_ONCE):
            group = ordered[begin : begin + _AT_ONCE]
            query = _counters_before(shape, group, labels, long)
            found.update({((shape, *pair), long): query for pair in group})
    return found


def _counters_before(
    shape: Shape | EventsShape, pairs: Sequence[tuple[str, str]], labels: Labels, long: Span
) -> RangeQuery:
    """Each counter as it rose."""
    if isinstance(shape, EventsShape):
        parts: Sequence[str] = _rising_events(shape, pairs, labels)
        metric = shape.total.metric
    else:
        parts, metric = _rising(shape, _arms(shape, pairs, labels), labels), shape.metric
    return RangeQuery(
        text=" or ".join(parts),
        about=f"the past of {metric} of {_who(pairs)}",
        seconds=long.seconds,
        step=long.step,
    )


def _runtime_up(pairs: Sequence[tuple[str, str]], labels: Labels) -> Query:
    """When each pod was last scraped, 0 where the scrape failed; with it the targets that lack the labels, to say so.

    An instant query stamps its samples with its own time: only `timestamp` of a plain selector tells the scrape's.
    """
    named = matcher(labels.pod, f"(?:{union(revision for _, revision in pairs)})-.+")
    unlabelled = f"{named},{labels.revision}={quoted('')}"
    revisions = matcher(labels.revision, union(revision for _, revision in pairs))
    nowhere = f"{revisions},{labels.namespace}={quoted('')}"
    parts = (
        _up(_pods(pairs, labels)),
        mark(_up(unlabelled), UNLABELLED),
        mark(_up(nowhere), NOWHERE),
    )
    return Query(text=" or ".join(parts), about=f"up of {_who(pairs)}")


def _up_of(source: Counter, pairs: Sequence[tuple[str, str]], labels: Labels) -> Query:
    if source == "Runtime":
        return _runtime_up(pairs, labels)
    return _gateway_up(pairs) if source == "Gateway" else _inspector_up(pairs, labels)


def _inspector_up(pairs: Sequence[tuple[str, str]], labels: Labels) -> Query:
    text = f"(timestamp(up) * up) and on {_TARGET} {_inspectors(pairs, labels)}"
    return Query(text=text, about=f"up of the inspectors of {_who(pairs)}")


def _inspectors(pairs: Sequence[tuple[str, str]], labels: Labels) -> str:
    """The inspectors that replay to these revisions as candidates."""
    return f"{INFO}{{{_revisions(pairs, labels, 'candidate')}}}"


def _gateway_up(pairs: Sequence[tuple[str, str]]) -> Query:
    text = f"(timestamp(up) * up) and on {_TARGET} {_CLUSTER_GAUGE}{{{_clusters(pairs)}}}"
    return Query(text=text, about=f"up of the gateway's pods that serve {_who(pairs)}")


def _up(matchers: str) -> str:
    return f"timestamp(up{{{matchers}}}) * up{{{matchers}}}"


def _select(metric: str, arms: str, *matchers: Matchers) -> str:
    further = [matcher(name, pattern) for group in matchers for name, pattern in group]
    return f"{metric}{{{','.join([arms, *further])}}}"


def _pods(pairs: Sequence[tuple[str, str]], labels: Labels) -> str:
    """The pods of these revisions; where namespaces share revision names it finds a few too many, and the reader tells them apart."""
    return _revisions(pairs, labels, labels.revision)


def _revisions(pairs: Sequence[tuple[str, str]], labels: Labels, label: str) -> str:
    namespaces = matcher(labels.namespace, union(namespace for namespace, _ in pairs))
    return f"{namespaces},{matcher(label, union(revision for _, revision in pairs))}"


def _clusters(pairs: Sequence[tuple[str, str]]) -> str:
    """Envoy Gateway's name of a Service with mergeBackends: service/<namespace>/<service>/<port>/<port name>."""
    services = union(f"{namespace}/{revision}" for namespace, revision in pairs)
    return matcher(CLUSTER, f"service/(?:{services})/.+")


def _who(pairs: Sequence[tuple[str, str]]) -> str:
    return pairs[0][1] if len(pairs) == 1 else f"{len(pairs)} revisions"
