"""A small MCP server for tests, made with the official package: over stdio, or with a port over HTTP.

    python mcp_server.py [PORT]
"""

import asyncio
import logging
import os
import sys

from mcp import MCPError
from mcp.server.mcpserver import MCPServer

if os.environ.get("REFUSE"):
    sys.exit(f"no licence for {os.environ.get('TOKEN')}")

logging.disable()
server = MCPServer("towns")
POPULATIONS = {"Thimphu": 114551, "Paris": 2102650}


@server.tool(description=os.environ.get("DESCRIPTION", "Say how many people live in a town."))
def getPopulation(town: str, rounded: bool = False) -> str:
    """Answer, or fail."""
    if town not in POPULATIONS:
        raise ValueError(f"no such town: {town}")
    return str(round(POPULATIONS[town], -3) if rounded else POPULATIONS[town])


@server.tool()
async def wait(seconds: float) -> str:
    """Take its time."""
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def die(marker: str) -> str:
    """End the server, unless a file is there; make it first."""
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(3)
    return "alive again"


@server.tool()
def always_die() -> str:
    """End the server."""
    print("out of memory", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
def refuse() -> str:
    """Fail with the code of a closed connection."""
    raise MCPError(code=-32000, message="no way")


@server.tool()
def pid() -> int:
    """Name the process."""
    return os.getpid()


@server.tool()
def environment() -> list[str]:
    """Name what the server was given."""
    return [f"{name}={value}" for name, value in os.environ.items() if name in ("TOKEN", "SECRET_OF_OURS")]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]), streamable_http_path="/mcp")
    else:
        server.run()
