"""The pages in a real browser: typing, keys, files, the map, dark mode, small screens, no scripts, accessibility."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the extra serve is not installed")

from playwright import sync_api

from .serving import HOSTILE, make_indexes, png, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; on Debian: apt-get install chromium"),
]
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    paths = make_indexes(tmp_path_factory.mktemp("served"))
    with running([word for path in paths.values() for word in ("-i", path)]) as (found, _):
        yield found.rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@contextmanager
def page_of(browser: Any, address: str, **options: Any) -> Iterator[Any]:
    """A new page. At its end: no error or warning in the console, no request to another host, nothing ran."""
    context = browser.new_context(**({"viewport": {"width": 1000, "height": 800}} | options))
    page = context.new_page()
    problems: list[str] = []
    expected: list[str] = []
    page.expected = expected

    def heard(message: Any) -> None:
        # chromium informs of an autofocus that comes after a test has focused an element
        if message.type in ("error", "warning"):
            problems.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))

    def check(request: Any) -> None:
        if not request.url.startswith((address, "blob:", "data:")):
            problems.append(request.url)

    page.on("request", check)
    yield page
    if options.get("java_script_enabled", True):
        assert page.evaluate("window.ran") is None
    assert [own for own in problems if not any(part in own for part in expected)] == []
    context.close()


def hits(page: Any) -> list[str]:
    return [own.inner_text() for own in page.query_selector_all("#results h2 a")]


def until(page: Any, expression: str, seconds: float = 30) -> None:
    """Wait until a condition holds in the page, whose policy does not allow the way of playwright."""
    for _ in range(int(seconds * 20)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{expression} did not become true")


def wait_for_results(page: Any, count: int = 1) -> None:
    until(page, f"document.querySelectorAll('#results h2 a').length >= {count}")


def test_results_come_while_typing_and_are_announced(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.goto(f"{address}/i/texts")
        page.locator("#q").press_sequentially("harbour storm", delay=20)
        wait_for_results(page, 10)
        until(page, "document.querySelector('#status').textContent.trim() === '10 results'")
        page.wait_for_url("**/i/texts?q=harbour+storm")
        assert page.get_attribute("#status", "role") == "status"
        assert page.locator("#results mark").first.inner_text() in ("harbour", "storm")
        assert page.evaluate("document.activeElement.id") == "q"
        shown = hits(page)
        page.reload()
        assert hits(page) == shown
        page.locator("#results a.hit").first.click()
        page.wait_for_selector("svg.code")
        page.go_back()
        assert page.locator("header").count() == 1
        assert hits(page) == shown


def test_an_older_answer_never_replaces_a_newer_one(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.expected.append("htmx:")  # it reports a request that it gave up

        def late(route: Any) -> None:
            page.wait_for_timeout(800)
            route.continue_()

        page.goto(f"{address}/i/texts")
        page.route(re.compile(r"results\?q=v&"), late)
        page.locator("#q").press_sequentially("v")
        page.wait_for_timeout(200)
        page.locator("#q").fill("harbour")
        page.wait_for_timeout(1500)
        assert "harbour" in page.locator("#results mark").all_inner_texts()


def test_nothing_is_searched_while_a_word_is_composed(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/i/texts")
        page.focus("#q")
        page.wait_for_timeout(500)
        asked.clear()
        client = page.context.new_cdp_session(page)
        for text in ("h", "ha", "harbour"):
            client.send(
                "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
            )
            page.wait_for_timeout(300)
        assert asked == []
        client.send("Input.insertText", {"text": "harbour"})
        wait_for_results(page)
        assert len(asked) >= 1


def test_more_like_this_and_why(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.goto(f"{address}/i/texts?q=harbour+storm")
        first = hits(page)[0]
        page.locator("text=Why this?").first.click()
        assert page.locator("table.shares tbody tr").count() > 5
        page.go_back()
        page.locator("text=More like this").first.click()
        page.wait_for_url(f"**like={first}")
        assert len(hits(page)) == 10
        assert first not in hits(page)
        page.locator("#q").press_sequentially("violin")
        page.wait_for_url("**/i/texts?q=violin")


def test_an_image_is_uploaded_and_dropped(browser: Any, address: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    with page_of(browser, address) as page:
        page.goto(f"{address}/i/images")
        page.set_input_files("#file", tmp_path / "x.png")
        wait_for_results(page, 24)
        until(page, "[...document.querySelectorAll('#results img')].slice(0, 5).every(own => own.naturalWidth > 0)")
        page.goto(f"{address}/i/images")
        transfer = page.evaluate_handle(
            """bytes => {
                const made = new DataTransfer();
                made.items.add(new File([new Uint8Array(bytes)], 'y.png'));
                return made;
            }""",
            list(png(seed=1)),
        )
        page.dispatch_event("#upload", "drop", {"dataTransfer": transfer})
        wait_for_results(page, 24)


def test_filters_and_the_radius(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.goto(f"{address}/i/texts?q=harbour")
        page.click("summary")
        page.check("input[name=near]")
        page.locator("#radius").fill("7")
        page.wait_for_selector(".histogram")
        until(page, "document.querySelector('figcaption').textContent.includes('within 7 bits')")
        assert page.input_value("#radius") == "7"
        page.fill("input[name=label]", "nowhere")
        page.expected += ["422", "htmx:"]
        page.press("input[name=label]", "Tab")
        page.wait_for_selector("#results .error")
        assert "no document has the label" in page.inner_text("#results .error")
        assert page.input_value("#q") == "harbour"


def test_everything_is_reached_by_keys(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.goto(f"{address}/i/texts?q=harbour")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        focused = page.evaluate("document.activeElement.textContent")
        assert focused == hits(page)[1]
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.wait_for_selector("svg.code")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"


def test_search_and_upload_work_without_scripts(browser: Any, address: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png())
    with page_of(browser, address, java_script_enabled=False) as page:
        page.goto(f"{address}/i/texts")
        page.fill("#q", "harbour storm")
        page.click("text=Search >> nth=-1") if page.locator("#search button").count() != 1 else page.click(
            "#search button"
        )
        page.wait_for_selector("#results h2 a")
        assert len(hits(page)) == 10
        page.goto(f"{address}/i/images")
        page.set_input_files("#file", tmp_path / "x.png")
        page.click("#upload button")
        page.wait_for_selector("#results h2 a")
        assert len(hits(page)) == 24


PAGES = (
    "/",
    "/i/texts?q=harbour",
    "/i/texts/document?id=text-3",
    "/i/texts/explain?q=harbour&id=text-0",
    "/i/texts/map",
)
MORE = ("/i/images?like=digit-3", "/i/images/explain?like=digit-3&id=digit-4", "/i/texts/about", "/api-docs")


@pytest.mark.parametrize("path", [*PAGES, *MORE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_in_light_and_dark(browser: Any, address: str, path: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with page_of(browser, address, color_scheme=scheme) as page:
        page.goto(address + path)
        if path.endswith("/map"):
            page.wait_for_selector("#map[data-ready]", timeout=90_000)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        assert dark == (scheme == "dark")
        found = axe.Axe().run(page).response["violations"]
        serious = [own for own in found if own["impact"] in ("serious", "critical")]
        assert [(own["id"], [node["html"][:80] for node in own["nodes"]][:3]) for own in serious] == []


@pytest.mark.parametrize("path", [*PAGES, *MORE])
def test_pages_fit_a_screen_of_320_pixels(browser: Any, address: str, path: str) -> None:
    with page_of(browser, address, viewport={"width": 320, "height": 640}) as page:
        page.goto(address + path)
        if "texts?q" in path:
            page.click("summary")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_texts_ids_and_labels_are_shown_and_not_run(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        for path in ("/i/texts?q=zebra", f"/i/texts?q=zebra&label={HOSTILE.replace('&', '%26')}", "/i/texts/map"):
            page.goto(address + path)
            page.wait_for_timeout(500)
        page.goto(f"{address}/i/texts?q=zebra+onerror")
        page.locator("a.hit", has_text="onerror").first.click()
        page.wait_for_selector("svg.code")
        assert page.inner_text("h1.id").startswith("<img src=x")
        page.locator("text=Search on from here").click()
        page.wait_for_selector("#results h2 a")


def open_map(page: Any, address: str, name: str = "texts") -> None:
    page.goto(f"{address}/i/{name}/map")
    page.wait_for_selector("#map[data-ready]", timeout=90_000)


def corners_around(page: Any, label: str) -> list[tuple[float, float]]:
    """A rectangle on the screen around all points of a label."""
    found = page.evaluate(
        """label => {
            const { data, transform } = globalThis.hashretMap, { a, b, c, d, e, f, width, height } = transform();
            const number = data.labels.indexOf(label);
            const box = document.querySelector('#lasso-layer').getBoundingClientRect();
            let [left, top, right, bottom] = [1e9, 1e9, -1e9, -1e9];
            data.label.forEach((own, place) => {
                if (own !== number) return;
                const x = a * data.x[place] + c * data.y[place] + e, y = b * data.x[place] + d * data.y[place] + f;
                const px = box.left + (x + 1) / 2 * width, py = box.top + (1 - y) / 2 * height;
                left = Math.min(left, px); right = Math.max(right, px);
                top = Math.min(top, py); bottom = Math.max(bottom, py);
            });
            return [Math.max(left - 6, box.left + 1), Math.max(top - 6, box.top + 1),
                Math.min(right + 6, box.right - 1), Math.min(bottom + 6, box.bottom - 1)];
        }""",
        label,
    )
    left, top, right, bottom = found
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def draw_lasso(page: Any, corners: list[tuple[float, float]]) -> None:
    page.mouse.move(*corners[0])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.wait_for_selector("#selection li")


def test_a_lasso_selects_what_is_inside_also_when_scrolled_and_exports_it(browser: Any, address: str) -> None:
    with page_of(browser, address, viewport={"width": 1000, "height": 900}) as page:
        open_map(page, address)
        page.click("#lasso")
        page.evaluate("window.scrollTo(0, 150)")
        page.wait_for_timeout(200)
        draw_lasso(page, corners_around(page, "music"))
        exported: dict[str, str] = {}
        for name in ("ids", "csv", "json"):
            with page.expect_download() as download:
                page.click(f"[data-export={name}]")
            exported[name] = Path(download.value.path()).read_text("utf-8")
        rows = json.loads(exported["json"])
        chosen = {row["id"] for row in rows if row["label"] == "music"}
        assert len(chosen) == 50
        assert exported["ids"].splitlines() == [row["id"] for row in rows]
        assert exported["csv"].startswith("id,x,y,label\n")
        assert f"{len(rows)} selected" in page.inner_text("#selection")


def test_a_lasso_works_by_touch_and_leaves_out_hidden_labels(browser: Any, address: str) -> None:
    with page_of(browser, address, has_touch=True, viewport={"width": 900, "height": 900}) as page:
        open_map(page, address)
        page.locator("#labels-list label", has_text="sea").uncheck()
        page.tap("#lasso")
        box = page.locator("#lasso-layer").bounding_box()
        client = page.context.new_cdp_session(page)
        corners = [(2, 2), (box["width"] - 2, 2), (box["width"] - 2, box["height"] - 2), (2, box["height"] - 2)]
        points = [{"x": box["x"] + x, "y": box["y"] + y} for x, y in corners]
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
        for point in points[1:]:
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_selector("#selection li")
        with page.expect_download() as download:
            page.click("[data-export=json]")
        rows = json.loads(Path(download.value.path()).read_text("utf-8"))
        assert {row["label"] for row in rows} >= {"music", "kitchen", "space"}
        assert "sea" not in {row["label"] for row in rows}
        assert len(rows) >= 140


def test_the_map_finds_shows_and_moves(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        open_map(page, address)
        page.fill("#map-q", "violin")
        page.press("#map-q", "Enter")
        until(page, "document.querySelector('#map-status').textContent.includes('marked')")
        page.wait_for_selector("#point a")
        before = page.evaluate("[...globalThis.hashretMap.plot.get('cameraView')]")
        page.focus(".plot canvas")
        page.keyboard.press("+")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("[...globalThis.hashretMap.plot.get('cameraView')]") != before
        page.click("#reset")


def test_without_webgl_a_sentence_and_the_export_remain(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        page.goto(f"{address}/i/texts/map")
        until(page, "document.querySelector('#map-status').textContent.includes('no WebGL')")
        assert page.locator("#labels-list li").count() >= 4
        with page.expect_download() as download:
            page.click("[data-export=ids]")
        assert len(Path(download.value.path()).read_text("utf-8").splitlines()) == 204


LOSE = "document.querySelector('.plot canvas').dispatchEvent(new Event('webglcontextlost', {cancelable: true}))"


def test_lost_graphics_are_drawn_again_a_few_times(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.expected.append("CONTEXT_LOST")
        open_map(page, address)
        for _ in range(3):
            page.evaluate(LOSE)
            until(page, "document.querySelector('#map-status').textContent.includes('Drag to move')")
        page.evaluate(LOSE)
        until(page, "document.querySelector('#map-status').textContent.includes('several times')")


def test_a_server_that_stopped_is_reported(browser: Any, address: str) -> None:
    with page_of(browser, address) as page:
        page.expected += ["ERR_FAILED", "htmx:"]
        page.goto(f"{address}/i/texts")
        page.route("**/results**", lambda route: route.abort())
        page.fill("#q", "harbour")
        page.wait_for_selector("#results .error")
        assert "does not answer" in page.inner_text("#results .error")
