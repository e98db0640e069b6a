from __future__ import annotations

import math
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest

from pointsman.prometheus.credentials import Credentials
from pointsman.prometheus.reader import Reader
from pointsman.signals.queries import Query, RangeQuery
from pointsman.signals.samples import Answer, Failed, Native, Sample, Series
from tests.prometheus.fake import Behaviour, Handler, matrix, misbehaving, vector

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
UP = Query("up", about="up of churn-11111111")
HITS = Query("hits_total", about="hits_total of churn-11111111")
HOUR = RangeQuery("up", about="the past of up", seconds=3600, step=10)
PATIENT = timedelta(seconds=30)  # far longer than any answer here takes
SHORT = timedelta(seconds=0.2)


@asynccontextmanager
async def reader(url: str, limit: timedelta = PATIENT, credentials: Credentials | None = None) -> AsyncIterator[Reader]:
    made = Reader(url, timeout=limit, credentials=credentials, workers=2)
    yield made
    await made.close()


async def ask(behaviour: Behaviour, limit: timedelta = PATIENT) -> Answer:
    with misbehaving(behaviour) as fake:
        async with reader(fake.url, limit) as made:
            return (await made.read([UP], AT))[UP]


async def test_samples_with_their_labels_whatever_their_value() -> None:
    answer = await ask(
        lambda server: server.answer(
            vector(({"pod": "a"}, "3"), ({"pod": "b"}, "NaN"), ({"pod": "c"}, "+Inf"), ({"pod": "d"}, "1.5e3"))
        )
    )
    assert not isinstance(answer, Failed)
    assert answer[0] == Sample({"pod": "a"}, 3.0)
    assert math.isnan(answer[1].value)
    assert [sample.value for sample in answer[2:]] == [math.inf, 1500.0]


async def test_native_histograms_with_the_bounds_and_counts_of_their_buckets() -> None:
    found = {"count": "21", "sum": "1", "buckets": [[3, "-2.9e-39", "2.9e-39", "2"], [0, "0.5", "+Inf", "19"]]}
    empty = {"count": "0", "sum": "0"}
    result = [{"metric": {"pod": pod}, "histogram": [1, one]} for pod, one in (("a", found), ("b", empty))]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    assert await ask(lambda server: server.answer(body)) == (
        Sample({"pod": "a"}, 21.0, Native(21.0, ((-2.9e-39, 2.9e-39, 2.0), (0.5, math.inf, 19.0)))),
        Sample({"pod": "b"}, 0.0, Native(0.0, ())),
    )


async def test_an_empty_answer_is_an_answer() -> None:
    assert await ask(lambda server: server.answer(vector())) == ()


def at(seconds: float) -> str:
    """A time in the form of HTTP, so many seconds from now."""
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("off", [-20, 20])
async def test_a_clock_that_is_nearly_ours_is_no_matter(off: float) -> None:
    assert await ask(lambda server: server.answer(vector(), Date=at(off))) == ()


@pytest.mark.parametrize("date", ["", "soon"])
async def test_nor_is_one_that_is_not_told(date: str) -> None:
    assert await ask(lambda server: server.answer(vector(), Date=date)) == ()


@pytest.mark.parametrize(("seconds", "where"), [(-300, "behind"), (300, "ahead of")])
async def test_a_clock_that_is_far_from_ours_makes_its_answers_unusable(seconds: float, where: str) -> None:
    with misbehaving(lambda server: server.answer(vector(), Date=at(seconds))) as fake:
        async with reader(fake.url) as made:
            answer = (await made.read([UP], AT))[UP]
    assert isinstance(answer, Failed)
    assert answer.reason == (
        f"the clock of Prometheus at {fake.url} is more than 30 s {where} the operator's: set the clocks of their nodes (NTP)"
    )


async def test_infos_are_no_warnings() -> None:
    assert await ask(lambda server: server.answer(vector(infos=["metric might not be a counter"]))) == ()


