"""An HTTP client whose responses have an end: in bytes, in seconds, and at the server asked for.

The usual limits are of one read: a server that sends a byte now and then holds a run for ever, a
small compressed answer may unpack to all memory, and the body of an error is read whole.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from handan.errors import UserError


def client(seconds: float, most_bytes: int) -> Any:
    """A client for ``AsyncOpenAI``.

    Redirects are not followed, so that neither key nor prompts go to another host, and compressed
    answers are refused, which the request asks the server not to send.

    Args:
        seconds: for one response, from its request to its last byte.
        most_bytes: of its body.
    """
    from openai import DefaultAsyncHttpxClient

    try:
        import httpx2 as httpx  # what the client talks through
    except ImportError:
        import httpx  # type: ignore[no-redef]  # an older client

    class Body(httpx.AsyncByteStream):
        """What comes of a response, as far as it may."""

        def __init__(self, response: Any, deadline: float) -> None:
            self.response, self.stream, self.deadline = response, response.stream, deadline

        async def __aiter__(self) -> AsyncIterator[bytes]:
            packed = self.response.headers.get("content-encoding", "identity")
            if packed != "identity":
                raise UserError(f"the response is compressed ({packed}), though none was asked for")
            length, chunks = 0, aiter(self.stream)
            while True:
                try:
                    async with asyncio.timeout(self.deadline - time.monotonic()):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except httpx.TransportError:
                    # A server that refuses need not read the request: its system then breaks the
                    # connection, often before the reason has come. The status says enough.
                    if self.response.status_code < 400:
                        raise
                    return
                except TimeoutError:
                    raise UserError(
                        f"the response is not complete after {seconds:g} s; raise timeout_s, or "
                        "look after the server"
                    ) from None
                length += len(chunk)
                if length > most_bytes:
                    raise UserError(
                        f"the response is over {most_bytes / 2**20:g} MiB; raise max_response_mib "
                        "of the engine if that may be"
                    )
                yield chunk

        async def aclose(self) -> None:
            await self.stream.aclose()

    class Client(DefaultAsyncHttpxClient):
        async def send(self, request: Any, **options: Any) -> Any:
            deadline = time.monotonic() + seconds
            try:
                async with asyncio.timeout(seconds):
                    response = await super().send(request, **options)
            except TimeoutError as error:
                raise httpx.ReadTimeout(
                    f"no answer within {seconds:g} s", request=request
                ) from error
            if not response.is_stream_consumed:
                response.stream = Body(response, deadline)
            return response

    return Client(follow_redirects=False, timeout=seconds, headers={"Accept-Encoding": "identity"})
