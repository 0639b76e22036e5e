"""HTTP answers read no further than a bound: a body may be endless, or grow when it is decoded."""

from typing import TYPE_CHECKING

from fireact.errors import ToolError

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Request, Response

LARGEST = 2_000_000
"""Bytes of a body, decoded."""


async def received(client: "AsyncClient", request: "Request", name: str) -> tuple["Response", str]:
    """The answer to a request, and its text. Raises ToolError for one that is too large, and what httpx2 does.

    As in `Response.text`, what is not of its charset is replaced; a charset that nobody knows is taken for UTF-8.
    """
    response, body = await client.send(request, stream=True), bytearray()
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LARGEST:
                raise ToolError(f"{name} answered with more than {LARGEST:,} bytes; ask for less")
    finally:
        await response.aclose()
    try:
        return response, body.decode(response.encoding or "utf-8", "replace")
    except (LookupError, ValueError):  # One such as hex, which is no charset, or idna, which replaces nothing.
        return response, body.decode("utf-8", "replace")
