"""The API documentation at `/docs`: all of the OpenAPI document, and requests that work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from tests.support.harness import Worker
from tests.support.http_client import ask
from tests.support.page import CHELSEA, Page

POST = "infer"


@pytest.fixture
def docs(page: Page) -> Page:
    page.driver.get(page.driver.current_url + "docs")
    page.until_shown("schemas")
    return page


@pytest.fixture
def document(service: Worker) -> dict[str, Any]:
    return ask(service.port, "GET", "/openapi.json").json


def test_says_all_that_the_document_says(docs: Page, document: dict[str, Any]) -> None:
    assert document["info"]["version"] in docs["version"].text
    assert docs["about"].text == document["info"]["description"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = docs[operation["operationId"]].text
            wanted = [path, method.upper(), operation["summary"], *operation["responses"]]
            wanted += [one["name"] for one in operation.get("parameters", [])]
            wanted += operation.get("requestBody", {}).get("content", {})
            assert [one for one in wanted if one not in shown] == []
    for name, schema in document["components"]["schemas"].items():
        shown = docs[f"schema-{name}"].text
        fields = [field for field, one in schema.get("properties", {}).items() if one is not False]
        assert [one for one in (name, *fields) if one not in shown] == []


def test_links_lead_somewhere(docs: Page) -> None:
    links = docs.run("""
        return [...document.querySelectorAll("a[href^='#']")]
            .map((one) => [one.hash, document.getElementById(one.hash.slice(1)) !== null]);
    """)

    assert len(links) > 20
    assert [link for link, leads in links if not leads] == []


def test_asks_nobody_else(docs: Page, service: Worker) -> None:
    asked = docs.run("return performance.getEntriesByType('resource').map((one) => one.name)")

    assert len(asked) >= 4
    assert [one for one in asked if not one.startswith(f"http://127.0.0.1:{service.port}/")] == []


def test_trying_a_request(docs: Page) -> None:
    article = docs[POST]
    article.find_element(By.CSS_SELECTOR, ".try button").click()
    response = article.find_element(By.CSS_SELECTOR, ".try pre")
    docs.until(response.is_displayed, "the response")

    assert article.find_element(By.CSS_SELECTOR, ".try [role=status]").text == "200 OK"
    assert len(json.loads(response.text)["result"]["categories"]) == 3


def test_trying_a_probe(docs: Page) -> None:
    article = docs["ready"]
    article.find_element(By.CSS_SELECTOR, ".try button").click()
    response = article.find_element(By.CSS_SELECTOR, ".try pre")
    docs.until(response.is_displayed, "the response")

    assert response.text.strip() == "ok"


def test_commands_work(docs: Page, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(CHELSEA.path.read_bytes())
    commands = [
        one.text
        for one in docs.driver.find_elements(By.CSS_SELECTOR, "#operations pre")
        if one.text.startswith("curl ") and "example.org" not in one.text
    ]

    # The document, its bytes in three ways, and four GETs.
    assert len(commands) == 8
    for command in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace("curl ", "curl --fail --silent ", 1)],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, command
