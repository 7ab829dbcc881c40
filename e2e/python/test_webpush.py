"""A push service that nobody here wrote code for reading: http_ece decrypts what Munadi sends, PyJWT checks who sent it."""

import base64
import json
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import http_ece
import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from munadi import Munadi, until_now
from receiver import Receiver


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def point(key):
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Browser:
    """What a browser does when a page subscribes it."""

    def __init__(self, service, path):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"sixteen secrets!"
        self.subscription = {
            "endpoint": service.origin + path,
            "expirationTime": None,
            "keys": {"p256dh": base64url(point(self.key.public_key())), "auth": base64url(self.secret)},
        }

    def read(self, body):
        return json.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm"))


class StockPushService(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="munadi-e2e-webpush-")
        cls.addClassCleanup(directory.cleanup)
        authority = trustme.CA()
        ca_file, key_file = Path(directory.name, "ca.pem"), Path(directory.name, "vapid.pem")
        authority.cert_pem.write_to_path(ca_file)
        key = ec.generate_private_key(ec.SECP256R1())
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        cls.public_key = key.public_key()
        cls.service = Receiver(authority, lambda path, _: 410 if path.startswith("/gone/") else 201)
        cls.addClassCleanup(cls.service.shutdown)
        cls.munadi = Munadi.start(f"""
[workers.webpush]
key_file = "{key_file}"
contact = "mailto:ops@festival.example"
hosts = ["127.0.0.1"]
inside_permitted = true
ca_file = "{ca_file}"
""")
        cls.addClassCleanup(cls.munadi.stop)

    def register(self, path):
        """A person with a browser, subscribed as a page would do it."""
        person = self.munadi.person("attendee", language="ar")
        offered, _ = self.munadi.call("GET", "/api/v1/webpush", token=person["token"])
        self.assertEqual(offered["public_key"], base64url(point(self.public_key)))
        browser = Browser(self.service, path)
        device = {
            "installation_id": f"browser-{person['id']}",
            "platform": "web",
            "token_kind": "webpush",
            "token": json.dumps(browser.subscription),
            "locale": "ar-EG",
            "app_version": "1.0",
        }
        self.munadi.call("POST", "/api/v1/devices", device, token=person["token"])
        return person, browser

    def announce_to(self, person):
        return self.munadi.announce(
            lane="emergency",
            title={"en": "Leave by the north gate", "ar": "غادروا من البوابة الشمالية"},
            body={"en": "Walk, do not run.", "ar": "امشوا ولا تركضوا." * 117},
            audience={"kind": "users", "user_ids": [person["id"]]},
        )

    def counts(self, announcement):
        return self.munadi.counts(announcement)["by_channel"].get("webpush", {})

    def test_another_library_reads_the_message_and_knows_the_sender(self):
        person, browser = self.register("/good/1")
        announcement = self.announce_to(person)
        headers, body = until_now("the push", lambda: self.service.on("/good/1"))[0]
        self.assertLessEqual(len(body), 4096)
        message = browser.read(body)
        self.assertEqual(message["title"], "غادروا من البوابة الشمالية")
        self.assertEqual((message["lang"], message["dir"], message["body_shortened"]), ("ar", "rtl", True))

        scheme, _, fields = headers["authorization"].partition(" ")
        fields = dict(field.strip().split("=", 1) for field in fields.split(","))
        self.assertEqual((scheme, fields["k"]), ("vapid", base64url(point(self.public_key))))
        claims = jwt.decode(fields["t"], self.public_key, algorithms=["ES256"], audience=self.service.origin)
        self.assertEqual(claims["sub"], "mailto:ops@festival.example")
        self.assertLessEqual(claims["exp"], time.time() + 24 * 3600)
        self.assertEqual((headers["content-encoding"], headers["urgency"]), ("aes128gcm", "high"))
        self.assertTrue(0 < int(headers["ttl"]) <= 600)
        self.assertRegex(headers["topic"], r"^[A-Za-z0-9_-]{1,32}$")
        until_now("the acceptance is counted", lambda: self.counts(announcement).get("accepted") == 1)

        # the service worker confirms with the code alone, without a session
        self.confirm({"delivery_id": message["delivery_id"], "code": message["receipt_code"], "state": "delivered"})
        until_now("the proof is counted", lambda: self.counts(announcement).get("delivered") == 1)

    def confirm(self, receipt):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.munadi.port}/api/v1/receipts",
            data=json.dumps({"receipts": [receipt]}).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=30).read()
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{refusal.code} {refusal.read().decode()}") from None

    def test_a_subscription_that_is_gone_is_retired(self):
        person, _ = self.register("/gone/1")
        announcement = self.announce_to(person)
        until_now("the failure is counted", lambda: self.counts(announcement).get("failed") == 1)
        devices, _ = self.munadi.call("GET", "/api/v1/devices", token=person["token"])
        self.assertEqual((devices[0]["state"], devices[0]["state_reason"]), ("retired", "gone"))


if __name__ == "__main__":
    unittest.main()
