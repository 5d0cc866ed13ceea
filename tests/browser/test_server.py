"""The live page and its server: sessions of their own, an idle end, a server that is gone."""

from __future__ import annotations

import re
import subprocess
import sys
import time

from playwright.sync_api import expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Servers
from tests.browser.reading import number
from whygrad.play.sessions import IDLE_SECONDS


def test_two_tabs_do_not_disturb_each_other(tabs: Tabs, server_of: Servers) -> None:
    url = server_of("neuron").url
    one, two = tabs.open(url), tabs.open(url)
    one.get_by_role("spinbutton", name="target", exact=True).fill("3")
    one.keyboard.press("Tab")
    expect(one.get_by_role("button", name=re.compile("^3.0, target"))).to_be_visible()
    two.get_by_role("button", name="Step", exact=True).click()
    expect(two.get_by_text("In step 1 the weight moved from 0.0866 to 0.1431")).to_be_visible()
    expect(two.get_by_role("button", name=re.compile("^1.0, target"))).to_be_visible()
    assert one.get_by_role("grid").get_by_role("row").count() == 2


def test_an_idle_session_ends_and_can_begin_again(tabs: Tabs, server_of: Servers) -> None:
    server = server_of("neuron")
    page = tabs.open(server.url)
    server.sessions._clock = lambda: time.monotonic() + IDLE_SECONDS + 1
    tabs.watch.expected.append("status of 410")
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("idle for so long that its session has ended")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("In step 0 the weight moved")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_text("In step 1 the weight moved")).to_be_visible()


def test_a_server_that_is_gone_is_said_and_what_is_shown_stays(tabs: Tabs) -> None:
    program = "import sys; from whygrad.cli import main; sys.exit(main(['play', '--no-open']))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            page = tabs.open(process.stdout.readline().split()[-1])
        finally:
            process.kill()
    tabs.watch.expected += ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"]
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("whygrad play does not answer")
    expect(number(page, "linear.weight[0,0]@0")).to_have_text("0.0866")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("Still no answer")
