"""A TCP proxy that makes a server on this machine look far away.

Every chunk arrives half a round trip after it was sent, in each direction, and the first one of a
connection a whole round trip later still, since opening a connection takes one: the proxy
itself is at hand, so connect() returns at once, which no distant server's does.

    python bench/delayproxy.py 127.0.0.1:6443 30      # prints the port it listens on
"""

import asyncio
import contextlib
import sys


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, not_before: float
) -> None:
    """Pass on what is read, each chunk at its own time, so that delays do not add up."""
    clock = asyncio.get_running_loop().time
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        chunk = b"?"
        while chunk:
            chunk = await reader.read(65536)
            await waiting.put((max(clock(), not_before) + delay, chunk))

    task = asyncio.create_task(read())
    with contextlib.suppress(ConnectionError):
        while True:
            due, chunk = await waiting.get()
            await asyncio.sleep(due - clock())
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
    task.cancel()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def serve(host: str, port: int, round_trip: float) -> None:
    """Take connections on a free port, which is printed, until the process is ended."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = asyncio.get_running_loop().time() + round_trip
        far_reader, far_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(
            carry(reader, far_writer, round_trip / 2, opened),
            carry(far_reader, writer, round_trip / 2, opened),
            return_exceptions=True,
        )
        far_writer.close()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    address, milliseconds = sys.argv[1:]
    target, _, target_port = address.rpartition(":")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(target.strip("[]"), int(target_port), float(milliseconds) / 1000))
