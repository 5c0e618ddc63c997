"""The playground, on the demo's configuration, in the browser that a visitor would use."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from playwright.async_api import ConsoleMessage, Locator, Page, Route, ViewportSize, async_playwright, expect

from tests.support.daemon import ADMIN, Daemon
from tests.support.timing import seconds

CONFIG = Path(__file__).parents[2] / "config"
PHONE: ViewportSize = {"width": 390, "height": 844}
WIDE: ViewportSize = {"width": 1440, "height": 900}
Scheme: TypeAlias = Literal["light", "dark"]

expect.set_options(timeout=seconds(30) * 1000)


class Demo(Daemon):
    """`compartmentd serve --dev` on a copy of the demo, at free ports."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {}, arguments=("--dev",))
        self.config = directory / "demo.yaml"
        text = (CONFIG / "demo.yaml").read_text()
        for declared, free in (
            ('"127.0.0.1:8000"', '"127.0.0.1:0"'),
            ('"127.0.0.1:8001"', f'"{ADMIN}:0", "unix:{self.admin_socket}"'),
        ):
            assert text.count(declared) == 1
            text = text.replace(declared, free)
        self.text = text
        shutil.copytree(CONFIG / "demo", directory / "demo")
        shutil.copy(CONFIG / "demo.test.yaml", directory)
        self.write(text)

    def edit(self, old: str, new: str) -> int:
        """Save another version of the file, as an editor does; returns the line that was changed."""
        assert self.text.count(old) == 1
        self.write(self.text.replace(old, new))
        return self.line(old)

    def line(self, text: str) -> int:
        """Return where the text stands in the file as it came."""
        return self.text[: self.text.index(text)].count("\n") + 1

    @property
    def address(self) -> str:
        """The address that was printed, with the admin token in its fragment."""
        found = re.search(r"^Playground: (\S+)$", self.log, re.MULTILINE)
        assert found, self.log
        return found[1]

    def mint(self, **claims: Any) -> str:
        body = json.dumps({"claims": claims}).encode()
        answer = self.request("POST", "/admin/dev/token", body, **{"Content-Type": "application/json"})
        assert answer.status == 200, answer.body
        return str(answer.json["token"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One daemon for all tests that do not edit its file."""
    with Demo(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def edited(tmp_path: Path) -> Iterator[Demo]:
    with Demo(tmp_path) as running:
        yield running


@asynccontextmanager
async def browsing(
    address: str, size: ViewportSize = WIDE, scheme: Scheme = "light", complaints: int = 0
) -> AsyncIterator[Page]:
    """Open the page; fails if the browser complains of anything but `complaints` refused requests; -1 is any."""
    said: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(message.text)

    async with async_playwright() as playwright:
        # No sandbox: the tests may run as root, and the page is ours.
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = await browser.new_context(viewport=size, color_scheme=scheme)
        page = await context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: said.append(str(error)))
        await page.goto(address)
        yield page
        await browser.close()
    if complaints >= 0:
        assert len(said) == complaints, said


class Pane:
    """A pane, as a person uses it."""

    def __init__(self, page: Page, number: int) -> None:
        self.page = page
        self.root = page.locator(f"#pane-{number}")
        self.timeline = self.root.get_by_role("log")

    async def be(self, name: str) -> None:
        await self.root.get_by_label("Who is in this pane").select_option(label=name)

    async def namespace(self, name: str, state: str = "connected") -> None:
        await self.root.get_by_role("tab", name=f"{name}, {state}", exact=True).click()

    def room(self, name: str) -> Locator:
        return self.root.get_by_role("navigation", name="Rooms").get_by_role("button").filter(has_text=name)

    async def publish(self, data: str) -> None:
        await self.root.get_by_label("Data").fill(data)
        await self.root.get_by_role("button", name="Publish").click()

    def card(self, code: str) -> Locator:
        """A refusal or ending with this code."""
        return self.timeline.get_by_role("article").filter(
            has=self.page.locator("header code", has_text=code)
        )


async def deciding(card: Locator, line: int, text: str) -> None:
    """Expect that the card shows this line of the file as the one that decided."""
    row = card.locator(".row.is-deciding")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text(str(line))
    await expect(row).to_contain_text(text)


async def test_people_talk_over_one_connection_each(demo: Demo) -> None:
    sockets: list[str] = []
    async with browsing("about:blank") as page:
        page.on("websocket", lambda websocket: sockets.append(websocket.url))
        await page.goto(demo.address)
        ann, bob = Pane(page, 1), Pane(page, 2)
        await ann.namespace("/team")
        await bob.namespace("/team")
        await expect(ann.room("project:apollo")).to_contain_text("auto")
        await bob.room("chat:ann:bob").click()
        await expect(bob.timeline).to_contain_text("joined")
        await ann.room("chat:ann:bob").click()
        await expect(ann.timeline).to_contain_text("joined")
        await ann.publish("good morning")
        await expect(bob.timeline.locator(".is-received")).to_contain_text("good morning")
        await expect(bob.timeline.locator(".is-received")).to_contain_text("ann")
        await bob.room("This session").click()  # nobody may publish to everyone in /team
        await expect(bob.root.get_by_role("button", name="Publish")).to_be_hidden()
        await expect(bob.timeline).not_to_contain_text("good morning")
        assert len(sockets) == 2


async def test_a_refusal_shows_the_lines_that_decided(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        bob = Pane(page, 2)
        await bob.namespace("/team")
        await bob.room("project:zeus").click()
        await deciding(
            bob.card("rule_denied"),
            demo.line('join: {claim: projects, contains: "{project}"}'),
            'join: {claim: projects, contains: "{project}"}',
        )
        await expect(bob.card("rule_denied").locator("mark")).to_have_text(
            '{claim: projects, contains: "{project}"}'
        )
        await expect(bob.card("rule_denied").locator(".seen")).to_have_text('projects is ["apollo"]')
        await bob.publish("let me in")
        await expect(bob.card("not_a_member")).to_contain_text("join the room first")
        await expect(bob.timeline.locator(".is-sent")).to_contain_text("refused")

        await bob.be("visitor")
        await bob.namespace("/team", "refused")
        await deciding(
            bob.card("scope_missing"), demo.line("connect: {scope: team}"), "connect: {scope: team}"
        )

        await bob.namespace("/")
        await bob.publish('{"text": 7}')
        await expect(bob.card("invalid_payload")).to_contain_text("schema of event message")
        await expect(bob.card("invalid_payload").locator(".seen")).to_have_text(
            "text must be a string, and is 7"
        )


async def test_whoever_has_no_token_reads_along(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        ann, nobody = Pane(page, 1), Pane(page, 2)
        await nobody.be("nobody")
        await nobody.namespace("/")
        await ann.publish("hello, whoever listens")
        await expect(nobody.timeline).to_contain_text("hello, whoever listens")
        await nobody.publish("hello")
        await deciding(
            nobody.card("token_missing"), demo.line("publish: authenticated"), "publish: authenticated"
        )


async def test_an_edit_moves_live_sessions_before_ones_eyes(edited: Demo) -> None:
    async with browsing(edited.address) as page:
        mia = Pane(page, 1)
        await mia.be("mia")
        await mia.namespace("/")
        await expect(mia.room("moderation")).to_contain_text("auto")
        await mia.namespace("/team")
        await mia.room("incident:7").click()
        await expect(mia.timeline).to_contain_text("joined")

        line = edited.edit("at_least: 3", "at_least: 4")
        await deciding(mia.card("policy_changed"), line, "at_least: 4")
        await expect(mia.room("incident:7")).to_contain_text("✗")
        await expect(page.get_by_role("status")).to_contain_text("generation 2")

        line = edited.edit("capacity: 2", "capacity: two")
        problems = page.get_by_role("alert")
        await expect(problems).to_contain_text(f"demo.yaml:{line}:")
        await expect(problems).to_contain_text("two is not a count")
        await expect(page.get_by_role("status")).to_contain_text("the last change is not in force")

        edited.edit("moderation:", "keepers:")
        await expect(problems).to_be_hidden()
        await mia.namespace("/")
        await expect(mia.room("keepers")).to_contain_text("auto")


async def test_a_token_that_comes_late_is_not_somebody_elses(demo: Demo) -> None:
    late = asyncio.Event()

    async def hold(route: Route) -> None:
        if '"rea"' in (route.request.post_data or ""):
            await late.wait()
        await route.continue_()

    async with browsing(demo.address) as page:
        await page.route("**/admin/dev/token", hold)
        pane = Pane(page, 1)
        async with page.expect_response(lambda answer: '"rea"' in (answer.request.post_data or "")):
            await pane.be("rea")
            await pane.be("mia")
            await pane.namespace("/")
            late.set()
        await pane.root.get_by_role("button", name="Disconnect").click()
        await pane.root.get_by_role("button", name=re.compile("^Connect")).click()
        await expect(pane.room("moderation")).to_contain_text("auto")


async def test_a_token_of_ones_own_expires(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        pane = Pane(page, 1)
        await pane.be("your own token…")
        await pane.root.get_by_label("A token of your own").fill("not a token")
        await pane.root.get_by_role("button", name="Use this token").click()
        await expect(pane.card("token_invalid")).to_be_visible()

        await pane.be("bob")
        await pane.be("your own token…")
        token = demo.mint(sub="kim", exp=int(time.time()) + 7)
        await pane.root.get_by_label("A token of your own").fill(token)
        await pane.root.get_by_role("button", name="Use this token").click()
        await expect(pane.timeline).to_contain_text("connected as kim")
        await expect(pane.timeline).to_contain_text("expiring")
        await expect(pane.card("token_expired")).to_contain_text("connecting again can help")


async def test_the_admin_token_leaves_the_address_and_outlives_a_reload_of_the_page(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        await expect(page.get_by_role("status")).to_contain_text("generation 1")
        assert page.url == f"{demo.admin_url}/playground"
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text("generation 1")


async def test_without_an_admin_token_the_page_asks_for_one(demo: Demo) -> None:
    async with browsing(f"{demo.admin_url}/playground", complaints=1) as page:
        dialog = page.get_by_role("dialog", name="This page needs an admin token")
        await dialog.get_by_label("Admin token").fill("wrong")
        await dialog.get_by_role("button").click()
        await expect(dialog).to_contain_text("The token is not accepted")
        await dialog.get_by_label("Admin token").fill(demo.address.partition("#token=")[2])
        await dialog.get_by_role("button").click()
        await expect(page.get_by_role("status")).to_contain_text("generation 1")


async def test_all_of_it_can_be_done_by_keyboard(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        ann = Pane(page, 1)
        await ann.root.get_by_role("tab", name="/, connected", exact=True).focus()
        await page.keyboard.press("ArrowRight")
        await expect(ann.root.get_by_role("tab", name="/team, connected")).to_be_focused()
        await ann.room("lobby").focus()
        await page.keyboard.press("Enter")
        await expect(ann.timeline).to_contain_text("joined")
        await expect(ann.room("lobby")).to_be_focused()
        await ann.root.get_by_label("Data").focus()
        await page.keyboard.type("by hand")
        await page.keyboard.press("Enter")
        await expect(ann.timeline.locator(".is-sent")).to_contain_text("by hand")


async def test_enter_held_down_meets_the_rate(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        ann = Pane(page, 1)
        await ann.root.get_by_role("tab", name="/, connected", exact=True).click()
        await ann.root.get_by_label("Data").fill("again")
        for _ in range(60):  # after the first, each is a repetition, as the keyboard makes them
            await page.keyboard.down("Enter")
        await page.keyboard.up("Enter")
        card = ann.card("rate_limited").first
        await expect(card).to_contain_text("10 messages a second")
        await deciding(card, demo.line("message_rate: 10/s"), "message_rate: 10/s")


async def test_every_decision_is_listed_with_its_reasons(demo: Demo) -> None:
    async with browsing(demo.address) as page:
        bob = Pane(page, 2)
        await bob.namespace("/team")
        await bob.room("incident:7").click()
        await page.get_by_text("Decisions", exact=True).click()
        decision = page.locator("#decisions-list > li").filter(has_text="join incident:7")
        await expect(decision).to_contain_text("rule_denied")
        await decision.locator("summary").click()
        await expect(decision).to_contain_text("claim clearance at_least 3")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_nothing_is_cut_off(demo: Demo, size: ViewportSize, scheme: Scheme) -> None:
    async with browsing(demo.address, size, scheme) as page:
        first = Pane(page, 1)
        await first.namespace("/team")
        for width in ("document.documentElement.scrollWidth", "document.body.scrollWidth"):
            assert await page.evaluate(width) <= size["width"]
        for part in (
            first.root.get_by_role("button", name="Publish"),
            first.root.get_by_role("button", name="Join", exact=True),
            page.get_by_role("button", name="Add a pane"),
        ):
            await expect(part).to_be_in_viewport(ratio=1)
        await expect(page.locator("section.pane:visible")).to_have_count(1 if size is PHONE else 2)
        dark = await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark is (scheme == "dark")


# --- a file of one's own ----------------------------------------------------------------------------------------


class Own(Daemon):
    """`compartmentd serve --dev` on a file that somebody has just written, without people and tests."""

    def __init__(self, directory: Path, text: str) -> None:
        super().__init__(directory, {}, arguments=("--dev",))
        addresses = f'listen: ["127.0.0.1:0"], admin: ["{ADMIN}:0", "unix:{self.admin_socket}"], drain: 50ms'
        self.write(f"version: 1\nserver: {{{addresses}}}\n{text}")

    address = Demo.address


ISSUER = "issuers: {dev: {issuer: https://dev.example, audience: first, secret_file: first.dev-key}}\n"
FIRST = (
    ISSUER
    + """namespaces:
  /chat:
    connect: {scope: chat}
    rooms:
      "project:{project}":
        join: {claim: projects, contains: "{project}"}
        publish: members
        events: [message]
"""
)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    with Own(tmp_path, FIRST) as running:
        yield running


async def test_a_first_file_opens_with_people_in_a_room_where_they_can_speak(own: Own) -> None:
    async with browsing(own.address) as page:
        ann, bob = Pane(page, 1), Pane(page, 2)
        await expect(ann.room("project:apollo")).to_have_attribute("aria-current", "true")
        await expect(bob.room("project:zeus")).to_have_attribute("aria-current", "true")
        await expect(ann.timeline.get_by_text("joined")).to_have_count(1)
        await ann.room("project:zeus").click()
        await ann.publish("hello")
        await expect(bob.timeline.locator(".is-received")).to_contain_text("hello")
        await expect(page.locator(".card")).to_have_count(0)
        await bob.room("project:apollo").click()
        await expect(bob.card("rule_denied").locator(".seen")).to_have_text('projects is ["zeus"]')


async def test_claims_are_edited_and_refreshed_in_place(own: Own) -> None:
    async with browsing(own.address) as page:
        bob = Pane(page, 2)
        await bob.room("project:apollo").click()
        await bob.card("rule_denied").wait_for()
        await bob.root.locator(".claims-line").click()
        await bob.root.get_by_label("Claims of the token").fill("{no json")
        await bob.root.get_by_role("button", name="Refresh with these claims").click()
        await expect(bob.root.get_by_role("alert")).to_contain_text("no JSON object")
        claims = {"sub": "bob", "scope": "chat", "projects": ["zeus", "apollo"]}
        await bob.root.get_by_label("Claims of the token").fill(json.dumps(claims))
        await bob.root.get_by_role("button", name="Refresh with these claims").click()
        await expect(bob.timeline).to_contain_text("token refreshed")
        await expect(bob.root.get_by_label("Who is in this pane")).to_have_value("person:bob (edited)")
        await bob.root.get_by_role("button", name="Join", exact=True).last.click()
        await expect(bob.timeline).to_contain_text("joined")
        assert await bob.root.get_by_role("log").get_by_text("connected as").count() <= 1


async def test_a_person_is_made_and_outlives_a_reload_of_the_page(own: Own) -> None:
    async with browsing(own.address) as page:
        pane = Pane(page, 1)
        await pane.be("new person…")
        claims = {"sub": "lea", "scope": "chat", "projects": ["mars"]}
        await pane.root.get_by_label("Claims of the token").fill(json.dumps(claims))
        await pane.root.get_by_role("button", name="Connect with these claims").click()
        await expect(pane.room("project:mars")).to_have_attribute("aria-current", "true")
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text("generation 1")
        await Pane(page, 1).be("lea")
        await expect(Pane(page, 1).room("project:mars")).to_have_attribute("aria-current", "true")
        kept = await page.evaluate("JSON.stringify(sessionStorage)")
        assert "eyJ" not in kept, "a token of a person is kept nowhere"


async def test_the_page_stays_signed_in_over_a_restart(own: Own) -> None:
    port = own.admin_url.rpartition(":")[2]
    async with browsing(own.address, complaints=-1) as page:
        ann = Pane(page, 1)
        await expect(ann.room("project:apollo")).to_have_attribute("aria-current", "true")
        own.write(
            own.config.read_text().replace(f"{ADMIN}:0", f"{ADMIN}:{port}").replace(':0"', f':{own.port}"')
        )
        own.stop()
        await expect(page.get_by_role("status")).to_contain_text("does not answer")
        own.start()
        await expect(page.get_by_role("status")).to_contain_text("in force")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(ann.root.get_by_role("tab", name="/chat, connected")).to_be_visible()


async def test_where_no_token_can_be_made_one_is_asked_for_and_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a secret of at least thirty-two bytes, for tests\n")
    with Own(tmp_path, FIRST.replace("first.dev-key", "key")) as own:
        async with browsing(own.address) as page:
            await expect(page.locator("section.pane")).to_have_count(1)
            await expect(Pane(page, 1).root.get_by_label("A token of your own")).to_be_visible()
            await expect(page.locator(".card")).to_have_count(0)


@pytest.mark.parametrize("width", [1000, 1280, 1440, 1920])
async def test_four_panes_are_inside(demo: Demo, width: int) -> None:
    async with browsing(demo.address, {"width": width, "height": 900}) as page:
        for _ in range(2):
            await page.get_by_role("button", name="Add a pane").click()
        await expect(page.locator("section.pane")).to_have_count(4)
        for number in (1, 2, 3, 4):
            box = await Pane(page, number).root.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            await expect(Pane(page, number).root.get_by_role("button", name="Publish")).to_be_in_viewport(
                ratio=1
            )


async def test_a_phone_shows_several_rooms(demo: Demo) -> None:
    async with browsing(demo.address, PHONE) as page:
        ann = Pane(page, 1)
        await ann.namespace("/team")
        await expect(ann.room("project:apollo")).to_contain_text("auto")
        for room in ("project:apollo", "project:zeus", "user:ann"):
            await expect(ann.room(room)).to_be_in_viewport(ratio=1)
