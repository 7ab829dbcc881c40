// The main job on real input: a festival's public schedule is imported, changed live, and followed by the stock SDK.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Munadi } from './munadi.mjs';
import { follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** The schedule of a real festival where there is one, and always a small one of our own. */
const SCHEDULES = {
  'a small festival': here('../fixtures/schedule.json'),
  'a real festival': process.env.MUNADI_SCHEDULE ?? here('../../../shared/data/camp2019-schedule.json'),
};

for (const [name, file] of Object.entries(SCHEDULES)) {
  const skip = !fs.existsSync(file) && `there is no ${file}; MUNADI_SCHEDULE names another`;
  test(`${name} is imported, changed live and followed`, { skip, timeout: 180_000 }, async (t) => {
    const munadi = await Munadi.start();
    t.after(() => munadi.stop());
    const { conference } = JSON.parse(fs.readFileSync(file, 'utf8')).schedule;
    const wanted = conference.days.flatMap(({ rooms }) => Object.values(rooms).flat());
    munadi.command('import', file);
    const events = await munadi.everything('/api/v1/events');
    assert.equal(events.length, wanted.length);
    const byGuid = new Map(events.map((one) => [one.guid, one]));
    for (const one of wanted) {
      const found = byGuid.get(one.guid);
      assert.ok(found, `${one.guid} is missing`);
      assert.equal(found.title.en ?? found.title.ar, one.title.trim());
      assert.equal(Date.parse(found.start_time), Date.parse(one.date));
    }
    munadi.command('import', file);
    assert.equal((await munadi.everything('/api/v1/events')).length, wanted.length, 'a second import adds nothing');

    const client = sdk(munadi);
    t.after(() => client.disconnect());
    client.connect();
    const [first] = events;
    const topics = ['festival', `venue:${first.venue.id}`, `event:${first.id}`]
      .map((topic) => follow(client, topic));
    await Promise.all(topics.map((topic) => event(topic, 'subscribed')));
    const moved = await munadi.postpone(first, 5);
    for (const topic of topics) {
      const { data } = await until(`the move is heard in ${topic.channel}`, () => topic.moves[0]);
      assert.equal(data.event.id, first.id);
      assert.equal(Date.parse(data.event.starts_at), Date.parse(moved.start_time));
      assert.equal(Date.parse(moved.start_time), Date.parse(first.start_time) + 5 * 60_000);
    }
  });
}
