"""Distributions that inspectors count, of answers and of inputs: what to ask Prometheus for, and what its samples say."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

from pointsman.signals.counters import FaultError, whole
from pointsman.signals.matching import PART, PRESENT, SCRAPED, STARTED, mark, matcher, union
from pointsman.signals.profiles import PredictionsQuestion, ServedQuestion
from pointsman.signals.reading import (
    ArmCounts,
    Counts,
    Distribution,
    Faulty,
    NoData,
    PodCount,
    Scale,
    Served,
    Watch,
)
from pointsman.signals.samples import Answer, Failed, Sample

Inspected: TypeAlias = PredictionsQuestion | ServedQuestion

MISSING: Final = "missing"
EXPECTED: Final = "expected"
ALLOWED: Final = "allowed"
_OTHER: Final = "other"

_PREFIX = "pointsman_inspector_"
INFO: Final = f"{_PREFIX}info"
_TARGET = "(job, instance)"
_PREDICTION, _FEATURE = "output", "feature"  # labels

_Target: TypeAlias = tuple[str, str]
_Owner: TypeAlias = tuple[str, str, str]  # namespace, stable, candidate


@dataclass(frozen=True, slots=True)
class Table:
    """An answer by inspector: the samples of each, and which inspectors were told of whom."""

    samples: Mapping[_Target, Sequence[Sample]]
    told: Mapping[_Owner, Sequence[_Target]]


def predictions(watches: Collection[Watch], *, namespace: str, pod: str) -> str:
    """The query for what both versions of every rollout predict.

    Args:
        watches: the rollouts.
        namespace: what the scrape calls the namespace.
        pod: what it calls the pod.
    """
    told = f"{namespace}=~{_named(watch.namespace for watch in watches)}"
    info = f"{INFO}{{{told},candidate=~{_named(watch.candidate for watch in watches)}}}"
    both = _named(name for watch in watches for name in (watch.stable, watch.candidate))
    parts = _counted("prediction", f"{told},revision=~{both}", info, by=(namespace, "revision", _PREDICTION, pod))
    return " or ".join((*parts, *_processes(info)))


def served(watches: Collection[Watch], *, namespace: str, pod: str) -> str:
    """The query for what versions that serve alone are asked and predict, with what is not there and the norms."""
    told = f"{namespace}=~{_named(watch.namespace for watch in watches)}"
    stable = _named(watch.stable for watch in watches)
    info = f'{INFO}{{{told},stable=~{stable},candidate=""}}'
    answers, inputs = (namespace, "revision", _PREDICTION, pod), (namespace, _FEATURE, pod)
    parts = (
        *_counted("prediction", f"{told},revision=~{stable}", info, by=answers),
        *_counted("feature", told, info, by=inputs),
        mark(_of(f"{_PREFIX}features_missing_total{{{told}}}", info), MISSING),
        mark(_of(f"{_PREFIX}predictions_missing_total{{{told},revision=~{stable}}}", info), MISSING),
        mark(_of(f"{_PREFIX}expected_ratio{{{told}}}", info), EXPECTED),
        mark(_of(f"{_PREFIX}allowed_ratio{{{told}}}", info), ALLOWED),
    )
    return " or ".join((*parts, *_processes(info)))


def _named(values: Iterable[str]) -> str:
    return matcher("", union(values)).removeprefix("=~")


def _counted(what: str, matchers: str, info: str, *, by: tuple[str, ...]) -> tuple[str, str]:
    labels = ",".join((*by, "job", "instance"))
    return (
        f"sum by ({labels},le) ({_of(f'{_PREFIX}{what}s_bucket{{{matchers}}}', info)})",
        f"sum by ({labels},value) ({_of(f'{_PREFIX}{what}_values_total{{{matchers}}}', info)})",
    )


def _processes(info: str) -> tuple[str, ...]:
    """The inspectors that are told so, when each was scraped and when it started: in the same query, of the same moment."""
    return (
        mark(info, PRESENT),
        mark(_of("(timestamp(up) * up)", info), SCRAPED),
        mark(_of("process_start_time_seconds", info), STARTED),
    )


def _of(series: str, info: str) -> str:
    return f"{series} and on {_TARGET} {info}"


def table(answer: Answer, *, namespace: str) -> Table | Failed:
    """An answer, sorted once for all rollouts."""
    if isinstance(answer, Failed):
        return answer
    samples: dict[_Target, list[Sample]] = defaultdict(list)
    told: dict[_Owner, list[_Target]] = defaultdict(list)
    for sample in answer:
        target = sample.labels.get("job", ""), sample.labels.get("instance", "")
        samples[target].append(sample)
        if sample.labels.get(PART) == PRESENT:
            arms = (sample.labels.get("stable", ""), sample.labels.get("candidate", ""))
            told[sample.labels.get(namespace, ""), *arms].append(target)
    return Table(samples=samples, told=told)


def read(
    question: Inspected, watch: Watch, found: Table | Failed, *, at: datetime, pod: str
) -> Counts | Served | NoData | Faulty:
    """What the inspector of one rollout, or of one version that serves alone, has counted.

    Args:
        question: what is asked.
        watch: the rollout.
        found: the answer to the query of all.
        at: the look's time.
        pod: what the scrape calls the pod.
    """
    if isinstance(found, Failed):
        return NoData(found.reason)
    process = _newest(found, watch, at)
    if isinstance(process, NoData):
        return process
    try:
        if isinstance(question, ServedQuestion):
            return _served(process, watch, pod)
        return _pair(process, watch, pod)
    except FaultError as fault:
        return Faulty(f"gate {question.gate}: {fault}")


@dataclass(frozen=True, slots=True)
class _Process:
    samples: Sequence[Sample]
    scraped: float
    started: float | None

    def pod(self, label: str) -> str:
        """Its pod."""
        names = (one.labels.get(label) or one.labels.get("instance", "") for one in self.samples)
        return next(names, "")


def _newest(found: Table, watch: Watch, at: datetime) -> _Process | NoData:
    """The inspector that began last: of the one before it nothing more comes."""
    who = f"revision {watch.candidate or watch.stable}"
    targets = found.told.get((watch.namespace, watch.stable, watch.candidate), ())
    if not targets:
        return NoData(
            f"Prometheus has no target for the inspector of {who}: is the pod up, and its port of metrics scraped?"
        )
    processes = [_process(found.samples[target]) for target in targets]
    latest = max(processes, key=lambda one: (one.started or 0.0, one.scraped))
    if latest.scraped <= 0:
        return NoData(f"Prometheus cannot scrape the inspector of {who}")
    if at.timestamp() - latest.scraped > watch.stale_after.total_seconds():
        return NoData(
            f"the last scrape of the inspector of {who} is over {watch.stale_after.total_seconds():.0f} s old"
        )
    return latest


def _process(samples: Sequence[Sample]) -> _Process:
    marked = {part: [0.0] for part in (SCRAPED, STARTED)}
    for sample in samples:
        part = sample.labels.get(PART, "")
        if part in marked and math.isfinite(sample.value):
            marked[part].append(sample.value)
    return _Process(samples=samples, scraped=max(marked[SCRAPED]), started=max(marked[STARTED]) or None)


def _served(process: _Process, watch: Watch, pod: str) -> Served:
    answers = _of_revision(process, watch.stable)
    return Served(
        pod=process.pod(pod),
        started=process.started,
        features=_distributions([one for one in process.samples if one.labels.get(_FEATURE)], _FEATURE),
        predictions=_distributions(answers, _PREDICTION),
    )


def _pair(process: _Process, watch: Watch, pod: str) -> Counts:
    """Both versions' predictions, of the outputs that both have."""
    arms = [
        {one.scale: one for one in _distributions(_of_revision(process, revision), _PREDICTION)}
        for revision in (watch.stable, watch.candidate)
    ]
    outputs = tuple(scale for scale in arms[0] if scale in arms[1])
    cells = [tuple(accumulate(n for scale in outputs for n in arm[scale].counts)) for arm in arms]
    size = len(cells[0])
    newest = datetime.fromtimestamp(process.scraped, tz=UTC)
    stable, candidate = (
        ArmCounts(
            pods={process.pod(pod): PodCount(started=process.started, cells=one or (0, 0))},
            newest=newest,
            series=size,
        )
        for one in cells
    )
    numbers = (*(float(number) for number in range(size - 1)), math.inf) if size else ()
    return Counts(edges=numbers, stable=stable, candidate=candidate, outputs=outputs)