async def test_a_query_goes_by_post_with_the_time_of_the_look_and_the_configured_headers(tmp_path: Path) -> None:
    (tmp_path / "Authorization").write_text("Bearer t0ken")
    with misbehaving(lambda server: server.answer(vector())) as fake:
        async with reader(f"{fake.url}/prefix/", credentials=Credentials(headers_folder=tmp_path)) as made:
            await made.read([UP], AT)
    assert fake.lines == ["POST /prefix/api/v1/query HTTP/1.1"]
    (form,) = fake.asked
    assert form["query"] == "up"
    assert float(form["time"]) == AT.timestamp()
    assert form["timeout"].endswith("ms")
    assert fake.headers[0]["Authorization"] == "Bearer t0ken"


async def test_every_query_has_its_own_answer_and_is_asked_once() -> None:
    def behave(server: Handler) -> None:
        query = server.fake.asked[-1]["query"]
        server.answer(b"oh no", status=500) if query == "up" else server.answer(vector(({}, "1")))

    with misbehaving(behave) as fake:
        async with reader(fake.url) as made:
            one = await made.read([HITS, HITS], AT)
            other = await made.read([UP], AT)
    assert one == {HITS: (Sample({}, 1.0),)}
    assert isinstance(other[UP], Failed)
    assert len(fake.asked) == 2


async def test_no_queries_no_answers() -> None:
    async with reader("http://127.0.0.1:1") as made:
        assert await made.read([], AT) == {}


def refuse(status: int, kind: str, error: str) -> Behaviour:
    return lambda server: server.answer({"status": "error", "errorType": kind, "error": error}, status=status)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        pytest.param(
            refuse(400, "bad_data", "1:5: parse error:\n unexpected end"),
            "refuses the query (HTTP 400): bad_data: 1:5: parse error: unexpected end",
            id="Prometheus' own words, on one line",
        ),
        pytest.param(
            refuse(503, "timeout", "query timed out"),
            "refuses the query (HTTP 503): timeout: query timed out",
            id="its own time limit",
        ),
        pytest.param(refuse(422, "execution", "x" * 900), f"{'x' * 200}", id="a long error"),
        pytest.param(
            lambda server: server.answer(b"<html><h1>Sign in</h1></html>"),
            "answers with an HTML page (HTTP 200): is it the URL of Prometheus",
            id="HTML",
        ),
        pytest.param(
            lambda server: server.answer(b"bad gateway", status=502),
            "answers with something that is not JSON (HTTP 502)",
            id="a proxy without its backend",
        ),
        pytest.param(
            lambda server: server.answer(b"", status=302, Location="https://login.example.com/?next=x"),
            "answers with a redirect (HTTP 302): is it a login page?",
            id="a redirect is not followed",
        ),
        pytest.param(
            lambda server: server.answer(vector(({}, "1"), warnings=["could not reach store-1"])),
            "partial data for up of churn-11111111: could not reach store-1",
            id="partial data",
        ),
        pytest.param(
            lambda server: server.answer({"status": "success", "data": {"resultType": "matrix", "result": []}}),
            "answered the query for up of churn-11111111 with 'matrix' where a vector belongs",
            id="another type",
        ),
        pytest.param(lambda server: server.answer({"status": "success"}), "'NoneType' where a vector", id="no data"),
        pytest.param(lambda server: server.answer(b"[1]"), "refuses the query (HTTP 200)", id="JSON, but not ours"),
        pytest.param(
            lambda server: server.answer(
                {
                    "status": "success",
                    "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]},
                }
            ),
            "samples that cannot be read",
            id="a native histogram that is none",
        ),
        pytest.param(lambda server: server.answer(vector(({}, "many"))), "cannot be read", id="a value that is none"),
    ],
)
async def test_an_answer_that_cannot_be_used_says_why(behaviour: Behaviour, says: str) -> None:
    answer = await ask(behaviour)
    assert isinstance(answer, Failed)
    assert says in answer.reason
    assert "\n" not in answer.reason
    assert len(answer.reason) < 500


def silent(server: Handler) -> None:
    """Takes the request and never answers."""
    server.fake.done.wait()


