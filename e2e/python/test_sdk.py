"""centrifuge-python from PyPI, unmodified, against the real binary."""

import asyncio
import unittest

from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from munadi import Munadi, until
from proxy import Proxy


class Seen(ClientEventHandler, SubscriptionEventHandler):
    """What the SDK told."""

    def __init__(self):
        self.connections = 0
        self.breaks = 0
        self.own = []
        self.notices = []
        self.subscriptions = []
        self.publications = []

    async def on_connected(self, ctx):
        self.connections += 1

    async def on_connecting(self, ctx):
        self.breaks += 1

    async def on_subscribed(self, ctx):
        (self.own if ctx.channel.startswith("user:") else self.subscriptions).append(ctx)

    async def on_publication(self, ctx):
        if hasattr(ctx, "channel"):
            self.notices.append(ctx.pub)
        elif ctx.pub.data["type"] == "event.moved":  # whether "created" is heard depends on the relay
            self.publications.append(ctx.pub)


def notification(seen):
    """The data of the first notification on the own topic, where there is one."""
    return next((notice.data for notice in seen.notices if notice.data["type"] == "notification"), None)


class StockPythonSdk(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.munadi = Munadi.start()
        cls.addClassCleanup(cls.munadi.stop)

    async def test_misses_50_changes_and_recovers_all_of_them_in_order(self):
        munadi = self.munadi
        concert = munadi.concert()
        attendee = munadi.person("attendee")
        proxy = await Proxy.to(munadi.port)
        self.addAsyncCleanup(proxy.close)
        seen = Seen()
        client = Client(
            munadi.socket(proxy.port), events=seen, token=attendee["token"], max_reconnect_delay=0.2, proxy=None
        )
        self.addAsyncCleanup(client.disconnect)
        subscription = client.new_subscription(f"event:{concert['id']}", events=seen)
        await client.connect()
        await subscription.subscribe()
        await until("subscribed", lambda: seen.subscriptions and seen.own)
        self.assertTrue(seen.subscriptions[0].recoverable)
        self.assertEqual(seen.own[0].channel, f"user:{attendee['id']}")

        first = (await asyncio.to_thread(munadi.move, concert))["version"]
        await until("a live change is heard", lambda: len(seen.publications) == 1)
        breaks = seen.breaks
        proxy.cut()
        await until("the loss is noticed", lambda: seen.breaks > breaks)
        for _ in range(50):
            await asyncio.to_thread(munadi.move, concert)
        proxy.mend()
        await until("all changes are heard", lambda: len(seen.publications) >= 51)
        await asyncio.to_thread(munadi.move, concert)
        await until("the next live change is heard", lambda: len(seen.publications) >= 52)
        versions = [publication.data["event"]["version"] for publication in seen.publications]
        self.assertEqual(versions, list(range(first, first + 52)))
        self.assertTrue(seen.subscriptions[-1].was_recovering and seen.subscriptions[-1].recovered)

    async def test_hears_and_confirms_what_concerns_its_user(self):
        munadi = self.munadi
        attendee = munadi.person("attendee")
        seen = Seen()
        client = Client(munadi.socket(), events=seen, token=attendee["token"], proxy=None)
        self.addAsyncCleanup(client.disconnect)
        await client.connect()
        await until("own topic", lambda: seen.own)
        announcement = await asyncio.to_thread(
            munadi.announce,
            lane="emergency",
            title={"en": "Leave by the north gate", "ar": "غادروا من البوابة الشمالية"},
            body={"en": "Walk, do not run", "ar": "امشوا ولا تركضوا"},
            audience={"kind": "users", "user_ids": [attendee["id"]]},
        )
        notice = await until("the notification is heard", lambda: notification(seen))
        self.assertEqual(notice["title"]["ar"], "غادروا من البوابة الشمالية")
        await client.rpc(
            "ack",
            {"delivery_id": notice["delivery_id"], "code": notice["receipt_code"], "state": "delivered"},
        )
        await until(
            "the receipt is counted",
            lambda: munadi.counts(announcement)["by_state"].get("delivered") == 1,
        )


if __name__ == "__main__":
    unittest.main()
