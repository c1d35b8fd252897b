"""Plays the story from start to figures, and says whether all of it held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from rich.console import Console

from ops.demo.doors import NotHeldError, open_doors
from ops.demo.episodes import Episodes
from ops.demo.proof import Proof
from ops.demo.rights import Rights
from ops.demo.stage import Stage
from ops.demo.story import Story
from ops.errors import UserError
from ops.installation import Installation
from ops.screens import show_addresses, show_json
from ops.system import System, running

NOT_FOR_THE_DEMO = ("SMTP_HOST", "SMTP_PORT", "COOLING_OFF_DAYS")
"""Settings that the story does without: it reads the mail itself, and does not wait for days."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    as_json: bool = False
    keep: bool = False
    plant: bool = False


async def play(installation: Installation, console: Console, options: Options) -> int:
    """Play, show, and return the exit code."""
    if options.plant and installation.external_services:
        raise UserError("planting needs services that can be stopped, and those here run outside")
    installation.environ = {k: v for k, v in installation.environ.items() if k not in NOT_FOR_THE_DEMO}
    installation.clock_shift_file.unlink(missing_ok=True)  # an earlier story may have moved the clock forward
    # What a client tries again is no news; what it gives up is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stage = Stage(Console(quiet=True) if options.as_json else console)
    started = monotonic()
    stage.console.print("Adieu starts; the first time takes longer.", style="dim")
    async with running(installation, stage.tell) as system, _kept(system, stage):
        async with open_doors(installation) as doors:
            demo = Demo(system, Story(doors, stage), started)
            try:
                await demo.play(plant=options.plant)
            except NotHeldError as error:
                stage.fail(str(error))
        demo.finish()
        if options.as_json:
            show_json(demo.facts())
        if options.keep:
            await _stay(system, stage, restart=options.plant)
    return 1 if stage.failures else 0


@asynccontextmanager
async def _kept(system: System, stage: Stage) -> AsyncIterator[None]:
    keeper = asyncio.create_task(system.keep_engines(stage.tell))
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _stay(system: System, stage: Stage, *, restart: bool) -> None:
    if restart:
        await system.supervisor.start()
    stage.console.print()
    show_addresses(stage.console, system)
    stage.console.print("It keeps running. Ctrl-C stops everything.")
    with suppress(asyncio.CancelledError):  # what ends it; the exit code is the story's
        await asyncio.Event().wait()


class Demo:
    """One playing of the story, with its figures."""

    def __init__(self, system: System, story: Story, started: float) -> None:
        self.system = system
        self.story = story
        self.stage = story.stage
        self.episodes = Episodes(story.doors, story.stage, story.person, story.bystander)
        self.rights = Rights(system.installation, story)
        self.proof = Proof(system, story.stage, story.person, story.bystander, datetime.now(UTC))
        self.figures: dict[str, Any] = {}
        self._started = started
        self._system_ready_ms = round((monotonic() - started) * 1000)

    async def play(self, *, plant: bool) -> None:
        story, proof = self.story, self.proof
        await story.settle_in()
        await self.episodes.second_phone()
        await story.live()
        await self.episodes.device_changes_hands()
        await story.want_to_leave()
        await proof.remember()
        await story.confirm()
        await story.watch_the_cascade()
        await story.farewell()
        certificate = story.cancellation.order["certificate"]
        proof.certificate(story.cancellation.order)
        await proof.search_everything()
        proof.declared_residue(certificate)
        await proof.compare()
        await self.rights.play()
        if plant:
            await proof.plant()

    def finish(self) -> None:
        """Show the figures, and whether all held."""
        self.figures = self._figures()
        self.stage.scene("Figures")
        for name, value in self.figures.items():
            unit = " ms" if name.endswith("_ms") else ""
            self.stage.note(name.removesuffix("_ms").replace("_", " "), _said(value) + unit)
        failed = len(self.stage.failures)
        self.stage.console.print()
        verdict = f"{failed} did not hold, see above." if failed else "All of it held."
        self.stage.console.print(verdict, style="bold red" if failed else "bold green")

    def _figures(self) -> dict[str, Any]:
        cancellation, search = self.story.cancellation, self.proof.search
        order = cancellation.order
        figures: dict[str, Any] = {"system_ready_ms": self._system_ready_ms, "readings": self.story.published}
        if order.get("completed_at"):
            figures["confirm_to_receipt_ms"] = {
                due["owner"]: cancellation.ms_until(due["answered_at"]) for due in order["owners"]
            }
            figures["confirm_to_closed_ms"] = cancellation.ms_until(order["completed_at"])
        if search:
            figures["topics_empty_ms"] = self.proof.purged_after_ms
            figures["rows_erased"] = self.proof.rows_erased
            figures["records_searched"] = search.records
            figures["files_searched"] = search.places["files"]
        return figures | {"whole_ms": round((monotonic() - self._started) * 1000)}

    def facts(self) -> dict[str, Any]:
        """All that was shown, for a program."""
        order, search = self.story.cancellation.order, self.proof.search
        return {
            "held": not self.stage.failures,
            "did_not_hold": self.stage.failures,
            "incidents": self.stage.incidents,
            "scenes": [asdict(scene) for scene in self.stage.scenes],
            "order": order,
            "farewell": self.story.last_mail,
            "search": {
                "places": search.places,
                "records": search.records,
                "leftovers": search.leftovers,
                "products": sorted(search.found - set(search.leftovers)),
            }
            if search
            else None,
            "declared_residue": [asdict(raw) for raw in self.proof.raw],
            "planted": self.proof.plants,
            "figures": self.figures,
            "addresses": asdict(self.system.addresses),
        }


def _said(value: Any) -> str:  # noqa: ANN401 - a number, or numbers by name
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items())
    return f"{value:,}"
