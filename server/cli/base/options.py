"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[str | None, typer.Option("--store", "-s", help="Name or id of the store.", show_default="default")]
Data = Annotated[Path | None, typer.Option("--data", help="Data folder.", show_default="RAGPOD_DATA_DIR or .ragpod")]
Url = Annotated[
    str | None, typer.Option("--url", help="Of a running server; its key from RAGPOD_API_KEY.", show_default=False)
]
Owner = Annotated[
    str | None, typer.Option("--owner", help="Whose: the part of an API key before its colon.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
