"""`crossfade console`: the console's link, with the key in its fragment, which no server and no log ever sees."""

from __future__ import annotations

import argparse
import webbrowser
from html import escape
from urllib.parse import quote

from backend.commands.asking import add_asking, backend_of
from backend.commands.words import Commands, complain, tell, tell_document
from backend.private_files import replace_with
from backend.settings import Settings
from backend.stack.backend_api import BackendApi, table
from backend.stack.errors import StackError

PAGE = "console.html"


def add_words(commands: Commands) -> None:
    console = add_asking(
        commands, "console", _console, "the link to the console in a browser, with your key",
        "  crossfade console --open\n"
        "  crossfade console --url http://10.0.0.7:8080 --key KEY\n"
        "Whoever has the link has the key. Its fragment stays in the browser and is taken out of the address bar.",
    )  # fmt: skip
    console.add_argument("--open", action="store_true", help="in this machine's browser")
    console.add_argument("--json", action="store_true", help="the link, and whose key it is, as a JSON table")


def _console(args: argparse.Namespace, settings: Settings) -> int:
    api = backend_of(args, settings)
    link = link_of(api)
    if link is None:
        raise StackError(f"no key for {api.url} is known here: --key or CROSSFADE_KEY names one")
    me = table(api.ask("GET", "/api/me"))
    if args.open:
        _open(settings, link)
    if args.json:
        tell_document({"url": f"{api.url}/", "link": link, "name": me["name"], "role": me["role"]})
    else:
        complain(f"as {me['name']} ({me['role']})")
        tell(link)
    return 0


def link_of(api: BackendApi) -> str | None:
    key = api.headers.get("X-API-Key")
    return f"{api.url}/#key={quote(key, safe='')}" if key else None


def _open(settings: Settings, link: str) -> None:
    """By a page of this user's that leads there: a program's arguments are for everybody on the machine to read."""
    page = (settings.crossfade_var / PAGE).absolute()
    text = (
        f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(link)}"><title>Crossfade</title>\n'
    )
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        replace_with(page, text.encode())
    except OSError as error:
        raise StackError(f"{page} cannot be written: {error}") from error
    if not webbrowser.open(page.as_uri()):
        complain("no browser was found here; the link is for one elsewhere")
