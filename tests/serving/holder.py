"""A process that needs the tiny model's server: `python -m tests.serving.holder SOURCE HOME IDLE [ARGUMENT...]`.

It says where the server is, and on the next line of its input asks for a reply, until the input ends.
"""

import asyncio
import sys
from pathlib import Path

from fireact.errors import FireActError
from fireact.requests import Ask
from fireact.types import Message
from tests.serving.servers import served


async def main(source: Path, home: Path, idle: float, *arguments: str) -> None:
    """Hold the server."""
    model = served(source, home, *arguments, server={"idle": idle})
    server = await model.connected()
    print(f"url {server.client.lease.state.url} {server.client.lease.state.engine}", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        try:
            print(f"reply {(await model.complete(Ask((Message('user', 'Who?'),)))).text!r}", flush=True)
        except FireActError as error:
            print(f"{type(error).__name__} {error}", flush=True)
    await model.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:]))
