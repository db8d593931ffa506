"""The page in a real browser: every flow of an operator, without errors in the console and accessible.

Needs Chromium (Debian's package `chromium`, or CHROMIUM names the program); skipped where there is none.
RESIGHT_SCREENSHOTS names a folder for pictures of every state.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

from resight.gallery import Gallery
from resight.inference import Extractor
from resight.serving import Keys, create_app
from tests.serving.conftest import Shop

PROGRAM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PROGRAM, reason="no Chromium")]
SCREENS = os.environ.get("RESIGHT_SCREENSHOTS")
SERIOUS = ("serious", "critical")
BLOB = re.compile("^blob:")


class Service(uvicorn.Server):
    """A service in a thread of this process."""

    def __init__(self, shop: Shop, keys: Keys | None = None) -> None:
        gallery = Gallery.open(shop.folder, model=shop.extractor.model)
        app = create_app({"people": gallery}, shop.extractor, keys=keys, threads=1)
        super().__init__(uvicorn.Config(app, log_level="error", lifespan="on"))
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.thread = threading.Thread(target=self.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def __enter__(self) -> Service:
        self.thread.start()
        while not self.started:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(30)
        self.socket.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield started
        started.close()


class Visitor:
    """A page that notes every error and every request to elsewhere."""

    def __init__(self, browser: Browser, url: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **context})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "request", lambda asked: None if asked.url.startswith((url, "blob:")) else self.elsewhere.append(asked.url)
        )
        self.page.goto(url)

    def _note(self, asked: str, own: str) -> None:
        if not asked.startswith((own, "blob:")):
            self.elsewhere.append(asked)

    def shot(self, name: str) -> None:
        if SCREENS:
            Path(SCREENS).mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(700)
            self.page.screenshot(path=Path(SCREENS) / f"{name}.png")

    def accessible(self) -> None:
        found = [rule for rule in Axe().run(self.page).response["violations"] if rule["impact"] in SERIOUS]
        assert not found, [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found]

    def leave(self) -> None:
        self.context.close()
        assert not self.errors
        assert not self.elsewhere


@pytest.fixture
def visit(shop: Shop, browser: Browser) -> Iterator[Visitor]:
    with Service(shop) as service:
        visitor = Visitor(browser, service.url)
        yield visitor
        visitor.leave()


def choose(page: Page, *paths: Path) -> None:
    page.set_input_files("#files", [str(path) for path in paths])
    expect(page.locator(".card").first).to_be_visible()


def test_finding_a_person(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    expect(page.locator("#results h2")).to_have_text("Start with a picture")
    visit.accessible()
    visit.shot("start")
    choose(page, shop.samples[0].path)
    first = page.locator(".card").first
    expect(first).to_contain_text(str(shop.samples[0].pid))
    expect(first).to_contain_text("1.000")
    expect(page.locator("#status")).to_contain_text("found in")
    visit.accessible()
    visit.shot("results")
    page.get_by_label("c1 (").check()
    page.get_by_role("button", name="Search", exact=True).last.click()
    expect(page.locator("#status")).to_contain_text("found in")
    expect(page.locator(".card").first.locator(".about")).to_contain_text("c1")
    cameras = page.locator(".card .about .camera").all_inner_texts()
    assert set(cameras) == {"c1"}
    page.get_by_label("c1 (").uncheck()
    page.get_by_label("Least similarity").fill("1")
    page.get_by_label("Only person").fill("nobody")
    page.locator("#go").click()
    expect(page.get_by_text("Nobody found")).to_be_visible()
    visit.shot("nobody")
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#results h2")).to_have_text("Start with a picture")
    page.set_input_files("#files", FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"x"))
    expect(page.get_by_text("Not a picture: 1 of the files")).to_be_visible()


def test_several_pictures_groups_and_cropping(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    choose(page, shop.samples[0].path, shop.samples[1].path)
    expect(page.locator("#results section")).to_have_count(2)
    page.get_by_label("All pictures show one person").check()
    page.locator("#go").click()
    expect(page.locator("#results section")).to_have_count(1)
    page.get_by_label("One entry for each person").check()
    page.locator("#go").click()
    expect(page.locator(".card")).to_have_count(len({sample.pid for sample in shop.samples}))
    before = page.locator("#pictures img").first.get_attribute("src")
    page.get_by_role("button", name="Crop picture 1").click()
    canvas = page.locator("dialog canvas")
    canvas.press("ArrowLeft")
    canvas.press("Shift+ArrowUp")
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + box["height"] * 0.8, steps=4)
    page.mouse.up()
    visit.shot("crop")
    visit.accessible()
    page.get_by_role("button", name="Use the box").click()
    expect(page.locator("dialog")).to_have_count(0)
    assert page.locator("#pictures img").first.get_attribute("src") != before


HAND_OVER = """([kind, name, data]) => {
    const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    const held = new DataTransfer();
    held.items.add(new File([bytes], name, { type: "image/jpeg" }));
    const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: held, bubbles: true })
        : new DragEvent("drop", { dataTransfer: held, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
}"""


def test_dropping_and_pasting_a_picture_and_the_theme(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    expect(page.get_by_label("c1 (")).to_be_visible()
    picture = base64.b64encode(shop.samples[0].path.read_bytes()).decode()
    for count, kind in enumerate(("drop", "paste"), start=1):
        page.evaluate(HAND_OVER, [kind, "query.jpg", picture])
        expect(page.locator("#pictures li")).to_have_count(count)
        expect(page.locator("#results section")).to_have_count(count)
    page.get_by_role("button", name="Remove picture 1").click()
    expect(page.locator("#results section")).to_have_count(1)
    for theme in ("dark", "light"):
        page.get_by_role("button", name="Light or dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        visit.accessible()


def test_starting_from_a_record_of_the_gallery(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    some = page.get_by_role("button", name=re.compile("^Search from "))
    expect(some).to_have_count(len({sample.pid for sample in shop.samples}))  # one of each person
    some.first.click()
    expect(page.locator("#pictures li")).to_have_count(1)
    expect(page.locator("#status")).to_contain_text("found in")


def test_an_empty_gallery_says_so(tmp_path: Path, extractor: Extractor, browser: Browser) -> None:
    Gallery.open(tmp_path / "people", model=extractor.model).close()
    with Service(Shop(tmp_path / "people", extractor, [])) as service:
        visitor = Visitor(browser, service.url)
        expect(visitor.page.get_by_text("This gallery has no records yet.")).to_be_visible()
        visitor.shot("empty-gallery")
        visitor.page.locator("#results").get_by_role("button", name="Add people").click()
        expect(visitor.page.locator("#view-add form")).to_be_visible()
        visitor.leave()


def test_opening_a_record(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    choose(page, shop.samples[0].path)
    page.locator(".card .open").nth(1).click()
    dialog = page.locator("dialog")
    expect(dialog.get_by_text("Where and when")).to_be_visible()
    expect(dialog.get_by_text("Before and after")).to_be_visible()
    expect(dialog.locator(".big img")).to_have_attribute("src", BLOB)
    visit.accessible()
    visit.shot("record")
    dialog.get_by_role("button", name="Show where the model looks").click()
    expect(dialog.get_by_alt_text("Where the model looks, bright is much")).to_have_attribute("src", BLOB)
    visit.shot("attention")
    dialog.locator("input[name=note]").fill("<b>seen</b> at the gate")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved")).to_be_visible()
    dialog.get_by_role("button", name="Search from this one").click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#pictures li")).to_have_count(1)
    expect(page.locator("#pictures button")).to_have_count(1)  # a record is not cropped
    expect(page.locator("#status")).to_contain_text("found in")


def test_marking_comparing_and_the_keyboard(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    choose(page, shop.samples[0].path)
    page.locator(".card .open").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("r")
    expect(page.locator(".card").nth(1)).to_have_class("card right")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("w")
    expect(page.locator(".card").nth(2)).to_have_class("card wrong")
    page.keyboard.press("c")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("c")
    page.get_by_role("button", name="Compare 2 side by side").click()
    expect(page.locator("dialog figure")).to_have_count(3)  # with what was searched for
    visit.accessible()
    visit.shot("side-by-side")
    page.keyboard.press("Escape")
    page.locator(".card .open").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog .big")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("move among results")
    page.keyboard.press("Escape")
    with Gallery.open(shop.folder) as gallery:
        assert sorted(mark.same for mark in gallery.marks()) == [False, True]


def test_adding_deleting_and_undoing(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    page.get_by_role("button", name="Add people").click()
    form = page.locator("#view-add form")
    visit.accessible()
    form.locator("input[type=file]").set_input_files(str(shop.samples[0].path))
    form.locator("input[name=pid]").fill("anna")
    form.locator("input[name=camera]").fill("gate")
    visit.shot("add")
    form.get_by_role("button", name="Add").click()
    expect(page.get_by_text("1 added")).to_be_visible()
    page.get_by_role("button", name="Search", exact=True).first.click()
    page.get_by_label("Only person").fill("anna")
    choose(page, shop.samples[0].path)
    expect(page.locator(".card")).to_have_count(1)
    page.locator(".card .open").click()
    page.get_by_role("button", name="Delete").click()
    visit.shot("delete")
    page.get_by_role("button", name="Cancel").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    page.locator("dialog").last.get_by_role("button", name="Delete").click()
    expect(page.locator(".card")).to_have_count(0)
    visit.shot("undo")
    with Gallery.open(shop.folder) as gallery:
        assert gallery.count(pids=["anna"]) == 0
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".card")).to_have_count(1)
    with Gallery.open(shop.folder) as gallery:
        assert gallery.count(pids=["anna"]) == 1


def test_audit_and_retention(visit: Visitor, shop: Shop) -> None:
    page = visit.page
    choose(page, shop.samples[0].path)
    page.get_by_role("button", name="Audit and retention").click()
    expect(page.locator("#view-admin table")).to_contain_text("search")
    visit.accessible()
    visit.shot("admin")
    page.locator("#view-admin input[type=number]").fill("36000")
    page.get_by_role("button", name="Delete older records").click()
    page.locator("dialog").get_by_role("button", name="Delete older records").click()
    expect(page.get_by_text("0 deleted")).to_be_visible()


def test_chinese_dark_and_on_a_phone(shop: Shop, browser: Browser) -> None:
    with Service(shop) as service:
        contexts: dict[str, dict[str, Any]] = {
            "chinese-dark": {"locale": "zh-CN", "color_scheme": "dark"},
            "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
        }
        for name, context in contexts.items():
            visitor = Visitor(browser, service.url, **context)
            choose(visitor.page, shop.samples[0].path)
            visitor.accessible()
            visitor.shot(name)
            wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, "the page scrolls sideways"
            if name == "chinese-dark":
                expect(visitor.page.locator("#go")).to_have_text("检索")
                visitor.page.get_by_role("button", name="English").click()
                expect(visitor.page.locator("#go")).to_have_text("Search")
            visitor.page.locator(".card .open").first.click()
            expect(visitor.page.locator("dialog .big")).to_be_visible()
            visitor.accessible()
            visitor.shot(f"{name}-record")
            visitor.leave()


def test_every_word_is_in_both_languages() -> None:
    text = (Path(__file__).parents[2] / "src/resight/serving/page/strings.js").read_text(encoding="utf-8")
    english, chinese = text.split("zh: {")
    words = [set(re.findall(r"(\w+): \"", part)) for part in (english, chinese)]
    assert words[0] == words[1]
    filled = [dict(re.findall(r"(\w+): \"([^\"]*)\"", part)) for part in (english, chinese)]
    for name in words[0]:
        assert set(re.findall(r"{\w+}", filled[0][name])) == set(re.findall(r"{\w+}", filled[1][name])), name


def test_a_key_is_asked_for(shop: Shop, browser: Browser, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    key = keys.create("desk", "search")
    with Service(shop, keys) as service:
        visitor = Visitor(browser, service.url)
        page = visitor.page
        expect(page.get_by_text("This service needs a key")).to_be_visible()
        visitor.accessible()
        visitor.shot("key")
        page.locator("dialog input").fill("resight_wrong")
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("dialog [role=alert]")).to_be_visible()
        page.locator("dialog input").fill(key)
        page.get_by_role("button", name="Use this key").click()
        choose(page, shop.samples[0].path)
        expect(page.get_by_role("button", name="Add people")).to_be_hidden()
        expect(page.locator(".card .yes")).to_have_count(0)  # may look, not mark
        visitor.errors = [error for error in visitor.errors if "401" not in error]
        visitor.leave()


def test_a_service_that_is_gone_is_said(shop: Shop, browser: Browser) -> None:
    with Service(shop) as service:
        visitor = Visitor(browser, service.url)
        choose(visitor.page, shop.samples[0].path)
    visitor.page.locator("#go").click()
    expect(visitor.page.locator("#problem")).to_contain_text("The service does not answer")
    visitor.shot("gone")
    visitor.errors.clear()
    visitor.leave()


def test_a_broken_picture_is_said(visit: Visitor, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    visit.page.set_input_files("#files", str(broken))
    expect(visit.page.locator("#problem")).to_contain_text("picture 1")
    visit.shot("broken")
    visit.errors = [error for error in visit.errors if "422" not in error]
