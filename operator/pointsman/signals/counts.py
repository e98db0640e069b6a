"""From samples to exact counters per pod: whose they are, whether they are fresh, and whether they can be true."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TypeAlias, TypeVar

from pointsman.signals import absence, distributions, events, exports, histogram, past
from pointsman.signals.counters import FaultError, whole
from pointsman.signals.distributions import Inspected
from pointsman.signals.matching import FAILED, PART, PRESENT, STARTED, counters_of, values_of
from pointsman.signals.measures import measured
from pointsman.signals.own import Asked, EventsQuestion, EventsShape, ThresholdQuestion
from pointsman.signals.profiles import Arm, Counter, Question, Shape
from pointsman.signals.queries import (
    CLUSTER,
    REPLAYED,
    Labels,
    Plan,
    Query,
    RangeQuery,
    span,
)
from pointsman.signals.reading import (
    Answered,
    ArmCounts,
    Counts,
    Faulty,
    NoData,
    Past,
    PodCount,
    Reading,
    Watch,
)
from pointsman.signals.samples import Answer, Failed, RangeAnswer, Sample, Series

Owner: TypeAlias = tuple[str, str]
"""Namespace and name of a revision, or of events what their label holds for it."""

_Target: TypeAlias = tuple[str, str]
"""Job and instance: what Prometheus scrapes."""

_Labelled = TypeVar("_Labelled", Sample, Series)
_Table: TypeAlias = Mapping[Owner, Sequence[Sample]]


def look(
    plan: Plan, answers: Mapping[Query, Answer], at: datetime, *, ranges: Mapping[RangeQuery, RangeAnswer] | None = None
) -> Look:
    """Sort the answers of one look by revision, once for all rollouts.

    Args:
        plan: the look's plan.
        answers: one for each of its queries.
        at: the time at which they were evaluated, and the end of the ranges.
        ranges: one answer for each of the plan's ranges, if it has any.
    """
    asked = {query: shape for ((shape, _, _), _), query in plan.past.items()}
    return Look(
        at=at,
        plan=plan,
        past={query: _table(asked[query], answer, plan.labels) for query, answer in (ranges or {}).items()},
        series={shape: _table(shape, answers[query], plan.labels) for shape, query in plan.shapes.items()},
        events={shape: _table(shape, answers[query], plan.labels) for shape, query in plan.events.items()},
        values={text: answers[query] for text, query in plan.values.items()},
        inspected={
            kind: distributions.table(answers[query], namespace=plan.labels.namespace)
            for kind, query in plan.inspected.items()
        },
        up={source: _by_owner(source, answers[query], plan.labels) for source, query in plan.freshness.items()},
    )


@dataclass(frozen=True, slots=True)
class Look:
    """The answers of one look, by revision."""

    at: datetime
    plan: Plan
    past: Mapping[RangeQuery, Mapping[Owner, Sequence[Series]] | Failed]
    series: Mapping[Shape, _Table | Failed]
    events: Mapping[EventsShape, _Table | Failed]
    values: Mapping[str, Answer]
    inspected: Mapping[type[Inspected], distributions.Table | Failed]
    up: Mapping[Counter, _Table | Failed]

    def read(self, watch: Watch) -> Reading:
        """What this look says about one rollout; `watch` is one of those that the plan was made of."""
        # Gates that ask the same are answered once: hundreds of buckets of two quantiles are the same ones.
        compared = cache(partial(self._compared, watch))
        before = cache(partial(self._before, watch))
        return Reading(
            at=self.at,
            gates={question.gate: self._answer(watch, question, compared) for question in watch.questions},
            past={}
            if watch.calibrate is None
            else {
                one.gate: before(one.stable, watch.stable)
                if isinstance(one, Question)
                else before(one.shape, one.stable)
                for one in watch.questions
                if isinstance(one, Question | EventsQuestion)
            },
        )

    def failures(self, watch: Watch) -> float:
        """What the candidate's counters say that it has failed so far: for who is decided first, not for a verdict."""
        owner = (watch.namespace, watch.candidate)
        tables = [
            self.series[one.candidate]
            for one in watch.questions
            if isinstance(one, Question) and one.candidate.signal == "Errors"
        ]
        return sum(
            sample.value
            for table in tables
            if not isinstance(table, Failed)
            for sample in table.get(owner, ())
            if sample.labels.get(PART) == FAILED
        )

    def _before(self, watch: Watch, shape: Shape | EventsShape, name: str) -> Past | NoData:
        """What this look says about the time before it, of what this name has counted."""
        long = span(watch)
        query = None if long is None else self.plan.past.get(((shape, watch.namespace, name), long))
        if long is None or query is None or query not in self.past:
            return NoData("the past was not asked for")
        found = self.past[query]
        if isinstance(found, Failed):
            return NoData(found.reason)
        series = found.get((watch.namespace, name), ())
        if isinstance(shape, EventsShape):
            return past.read_events(series, at=self.at, span=long)
        return past.read(shape, series, at=self.at, span=long, warmup=watch.warmup, pod=self.plan.labels.pod)

    def _events(self, watch: Watch, question: EventsQuestion) -> Answered:
        table = self.events[question.shape]
        if isinstance(table, Failed):
            return NoData(table.reason)
        return events.read(
            question,
            watch,
            stable=table.get((watch.namespace, question.stable), ()),
            candidate=table.get((watch.namespace, question.candidate), ()),
            at=self.at,
            labels=self.plan.labels,
        )

    def _answer(self, watch: Watch, question: Asked, compared: Callable[[Shape, Shape], Counts | NoData]) -> Answered:
        if isinstance(question, ThresholdQuestion):
            return measured(self.values[question.query])
        if isinstance(question, EventsQuestion):
            return self._events(watch, question)
        if isinstance(question, Inspected):
            found = self.inspected[type(question)]
            return distributions.read(question, watch, found, at=self.at, pod=self.plan.labels.pod)
        try:
            return compared(question.stable, question.candidate)
        except FaultError as fault:
            return Faulty(f"gate {question.gate}: {fault}")

    def _compared(self, watch: Watch, stable: Shape, candidate: Shape) -> Counts | NoData:
        """What both arms have counted.

        Raises:
            FaultError: it cannot be true.
        """
        ours = self._arm(watch, "candidate", candidate)
        theirs = self._arm(watch, "stable", stable)
        if isinstance(ours, NoData):
            return ours
        if isinstance(theirs, NoData):
            return theirs
        counted = _counts(candidate, of_stable=theirs, of_candidate=ours)
        return replace(counted, slices=self._slices(watch, candidate)) if candidate.by else counted

    def _slices(self, watch: Watch, shape: Shape) -> Mapping[str, ArmCounts]:
        """The candidate's counters by what its shape tells apart."""
        series = self.series[shape]
        found = () if isinstance(series, Failed) else series.get((watch.namespace, watch.candidate), ())
        arms = {name: self._arm(watch, "candidate", shape, name) for name in values_of(shape.by, found)}
        return {name: _arm_counts(arm, arm.errors) for name, arm in arms.items() if not isinstance(arm, NoData)}

    def _arm(self, watch: Watch, arm: Arm, shape: Shape, part: str = "") -> _Arm | NoData:
        series, up = self.series[shape], self.up[shape.source]
        if isinstance(series, Failed):
            return NoData(series.reason)
        if isinstance(up, Failed):
            return NoData(up.reason)
        owner = (watch.namespace, watch.stable if arm == "stable" else watch.candidate)
        who = f"{arm} revision {owner[1]}"
        scraped, starts = (_of_runtime if shape.source == "Runtime" else _of_others)(watch, owner, series, up)
        if not scraped:
            return NoData(absence.no_target(who, owner, shape, up, self.plan.labels))
        return _read_arm(
            shape,
            who=who,
            scraped=scraped,
            series=counters_of(part, shape.by, series.get(owner, ())),
            started={_target(sample): sample.value for sample in starts if sample.labels.get(PART) == STARTED},
            clock=_Clock(at=self.at, stale_after=watch.stale_after),
            pod=self.plan.labels.pod,
        )


