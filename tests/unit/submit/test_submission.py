"""What becomes of items, with a scripted broker and worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.job_transport import MODEL, Script
from worker.client import kafka
from worker.contract.jobs import UrlImage
from worker.contract.parsing import parse_job
from worker.contract.records import Message
from worker.contract.results import without_copies
from worker.errors import Failure, JobError, KafkaSetupError, Reason, Stage
from worker.settings import Settings
from worker.submit import Encoding, Item, ItemResult, Options, Submission

Shape = Callable[[Message], Message]
REFUSED = Failure(Reason.NOT_FOUND, "there is no image", Stage.FETCH)


async def items(count: int) -> AsyncIterator[Item]:
    for number in range(count):
        yield Item(str(number), {"image": "x"}, Encoding.JSON)


async def run(
    script: Script, count: int, monkeypatch: pytest.MonkeyPatch, *, missing: int = 0
) -> list[ItemResult]:
    """Submit `count` jobs, and files that are not there."""

    async def given() -> AsyncIterator[Item]:
        async for item in items(count):
            yield item
        for number in range(missing):
            yield Item(f"{number}.jpg", Path(f"/nowhere/{number}.jpg"), Encoding.BASE64)

    monkeypatch.setattr(kafka, "JobClient", lambda *_: script)
    answers: list[ItemResult] = []
    made = Submission(Settings(), Options(timeout=30.0), lambda _: None, answers.append)
    await made.run(given())
    assert sorted(answer.number for answer in answers) == list(range(1, count + missing + 1))
    return answers


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("shape", [lambda message: message, without_copies])
async def test_results_find_their_jobs_before_and_after_the_acknowledgement(
    early: bool, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = await run(Script(early=early, shape=shape), 5, monkeypatch)
    assert {answer.code for answer in answers} == {0}
    assert {answer.model for answer in answers} == {MODEL}


async def test_a_file_that_cannot_be_read_costs_itself_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = await run(Script(), 1, monkeypatch, missing=1)
    found = {answer.item.name: (answer.code, answer.reason) for answer in answers}
    assert found == {"0": (0, None), "0.jpg": (None, "not_found")}


async def test_a_broker_that_fails_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Script):
        async def send(self, message: Message) -> str:
            raise KafkaSetupError("gone")

    with pytest.raises(KafkaSetupError, match="gone"):
        await run(Failing(), 5, monkeypatch)


async def submit(script: Script, monkeypatch: pytest.MonkeyPatch, *given: Item) -> list[ItemResult]:
    async def each() -> AsyncIterator[Item]:
        for item in given:
            yield item

    monkeypatch.setattr(kafka, "JobClient", lambda *_: script)
    answers: list[ItemResult] = []
    options = Options(top_k=2, visualize=False)
    await Submission(Settings(), options, lambda _: None, answers.append).run(each())
    return sorted(answers, key=lambda answer: answer.number)


async def test_items_are_sent_as_they_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    script = Script()
    given = [
        Item("raw", path, Encoding.RAW),
        Item("base64", path, Encoding.BASE64),
        Item("served", path, Encoding.URL),
        Item("url", UrlImage("http://h/cat.jpg"), Encoding.URL),
        Item("mine", {"image": "QUJD", "jobId": "mine", "topk": 7}, Encoding.JSON),
        Item("bad", JobError(Reason.NOT_JSON, "the line is not JSON"), Encoding.JSON),
    ]
    answers = await submit(script, monkeypatch, *given)
    jobs = {job.job_id: job for job in map(parse_job, script.sent)}
    assert {name: type(job.image).__name__ for name, job in jobs.items()} == {
        "raw": "RawImage",
        "base64": "EncodedImage",
        "served": "UrlImage",
        "url": "UrlImage",
        "mine": "EncodedImage",
    }
    assert {name: (job.top_k, job.visualize) for name, job in jobs.items()} == {
        name: (7 if name == "mine" else 2, False) for name in jobs
    }
    assert [answer.code for answer in answers] == [0, 0, 0, 0, 0, None]
    assert (answers[5].reason, answers[5].error) == ("not_json", "the line is not JSON")
    assert [answer.record_id is None for answer in answers] == [False] * 5 + [True]
    assert all(answer.latency is not None for answer in answers[:5])


async def test_a_file_is_served_until_its_job_has_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"any")
    monkeypatch.setattr(kafka, "JobClient", lambda *_: Script())
    offered: list[int] = []

    def note(_: ItemResult) -> None:
        offered.append(len(submission._server._offered))

    async def one() -> AsyncIterator[Item]:
        yield Item("served", path, Encoding.URL)

    submission = Submission(Settings(), Options(), lambda _: None, note)
    await submission.run(one())
    assert offered == [0]


async def test_a_refused_job_and_a_result_that_makes_no_sense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item = Item("a", {"image": "x"}, Encoding.JSON)
    (refused,) = await submit(Script(outcome=REFUSED), monkeypatch, item)
    assert (refused.code, refused.error, refused.reason) == (404, "there is no image", None)

    def broken(message: Message) -> Message:
        return replace(message, value=b"{")

    (senseless,) = await submit(Script(shape=broken), monkeypatch, item)
    assert (senseless.code, senseless.reason) == (None, None)
    assert "does not follow the schema" in (senseless.error or "")
    assert senseless.latency is not None
