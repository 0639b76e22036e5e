"""Try settings without paying: python -m fireact.loopback --port 8000 --delay 0.1 --rate-limited 0.05 --dropped 0.01

It serves until Ctrl-C and then prints what it counted. Any client of OpenAI's API can ask it, with any key.
"""

import argparse
import ast
import asyncio
import inspect
import json
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from itertools import pairwise
from typing import get_args, get_type_hints

from fireact.errors import ConfigError
from fireact.loopback.faults import Faults
from fireact.loopback.server import Served, running
from fireact.process import guard


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM and return an exit code; bad input ends in one sentence and 2."""
    parser = argparse.ArgumentParser(prog="python -m fireact.loopback", description=(
        "An OpenAI-compatible endpoint on the loopback that fails as it is told, and plays ReAct."))
    parser.add_argument("--port", type=int, default=8000, help="0 is any that is free (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="The turns up to the answer (default: %(default)s)")
    _add_faults(parser)
    given = vars(parser.parse_args(argv))
    return guard(lambda: asyncio.run(_serve(given.pop("port"), given.pop("rounds"), given)))


def _add_faults(parser: argparse.ArgumentParser) -> None:
    """An option for each field of `Faults`; its help is the field's docstring."""
    types, helps = get_type_hints(Faults), _docstrings()
    for each in fields(Faults):
        option, said, default = f"--{each.name.replace('_', '-')}", helps[each.name].replace("%", "%%"), each.default
        kind = next(iter(get_args(types[each.name])), types[each.name])
        if kind is bool:
            parser.add_argument(option, action="store_true", help=said)
        elif isinstance(default, tuple):
            parser.add_argument(option, type=kind, nargs="+", default=default,
                                help=f"{said} (default: {' '.join(default)})")
        else:
            shown = "none" if default is None else default
            parser.add_argument(option, type=kind, default=default, help=f"{said} (default: {shown})")


def _docstrings() -> dict[str, str]:
    (body,) = ast.parse(inspect.getsource(Faults)).body
    assert isinstance(body, ast.ClassDef)
    return {line.target.id: " ".join(str(said.value.value).split()) for line, said in pairwise(body.body)
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            and isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant)}


async def _serve(port: int, rounds: int, faults: dict) -> None:
    if rounds < 1:
        raise ConfigError(f"rounds is a whole number of at least 1, not {rounds}")
    served = Served(Faults(**{**faults, "models": tuple(faults["models"])}), rounds, keeps_bodies=False)
    # Each connection is an open file, and the usual limit is 1,024. Some systems have no higher one to give.
    with suppress(ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, ended.set)
    async with running(served, port):
        stats = served.url.removesuffix("v1") + "stats"
        print(f"serving on {served.url} until Ctrl-C; what it counted is at {stats}", flush=True)
        await ended.wait()
    print(json.dumps(vars(served.stats)), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