def _of_runtime(_watch: Watch, owner: Owner, series: _Table, up: _Table) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The scrapes of a revision's own pods, and samples that tell when their processes started."""
    return [sample for sample in up.get(owner, ()) if PART not in sample.labels], series.get(owner, ())


def _of_others(watch: Watch, _owner: Owner, series: _Table, up: _Table) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The same of the gateway's pods that serve either revision, or of the inspector that replays to both.

    A revision without traffic may have no cluster in the gateway: a pod that serves the other one has counted zero of it.
    """
    arms = [sample for name in (watch.stable, watch.candidate) for sample in series.get((watch.namespace, name), ())]
    serving = {_target(sample) for sample in arms if sample.labels.get(PART) == PRESENT}
    return [sample for sample in up.get(_EVERYBODY, ()) if _target(sample) in serving], series.get(_EVERYBODY, ())


_EVERYBODY: Owner = ("", "")  # of a process that serves several revisions


@dataclass(frozen=True, slots=True)
class _Clock:
    at: datetime
    stale_after: timedelta


@dataclass(frozen=True, slots=True)
class _Arm:
    """An arm before its histograms are brought to common edges."""

    errors: Mapping[str, tuple[int, int]]
    histograms: Mapping[str, exports.Exported]
    started: Mapping[str, float | None]
    newest: datetime
    series: int
    missing: Mapping[str, str]


def _table(
    shape: Shape | EventsShape, answer: tuple[_Labelled, ...] | Failed, labels: Labels
) -> Mapping[Owner, Sequence[_Labelled]] | Failed:
    if isinstance(shape, Shape):
        return _by_owner(shape.source, answer, labels)
    if isinstance(answer, Failed):
        return answer
    table: dict[Owner, list[_Labelled]] = defaultdict(list)
    for sample in answer:
        table[sample.labels.get(labels.namespace, ""), sample.labels.get(shape.label, "")].append(sample)
    return table


def _by_owner(
    source: Counter, answer: tuple[_Labelled, ...] | Failed, labels: Labels
) -> Mapping[Owner, Sequence[_Labelled]] | Failed:
    if isinstance(answer, Failed):
        return answer
    table: dict[Owner, list[_Labelled]] = defaultdict(list)
    for sample in answer:
        if source != "Gateway":
            revision = sample.labels.get(labels.revision if source == "Runtime" else REPLAYED)
            known = revision is not None or source == "Runtime"
            owner = (sample.labels.get(labels.namespace, ""), revision or "") if known else _EVERYBODY
        else:
            parts = sample.labels.get(CLUSTER, "").split("/")
            owner = (parts[1], parts[2]) if len(parts) > 3 else _EVERYBODY  # noqa: PLR2004  service/ns/name/port
        table[owner].append(sample)
    return table


def _read_arm(
    shape: Shape,
    *,
    who: str,
    scraped: Sequence[Sample],
    series: Sequence[Sample],
    started: Mapping[_Target, float],
    clock: _Clock,
    pod: str,
) -> _Arm | NoData:
    targets: dict[str, dict[_Target, float]] = defaultdict(dict)
    for sample in scraped:
        targets[_pod(sample, pod)][_target(sample)] = sample.value
    of_pod: dict[str, list[Sample]] = defaultdict(list)
    for sample in series:
        of_pod[_pod(sample, pod)].append(sample)
    live: dict[str, _Target | None] = {}
    missing: dict[str, str] = {}
    newest = 0.0
    for name, times in targets.items():
        target = _exporter(name, of_pod.get(name, ()))
        judged = times if target is None else {key: at for key, at in times.items() if key == target}
        problem = _not_scraped(name, judged, clock)
        if problem is not None:
            missing[name] = problem
            continue
        live[name] = target if target is not None else (next(iter(times)) if len(times) == 1 else None)
        newest = max(newest, *judged.values())
    if not live:
        return NoData(f"no pod of {who} has fresh data: {'; '.join(sorted(missing.values())[:3])}")
    counters = shape.counts_requests
    return _Arm(
        errors={name: _errors(name, of_pod.get(name, ())) for name in live} if counters else {},
        histograms={} if counters else {name: exports.read(name, of_pod.get(name, ()), shape.unit) for name in live},
        started={name: _start(started.get(target)) if target else None for name, target in live.items()},
        newest=datetime.fromtimestamp(newest, tz=UTC),
        series=sum(PART not in sample.labels for name in live for sample in of_pod.get(name, ())),
        missing=missing,
    )


def _exporter(pod: str, series: Iterable[Sample]) -> _Target | None:
    """The target that exports the pod's counters; two of them would count every request twice."""
    targets = sorted({_target(sample) for sample in series})
    if len(targets) > 1:
        both = " and ".join(f"job {job!r} at {instance!r}" for job, instance in targets[:2])
        raise FaultError(f"pod {pod} is scraped twice, as {both}: leave one of the two scrapes out")
    return targets[0] if targets else None


