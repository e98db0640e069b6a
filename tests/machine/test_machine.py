"""Anything may happen to a model cluster in any order, and what Pointsman promises still holds."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from pointsman.cluster.kinds import WATCHED
from pointsman.rollout.arms import is_inspector
from tests.machine.apiserver import Fault, Object
from tests.machine.cluster import Cluster
from tests.machine.promises import Promises
from tests.machine.stories import COURSES, MIRRORED, QUICK
from tests.rollout.examples import rollout
from tests.rollout.surroundings import SCORES, Behaviour
from tests.sizes import FULL

ROOM = {4: [(1, 0), (0, 1), (4, 0), (1, 1)], 2: [(1, 0), (0, 1)], 1: [(1, 0)]}  # N: S and U
SHAPES = [(n, surge, unavailable) for n, rooms in ROOM.items() for surge, unavailable in rooms]
VERSIONS = st.sampled_from(["1", "2", "3"])
EVERY = {**COURSES, **MIRRORED}
MODEL = {"reference": {"configMap": "churn-reference"}}
CHILDREN = ("Deployment", "Service", "HTTPRoute", "ModelRevision")


class Rollouts(RuleBasedStateMachine):
    """A ModelDeployment, its users, its cluster and its operators."""

    cluster: Cluster
    promises: Promises

    @initialize(
        course=st.sampled_from([*((name, True) for name in EVERY), *((name, False) for name in sorted(COURSES))]),
        shape=st.sampled_from(SHAPES),
    )
    def first_version_serves(self, course: tuple[str, bool], shape: tuple[int, int, int]) -> None:
        name, routed = course
        replicas, surge, unavailable = shape
        spec = rollout(**QUICK, **EVERY[name], capacity={"maxSurge": surge, "maxUnavailable": unavailable})
        spec = {**spec, "replicas": replicas, "model": {**spec["model"], **MODEL, "version": "1"}}
        if not routed:
            del spec["traffic"]
        self.promises = Promises()
        self.cluster = Cluster(spec=spec, witness=self.promises, rps=200.0)
        self.promises.attach(self.cluster)
        self.pass_seconds(15)
        assert self.condition("Ready") == "Serving"

    def condition(self, kind: str) -> str:
        return str(next(c["reason"] for c in self.cluster.status["conditions"] if c["type"] == kind))

    def stage(self) -> object:
        running = self.cluster.rollout
        return None if running is None else (running["attempt"], running["phase"], running["step"])

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.cluster.tick()
            self.promises.look()
        self.counts_are_not_more_than_what_was_served()
        self.counts_are_not_more_than_what_was_served()

    # -- time, and the users of Kubernetes

    @rule(seconds=st.sampled_from([1, 3, 10, 30, 60]))
    def time_passes(self, seconds: int) -> None:
        self.pass_seconds(seconds)

    @rule()
    def time_passes_until_something_changes(self) -> None:
        before = self.stage()
        for _ in range(60):
            self.pass_seconds(1)
            if self.stage() != before:
                return

    @rule(version=st.sampled_from(["2", "3"]))
    def a_rollout_gets_its_first_share(self, version: str) -> None:
        self.spec_names(version)
        for _ in range(40):
            self.pass_seconds(1)
            if self.cluster.rollout is not None and self.cluster.rollout["phase"] in ("Canary", "Promoting"):
                return

    @rule(version=st.sampled_from(["2", "3"]))
    def a_bad_version_gets_its_first_share(self, version: str) -> None:
        self.a_version_is_like_that(version, failures=0.4, starts=True)
        self.a_rollout_gets_its_first_share(version)

    @rule(minutes=st.sampled_from([1, 5]))
    def the_operator_is_down(self, minutes: int) -> None:
        for _ in range(60 * minutes):
            self.cluster.pass_by()
            self.promises.look()
        self.pass_seconds(1)

    @rule(version=VERSIONS)
    def spec_names(self, version: str) -> None:
        self.cluster.specify(model={**self.cluster.written["spec"]["model"], "version": version})

    @rule(replicas=st.sampled_from([1, 2, 3, 4, 6]))
    def spec_asks_for_pods(self, replicas: int) -> None:
        if replicas > 1 or self.cluster.surge:
            self.cluster.specify(replicas=replicas)

    @rule(course=st.sampled_from(sorted(EVERY)))
    def policy_is_edited(self, course: str) -> None:
        written = self.cluster.written["spec"]
        if "traffic" in written or course in COURSES:
            edited = rollout(**QUICK, **EVERY[course], capacity=written["rollout"]["capacity"])
            self.cluster.specify(rollout=edited["rollout"])

    @rule(runtime=st.sampled_from(["nobody", None]))
    def spec_names_a_runtime_that_is_not_there(self, runtime: str | None) -> None:
        self.cluster.specify(runtime=runtime)

    @rule(verb=st.sampled_from(["promote", "retry", "approve", "abort"]))
    def somebody_asks(self, verb: str) -> None:
        attempt, running = self.cluster.attempt, self.cluster.rollout
        if attempt is not None:
            step = f"/{running['step']}" if verb == "approve" and running is not None else ""
            self.cluster.annotate(verb, f"{attempt}{step}")

    @rule()
    def somebody_aborts_a_promotion(self) -> None:
        last = next(iter(self.cluster.status.get("history", ())), None)
        if last is not None and last["outcome"] == "Promoted":
            self.cluster.annotate("abort", f"{last['revision']}/{last['attempt']}")

    @rule(pause=st.booleans())
    def pause_or_resume(self, pause: bool) -> None:  # noqa: FBT001  drawn
        self.cluster.annotate("pause", "" if pause else None)

    @rule()
    def somebody_pauses_for_a_while(self) -> None:
        self.pause_or_resume(pause=True)
        self.pass_seconds(30)
        self.pause_or_resume(pause=False)

    # -- pods, gateway and Prometheus

    @rule(version=VERSIONS, failures=st.sampled_from([0.0, 0.4, 0.4]), starts=st.sampled_from([True, True, False]))
    def a_version_is_like_that(self, version: str, failures: float, starts: bool) -> None:  # noqa: FBT001  drawn
        before = self.cluster.behaviour.get(version, Behaviour())
        self.cluster.behaviour[version] = replace(before, failures=failures, starts=starts)
        self.promises.look()

    @rule(version=VERSIONS, differs=st.sampled_from([0.0, 0.6]), scores=st.sampled_from([SCORES, (0.1, 0.2, 0.3, 0.4)]))
    def a_version_answers_like_that(self, version: str, differs: float, scores: tuple[float, ...]) -> None:
        self.cluster.behaviour[version] = replace(
            self.cluster.behaviour.get(version, Behaviour()), differs=differs, scores=scores
        )
        self.promises.look()

    @rule()
    def the_inspector_dies(self) -> None:
        self.cluster.stopped |= {name for name, obj in self.cluster.found("Deployment").items() if is_inspector(obj)}

    @rule(version=VERSIONS)
    def all_pods_are_unready(self, version: str) -> None:
        self.cluster.stopped.add(self.cluster.revision(version))

    @rule()
    def all_pods_are_ready_again(self) -> None:
        self.cluster.stopped.clear()

    @rule(version=VERSIONS, ran_for=st.sampled_from([1.0, 3600.0]))
    def a_container_dies(self, version: str, ran_for: float) -> None:
        if self.cluster.pods.get(self.cluster.revision(version)):
            self.cluster.container_dies(self.cluster.revision(version), ran_for=ran_for)

    @rule(version=VERSIONS)
    def pods_are_evicted(self, version: str) -> None:
        if self.cluster.pods.get(self.cluster.revision(version)):
            self.cluster.evict(self.cluster.revision(version))

    @rule(works=st.booleans())
    def deployments_are_looked_after(self, works: bool) -> None:  # noqa: FBT001  drawn
        self.cluster.kubelet = works

    @rule(up=st.booleans())
    def prometheus_is(self, up: bool) -> None:  # noqa: FBT001  drawn
        self.cluster.prometheus = up
        self.promises.look()

    @rule(silent=st.sampled_from([(), ("errors",), ("latency",)]), choice=st.integers(0, 3))
    def prometheus_has_a_part(self, silent: tuple[str, ...], choice: int) -> None:
        self.cluster.silent = set(silent)
        names = sorted(pod.name for pods in self.cluster.pods.values() for pod in pods)
        self.cluster.hidden = set(names[:choice])

    @rule(answers=st.booleans(), problem=st.sampled_from([None, "NotAllowed"]))
    def gateway_is(self, answers: bool, problem: str | None) -> None:  # noqa: FBT001  drawn
        self.cluster.gateway, self.cluster.gateway_problem = answers, problem

    @rule(seconds=st.sampled_from([-600, -61, -5, 5, 61, 600]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.cluster.leader.skew = timedelta(seconds=seconds)

    # -- hands

    @rule(percent=st.integers(0, 100))
    def somebody_edits_the_route(self, percent: int) -> None:
        def edit(route: Object) -> None:
            backends = route["spec"]["rules"][0]["backendRefs"]
            if len(backends) == 2:
                backends[0]["weight"], backends[1]["weight"] = 100 - percent, percent

        self.cluster.change("HTTPRoute", "churn", edit)

    @rule(choice=st.integers(0, 9), replicas=st.integers(0, 6))
    def somebody_scales(self, choice: int, replicas: int) -> None:
        names = sorted(self.cluster.found("Deployment"))
        name = names[choice % len(names)] if names else ""
        self.cluster.change("Deployment", name, lambda obj: obj["spec"].update(replicas=replicas))

    @rule(kind=st.sampled_from(CHILDREN), choice=st.integers(0, 9))
    def somebody_deletes(self, kind: str, choice: int) -> None:
        names = sorted(self.cluster.found(kind))
        if names:
            self.promises.forgive(kind)
            self.cluster.api.remove(kind, names[choice % len(names)])
            self.pass_seconds(1)  # one at a time: of a version whose every trace is gone nothing is known

    # -- watches, crashes and leaders

    @rule(kind=st.sampled_from([kind.name for kind in WATCHED]))
    def a_watch_is_cut(self, kind: str) -> None:
        self.cluster.leader.deaf.add(kind)

    @rule()
    def watches_are_whole_again(self) -> None:
        for kind in WATCHED:
            self.cluster.leader.relist(kind)

    @rule(events=st.integers(1, 5))
    def events_come_twice(self, events: int) -> None:
        self.cluster.leader.hear_again(events)
        self.cluster.lead()

    @rule()
    def a_plan_comes_twice(self) -> None:
        before = dict(self.cluster.api.objects)
        self.cluster.leader.carry_out_again()
        assert self.cluster.api.objects == before

    @rule(kind=st.sampled_from(["dies", "dies", "no answer", "refused"]), after=st.integers(0, 8), landed=st.booleans())
    def a_write_goes_wrong(
        self,
        kind: Literal["dies", "no answer", "refused"],
        after: int,
        landed: bool,  # noqa: FBT001  drawn
    ) -> None:
        self.cluster.api.struck = lambda: None
        self.cluster.api.fault = Fault(kind, after, landed)

    @rule(
        after=st.integers(0, 8),
        landed=st.booleans(),
        seconds=st.sampled_from([2, 20, 60]),
        asks=st.sampled_from(["nothing", "abort", "1", "3"]),
    )
    def the_leader_sleeps_at_a_write(self, after: int, landed: bool, seconds: int, asks: str) -> None:  # noqa: FBT001  drawn
        def meanwhile() -> None:
            self.cluster.another_leads()
            if asks == "abort":
                self.somebody_asks("abort")
            elif asks != "nothing":
                self.spec_names(asks)
            self.pass_seconds(seconds)

        self.cluster.api.struck = meanwhile
        self.cluster.api.fault = Fault("sleeps", after, landed)

    @rule()
    def another_leads(self) -> None:
        self.cluster.another_leads()

    # -- what holds, and that every story ends

    def counts_are_not_more_than_what_was_served(self) -> None:
        """No evidence is counted twice."""
        for name, obj in self.cluster.found("ModelRevision").items():
            for attempt in (obj.get("status") or {}).get("attempts", ()):
                for gate in attempt.get("gates", ()):
                    counted = self.cluster.served.get(name, 0) + self.cluster.replayed.get(name, 0)
                    assert int(gate.get("candidateRequests") or 0) <= counted

    def teardown(self) -> None:
        """All is well: every story ends, and then nothing is written any more."""
        if not hasattr(self, "cluster"):
            return
        cluster = self.cluster
        cluster.behaviour.clear()
        for happened in (cluster.stopped, cluster.silent, cluster.hidden):
            happened.clear()
        cluster.prometheus = cluster.gateway = cluster.kubelet = True
        cluster.gateway_problem, cluster.api.fault = None, None
        for verb in ("abort", "promote", "retry", "approve", "pause"):
            cluster.annotate(verb, None)
        cluster.specify(runtime=None)
        cluster.leader.skew = timedelta()
        self.watches_are_whole_again()
        for _ in range(80):
            self.pass_seconds(20)
            if cluster.rollout is None:
                break
            if self.condition("UpToDate") == "Undecided":  # what was bad before is evidence too: a person decides
                self.somebody_asks("abort")
            elif cluster.rollout["phase"] == "AwaitingApproval":
                self.somebody_asks("approve")
        assert cluster.rollout is None, cluster.status
        self.pass_seconds(130)
        cluster.api.writes.clear()
        self.pass_seconds(60)
        assert [write for write in cluster.api.writes if "ModelRevision" not in str(write)] == []
        assert len(cluster.api.writes) <= 1  # what is known of a version that is watched, every ten minutes
        assert self.condition("Ready") == "Serving"
        target = cluster.revision(cluster.written["spec"]["model"]["version"])
        assert (self.condition("UpToDate") == "UpToDate") == (cluster.name_of("stable") == target)


Rollouts.TestCase.settings = settings(
    max_examples=600 if FULL else 50,
    stateful_step_count=40 if FULL else 20,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


class TestRollouts(Rollouts.TestCase):  # type: ignore[name-defined,misc]  # made by Hypothesis
    """With the operators' logs off: a thousand rollouts have much to say."""

    def setUp(self) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def tearDown(self) -> None:
        structlog.reset_defaults()
