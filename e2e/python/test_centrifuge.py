"""centrifuge-python in both of its dialects: everything that an app asks a server for."""

import asyncio
import json
import unittest

from centrifuge import (
    Client,
    ClientEventHandler,
    DeltaType,
    Filter,
    ReplyError,
    StreamPosition,
    SubscriptionEventHandler,
)

from munadi import Munadi, until
from proxy import Proxy

PERMISSION_DENIED = 103
SETTINGS = """
[hub.classes.room]
publish = "subscriber"
presence = true
read_presence = "subscriber"
join_leave = "asked"
"""


class Seen(ClientEventHandler, SubscriptionEventHandler):
    """What the SDK told."""

    def __init__(self):
        self.breaks = 0
        self.subscriptions = []
        self.refusals = []
        self.publications = []
        self.joins = []
        self.leaves = []
        self.own = []

    async def on_connecting(self, ctx):
        self.breaks += 1

    async def on_subscribed(self, ctx):
        (self.own if ctx.channel.startswith("user:") else self.subscriptions).append(ctx)

    async def on_unsubscribed(self, ctx):
        self.refusals.append(ctx)

    async def on_publication(self, ctx):
        self.publications.append(ctx)

    async def on_join(self, ctx):
        self.joins.append(ctx.info)

    async def on_leave(self, ctx):
        self.leaves.append(ctx.info)


class Dialects(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.munadi = Munadi.start(SETTINGS)
        cls.addClassCleanup(cls.munadi.stop)
        cls.rooms = 0

    def room(self):
        type(self).rooms += 1
        return f"room:{self.rooms}"

    async def connected(self, use_protobuf, port=None, token=None):
        seen = Seen()
        token = token or (await asyncio.to_thread(self.munadi.person, "attendee"))["token"]
        client = Client(
            self.munadi.socket(port), events=seen, token=token, use_protobuf=use_protobuf, max_reconnect_delay=0.2, proxy=None
        )
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await client.ready(10)
        return client, seen

    async def follows(self, client, topic, seen, **options):
        subscription = client.new_subscription(topic, events=seen, **options)
        await subscription.subscribe()
        await subscription.ready(10)
        return subscription

    def packed(self, use_protobuf, value):
        return json.dumps(value).encode() if use_protobuf else value

    def unpacked(self, use_protobuf, data):
        return json.loads(data) if use_protobuf else data

    async def both(self, test):
        for use_protobuf in (False, True):
            with self.subTest(use_protobuf=use_protobuf):
                await test(use_protobuf)

    async def test_publishes_asks_who_is_there_and_what_was(self):
        await self.both(self.talks)

    async def talks(self, use_protobuf):
        room = self.room()
        client, seen = await self.connected(use_protobuf)
        topic = await self.follows(client, room, seen)
        await until("its own topic", lambda: seen.own)
        for number in range(3):
            await topic.publish(self.packed(use_protobuf, {"number": number, "text": "مرحبا"}))
        await until("what it has published", lambda: len(seen.publications) == 3)
        heard = [self.unpacked(use_protobuf, one.pub.data) for one in seen.publications]
        self.assertEqual(heard, [{"number": number, "text": "مرحبا"} for number in range(3)])
        offsets = [one.pub.offset for one in seen.publications]
        self.assertEqual(offsets, sorted(set(offsets)))
        self.assertEqual(len({one.pub.info.client for one in seen.publications}), 1)
        presence = await topic.presence()
        self.assertEqual(len(presence.clients), 1)
        stats = await topic.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (1, 1))
        history = await topic.history(limit=2)
        self.assertEqual([one.offset for one in history.publications], offsets[:2])
        latest = await topic.history(limit=1, reverse=True)
        self.assertEqual([one.offset for one in latest.publications], offsets[2:])
        since = StreamPosition(offset=offsets[0], epoch=history.epoch)
        rest = await topic.history(limit=10, since=since)
        self.assertEqual([one.offset for one in rest.publications], offsets[1:])

    async def test_loses_the_connection_and_recovers(self):
        await self.both(self.recovers)

    async def recovers(self, use_protobuf):
        room = self.room()
        proxy = await Proxy.to(self.munadi.port)
        self.addAsyncCleanup(proxy.close)
        client, seen = await self.connected(use_protobuf, port=proxy.port)
        await self.follows(client, room, seen)
        author, theirs = await self.connected(not use_protobuf)
        topic = await self.follows(author, room, theirs)
        await topic.publish(self.packed(not use_protobuf, {"number": 0}))
        await until("the live one", lambda: len(seen.publications) == 1)
        breaks = seen.breaks
        proxy.cut()
        await until("the loss", lambda: seen.breaks > breaks)
        for number in range(1, 11):
            await topic.publish(self.packed(not use_protobuf, {"number": number}))
        proxy.mend()
        await until("what was missed", lambda: len(seen.publications) >= 11)
        heard = [self.unpacked(use_protobuf, one.pub.data)["number"] for one in seen.publications]
        self.assertEqual(heard, list(range(11)))
        last = seen.subscriptions[-1]
        self.assertTrue(last.was_recovering and last.recovered)

    async def test_hears_who_comes_and_goes(self):
        await self.both(self.watches)

    async def watches(self, use_protobuf):
        room = self.room()
        client, seen = await self.connected(use_protobuf)
        await self.follows(client, room, seen, join_leave=True)
        guest, theirs = await self.connected(not use_protobuf)
        topic = await self.follows(guest, room, theirs)
        await until("the join", lambda: len(seen.joins) == 2)  # its own first
        await topic.unsubscribe()
        await until("the leave", lambda: seen.leaves, 2)
        self.assertEqual(seen.leaves[0].client, seen.joins[1].client)

    async def test_gets_differences_and_makes_whole_values_of_them(self):
        await self.both(self.decodes)

    async def decodes(self, use_protobuf):
        room = self.room()
        client, seen = await self.connected(use_protobuf)
        topic = await self.follows(client, room, seen, delta=DeltaType.FOSSIL)
        sent = [{"number": number, "text": "نقل الحفل إلى المسرح الكبير " * 9} for number in range(8)]
        for value in sent:
            await topic.publish(self.packed(use_protobuf, value))
        await until("all of them", lambda: len(seen.publications) == len(sent))
        self.assertEqual([self.unpacked(use_protobuf, one.pub.data) for one in seen.publications], sent)

    async def test_is_refused_what_is_not_for_it(self):
        await self.both(self.refused)

    async def refused(self, use_protobuf):
        client, seen = await self.connected(use_protobuf)
        staff = client.new_subscription("staff:programme", events=seen)
        await staff.subscribe()
        await until("the refusal", lambda: seen.refusals)
        self.assertEqual(seen.refusals[0].code, PERMISSION_DENIED)
        festival = await self.follows(client, "festival", Seen())
        with self.assertRaises(ReplyError):
            await festival.publish(self.packed(use_protobuf, {"type": "mine"}))


if __name__ == "__main__":
    unittest.main()
