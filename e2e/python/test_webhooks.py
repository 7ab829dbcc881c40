"""Another system hears what happens, and the library of Standard Webhooks says that it is really Munadi who tells it."""

import tempfile
import unittest
from pathlib import Path

import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from munadi import Munadi, until_now
from receiver import Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class OtherSystem(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="munadi-e2e-webhooks-")
        cls.addClassCleanup(directory.cleanup)
        authority = trustme.CA()
        ca_file = Path(directory.name, "ca.pem")
        authority.cert_pem.write_to_path(ca_file)
        # busy at first
        cls.receiver = Receiver(authority, lambda path, number: 503 if number == 1 else 204)
        cls.addClassCleanup(cls.receiver.shutdown)
        cls.munadi = Munadi.start(f"""
[workers.webhooks]
inside_permitted = true
ca_file = "{ca_file}"
retry_floor_ms = 100
[workers.webhooks.endpoints.all]
url = "{cls.receiver.origin}/all"
secret = "{SECRET}"
[workers.webhooks.endpoints.programme]
url = "{cls.receiver.origin}/programme"
secret = "{SECRET}"
kinds = ["event.changed"]
""")
        cls.addClassCleanup(cls.munadi.stop)

    def test_it_is_told_again_until_it_takes_it_and_knows_who_tells(self):
        person = self.munadi.person("attendee")
        announcement = self.munadi.announce(
            lane="standard",
            title={"en": "Rain"},
            body={"en": "It rains."},
            audience={"kind": "users", "user_ids": [person["id"]]},
        )
        first, second = until_now("two requests", lambda: len(self.receiver.on("/all")) == 2 and self.receiver.on("/all"))
        self.assertEqual(first[0]["webhook-id"], second[0]["webhook-id"])
        for headers, body in (first, second):
            told = Webhook(SECRET).verify(body, dict(headers))
            self.assertEqual(told["type"], "announcement.published")
            self.assertEqual(told["data"]["announcement_id"], announcement["id"])
            self.assertNotIn("Rain", body.decode(), "whoever wants the text asks for it")
            with self.assertRaises(WebhookVerificationError):
                Webhook(SECRET).verify(body + b" ", dict(headers))
        concert = self.munadi.concert()
        until_now("the programme's endpoint hears of the concert", lambda: self.receiver.on("/programme"))
        for headers, body in self.receiver.on("/programme"):
            told = Webhook(SECRET).verify(body, dict(headers))
            self.assertEqual((told["type"], told["data"]["event_id"]), ("event.changed", concert["id"]))


if __name__ == "__main__":
    unittest.main()
