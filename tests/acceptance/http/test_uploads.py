"""Image files as they are: in the body, or in a form, as curl and browsers send them."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from demo.images import photographs
from tests.support.harness import Worker
from tests.support.http_client import CLASSIFY, JSON, Response, ask, classify
from tests.support.images import colour_png, job
from tests.support.paths import ROOT

CHELSEA = next(one for one in photographs() if one.name == "chelsea")
PNG = colour_png("#336699")
RAW = {"Content-Type": "image/png"}
BOUNDARY = "----WebKitFormBoundary7MA4YWxk"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
FILE = ('form-data; name="file"; filename="cat.png"', PNG)


def form(*parts: tuple[str, bytes], end: str = "--\r\n") -> bytes:
    """A form of parts: Content-Disposition, and data."""
    shown = [
        f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
        for disposition, data in parts
    ]
    return b"".join(shown) + f"--{BOUNDARY}{end}".encode()


def field(name: str, text: str) -> tuple[str, bytes]:
    return f'form-data; name="{name}"', text.encode()


def curl(service: Worker, *options: str, query: str = "") -> Response:
    """What curl is answered, with the options of the documents."""
    command = shutil.which("curl")
    assert command is not None, "curl is missing; scripts/clients.sh installs it"
    url = f"http://127.0.0.1:{service.port}{CLASSIFY}{query}"
    done = subprocess.run(
        [
            command,
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "60",
            "-w",
            "\n%{http_code}",
            *options,
            url,
        ],
        capture_output=True,
        check=True,
        timeout=90,
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return Response(int(status), {}, body)


@pytest.mark.parametrize(
    "options",
    [
        ["-F", "file=@{file}"],
        ["-F", "file=@{file};type=image/jpeg", "-F", "topk=3", "-F", "visualize=false"],
        ["-F", "image=@{file};filename=../../etc/passwd"],
        ["--data-binary", "@{file}", "-H", "Content-Type: image/jpeg"],
        ["--data-binary", "@{file}", "-H", "Content-Type: application/octet-stream"],
        ["-T", "{file}", "-X", "POST", "-H", "Content-Type: image/*"],
    ],
)
def test_curl(service: Worker, options: list[str]) -> None:
    response = curl(service, *(one.format(file=CHELSEA.path) for one in options))

    assert response.status == 200, response
    result = response.json["result"]
    assert result["categories"][0]["name"] == CHELSEA.label
    plain = not any("topk" in option for option in options)
    assert (len(result["categories"]), "image" in result) == ((5, True) if plain else (3, False))


def test_curl_with_options_in_the_query(service: Worker) -> None:
    response = curl(service, "-F", f"file=@{CHELSEA.path}", query="?topk=3&visualize=false")

    assert response.json["result"].keys() == {"categories"}
    assert len(response.json["result"]["categories"]) == 3


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "Image/X-Unheard-Of; a=b", "application/octet-stream"]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_raw_bodies(service: Worker, kind: str, *, zipped: bool) -> None:
    headers = {"Content-Type": kind, **({"Content-Encoding": "gzip"} if zipped else {})}
    response = classify(service.port, gzip.compress(PNG) if zipped else PNG, headers)

    assert response.status == 200


@pytest.mark.parametrize(
    ("query", "count", "picture"),
    [
        ("", 5, True),
        ("?topk=3", 3, True),
        ("?topK=3&visualize=FALSE", 3, False),
        ("?top_k=3.0&topk=3&visualize=true", 3, True),
        ("?visualize=false&unknown=1&topk=1000000", 1000, False),
        ("?topk=null", 5, True),
        ("?deadlineMs=253402300799999", 5, True),
    ],
)
@pytest.mark.parametrize("way", ["json", "raw", "form"])
def test_options_in_the_query(
    service: Worker, way: str, query: str, count: int, *, picture: bool
) -> None:
    headers, body = {"json": (JSON, job(PNG)), "raw": (RAW, PNG), "form": (FORM, form(FILE))}[way]
    response = ask(service.port, "POST", CLASSIFY + query, body, headers)

    assert response.status == 200
    assert len(response.json["result"]["categories"]) == count
    assert ("image" in response.json["result"]) == picture


@pytest.mark.parametrize(
    ("query", "headers", "body", "status", "says"),
    [
        (
            "?topk=0",
            RAW,
            PNG,
            422,
            "query parameter 'topk' must be a whole number from 1 up, not 0",
        ),
        ("?topK=many", RAW, PNG, 422, "query parameter 'topK' must be a whole number"),
        ("?topk=", RAW, PNG, 422, "from 1 up"),
        ("?topk=3&topk=4", RAW, PNG, 422, "says 3, but query parameter 'topk' says 4"),
        ("?topk=3", JSON, job(PNG, topk=4), 422, "field 'topk' says 4, but query parameter 'topk'"),
        ("?visualize=no", RAW, PNG, 422, "must be true or false"),
        ("?visualize=true", JSON, job(PNG, visualize=False), 422, "'visualize' says true"),
        ("?deadlineMs=0", RAW, PNG, 504, "deadlineMs has passed"),
        ("?deadlineMs=soon", RAW, PNG, 422, "milliseconds since 1970"),
        (f"?jobId={quote('j' * 600)}", RAW, PNG, 422, "600 characters"),
        ("?topk=%FF%00", RAW, PNG, 422, "from 1 up"),
        ("", FORM, form(FILE, field("topk", "3"), field("topK", "4")), 422, "field 'topk' says 3"),
        ("?topk=4", FORM, form(FILE, field("topk", "3")), 422, "query parameter 'topk' says 4"),
        ("", FORM, form(FILE, field("topk", "x")), 422, "field 'topk' must be"),
        ("", FORM, form(FILE, FILE), 422, "more than one file"),
        ("", FORM, form(field("topk", "3")), 422, "no file; send one as curl -F file=@cat.jpg"),
        ("", FORM, form(('form-data; name="file"; filename=""', b"")), 422, "no file"),
        ("", FORM, form(('form-data; name="file"; filename="a"', b"")), 400, "file is empty"),
        (
            "",
            FORM,
            form(('form-data; name="file"\r\nContent-Type: image/png', b"")),
            400,
            "file is empty",
        ),
        (
            "",
            FORM,
            form(FILE, ('form-data; name="b"\r\nContent-Type: image/png', PNG)),
            422,
            "more than one file",
        ),
        ("", FORM, form(FILE, *[field("a", "b")] * 40), 400, "form cannot be read"),
        ("", FORM, form(FILE, field("a", "b" * 2000)), 413, "'a' has more than 1024 bytes"),
        ("", FORM, form(('form-data; name="file"', PNG * 100)), 413, "give a file a file name"),
        ("", FORM, form(FILE, end=""), 400, "form cannot be read"),
        ("", FORM, form(FILE)[:100], 400, "form cannot be read"),
        ("", FORM, form(("attachment", PNG)), 400, "form cannot be read"),
        ("", FORM, PNG, 400, "form cannot be read"),
        ("", FORM, b"", 400, "empty"),
        ("", {"Content-Type": "multipart/form-data"}, form(FILE), 400, "check its boundary"),
        ("", {"Content-Type": "multipart/mixed; boundary=a"}, PNG, 415, "or multipart/form-data"),
        ("", RAW, b"", 400, "empty"),
        ("", RAW, b"<svg/>", 415, "send JPEG, PNG"),
        ("", RAW, job(PNG), 415, "send JPEG, PNG"),
        ("", JSON, PNG, 400, "or an image file with Content-Type: image/jpeg"),
        ("", {"Content-Type": "text/html"}, PNG, 415, "multipart/form-data"),
        ("", RAW, PNG + bytes(1 << 20), 413, "send a smaller"),
    ],
)
def test_what_cannot_be_read(
    service: Worker, query: str, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    got, message = ask(service.port, "POST", CLASSIFY + query, body, headers).failure()

    assert (got, says in message) == (status, True), message
    # Of names that clients choose, none gets anywhere.
    assert "cat.png" not in message


def test_file_names_stay_outside(service: Worker, tmp_path: Path) -> None:
    name = f"../../{tmp_path}/evil\\0.png"
    odd = (f'form-data; name="x"; filename="{name}"', PNG)
    assert classify(service.port, form(odd), FORM).status == 200
    assert classify(service.port, form(odd)[:-9], FORM).status == 400
    assert list(tmp_path.iterdir()) == []
    assert "evil" not in service.log_path.read_text("utf-8")


@pytest.mark.parametrize(
    "disposition",
    [
        "form-data; name=file; filename=cat.png; filename*=utf-8''c%C3%A4t.png",
        'form-data; name="file"; filename="cät.png"',
        'form-data; filename="a\\"b;c.png"; name="file"',
        'form-data; name="file"; filename="C:\\cats\\cat.png"',
        'form-data; name=""; filename="blob"\r\nContent-Type: text/html\r\nContent-Length: %d',
        # Bytes of memory have no file name; some clients give them a type.
        'form-data; name="file"\r\nContent-Type: image/png',
        "form-data; name=file\r\nContent-Type: Application/Octet-Stream",
        'Form-Data; name="file[]"; filename="x"\r\nContent-Transfer-Encoding: binary',
    ],
)
@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_parts_as_clients_name_them(service: Worker, disposition: str, charset: str) -> None:
    disposition = disposition % len(PNG) if "%d" in disposition else disposition
    body = form((disposition, PNG)).replace("ä".encode(), "ä".encode(charset))

    assert classify(service.port, body, FORM).status == 200


@pytest.mark.parametrize("boundary", ['"a b"', "a; charset=utf-8", '"\'()+_,-./:=?"', "b" * 200])
def test_boundaries(service: Worker, boundary: str) -> None:
    bare = boundary.partition(";")[0].strip('"')
    headers = {"Content-Type": f"Multipart/Form-Data; boundary={boundary}"}
    body = form(FILE).replace(BOUNDARY.encode(), bare.encode())

    assert classify(service.port, body, headers).status == 200


def test_form_that_is_compressed(service: Worker) -> None:
    headers = {**FORM, "Content-Encoding": "gzip"}
    assert classify(service.port, gzip.compress(form(FILE)), headers).status == 200


def test_forms_of_other_sites_are_refused(service: Worker) -> None:
    """A page can send all of these without asking first."""
    for headers, body in (
        (FORM, form(FILE)),
        ({"Content-Type": "text/plain"}, job(PNG)),
        ({"Content-Type": "application/x-www-form-urlencoded"}, job(PNG)),
        ({}, job(PNG)),
    ):
        for mark in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            status, message = classify(service.port, body, headers | mark).failure()
            assert (status, "http.allow_origins" in message) == (403, True)


def test_json_under_the_type_of_the_unknown(service: Worker, small_request: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    assert classify(service.port, b"\r\n " + small_request, headers).status == 200


def test_the_documents_begin_with_files(service: Worker) -> None:
    """The first commands of README.md's section and of docs/http.md, as they stand there."""
    root = ROOT
    for document in ("README.md", "docs/http.md"):
        commands = re.findall(
            r"^ {4}curl (.*localhost:8080.*)$", (root / document).read_text(), re.MULTILINE
        )
        assert "-F file=@cat.jpg" in commands[0]
        for command in commands[:2]:
            words = shlex.split(command.replace("cat.jpg", str(CHELSEA.path)))
            (url,) = [word for word in words if word.startswith("localhost:8080")]
            words.remove(url)
            path, _, query = url.partition("?")
            assert path == f"localhost:8080{CLASSIFY}"
            response = curl(service, *words, query=query and f"?{query}")
            assert response.status == 200
