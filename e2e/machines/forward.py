"""Passes connections on, as a program of its own: ``forward.py ADDRESS PORT...``.

What listens at a port of loopback is reached at the same port of the address, by machines in other
network namespaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 65536


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _serve(address: str, port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, behind[1]), _copy(behind[0], writer))
        for end in (writer, behind[1]):
            end.close()

    server = await asyncio.start_server(connected, address, port)
    await server.serve_forever()


async def _main(address: str, ports: list[int]) -> None:
    await asyncio.gather(*(_serve(address, port) for port in ports))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
