"""What is shown of dead letters, and what of them never is."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace

from rich.console import Console

from tests.support.messages import FAILURE, RECORD
from worker.cli.letter_options import LetterFormat
from worker.cli.letter_report import LetterReport, plain_headers
from worker.clock import Clock
from worker.contract.dead_letters import dead_letter_message
from worker.contract.letters import read_letter
from worker.contract.records import Record

MESSAGE = dead_letter_message(
    RECORD,
    "a\x1b[31m",
    replace(FAILURE, message="see https://u:p@example.org/x?sig=s3cret"),
    "PP-LCNet",
)
LETTER = read_letter(Record("dead", 1, 5, 1_795_486_969_572, b"k", MESSAGE.value, MESSAGE.headers))


def shown(form: LetterFormat | None, *, raw: bool = False, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=terminal, color_system=None)
    with LetterReport(form, raw=raw, out=console, err=Console(file=io.StringIO())) as report:
        report.add(LETTER, {"replayed": False})
    return out.getvalue()


def test_json_holds_no_control_characters() -> None:
    out = io.StringIO()
    fields = {"jobId": "\x1b[31m\x9b31m\u202e\udce4\U000e0001é猫"}
    LetterReport(LetterFormat.JSON, out=Console(file=out)).write_json(fields)
    assert out.getvalue().rstrip("\n").isprintable()
    assert "é猫" in out.getvalue()
    assert json.loads(out.getvalue()) == fields


def test_json_lines_where_there_is_no_terminal() -> None:
    plain = json.loads(shown(None))
    assert (plain["id"], plain["sourceId"], plain["key"]) == ("dead-1-5", "image-jobs-3-42", "k")
    assert (plain["reason"], plain["errorCode"], plain["attempts"]) == ("not_found", 404, 1)
    assert (plain["time"], plain["replayed"]) == ("2026-11-24T02:22:49.572Z", False)
    assert plain["errorMsg"] == "see https://[redacted]@example.org/x?[redacted]"
    assert json.loads(shown(None, raw=True))["errorMsg"].endswith("sig=s3cret")


def test_a_table_on_a_terminal_has_no_control_characters_of_the_letter() -> None:
    text = shown(None, terminal=True)
    assert "1-5        2026-11-24 02:22:49  not_found" in text
    assert "a\N{REPLACEMENT CHARACTER}[31m" in text
    assert "s3cret" not in text


def test_credentials_in_headers_are_left_out_unless_asked_for() -> None:
    headers = [("Authorization", b"Bearer x"), ("n", b"\xff"), ("url", b"http://a/?b"), ("e", b"")]
    record = replace(RECORD, headers=headers)
    assert plain_headers(record) == [
        {"name": "Authorization", "value": "[redacted]"},
        {"name": "n", "base64": "/w=="},
        {"name": "url", "value": "http://a/?[redacted]"},
        {"name": "e", "value": ""},
    ]
    assert plain_headers(record, raw=True)[0] == {"name": "Authorization", "value": "Bearer x"}


def test_a_replay_says_what_it_did() -> None:
    err = io.StringIO()
    seconds = iter([0.0, 2.0])
    report = LetterReport(
        LetterFormat.JSON,
        out=Console(file=io.StringIO()),
        err=Console(file=err, width=200),
        clock=Clock(seconds.__next__),
    )
    counts = Counter(replayed=4, already=3, left=2, failed=1)
    report.sum_up(counts, most=5, dry_run=False)
    left = "left alone: 2 records put back 5 times or more already (--max-attempts)"
    assert err.getvalue().splitlines() == [
        "classify-worker: 4 records put back in 2.0 s, 2.0 a second",
        "classify-worker: left alone: 3 records replayed before",
        f"classify-worker: {left}",
        "classify-worker: 1 cannot be put back",
    ]
