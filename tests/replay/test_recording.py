"""A CSV of counters: what is read from it, and line, column and reason where it cannot be."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.replay.recording import Kind, Recording, RecordingError, read
from pointsman.signals.reading import PodCount

HEADER = "time,arm,pod,gate,le,value\n"
GATES: dict[str, Kind] = {"errors": "Rate", "latency": "Histogram"}


def errors(time: object, arm: str, pod: str, total: object, bad: object) -> str:
    return f"{time},{arm},{pod},errors,total,{total}\n{time},{arm},{pod},errors,bad,{bad}\n"


def latency(time: object, arm: str, pod: str, **cells: object) -> str:
    """`ms5=3` is the bucket up to 5 ms; `inf` all of them."""
    edges = {name: "+Inf" if name == "inf" else str(int(name[2:]) / 1000) for name in cells}
    return "".join(f"{time},{arm},{pod},latency,{edges[name]},{cells[name]}\n" for name in cells)


def recording(text: str) -> Recording:
    return read(HEADER + text, GATES)


def test_counters_by_gate_time_arm_and_pod_in_any_order_of_rows() -> None:
    read_ = recording(
        errors(20, "candidate", "c", 9, 1) + errors(10, "stable", "s", 5, 0) + errors("20.0", "stable", "s", 8, 2)
    )
    assert read_.times == (10, 20)
    assert read_.begins == 20
    assert set(read_.tracks) == {"errors"}
    rows = read_.tracks["errors"].rows
    assert rows[10] == {"stable": {"s": PodCount(started=None, cells=(0, 5))}}
    assert rows[20]["candidate"]["c"].cells == (1, 9)
    assert rows[20]["stable"]["s"].cells == (2, 8)


def test_histograms_are_read_on_the_edges_that_all_pods_share() -> None:
    track = recording(
        latency(0, "stable", "s", inf=9, ms5=1, ms10=4) + latency(0, "candidate", "c", ms10=2, ms20=3, inf=3)
    ).tracks["latency"]
    assert track.edges == (0.01, math.inf)
    assert track.rows[0]["stable"]["s"].cells == (4, 9)
    assert track.rows[0]["candidate"]["c"].cells == (2, 3)


def test_a_pod_that_served_nothing_needs_no_histogram() -> None:
    track = recording("0,candidate,c,latency,total,0\n" + latency(0, "stable", "s", ms5=1, inf=2)).tracks["latency"]
    assert track.edges == (0.005, math.inf)
    assert track.rows[0]["candidate"]["c"].cells == (0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "0,candidate,c,errors,total,7\n",  # exporters have no series of failures before the first one
        "0,candidate,c,errors,total,7.0\n0,candidate,c,errors,bad,0\n",
        " 0 , candidate , c , errors , total , 7 \n",
        "0,candidate,c,errors,total,7\r\n0,candidate,c,errors,bad,0\r\n\r\n",
        "0,candidate,c,errors,total,7\n0,candidate,c,errors,total,7\n",  # the same row twice
        "0,candidate,c,errors,total,7\n0.0,candidate,c,errors,total,7\n",
        '"0","candidate","c","errors","total","7"\n',
    ],
)
def test_ways_to_write_seven_requests(text: str) -> None:
    assert recording(text).tracks["errors"].rows[0]["candidate"]["c"].cells == (0, 7)


def test_a_process_start_may_be_recorded() -> None:
    rows = recording("0,candidate,c,errors,total,7\n0,candidate,c,errors,started,-12.5\n").tracks["errors"].rows
    assert rows[0]["candidate"]["c"].started == -12


GOOD = errors(0, "candidate", "c", 7, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,candidat,c,errors,total,7\n", "4: column 2 (arm): write stable or candidate, not 'candidat'"),
        ("0,candidate,,errors,total,7\n", "4: column 3 (pod): write the pod's name, 1 to 253 characters, not ''"),
        (
            "0,stable,s,memory,total,7\n",
            "4: column 4 (gate): the policy has no gate 'memory': write one of `errors`, `latency`",
        ),
        ("soon,stable,s,errors,total,7\n", "4: column 1 (time): write seconds, such as 1700000000 or 12.5, not 'soon'"),
        ("nan,stable,s,errors,total,7\n", "4: column 1 (time): write seconds, such as 1700000000 or 12.5, not 'nan'"),
        (
            "1e300,stable,s,errors,total,7\n",
            "4: column 1 (time): write seconds, such as 1700000000 or 12.5, not '1e300'",
        ),
        ("0,stable,s,errors,0.5,7\n", "4: column 5 (le): gate errors counts requests: write total or bad, not '0.5'"),
        (
            "0,stable,s,errors,bad,7\n",
            "4: column 5 (le): the row `total` of this pod at this time is missing for gate errors",
        ),
        (
            "0,stable,s,errors,total,7\n0,stable,s,errors,bad,8\n",
            "4: column 6 (value): 7 at le total is less than 8 at le bad (line 5): counters are cumulative",
        ),
        (
            "0,stable,s,errors,total,x\n",
            "4: column 6 (value): write how many requests were counted so far, a whole number, not 'x'",
        ),
        (
            "0,stable,s,errors,total,-1\n",
            "4: column 6 (value): write how many requests were counted so far, a whole number, not '-1'",
        ),
        (
            "0,stable,s,errors,total,1.5\n",
            "4: column 6 (value): write how many requests were counted so far, a whole number, not '1.5'",
        ),
        (
            "0,stable,s,errors,total,NaN\n",
            "4: column 6 (value): write how many requests were counted so far, a whole number, not 'NaN'",
        ),
        (
            "0,candidate,c,errors,total,8\n",
            "4: column 6 (value): 8 contradicts line 2, which says 7 of the same counter",
        ),
        (
            "0.0,candidate,c,errors,total,8\n",
            "4: column 6 (value): this contradicts line 2, which counts the same differently",
        ),
        (
            latency(0, "stable", "s", ms5=3, ms10=2, inf=4),
            "5: column 6 (value): 2 at le 0.01 is less than 3 at le 0.005 (line 4): counters are cumulative",
        ),
        (
            latency(0, "stable", "s", ms5=3),
            "4: column 5 (le): the row `+Inf` (or `total`) of this pod at this time is missing for gate latency",
        ),
        (
            "0,stable,s,latency,bad,3\n",
            "4: column 5 (le): gate latency reads a histogram: write a bucket's edge in seconds, +Inf or total, not 'bad'",
        ),
        (
            latency(0, "stable", "s", inf=3) + "0,stable,s,latency,total,4\n",
            "5: column 6 (value): this contradicts line 4: both count requests up to inf s",
        ),
        ("0,stable,s,errors,total\n", "4: the row has 5 columns, it needs 6: time,arm,pod,gate,le,value"),
        ("0,stable,s,errors,total,7,8\n", "4: the row has 7 columns, it needs 6: time,arm,pod,gate,le,value"),
        ("0\n", "4: the row has 1 columns, it needs 6: time,arm,pod,gate,le,value"),
        ('0,"stable"s,s,errors,total,7\n', "4: this is no CSV: "),
    ],
)
def test_rows_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(RecordingError) as caught:
        recording(GOOD + text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: the header has to be time,arm,pod,gate,le,value, not ''"),
        (
            "arm,time,pod,gate,le,value\n",
            "1: the header has to be time,arm,pod,gate,le,value, not 'arm,time,pod,gate,le,value'",
        ),
        (HEADER, "1: no row is of the arm `candidate`: there is no rollout to replay"),
        (HEADER + errors(0, "stable", "s", 1, 0), "1: no row is of the arm `candidate`: there is no rollout to replay"),
    ],
)
def test_files_that_are_no_recording(text: str, said: str) -> None:
    with pytest.raises(RecordingError) as caught:
        read(text, GATES)
    assert str(caught.value) == said


FIELD = st.sampled_from(
    [
        "0",
        "10",
        "-0.0",
        "1e9",
        "inf",
        "stable",
        "candidate",
        "s",
        "errors",
        "latency",
        "total",
        "bad",
        "started",
        "+Inf",
        "0.5",
        "",
        '"',
        "\n",
        "é",
        "\x00",
    ]
) | st.text(max_size=4)
ROW = st.lists(FIELD, min_size=5, max_size=7).map(",".join) | st.tuples(
    st.sampled_from(["0", "10", "10.0", "x"]),
    st.sampled_from(["stable", "candidate"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["errors", "latency"]),
    st.sampled_from(["total", "bad", "0.5", "0", "+Inf", "inf", "1e400", "started"]),
    st.sampled_from(["0", "3", "3.0", "1e3", "9007199254740993", "-1"]),
).map(",".join)


@given(rows=st.lists(ROW, max_size=8))
def test_whatever_is_written_is_a_recording_or_a_complaint_about_a_line(rows: list[str]) -> None:
    text = HEADER + "\n".join(rows)
    line, column = 1, 0
    try:
        found = read(text, GATES)
        assert found.begins in found.times
    except RecordingError as error:
        line, column = error.line, error.column
    assert 1 <= line <= len(text.splitlines()) + 1
    assert 0 <= column <= 6
