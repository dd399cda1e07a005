"""Pages from elsewhere in headless Chromium: a browser keeps them out, and lets named ones in."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.harness import Worker
from tests.support.http_client import CLASSIFY
from tests.support.images import base64_of, colour_png
from tests.support.page import CHELSEA
from tests.support.workers import MakeService

REQUEST = json.dumps({"image": base64_of(colour_png("#336699")), "visualize": False})
NOT_PASSED_ON = {"host", "connection", "keep-alive", "transfer-encoding"}


class Quiet(http.server.BaseHTTPRequestHandler):
    """Answers with an empty page, and says nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server on loopback; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def elsewhere(driver: webdriver.Chrome) -> Iterator[str]:
    """The origin of a page that has nothing to do with the worker, which the browser shows."""
    with serving(Quiet) as port:
        yield f"http://localhost:{port}"


@pytest.fixture
def proxy() -> Iterator[Callable[[int], int]]:
    """Puts a reverse proxy in front of a port: one with a Host of its own for what is behind."""
    with ExitStack() as stack:

        def put(port: int) -> int:
            class Proxy(Quiet):
                def do_GET(self) -> None:
                    length = int(self.headers.get("Content-Length", 0))
                    headers = {
                        name: value
                        for name, value in self.headers.items()
                        if name.lower() not in NOT_PASSED_ON
                    }
                    behind = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    behind.request(
                        self.command,
                        self.path,
                        self.rfile.read(length),
                        headers | {"Host": "classify.example.org"},
                    )
                    answer = behind.getresponse()
                    body = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in NOT_PASSED_ON:
                            self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                    behind.close()

                do_POST = do_GET  # noqa: N815 - so http.server calls it

            return stack.enter_context(serving(Proxy))

        yield put


def fetched(driver: webdriver.Chrome, port: int, **options: object) -> Any:
    """What a page gets of a request: status and body, or the name of the error."""
    script = """
        const [url, options, done] = arguments;
        fetch(url, { method: "POST", ...options })
            .then(async (got) => done([got.type, got.status, await got.text()]))
            .catch((error) => done(error.name));
    """
    url = f"http://127.0.0.1:{port}{CLASSIFY}"
    return driver.execute_async_script(script, url, {"body": REQUEST, **options})


def answered(service: Worker) -> float:
    return service.value("classify_http_requests_total")


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "no-cors"},
        {"mode": "no-cors", "headers": {"Content-Type": "text/plain"}},
        {"mode": "no-cors", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"mode": "no-cors", "referrerPolicy": "no-referrer"},
        {},
        {"headers": {"Content-Type": "application/json"}},
    ],
)
def test_scripts_of_other_pages(
    driver: webdriver.Chrome, elsewhere: str, service: Worker, options: dict[str, object]
) -> None:
    driver.get(elsewhere)
    before = answered(service)

    got = fetched(driver, service.port, **options)

    assert got == (["opaque", 0, ""] if "mode" in options else "TypeError")
    assert answered(service) == before


@pytest.mark.parametrize("encoding", ["text/plain", "multipart/form-data"])
def test_forms_of_other_pages(
    driver: webdriver.Chrome, elsewhere: str, service: Worker, encoding: str
) -> None:
    driver.get(elsewhere)
    before = answered(service)
    driver.execute_script(
        """
        const [action, enctype, text] = arguments;
        const made = (tag, properties) => Object.assign(document.createElement(tag), properties);
        const form = made("form", { method: "post", action, enctype });
        const field = made("input", { type: "file", name: "file" });
        const data = new DataTransfer();
        data.items.add(new File([text], "cat.png"));
        field.files = data.files;
        form.append(field);
        document.body.append(form);
        form.submit();
        """,
        f"http://127.0.0.1:{service.port}{CLASSIFY}",
        encoding,
        REQUEST,
    )
    said = WebDriverWait(driver, 30, 0.05).until(
        lambda shown: shown.find_elements(By.TAG_NAME, "pre")
    )

    assert '"errorCode":403' in said[0].text
    assert answered(service) == before


def test_a_page_that_is_named(
    driver: webdriver.Chrome, elsewhere: str, make_service: MakeService
) -> None:
    service = make_service(WORKER_HTTP__ALLOW_ORIGINS=elsewhere)
    service.wait_until_ready()
    driver.get(elsewhere)

    # The browser asks first, since no form could send this. A failure can be read as well.
    kind, status, text = fetched(driver, service.port, headers={"Content-Type": "application/json"})
    assert (kind, status, json.loads(text)["errorCode"]) == ("cors", 200, 0)
    kind, status, text = fetched(driver, service.port, body="{}")
    assert (kind, status, json.loads(text)["errorCode"]) == ("cors", 415, 415)


def shown_for_a_file(driver: webdriver.Chrome, address: str, element: str) -> str:
    """What an element of the own page says once a file is chosen."""
    driver.get(address)
    driver.find_element(By.ID, "file").send_keys(str(CHELSEA.path))
    shown = driver.find_element(By.ID, element)
    WebDriverWait(driver, 30, 0.05).until(lambda _: shown.is_displayed())
    return shown.text


def test_own_page_behind_a_proxy(
    driver: webdriver.Chrome, service: Worker, proxy: Callable[[int], int]
) -> None:
    address = f"http://127.0.0.1:{proxy(service.port)}/"

    assert CHELSEA.label in shown_for_a_file(driver, address, "result")


def test_own_page_under_a_name_inside(driver: webdriver.Chrome, service: Worker) -> None:
    address = f"http://gpu-box:{service.port}/"

    assert CHELSEA.label in shown_for_a_file(driver, address, "result")


def test_own_page_under_a_public_name(driver: webdriver.Chrome, service: Worker) -> None:
    address = f"http://classify.example.org:{service.port}/"

    said = shown_for_a_file(driver, address, "problem")

    assert said.startswith("The worker does not allow this")
    assert "name its host in http.allowed_hosts" in said
