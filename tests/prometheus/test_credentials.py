"""Tokens, headers and authorities in files: taken as they are at each query, refused with the file's name, told to nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pointsman.prometheus.credentials import Credentials, UnusableError
from pointsman.prometheus.reader import Reader
from pointsman.signals.queries import Query
from pointsman.signals.samples import Answer, Failed
from tests.cluster.service_account import Authorities
from tests.prometheus.fake import Handler, misbehaving, vector

UP = Query("up", about="up")


async def ask(made: Reader) -> Answer:
    return (await made.read([UP], datetime.now(UTC)))[UP]


def content(server: Handler) -> None:
    server.answer(vector())


async def test_what_is_replaced_is_sent_with_the_next_query(tmp_path: Path) -> None:
    token, headers = tmp_path / "token", tmp_path / "headers"
    headers.mkdir()
    (headers / "X-Scope-OrgID").write_text("ml\n")
    (headers / "..data").mkdir()  # a mounted Secret has such folders
    token.write_text("first\n")
    with misbehaving(content) as fake:
        made = Reader(fake.url, credentials=Credentials(token_file=token, headers_folder=headers))
        await ask(made)
        token.write_text("second\n")
        await ask(made)
        await made.close()
    assert [one["Authorization"] for one in fake.headers] == ["Bearer first", "Bearer second"]
    assert {one["X-Scope-OrgID"] for one in fake.headers} == {"ml"}


async def test_an_authority_of_ones_own_vouches_for_the_server_and_can_be_replaced(tmp_path: Path) -> None:
    authorities, file = Authorities(tmp_path), tmp_path / "authority"
    file.write_bytes(authorities.make("one").read_bytes())
    authorities.make("two")
    with misbehaving(content, authorities.serving("two")) as fake:
        stranger = Reader(fake.url)
        refused = await ask(stranger)
        made = Reader(fake.url, credentials=Credentials(ca_file=file))
        other = await ask(made)
        file.write_bytes(authorities.certificate("two").read_bytes())
        assert await ask(made) == ()
        for one in (stranger, made):
            await one.close()
    for answer in (refused, other):
        assert isinstance(answer, Failed)
        assert "certificate verify failed" in answer.reason


UNUSABLE = {
    "no file": ("token", None, "token cannot be read: No such file or directory"),
    "an empty token": ("token", b"\n", "token holds nothing: write the value of a header"),
    "a header in two lines": ("X-A", b"s3cret\nInjected: s3cret", "X-A holds more than one line of printable ASCII"),
    "bytes": ("X-A", b"s3cret\xff\xfe", "X-A holds more than one line of printable ASCII"),
    "a name that is no header's": ("X A", b"s3cret", "X A is not named as a header is: write a name such as X-Scope"),
    "a video": ("X-A", b"s" * 100_000, "X-A holds more than 64 KiB: is it the right file?"),
    "an authority that is none": ("ca.crt", b"s3cret", "ca.crt holds no certificate: write the authority's as PEM"),
}


@pytest.mark.parametrize(("name", "holds", "sentence"), UNUSABLE.values(), ids=UNUSABLE)
async def test_what_cannot_be_used_is_the_reason_for_no_data(
    tmp_path: Path, name: str, holds: bytes | None, sentence: str
) -> None:
    """Nothing is asked then: an answer to a stranger may be another tenant's."""
    if holds is not None:
        (tmp_path / name).write_bytes(holds)
    file = tmp_path / name
    credentials = {
        "token": Credentials(token_file=file),
        "ca.crt": Credentials(ca_file=file),
    }.get(name, Credentials(headers_folder=tmp_path))
    with pytest.raises(UnusableError):  # what the operator says at its start
        (credentials.headers(), credentials.verify())
    with misbehaving(content) as fake:
        made = Reader(fake.url, credentials=credentials)
        answer = await ask(made)
        await made.close()
    assert isinstance(answer, Failed)
    assert sentence in answer.reason
    assert "s3cret" not in answer.reason
    assert fake.asked == []
