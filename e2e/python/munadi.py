"""The real binary in a directory of its own, and its API as tests need it."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

PASSWORD = "correct horse battery staple"


def free_port():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def until(what, condition, seconds=20):
    """Waits until `condition` gives something true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        await asyncio.sleep(0.02)
    return found


def until_now(what, condition, seconds=20):
    """The same outside of a loop."""
    return asyncio.run(until(what, condition, seconds))


class Munadi:
    @classmethod
    def start(cls, toml=""):
        """Starts one process on the embedded default. `toml` is added to its configuration."""
        munadi = cls()
        munadi.binary = os.environ["MUNADI_BIN"]
        munadi.dir = Path(tempfile.mkdtemp(prefix="munadi-e2e-"))
        munadi.port, munadi.admin_port = free_port(), free_port()
        munadi.config = munadi.dir / "munadi.toml"
        munadi.config.write_text(munadi._configuration() + toml)
        munadi.log = munadi.dir / "munadi.log"
        with munadi.log.open("w") as log:
            munadi.process = subprocess.Popen(
                [munadi.binary, "serve", "--config", munadi.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until_now("munadi is ready", munadi._is_ready, 60)
            munadi.admin = munadi.first_admin()
        except BaseException:
            munadi.stop()
            raise
        return munadi

    def stop(self):
        """Ends the process and removes its directory."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def socket(self, port=None):
        return f"ws://127.0.0.1:{port or self.port}/connection/websocket"

    def call(self, method, route, body=None, token=None, etag=None):
        """Calls the API as whom `token` says (the admin when it is left out); gives data and entity tag."""
        token = token or getattr(self, "admin", {}).get("token")
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if etag:
            headers["if-match"] = etag
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{route}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)["data"], response.headers.get("etag")
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{method} {route}: {refusal.code} {refusal.read().decode()}") from None

    def first_admin(self):
        """The first admin, made with the binary; logged in."""
        email = "admin@example.org"
        subprocess.run(
            [self.binary, "user", "create", "--email", email, "--role", "admin"]
            + ["--password-file", "-", "--config", self.config],
            input=PASSWORD.encode(),
            check=True,
            capture_output=True,
        )
        return self.login(email)

    def person(self, role, language="en"):
        """A new person of that role, logged in."""
        email = f"{role}-{secrets.token_hex(4)}@example.org"
        account = {"email": email, "name": role, "password": PASSWORD, "roles": [role], "language": language}
        self.call("POST", "/api/v1/users", account)
        return self.login(email)

    def login(self, email):
        session, _ = self.call("POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
        return {"id": session["user"]["id"], "email": email, "token": session["access_token"]}

    def concert(self):
        """A new public event in a venue of its own."""
        venue, _ = self.call(
            "POST",
            "/api/v1/venues",
            {"name": {"en": "Main stage", "ar": "المسرح الرئيسي"}, "timezone": "Africa/Cairo"},
        )
        starts = datetime(2030, 7, 15, 18, tzinfo=timezone.utc)
        fields = {
            "title": {"en": "Concert", "ar": "حفل"},
            "venue_id": venue["id"],
            "start_time": starts.isoformat(),
            "end_time": (starts + timedelta(hours=1)).isoformat(),
            "timezone": "Africa/Cairo",
        }
        event, etag = self.call("POST", "/api/v1/events", {**fields, "status": "published"})
        return {"id": event["id"], "fields": fields, "etag": etag}

    def move(self, concert):
        """Moves an event by a minute; gives it as it is now."""
        for field in ("start_time", "end_time"):
            later = datetime.fromisoformat(concert["fields"][field]) + timedelta(minutes=1)
            concert["fields"][field] = later.isoformat()
        event, concert["etag"] = self.call(
            "PUT", f"/api/v1/events/{concert['id']}", concert["fields"], etag=concert["etag"]
        )
        return event

    def announce(self, **announcement):
        """Publishes an announcement that is of use for ten minutes."""
        return self.call("POST", "/api/v1/announcements", {"ttl_seconds": 600, **announcement})[0]

    def counts(self, announcement):
        """The counts of an announcement's deliveries."""
        return self.call("GET", f"/api/v1/announcements/{announcement['id']}")[0]["receipts"]

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"munadi has ended:\n{self.log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/health/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _configuration(self):
        return f"""
data_dir = "{self.dir}/data"
[http]
listen = ["127.0.0.1:{self.port}"]
[admin]
listen = ["127.0.0.1:{self.admin_port}"]
"""
