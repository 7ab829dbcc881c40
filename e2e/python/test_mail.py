"""A mail server that nobody here wrote (aiosmtpd, over STARTTLS, with a login) receives what an announcement sends."""

import email
import email.policy
import json
import ssl
import tempfile
import unittest
import urllib.request
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from munadi import Munadi, free_port, until_now

USER, PASSWORD = "munadi", "a password for the relay"


class Mailbox:
    """Keeps what the server accepts."""

    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append((session, envelope, parsed))
        return "250 kept"

    def for_address(self, address):
        return [one for one in self.messages if address in one[1].rcpt_tos]


def log_in(server, session, envelope, mechanism, credentials):
    accepted = (credentials.login, credentials.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=accepted)


class StockMailServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="munadi-e2e-mail-")
        cls.addClassCleanup(directory.cleanup)
        authority = trustme.CA()
        ca_file = Path(directory.name, "ca.pem")
        authority.cert_pem.write_to_path(ca_file)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
        cls.mailbox = Mailbox()
        cls.server = Controller(
            cls.mailbox,
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            auth_require_tls=True,
            authenticator=log_in,
        )
        cls.server.start()
        cls.addClassCleanup(cls.server.stop)
        cls.munadi = Munadi.start(mail_settings(cls.server.port, ca_file))
        cls.addClassCleanup(cls.munadi.stop)

    def announce_to(self, person):
        return self.munadi.announce(
            lane="emergency",
            title={"en": "Leave by the north gate", "ar": "غادروا من البوابة الشمالية"},
            body={"en": "Walk, do not run.", "ar": "امشوا ولا تركضوا."},
            audience={"kind": "users", "user_ids": [person["id"]]},
        )

    def mail_of(self, person):
        return until_now("the mail", lambda: self.mailbox.for_address(person["email"]))[0]

    def test_an_announcement_ends_in_the_mailbox_in_both_languages(self):
        person = self.munadi.person("attendee", language="ar")
        announcement = self.announce_to(person)
        session, envelope, message = self.mail_of(person)
        self.assertIsNotNone(session.ssl)
        self.assertTrue(session.authenticated)
        self.assertEqual(envelope.rcpt_tos, [person["email"]])
        self.assertEqual(message["to"], person["email"])
        self.assertIn("غادروا من البوابة الشمالية", message["subject"])
        self.assertTrue(message["message-id"] and message["date"] and message["from"])
        self.assertEqual(message.defects, [])
        self.assertEqual(message.get_content_type(), "multipart/alternative")
        text = message.get_body(("plain",)).get_content()
        html = message.get_body(("html",)).get_content()
        for part in (text, html):
            self.assertIn("امشوا ولا تركضوا.", part)
            self.assertIn("Walk, do not run.", part)
            self.assertLess(part.index("امشوا"), part.index("Walk"), "the reader's language comes first")
        self.assertIn('dir="rtl"', html)
        self.assertIn('lang="ar"', html)
        self.assertIn('lang="en"', html)

        def accepted():
            mails = self.munadi.counts(announcement)["by_channel"].get("email", {})
            return mails.get("accepted") == 1

        until_now("the acceptance is counted", accepted)
        self.assertEqual(len(self.mailbox.for_address(person["email"])), 1)

    def test_a_report_that_comes_back_ends_the_delivery_and_sets_the_address_aside(self):
        person = self.munadi.person("attendee")
        announcement = self.announce_to(person)
        _, envelope, message = self.mail_of(person)
        self.assertRegex(envelope.mail_from, r"^b\+[0-9a-f]{32}\.[0-9a-f]{20}@bounces\.festival\.example$")
        self.assertIsNone(message["list-unsubscribe"], "what one must know cannot be unsubscribed from")
        mails = lambda one: self.munadi.counts(one)["by_channel"].get("email", {})
        until_now("the acceptance is counted", lambda: mails(announcement).get("accepted") == 1)

        report = MIMEMultipart("report", report_type="delivery-status")
        report["From"], report["To"] = "MAILER-DAEMON@mx.example", envelope.mail_from
        report["Auto-Submitted"] = "auto-replied"
        report.attach(MIMEText("There is no such mailbox."))
        status = MIMEBase("message", "delivery-status")
        about, recipient = Message(), Message()
        about["Reporting-MTA"] = "dns; mx.example"
        recipient["Final-Recipient"] = f"rfc822; {person['email']}"
        recipient["Action"], recipient["Status"] = "failed", "5.1.1"
        status.set_payload([about, recipient])
        report.attach(status)
        self.assertEqual(self.hand_in(report.as_bytes(policy=email.policy.SMTP)), "recorded")
        until_now("the bounce is counted", lambda: mails(announcement).get("bounced") == 1)

        again = self.announce_to(person)
        until_now("the address is left alone", lambda: mails(again).get("suppressed") == 1)
        self.assertEqual(len(self.mailbox.for_address(person["email"])), 1)

    def hand_in(self, mail):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.munadi.port}/api/v1/mail/bounces",
            data=mail,
            headers={"content-type": "message/rfc822"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]["result"]

    def test_a_reader_of_english_has_english_first(self):
        person = self.munadi.person("attendee", language="en")
        self.announce_to(person)
        _, _, message = self.mail_of(person)
        self.assertIn("Leave by the north gate", message["subject"])
        text = message.get_body(("plain",)).get_content()
        self.assertLess(text.index("Walk"), text.index("امشوا"))


def mail_settings(port, ca_file):
    return f"""
[workers.email]
host = "127.0.0.1"
port = {port}
tls = "starttls"
ca_file = "{ca_file}"
username = "{USER}"
password = "{PASSWORD}"
hello_name = "munadi.invalid"
from = "Festival <news@festival.example>"
bounce_domain = "bounces.festival.example"
public_url = "https://festival.example"

[workers.escalation.emergency]
email_after_ms = 0
"""


if __name__ == "__main__":
    unittest.main()
