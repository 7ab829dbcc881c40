"""A TCP proxy on loopback that can be cut: what a phone in a tunnel sees."""

import asyncio


class Proxy:
    """Forwards to `port` until `cut`; start it with `await Proxy.to(port)`."""

    @classmethod
    async def to(cls, port):
        proxy = cls()
        proxy.target = port
        proxy.writers = set()
        proxy.pairs = set()
        proxy.is_cut = False
        proxy.server = await asyncio.start_server(proxy._join, "127.0.0.1", 0)
        proxy.port = proxy.server.sockets[0].getsockname()[1]
        return proxy

    def cut(self):
        """Breaks every connection and refuses new ones until `mend`."""
        self.is_cut = True
        for writer in self.writers:
            writer.transport.abort()

    def mend(self):
        self.is_cut = False

    async def close(self):
        self.cut()
        self.server.close()
        while self.pairs:
            await asyncio.wait(self.pairs)

    async def _join(self, reader, writer):
        if self.is_cut:
            writer.transport.abort()
            return
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.target)
        ends = {writer, onward_writer}
        self.writers |= ends
        pipes = {asyncio.create_task(pipe(reader, onward_writer)), asyncio.create_task(pipe(onward_reader, writer))}
        self.pairs |= pipes
        await asyncio.wait(pipes)
        self.pairs -= pipes
        self.writers -= ends


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
