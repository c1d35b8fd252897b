"""What several verbs of `adieu` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[Path, typer.Option(envvar="ADIEU_DIRECTORY", help="Where the system keeps what it has.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
