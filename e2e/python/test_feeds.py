"""The programme's calendars and schedule files, read by parsers that know nothing of us."""

import json
import unittest
import urllib.request
from datetime import datetime
from xml.etree import ElementTree

import ics
import icalendar

from munadi import Munadi

LONG = "ليلة من الموسيقى على شاطئ العلمين؛ أصوات، ألوان، وأضواء حتى الفجر 🎺 " * 4 + "!"


class Feeds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.munadi = Munadi.start()
        cls.addClassCleanup(cls.munadi.stop)
        cls.concert = cls.munadi.concert()
        fields = cls.concert["fields"] | {"title": {"ar": "حفل, مع; فواصل\\", "en": "Concert"}, "description": {"ar": LONG}}
        cls.event, _ = cls.munadi.call(
            "PUT", f"/api/v1/events/{cls.concert['id']}", fields, etag=cls.concert["etag"]
        )

    def read(self, file):
        url = f"http://127.0.0.1:{self.munadi.port}/api/v1/{file}"
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.read().decode()

    def test_two_calendar_libraries_read_the_same(self):
        text = self.read("schedule.ics?lang=ar")
        self.assertTrue(all(len(line.encode()) <= 75 for line in text.split("\r\n")))
        starts = datetime.fromisoformat(self.event["start_time"])
        (one,) = icalendar.Calendar.from_ical(text).events
        (two,) = ics.Calendar(text).events
        for title, uid, begin, place in [
            (one["SUMMARY"], one["UID"], one.start, one["LOCATION"]),
            (two.name, two.uid, two.begin.datetime, two.location),
        ]:
            self.assertEqual(title, "حفل, مع; فواصل\\")
            self.assertEqual((uid, begin, place), (self.event["guid"], starts, "المسرح الرئيسي"))
        self.assertEqual(str(one["DESCRIPTION"]), LONG)

    def test_json_and_xml_tell_the_same(self):
        conference = json.loads(self.read("schedule.json?lang=ar"))["schedule"]["conference"]
        ((room, (event,)),) = conference["days"][0]["rooms"].items()
        tree = ElementTree.fromstring(self.read("schedule.xml?lang=ar"))
        (twin,) = tree.iterfind("day/room/event")
        self.assertEqual(tree.find("day/room").get("name"), room)
        self.assertEqual(twin.get("guid"), event["guid"])
        for field in ("date", "start", "duration", "room", "slug", "url", "title", "description", "language"):
            self.assertEqual(twin.findtext(field), event[field], field)
        self.assertEqual((event["start"], event["duration"]), ("21:00", "01:00"))

    def test_schema_org_has_the_event(self):
        festival = json.loads(self.read("schedule.jsonld?lang=en"))
        (event,) = festival["subEvent"]
        self.assertEqual((festival["@context"], event["@type"]), ("https://schema.org", "Event"))
        self.assertEqual((event["name"], event["startDate"]), ("Concert", "2030-07-15T21:00:00+03:00"))
        self.assertEqual(event["location"]["name"], "Main stage")
        self.assertEqual(event["eventStatus"], "https://schema.org/EventScheduled")


if __name__ == "__main__":
    unittest.main()
