"""What pods export of one latency signal: native histograms, classic ones or both, and which of them to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pointsman.signals import classic, histogram, native
from pointsman.signals.counters import FaultError
from pointsman.signals.histogram import Histogram
from pointsman.signals.profiles import Unit
from pointsman.signals.samples import Sample


@dataclass(frozen=True, slots=True)
class Exported:
    """The sum of a pod's histograms over paths, methods and whatever else tells them apart, in either form."""

    native: Histogram | None
    classic: Histogram | None


def read(pod: str, series: Sequence[Sample], unit: Unit) -> Exported:
    """The histograms of a pod's series; None in both forms where there are none.

    Raises:
        FaultError: they cannot be true, or are no histograms.
    """
    natives = [native.read(pod, one.histogram, one.labels, unit) for one in series if one.histogram is not None]
    buckets = [one for one in series if one.histogram is None and "le" in one.labels]
    plain = [one for one in series if one.histogram is None and "le" not in one.labels]
    if plain and not natives and not buckets:
        name = plain[0].labels.get("__name__", "its metric")
        raise FaultError(f"pod {pod} exports {name} as a plain number: name a histogram in the metrics profile")
    classics = classic.read(pod, buckets, unit)
    return Exported(
        native=histogram.add(natives) if natives else None, classic=histogram.add(classics) if classics else None
    )


def agree(*arms: Mapping[str, Exported]) -> list[dict[str, Histogram | None]]:
    """One histogram of every pod: native where all pods that export any have a native one, else classic where all have one.

    A pod that has another form than the rest is not compared with them in vain: the edges that they share tell.
    """
    pods = [one for arm in arms for one in arm.values() if one.native is not None or one.classic is not None]
    if any(one.native is None for one in pods) and all(one.classic is not None for one in pods):
        return [{pod: one.classic for pod, one in arm.items()} for arm in arms]
    return [{pod: one.native or one.classic for pod, one in arm.items()} for arm in arms]
