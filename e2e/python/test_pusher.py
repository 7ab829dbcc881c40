"""`pusher` as a back end and `pysher` as a client, both from PyPI and unmodified."""

import unittest

import pusher
import pysher
from pusher.errors import PusherBadAuth

from munadi import Munadi, until_now

APP, KEY, SECRET = "1", "festival-key", "a secret of the festival"
SETTINGS = f"""
[hub.pusher.apps.{APP}]
key = "{KEY}"
secret = "{SECRET}"
"""


class PusherWorld(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.munadi = Munadi.start(SETTINGS)
        cls.addClassCleanup(cls.munadi.stop)
        cls.back_end = pusher.Pusher(APP, KEY, SECRET, host="127.0.0.1", port=cls.munadi.port, ssl=False)

    def client(self, user=None):
        """A connected client; what it hears is kept in its `heard`."""
        client = pysher.Pusher(
            KEY,
            custom_host="127.0.0.1",
            port=self.munadi.port,
            secure=False,
            secret=SECRET,
            user_data=user or {"user_id": "7", "user_info": {"name": "Amal"}},
            reconnect_interval=1,
        )
        client.heard = []
        client.connect()
        self.addCleanup(client.disconnect, timeout=2)  # its thread may be asleep; it is a daemon
        until_now("connected", lambda: client.connection.state == "connected")
        return client

    def joined(self, client, name, *events):
        """Follows a channel and keeps those events; the server says when it is so, because `bind` may come too late."""

        def followers():
            return self.back_end.channel_info(name, ["subscription_count"]).get("subscription_count", 0)

        before = followers()
        channel = client.subscribe(name)
        for event in events:
            channel.bind(event, lambda data, event=event: client.heard.append((event, data)))
        until_now(f"{name} is joined", lambda: followers() > before)
        return channel

    def test_an_event_of_the_back_end_arrives(self):
        client = self.client()
        self.joined(client, "news", "greeting")
        self.back_end.trigger("news", "greeting", {"text": "مرحبا"})
        until_now("the event", lambda: client.heard)
        self.assertEqual(client.heard, [("greeting", '{"text": "مرحبا"}')])

    def test_private_and_presence_channels_are_signed(self):
        client = self.client()
        self.joined(client, "private-room", "secret")
        self.joined(client, "presence-room")
        self.back_end.trigger("private-room", "secret", "plain text")
        until_now("the event", lambda: client.heard)
        self.assertEqual(client.heard, [("secret", "plain text")])
        users = self.back_end.users_info("presence-room")["users"]
        self.assertEqual(users, [{"id": "7"}])

    def test_the_back_end_asks_about_channels(self):
        client = self.client()
        self.joined(client, "asked")
        info = self.back_end.channel_info("asked", ["subscription_count"])
        self.assertTrue(info["occupied"])
        self.assertEqual(info["subscription_count"], 1)
        self.assertIn("asked", self.back_end.channels_info("asked")["channels"])

    def test_batches_and_exclusion(self):
        one, other = self.client(), self.client()
        for client in (one, other):
            self.joined(client, "echoes", "first", "last")
        self.back_end.trigger("echoes", "first", {}, one.connection.socket_id)
        self.back_end.trigger_batch([{"channel": "echoes", "name": "last", "data": {}}])
        until_now("both hear the last one", lambda: all(client.heard and client.heard[-1][0] == "last" for client in (one, other)))
        self.assertEqual([event for event, _ in one.heard], ["last"])
        self.assertEqual([event for event, _ in other.heard], ["first", "last"])

    def test_a_programme_change_reaches_pysher(self):
        concert = self.munadi.concert()
        client = self.client()
        self.joined(client, f"event.{concert['id']}", "event.moved")
        self.munadi.move(concert)
        until_now("the move", lambda: client.heard)

    def test_a_forged_signature_is_refused(self):
        forger = pusher.Pusher(APP, KEY, "another secret entirely", host="127.0.0.1", port=self.munadi.port, ssl=False)
        with self.assertRaises(PusherBadAuth):
            forger.trigger("news", "greeting", {})


if __name__ == "__main__":
    unittest.main()
