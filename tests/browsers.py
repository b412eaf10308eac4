"""Chromium, as the tests drive it."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.conftest import require_program

HEADLESS = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking".split()


@contextmanager
def chromium(*options: str) -> Iterator:
    """A browser without a screen, with more options than all need. Skips where it is not installed."""
    require_program("chromium")
    require_program("chromedriver", "chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chosen = webdriver.ChromeOptions()
    chosen.binary_location = shutil.which("chromium")
    for option in (*HEADLESS, "disable-component-update", "disable-sync", "window-size=1200,1600", *options):
        chosen.add_argument(f"--{option}")
    chosen.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=chosen, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def complaints(browser) -> list[str]:
    """What the console holds by now that is more than information; it is emptied."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"]


def css(browser, selector: str) -> list:
    from selenium.webdriver.common.by import By

    return browser.find_elements(By.CSS_SELECTOR, selector)


def wait(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether something becomes true; with seconds for the slowest of machines."""
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if condition():
            return True
        time.sleep(0.05)
    return False
