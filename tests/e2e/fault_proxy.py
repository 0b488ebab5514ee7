"""A network that misbehaves as it is told: forwards TCP and Unix sockets, and delays, slows, freezes, half-opens, refuses and cuts. It
stands in for the kernel's network emulation, which most test machines lack.

    with FaultProxy(server.port) as proxy:          # or a Unix socket's path
        ... proxy.url ...
        proxy.delay_s = 2                            # each way
        proxy.freeze("down")                         # what the server says stays on its way; no end is told, as in a partition
        proxy.thaw()                                 # ... and arrives
        proxy.cut("rst")                             # all that are open; "fin": a proper end to both
        proxy.refuse(True)                           # connections from now on are reset at once
        proxy.cut_after(100, "down", "rst")          # once so many bytes went that way over all connections

Up is from the client to the server, down is back."""
import asyncio
import contextlib
import os
import socket
import struct
import threading

UP, DOWN = "up", "down"
PIECE = 16384


class FaultProxy:
    def __init__(self, to, source=None, listen=None):
        """to: a port of 127.0.0.1, or a path. source: the address that the server sees. listen: a path; else a port."""
        self.to, self.source = to, source
        self.delay_s = 0.0
        self.bytes_per_s = None
        self.bytes = {UP: 0, DOWN: 0}
        self.connections = 0                      # ever
        self.planned = {}                         # direction: (bytes, how)
        self.refusing = False
        self.open = set()                         # pairs of streams
        self.loop = asyncio.new_event_loop()
        self.flows = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        if listen is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(listen)
            self.listener.bind(listen)
            self.listener.listen(64)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.thaw()

    # ---- what tests say

    def freeze(self, *directions):
        self.call(lambda: [self.flows[d].clear() for d in directions or (UP, DOWN)])

    def thaw(self):
        self.call(lambda: [flow.set() for flow in self.flows.values()])

    def refuse(self, refusing):
        self.call(lambda: setattr(self, "refusing", refusing))

    def cut(self, how="rst"):
        self.call(lambda: [self.end(pair, how) for pair in list(self.open)])

    def cut_after(self, count, direction=DOWN, how="rst"):
        self.call(lambda: self.planned.__setitem__(direction, (self.bytes[direction] + count, how)))

    def close(self):
        self.cut()
        self.call(lambda: [task.cancel() for task in asyncio.all_tasks(self.loop)])
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.listener.close()
        self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the loop's thread

    def call(self, action):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (action(), done.set()))
        assert done.wait(10), "the proxy's loop does not turn"

    def run(self):
        asyncio.set_event_loop(self.loop)
        kind = asyncio.start_unix_server if self.listener.family == socket.AF_UNIX else asyncio.start_server
        self.loop.run_until_complete(kind(self.serve, sock=self.listener, limit=PIECE))
        self.loop.run_forever()

    async def serve(self, near_reader, near):
        self.connections += 1
        if self.refusing:
            reset(near)
            return
        try:
            if isinstance(self.to, int):
                local = (self.source, 0) if self.source else None
                far_reader, far = await asyncio.open_connection("127.0.0.1", self.to, local_addr=local, limit=PIECE)
            else:
                far_reader, far = await asyncio.open_unix_connection(self.to, limit=PIECE)
        except OSError:
            reset(near)
            return
        pair = (near, far)
        self.open.add(pair)
        await asyncio.gather(self.pump(UP, near_reader, far, pair), self.pump(DOWN, far_reader, near, pair))
        self.end(pair, "fin")

    async def pump(self, direction, reader, writer, pair):
        """Reads without waiting for the far side, so that a delay delays and does not slow down."""
        pieces = asyncio.Queue(maxsize=64)
        sender = asyncio.create_task(self.send(direction, pieces, writer, pair))
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await pieces.put((self.loop.time() + self.delay_s, data))
        await pieces.put((self.loop.time() + self.delay_s, b""))
        await sender

    async def send(self, direction, pieces, writer, pair):
        try:
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0, due - self.loop.time()))
                if self.bytes_per_s:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                await self.flows[direction].wait()
                if not data:
                    writer.write_eof()
                    return
                at, how = self.planned.get(direction, (None, None))
                planned = at is not None and self.bytes[direction] + len(data) >= at
                if planned:
                    del self.planned[direction]
                    data = data[: at - self.bytes[direction]]
                writer.write(data)
                await writer.drain()
                self.bytes[direction] += len(data)
                if planned:
                    self.end(pair, how)
                    break
        except OSError:
            self.end(pair, "rst")
        while data:   # the reader must not wait for whoever has gone
            _, data = await pieces.get()

    def end(self, pair, how):
        self.open.discard(pair)
        for writer in pair:
            if how == "rst":
                reset(writer)
            else:
                writer.close()


def reset(writer):
    found = writer.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