def dripping(server: Handler) -> None:
    """Sends a byte now and then, for ever."""
    server.send_response(200)
    server.send_header("Content-Length", "1000000")
    server.end_headers()
    while not server.fake.done.wait(0.02):
        try:
            server.wfile.write(b" ")
        except OSError:  # the reader hung up
            return


@pytest.mark.parametrize("behaviour", [silent, dripping])
async def test_a_slow_prometheus_is_cut_off_at_the_limit(behaviour: Callable[[Handler], None]) -> None:
    answer = await ask(behaviour, SHORT)
    assert isinstance(answer, Failed)
    assert answer.reason.endswith("did not answer within 0.2 s")


async def test_more_slow_queries_than_workers_are_all_cut_off_at_one_limit() -> None:
    many = [Query(f"q{number}", about="") for number in range(20)]
    with misbehaving(silent) as fake:
        async with reader(fake.url, SHORT) as made:
            answers = await made.read(many, AT)
    assert set(answers) == set(many)
    assert all(isinstance(answer, Failed) for answer in answers.values())
    assert len(fake.asked) < len(many)  # most had no worker: had they waited for one each, this would be all of them


async def test_a_reader_that_was_slow_once_reads_again() -> None:
    def behave(server: Handler) -> None:
        if len(server.fake.asked) <= 2:
            silent_until_hung_up(server)
        else:
            server.answer(vector())

    with misbehaving(behave) as fake:
        async with reader(fake.url, timedelta(seconds=1)) as made:
            first = await made.read([UP, HITS], AT)
            again = await made.read([UP], AT)
    assert {type(answer) for answer in first.values()} == {Failed}
    assert again == {UP: ()}


def silent_until_hung_up(server: Handler) -> None:
    server.connection.settimeout(10)
    server.connection.recv(1)
    server.close_connection = True


async def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    def behave(server: Handler) -> None:
        server.answer(vector())
        server.close_connection = True  # without saying so: no "Connection: close"

    with misbehaving(behave) as fake:
        async with reader(fake.url) as made:
            assert await made.read([UP], AT) == {UP: ()}
            assert await made.read([HITS], AT) == {HITS: ()}


async def test_an_unreachable_prometheus() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://someone:pa55word@127.0.0.1:{taken.getsockname()[1]}"
        async with reader(url) as made:
            answer = (await made.read([UP], AT))[UP]
    assert isinstance(answer, Failed)
    assert (
        answer.reason == f"Prometheus at {url.replace('someone:pa55word@', '')} cannot be reached: Connection refused"
    )


async def test_a_name_that_does_not_resolve() -> None:
    async with reader("http://prometheus.invalid:9090") as made:
        answer = (await made.read([UP], AT))[UP]
    assert isinstance(answer, Failed)
    assert answer.reason.startswith("Prometheus at http://prometheus.invalid:9090 cannot be reached: ")


@pytest.mark.parametrize(
    ("credentials", "headers"),
    [
        ("someone:s3cret@", {}),
        ("", {"Authorization": "Bearer t0ken"}),
        ("", {"X-Scope-OrgID": "tenant-t0ken"}),
    ],
)
async def test_credentials_are_in_no_reason(credentials: str, headers: dict[str, str], tmp_path: Path) -> None:
    """Not even where the server repeats them."""
    for name, value in headers.items():
        (tmp_path / name).write_text(value)
    sent: list[str] = []

    def echo(server: Handler) -> None:
        sent.extend(filter(None, (server.headers["Authorization"], server.headers["X-Scope-OrgID"])))
        said = f"who are you, {' '.join(sent)}? not s3cret"
        server.answer({"status": "error", "errorType": "unauthorized", "error": said}, status=401)

    with misbehaving(echo) as fake:
        url = fake.url.replace("http://", f"http://{credentials}")
        async with reader(url, credentials=Credentials(headers_folder=tmp_path)) as made:
            answer = (await made.read([UP], AT))[UP]
    assert isinstance(answer, Failed)
    assert "HTTP 401" in answer.reason
    (secret,) = sent
    assert secret.rpartition(" ")[2] not in answer.reason
    assert "someone" not in answer.reason
    assert credentials == "" or "s3cret" not in answer.reason


