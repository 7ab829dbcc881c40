// One change, made once, reaches every kind of client at the same time.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { Munadi } from './munadi.mjs';
import { joined, pusher, settings } from './pusher.mjs';
import { WAYS, follow, sdk, unpacked } from './sdk.mjs';
import { event, until } from './until.mjs';

const TOGETHER_MS = 1_000; // a debug build on a busy machine; it is some milliseconds on an idle one

/** `curl` on a stream: the JSON of each line that has one. */
function curl(t, ...args) {
  const child = spawn('curl', ['-sN', '--max-time', '60', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill());
  const heard = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      const json = line.replace(/^data: ?/, '').trim();
      if (json.startsWith('{') && json !== '{}') heard.push({ at: Date.now(), ...JSON.parse(json) });
    }
  });
  return heard;
}

describe('everybody', { timeout: 60_000 }, () => {
  let munadi;
  before(async () => {
    munadi = await Munadi.start({ toml: settings() });
  });
  after(() => munadi?.stop());

  test('hears one change at the same time', async (t) => {
    const concert = await munadi.concert();
    const topic = `event:${concert.id}`;
    const heard = {};
    for (const way of WAYS) {
      const client = sdk(munadi, way);
      t.after(() => client.disconnect());
      client.connect();
      const name = `${way.codec} over ${way.transport}`;
      const subscription = client.newSubscription(topic);
      subscription.on('publication', ({ data, offset }) => {
        const message = unpacked(way.codec, data);
        if (message.type === 'event.moved') heard[name] = { at: Date.now(), version: message.event.version, offset };
      });
      subscription.subscribe();
      await event(subscription, 'subscribed');
    }
    const request = JSON.stringify({ subs: { [topic]: {} } });
    const streams = {
      'curl on uni_sse': curl(t, '-G', `${munadi.base}/connection/uni_sse`, '--data-urlencode', `cf_connect=${request}`),
      'curl on uni_http_stream': curl(t, `${munadi.base}/connection/uni_http_stream`, '-d', request),
    };
    for (const [name, lines] of Object.entries(streams)) {
      await until(`${name} is connected`, () => lines.some(({ connect }) => connect?.subs?.[topic]));
    }
    const pushed = pusher(munadi);
    t.after(() => pushed.disconnect());
    const channel = await joined(pushed, `event.${concert.id}`);
    channel.bind('event.moved', (data) => {
      heard['pusher-js'] = { at: Date.now(), version: data.event.version };
    });

    const { version } = await munadi.move(concert);
    const published = (lines) => lines.find(({ pub }) => pub?.data.type === 'event.moved');
    await until('everybody hears it', () => {
      for (const [name, lines] of Object.entries(streams)) {
        const line = published(lines);
        if (line) heard[name] = { at: line.at, version: line.pub.data.event.version, offset: line.pub.offset };
      }
      return Object.keys(heard).length === WAYS.length + 3;
    });
    const all = Object.values(heard);
    assert.deepEqual([...new Set(all.map((one) => one.version))], [version]);
    assert.equal(new Set(all.map((one) => one.offset).filter(Boolean)).size, 1, JSON.stringify(heard));
    const times = all.map((one) => one.at);
    const spread = Math.max(...times) - Math.min(...times);
    t.diagnostic(`${all.length} clients within ${spread} ms`);
    assert.ok(spread < TOGETHER_MS, JSON.stringify(heard));
  });

  test('curl recovers from the position that it has', async (t) => {
    const concert = await munadi.concert();
    const topic = `event:${concert.id}`;
    const connect = (subs) => curl(t, '-G', `${munadi.base}/connection/uni_sse`, '--data-urlencode', `cf_connect=${JSON.stringify({ subs })}`);
    const first = connect({ [topic]: {} });
    const opened = await until('connected', () => first.find((line) => line.connect)?.connect.subs[topic]);
    await munadi.move(concert);
    await until('a live change', () => first.some(({ pub }) => pub?.data.type === 'event.moved'));
    await munadi.move(concert);
    const again = connect({ [topic]: { recover: true, epoch: opened.epoch, offset: opened.offset ?? 0 } });
    const back = await until('connected again', () => again.find((line) => line.connect)?.connect.subs[topic]);
    assert.equal(back.recovered, true);
    await until('both changes', () => {
      const versions = [...(back.publications ?? []), ...again.map(({ pub }) => pub)].filter((pub) => pub?.data.type === 'event.moved');
      return versions.length === 2;
    });
  });
});