def _of_revision(process: _Process, revision: str) -> list[Sample]:
    """Its predictions; a norm has no revision: the reference is the version's that serves."""
    return [
        one for one in process.samples if _PREDICTION in one.labels and one.labels.get("revision", revision) == revision
    ]


def _distributions(samples: Iterable[Sample], by: str) -> tuple[Distribution, ...]:
    """One distribution a name, in the order of names; what has no bins yet is none.

    Raises:
        FaultError: counters that cannot be true.
    """
    of: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of[sample.labels[by]].append(sample)
    found = (_distribution(name, series) for name, series in sorted(of.items()))
    return tuple(one for one in found if one is not None)


def _distribution(name: str, series: Sequence[Sample]) -> Distribution | None:
    plain = [one for one in series if PART not in one.labels]
    buckets = {_number(one, "le"): whole("", one) for one in plain if "le" in one.labels}
    values = {one.labels["value"]: whole("", one) for one in plain if "value" in one.labels}
    missing = sum(whole("", one) for one in series if one.labels.get(PART) == MISSING)
    if len(buckets) > 1 and not values:
        edges = tuple(sorted(buckets))
        if edges[-1] != math.inf:
            raise FaultError(f"{name} has no bucket up to +Inf")
        counts = tuple(high - low for low, high in pairwise((0, *(buckets[edge] for edge in edges))))
        if min(counts) < 0:
            raise FaultError(f"the buckets of {name} fall")
        scale = Scale(name, edges=edges[:-1])
    elif len(values) > 1:
        scale = Scale(name, categories=tuple(sorted(values.keys() - {_OTHER})))
        counts = tuple(values.get(category, 0) for category in (*scale.categories, _OTHER))
    else:
        return None
    return Distribution(scale=scale, counts=counts, missing=missing, norm=_norm(series))


def _norm(series: Sequence[Sample]) -> dict[float | str, tuple[float, float]]:
    """What the inspector says of each edge or category."""
    told: dict[str, dict[float | str, float]] = {EXPECTED: {}, ALLOWED: {}}
    for sample in series:
        part = sample.labels.get(PART, "")
        if part in told and math.isfinite(sample.value):
            told[part][_number(sample, "above") if sample.labels.get("above") else sample.labels.get("value", "")] = (
                sample.value
            )
    return {key: (share, told[ALLOWED][key]) for key, share in told[EXPECTED].items() if key in told[ALLOWED]}


def _number(sample: Sample, label: str) -> float:
    try:
        return float(sample.labels[label])
    except ValueError as error:
        raise FaultError(f"{label}={sample.labels[label]!r} is no number") from error