def _not_scraped(pod: str, times: Mapping[_Target, float], clock: _Clock) -> str | None:
    if not times:
        return f"pod {pod} has series whose target is gone"
    for (job, instance), scraped in times.items():
        if math.isnan(scraped) or scraped <= 0:
            return f"Prometheus cannot scrape pod {pod} (job {job}, {instance})"
        age = clock.at.timestamp() - scraped
        if age > clock.stale_after.total_seconds():
            return f"the last scrape of pod {pod} (job {job}, {instance}) is over {clock.stale_after.total_seconds():.0f} s old"
    return None


def _errors(pod: str, series: Sequence[Sample]) -> tuple[int, int]:
    """Failed and all requests of a pod, summed over paths, methods and statuses."""
    failed = sum(whole(pod, sample) for sample in series if sample.labels.get(PART) == FAILED)
    return failed, sum(whole(pod, sample) for sample in series if PART not in sample.labels)


def _start(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _target(sample: Sample) -> _Target:
    return sample.labels.get("job", ""), sample.labels.get("instance", "")


def _pod(sample: Sample, label: str) -> str:
    return sample.labels.get(label) or sample.labels.get("instance", "")


def _counts(shape: Shape, *, of_stable: _Arm, of_candidate: _Arm) -> Counts:
    note = None
    if of_stable.series + of_candidate.series == 0:
        note = (
            f"no pod of either version exports a matching series of {shape.metric} yet: none has served a request,"
            " or its name or `match` in the metrics profile is wrong"
        )
    if shape.counts_requests:
        return Counts(
            edges=(),
            stable=_arm_counts(of_stable, of_stable.errors),
            candidate=_arm_counts(of_candidate, of_candidate.errors),
            note=note,
        )
    stable, candidate = exports.agree(of_stable.histograms, of_candidate.histograms)
    edges = histogram.common_edges([*stable.values(), *candidate.values()])
    return Counts(
        edges=edges,
        stable=_arm_counts(of_stable, histogram.on_edges(stable, edges)),
        candidate=_arm_counts(of_candidate, histogram.on_edges(candidate, edges)),
        note=note,
    )


def _arm_counts(arm: _Arm, cells: Mapping[str, tuple[int, ...]]) -> ArmCounts:
    return ArmCounts(
        pods={name: PodCount(started=arm.started[name], cells=counted) for name, counted in sorted(cells.items())},
        newest=arm.newest,
        series=arm.series,
        missing=arm.missing,
    )
