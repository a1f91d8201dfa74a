"""Drives aiocometd; see remote.mjs for what it reads and writes."""

import asyncio
import json
import sys
import types

import aiocometd.client
import aiocometd.transports.long_polling
import aiocometd.utils
from aiocometd import Client, ConnectionType, Extension, exceptions


def without_loop(function):
    """The function without the parameter that Python 3.10 has removed from it."""
    return lambda *args, loop=None, **named: function(*args, **named)


# What aiocometd takes for asyncio: it was written for Python 3.6 to 3.9.
older = types.SimpleNamespace(**vars(asyncio))
for name in ("Semaphore", "sleep", "wait", "wait_for"):
    setattr(older, name, without_loop(getattr(asyncio, name)))
for module in (aiocometd.client, aiocometd.transports.long_polling, aiocometd.utils):
    module.asyncio = older


class Ack(Extension):
    """Acknowledged messages; aiocometd has no such extension of its own."""

    enabled = False
    batch = 0

    async def outgoing(self, payload, headers):
        for message in payload:
            if message["channel"] == "/meta/handshake":
                message.setdefault("ext", {})["ack"] = True
            elif message["channel"] == "/meta/connect" and self.enabled:
                message.setdefault("ext", {})["ack"] = self.batch

    async def incoming(self, payload, headers=None):
        for message in payload:
            ack = message.get("ext", {}).get("ack")
            if message["channel"] == "/meta/handshake":
                self.enabled = ack is True
            elif message["channel"] == "/meta/connect" and ack is not None:
                self.batch = ack


def say(**line):
    print(json.dumps(line), flush=True)


class Session:
    """One client, and what is done with it."""

    def __init__(self, number, url, transport, ext):
        self.number = number
        extensions = [Ack()] if "ack" in ext else []
        # aiohttp keeps cookies for names, not for addresses, and the server knows a session on long-polling by its cookie.
        self.client = Client(url.replace("127.0.0.1", "localhost"), ConnectionType(transport), extensions=extensions)

    async def open(self):
        await self.client.open()
        self.hearing = asyncio.create_task(self.hear())

    async def hear(self):
        try:
            async for event in self.client:
                say(client=self.number, channel=event["channel"], data=event["data"])
        except exceptions.AiocometdException as error:
            say(client=self.number, over=str(error))

    async def subscribe(self, channel):
        await self.client.subscribe(channel)

    async def unsubscribe(self, channel):
        await self.client.unsubscribe(channel)

    async def publish(self, channel, data):
        await self.client.publish(channel, data)

    async def close(self):
        # Who waits for events is not told that there will be no more.
        self.hearing.cancel()
        await self.client.close()


sessions = {}


async def perform(call, client, do, args):
    try:
        if do == "open":
            sessions[client] = Session(client, **args)
        await getattr(sessions[client], do)(**args if do != "open" else {})
        say(call=call, result=None)
    except Exception as error:
        say(call=call, error=repr(error))


def ignore_cancellation(loop, context):
    """aiocometd cancels tasks, but its callbacks do not expect `CancelledError`, which is no `Exception` since Python 3.8."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


async def main():
    asyncio.get_running_loop().set_exception_handler(ignore_cancellation)
    lines = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks = set()
    async for line in lines:
        request = json.loads(line)
        task = asyncio.create_task(perform(request.pop("call"), request.pop("client"), request.pop("do"), request))
        # The loop itself would forget it.
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
