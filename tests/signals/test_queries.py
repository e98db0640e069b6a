from __future__ import annotations

import pytest

from pointsman.api.gates import Gate
from pointsman.api.modelruntime import Metrics
from pointsman.signals.queries import Labels, plan, promql
from pointsman.signals.reading import Watch
from tests.signals.scrape import (
    ERRORS,
    GATEWAY_ERRORS,
    GATEWAY_LATENCY,
    LATENCY,
    MLSERVER,
    question,
    watch,
)


def watches(count: int, *gates: Gate) -> list[Watch]:
    questions = tuple(question(gate) for gate in gates)
    return [Watch(f"team-{i}", f"m{i}-aaaaaaaa", f"m{i}-bbbbbbbb", questions) for i in range(count)]


@pytest.mark.parametrize(
    ("gates", "queries"),
    [
        ((), 0),
        ((ERRORS,), 2),  # counters and freshness
        ((ERRORS, Gate(name="strict", signal="Errors")), 2),  # two gates on one metric share its query
        ((ERRORS, LATENCY), 3),
        ((ERRORS, LATENCY, GATEWAY_ERRORS, GATEWAY_LATENCY), 6),
    ],
)
def test_the_number_of_queries_grows_with_shapes_and_not_with_rollouts(gates: tuple[Gate, ...], queries: int) -> None:
    for rollouts in (1, 100):
        assert len(plan(watches(rollouts, *gates)).queries) == queries


def test_no_rollouts_no_queries() -> None:
    assert plan([]).queries == ()


def test_one_query_reads_requests_failures_and_the_start_of_the_process_from_one_snapshot() -> None:
    (counters, up) = plan([watch(ERRORS)]).queries
    pods = 'namespace=~"ml",pointsman_dev_revision=~"churn-11111111|churn-22222222"'
    by = "by (namespace,pointsman_dev_revision,pod,job,instance)"
    failed = f'sum {by} (requests_total{{{pods},path=~"/infer",status=~"5.."}})'
    assert counters.text == (
        f'sum {by} (requests_total{{{pods},path=~"/infer"}})'
        f' or label_replace({failed},"pointsman_part","failed","","")'
        f' or label_replace(max {by} (process_start_time_seconds{{{pods}}}),"pointsman_part","started","","")'
    )
    assert up.text.startswith(f"timestamp(up{{{pods}}}) * up{{{pods}}} or ")
    assert counters.about == "requests_total of 2 revisions"


def test_the_gateway_is_asked_by_the_clusters_of_the_revisions_services() -> None:
    (counters, up) = plan([watch(GATEWAY_ERRORS)]).queries
    clusters = 'envoy_cluster_name=~"service/(?:ml/churn-11111111|ml/churn-22222222)/.+"'
    by = "by (envoy_cluster_name,pod,job,instance)"
    assert counters.text.startswith(f"sum {by} (envoy_cluster_upstream_rq_xx{{{clusters}}}) or ")
    assert f'envoy_cluster_upstream_rq_xx{{{clusters},envoy_response_code_class=~"5"}}' in counters.text
    assert up.text == f"(timestamp(up) * up) and on (job, instance) envoy_cluster_membership_total{{{clusters}}}"


def test_values_mean_themselves_and_patterns_stay_patterns() -> None:
    metrics = Metrics.model_validate(
        {"port": 1, "requests": {"counter": "c", "match": {"path": 'a\\.b"c\nd'}, "failed": {"code": "5.."}}}
    )
    asked = question(ERRORS, metrics)
    (counters, _) = plan([Watch("ml", "v1.0-aaaaaaaa", "v1.0-bbbbbbbb", (asked,))]).queries
    # a dot of a name is escaped for RE2, and its backslash once more for PromQL's string
    assert r'pointsman_dev_revision=~"v1\\.0-aaaaaaaa|v1\\.0-bbbbbbbb"' in counters.text
    assert r'path=~"a\\.b\"c\nd"' in counters.text


def test_the_names_of_labels_are_the_settings() -> None:
    labels = Labels(revision="rev", namespace="ns", pod="pod_name")
    for query in plan([watch(ERRORS, LATENCY)], labels).queries:
        assert 'ns=~"ml",rev=~"' in query.text
        assert "pointsman_dev_revision" not in query.text
        assert "namespace" not in query.text


@pytest.mark.parametrize(
    ("gate", "printed"),
    [
        (
            ERRORS,
            (
                'sum(requests_total{namespace="ml",pointsman_dev_revision="v1.0",path=~"/infer",status=~"5.."})',
                'sum(requests_total{namespace="ml",pointsman_dev_revision="v1.0",path=~"/infer"})',
            ),
        ),
        (
            LATENCY,
            (
                (
                    'sum by (le) (duration_seconds_bucket{namespace="ml",pointsman_dev_revision="v1.0",path=~"/infer"})'
                    ' or sum (duration_seconds{namespace="ml",pointsman_dev_revision="v1.0",path=~"/infer"})'
                ),
            ),
        ),
        (
            GATEWAY_LATENCY,
            (
                (
                    'sum by (le) (envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=~"service/ml/v1\\\\.0/.+"})'
                    ' or sum (envoy_cluster_upstream_rq_time{envoy_cluster_name=~"service/ml/v1\\\\.0/.+"})'
                ),
            ),
        ),
    ],
)
def test_a_person_can_paste_what_the_gate_asked_of_one_revision(gate: Gate, printed: tuple[str, ...]) -> None:
    assert promql(question(gate, MLSERVER).stable, namespace="ml", revision="v1.0") == printed