async def test_a_closed_reader_neither_hangs_nor_raises() -> None:
    with misbehaving(silent) as fake:
        made = Reader(fake.url, timeout=SHORT)
        await made.read([UP], AT)  # leaves a thread that waits for the server
        await made.close()
        assert await made.read([UP], AT) == {UP: Failed("the operator is stopping")}


@pytest.mark.parametrize(
    "url", ["", "prometheus:9090", "ftp://p", "http://", "http://u:pw@:9", "http://p:port", "http://[::1"]
)
def test_what_is_no_url_is_refused_when_the_reader_is_made(url: str) -> None:
    with pytest.raises(ValueError, match=r"write one such as http://prometheus\.monitoring:9090") as error:
        Reader(url)
    assert "pw" not in str(error.value)


async def test_a_range_goes_to_its_own_endpoint_with_milliseconds_and_comes_back_as_series() -> None:
    answer = matrix(({"pod": "a"}, [(1_772_000_000, "3"), (1_772_000_010.5, "NaN")]), ({"pod": "b"}, []))
    with misbehaving(lambda server: server.answer(answer)) as fake:
        async with reader(f"{fake.url}/prefix") as made:
            found = (await made.read_ranges([HOUR, HOUR], AT))[HOUR]
    assert fake.lines == ["POST /prefix/api/v1/query_range HTTP/1.1"]
    (form,) = fake.asked
    assert (form["query"], form["step"]) == ("up", "10")
    assert (float(form["start"]), float(form["end"])) == (AT.timestamp() - 3600, AT.timestamp())
    assert form["timeout"].endswith("ms")
    assert not isinstance(found, Failed)
    a, b = found
    assert (a.labels, a.times, a.values[0]) == ({"pod": "a"}, (1_772_000_000.0, 1_772_000_010.5), 3.0)
    assert math.isnan(a.values[1])
    assert b == Series({"pod": "b"}, (), ())


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (lambda server: server.answer(matrix(warnings=["a store is away"])), "gave partial data for the past of up"),
        (lambda server: server.answer(vector()), "with 'vector' where a matrix belongs"),
        (lambda server: server.answer(b"<html>"), "answers with an HTML page"),
        (
            lambda server: server.answer({"status": "success", "data": {"resultType": "matrix", "result": [{}]}}),
            "samples that cannot be read",
        ),
    ],
)
async def test_a_range_without_a_usable_answer_says_why(behaviour: Behaviour, says: str) -> None:
    with misbehaving(behaviour) as fake:
        async with reader(fake.url) as made:
            answer = (await made.read_ranges([HOUR], AT))[HOUR]
    assert isinstance(answer, Failed)
    assert says in answer.reason


async def test_plain_numbers_that_became_native_histograms_are_two_series() -> None:
    found = {"count": "3", "sum": "1", "buckets": [[0, "0.5", "1", "3"]]}
    item = {"metric": {"pod": "a"}, "values": [[10, "7"]], "histograms": [[20, found]]}
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [item]}}
    with misbehaving(lambda server: server.answer(answer)) as fake:
        async with reader(fake.url) as made:
            series = (await made.read_ranges([HOUR], AT))[HOUR]
    assert series == (
        Series({"pod": "a"}, (20.0,), (3.0,), (Native(3.0, ((0.5, 1.0, 3.0),)),)),
        Series({"pod": "a"}, (10.0,), (7.0,)),
    )


async def test_a_slow_range_is_given_up_with_the_look() -> None:
    with misbehaving(lambda server: server.fake.done.wait() and None) as fake:
        async with reader(fake.url, SHORT) as made:
            answer = (await made.read_ranges([HOUR], AT))[HOUR]
    assert answer == Failed(f"Prometheus at {fake.url} did not answer within 0.2 s")
