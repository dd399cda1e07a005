"""The page and the documentation of a service that asks for a token."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.harness import Worker
from tests.support.page import CHELSEA, Page
from tests.support.workers import MakeService

TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture(scope="module")
def protected(make_service: MakeService, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    tokens.chmod(0o600)
    service = make_service(WORKER_HTTP__TOKEN_FILE=str(tokens), WORKER_HTTP__PROTECT_METRICS="true")
    service.wait_until_ready()
    return service


def figures_are_shown(page: Page) -> bool:
    return page.driver.find_element(By.CSS_SELECTOR, "section[data-needs-metrics]").is_displayed()


def test_the_page_asks_for_a_token_and_sends_it(
    driver: webdriver.Chrome, protected: Worker
) -> None:
    page = Page(driver, f"http://127.0.0.1:{protected.port}/")
    # Metrics are closed, too: it is asked for at once, and the state is shown without them.
    field = page.until_shown("token")
    page.until_text("state", "Ready")
    assert not figures_are_shown(page)
    page.choose(CHELSEA.path)
    page.until_text("problem", "The worker asks for a token")
    field.send_keys("wrong")
    field.send_keys(Keys.ENTER)
    page.until_text("problem", "This token is not accepted")
    field.clear()
    field.send_keys(TOKEN, Keys.ENTER)
    page.until_shown("result")
    assert not page["problem"].is_displayed()
    page.until(lambda: figures_are_shown(page), "the figures")

    page.until_shown("raw").find_element(By.TAG_NAME, "summary").click()
    assert '"Authorization: Bearer $TOKEN"' in page["curl"].text
    assert "os.environ['TOKEN']" in page["python"].text
    assert TOKEN not in page.driver.page_source
    stored = page.run(
        "return JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert stored == '[{},{},""]'
    driver.refresh()
    assert page.until_shown("token").get_property("value") == ""


def test_the_documentation_asks_for_a_token_and_sends_it(
    driver: webdriver.Chrome, protected: Worker
) -> None:
    docs = Page(driver, f"http://127.0.0.1:{protected.port}/docs")
    docs.until_shown("schemas")
    assert not docs["token-row"].is_displayed()
    commands = [each.text for each in docs["operations"].find_elements(By.CSS_SELECTOR, "pre")]
    commands = [each for each in commands if each.startswith("curl ")]
    secured = [each for each in commands if '-H "Authorization: Bearer $TOKEN"' in each]
    assert {each.split()[1].rpartition("/")[2] for each in secured} == {
        "image-classification",
        "metrics",
    }
    assert len(secured) < len(commands), "probes need none"
    send = docs["metrics"].find_element(By.CSS_SELECTOR, ".try button")
    status = docs["metrics"].find_element(By.CSS_SELECTOR, ".try [role=status]")
    send.click()
    docs.until(lambda: "401" in status.text, "the refusal")
    docs.until_shown("token").send_keys(TOKEN)
    send.click()
    docs.until(lambda: "200" in status.text, "the metrics")
