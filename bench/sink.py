"""A mail server that costs next to nothing: it takes every mail, counts it, and keeps none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from ops.processes import HOST, free_port

END = b"\r\n.\r\n"


class Sink:
    """What has arrived."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails = 0

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Take mails for as long as the context lasts."""
        server = await asyncio.get_running_loop().create_server(lambda: _Session(self), HOST, self.port)
        try:
            yield
        finally:
            server.close()


class _Session(asyncio.Protocol):
    """One connection: as much of SMTP as a client asks for that only wants to be rid of mails."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._heard = b""
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._say(b"220 sink")

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while self._next():
            pass

    def _next(self) -> bool:
        words, found, rest = self._heard.partition(END if self._in_mail else b"\r\n")
        if not found:
            return False
        self._heard = rest
        if self._in_mail:
            self._in_mail = False
            self._sink.mails += 1
            self._say(b"250 taken")
        else:
            self._answer(words[:4].upper())
        return True

    def _answer(self, verb: bytes) -> None:
        match verb:
            case b"EHLO":
                self._say(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8")
            case b"DATA":
                self._in_mail = True
                self._say(b"354 go on")
            case b"QUIT":
                self._say(b"221 bye")
                self._transport.close()
            case _:
                self._say(b"250 fine")

    def _say(self, words: bytes) -> None:
        self._transport.write(words + b"\r\n")
