#!/usr/bin/env python3
"""A TCP proxy that makes a near server far: farproxy.py PORT SERVER-PORT DELAY RATE

Bytes come DELAY seconds after they were sent, in either direction, and a connection stands after two
of these. All answers together come at RATE bytes a second at most. A connection has a window, as
TCP has, so one that waits does not block others.
"""
import asyncio
import sys
import time

PORT, SERVER = int(sys.argv[1]), int(sys.argv[2])
DELAY, RATE = float(sys.argv[3]), float(sys.argv[4])
PIECE, WINDOW = 16384, 128

line_free = 0.0


async def send_late(reader, writer, limited):
    """Passes on what comes, each piece at its time."""
    global line_free
    queue = asyncio.Queue(WINDOW)

    async def deliver():
        while True:
            due, piece = await queue.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    deliverer = asyncio.ensure_future(deliver())
    try:
        while True:
            piece = await reader.read(PIECE)
            sent = time.monotonic()
            if limited:
                line_free = sent = max(line_free, sent) + len(piece) / RATE
            await queue.put((sent + DELAY, piece))
            if not piece:
                break
        await deliverer
    except OSError:
        deliverer.cancel()
        writer.close()


async def serve(reader, writer):
    await asyncio.sleep(2 * DELAY)
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", SERVER)
    await asyncio.gather(send_late(reader, far_writer, False), send_late(far_reader, writer, True))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT)
    async with server:
        await server.serve_forever()


asyncio.run(main())
