"""The `adieu` command says what it found, and what went wrong, in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ops.cli import main

MAIL = """\
Delivered-To: mara@people.example\r
From: Adieu <no-reply@adieu.example>\r
To: mara@people.example\r
Subject: Goodbye [for now]\r
\r
Your account is closed.\r
"""


@pytest.fixture
def adieu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adieu:
    return Adieu(tmp_path, monkeypatch)


class Adieu:
    """The command, in a directory of its own."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mailbox = directory / "mailbox"
        self.mailbox.mkdir()
        self._options = ["--directory", str(directory)]
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str) -> str | int | None:
        """Run it; returns what it exits with."""
        self._monkeypatch.setattr(sys, "argv", ["adieu", *words, *self._options])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code


def test_without_any_mail_it_says_so(adieu: Adieu, capsys: pytest.CaptureFixture[str]) -> None:
    assert adieu("mail") == 0
    assert capsys.readouterr().out == "No mail yet.\n"


def test_a_mail_is_listed_and_shown(adieu: Adieu, capsys: pytest.CaptureFixture[str]) -> None:
    (adieu.mailbox / "20261124T010203.000000Z-0a0a0a0a.eml").write_text(MAIL, newline="")
    adieu("mail")
    assert "2026-11-24 01:02:03" in capsys.readouterr().out
    adieu("mail", "1")
    shown = capsys.readouterr().out
    assert "Subject: Goodbye [for now]" in shown
    assert "Your account is closed." in shown


def test_mails_are_given_to_programs_as_json(adieu: Adieu, capsys: pytest.CaptureFixture[str]) -> None:
    (adieu.mailbox / "20261124T010203.000000Z-0a0a0a0a.eml").write_text(MAIL, newline="")
    adieu("mail", "--json")
    (mail,) = json.loads(capsys.readouterr().out)
    assert mail["recipients"] == ["mara@people.example"]


def test_what_the_user_can_mend_is_one_line_without_a_trace(adieu: Adieu) -> None:
    assert adieu("mail", "3") == "adieu: there is no mail 3: the mailbox has 0"
