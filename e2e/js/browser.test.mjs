// The SDK's browser bundle, unmodified, in headless Chromium.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { browse } from './chromium.mjs';
import { Munadi } from './munadi.mjs';
import { Proxy } from './proxy.mjs';
import { until } from './until.mjs';

const PAGE = '<!doctype html><meta charset="utf-8"><title>e2e</title><script src="/centrifuge.js"></script>';

/** Serves an empty page that has the SDK, on another origin than Munadi's. */
async function page(t) {
  const require = createRequire(import.meta.url);
  const root = path.dirname(path.dirname(require.resolve('centrifuge')));
  const bundle = fs.readFileSync(path.join(root, 'dist', 'centrifuge.js'));
  const server = http.createServer((request, response) => {
    const isBundle = request.url === '/centrifuge.js';
    response.setHeader('content-type', isBundle ? 'text/javascript' : 'text/html');
    response.end(isBundle ? bundle : PAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

test('Chromium loses the connection, misses 50 changes and recovers all of them in order', { timeout: 120_000 }, async (t) => {
  const origin = await page(t);
  const munadi = await Munadi.start();
  t.after(() => munadi.stop());
  const proxy = await Proxy.to(munadi.port);
  t.after(() => proxy.close());
  const tab = await (await browse(t)).newPage();
  await tab.goto(origin);

  const concert = await munadi.concert();
  const attendee = await munadi.person('attendee');
  const { own } = await tab.evaluate(async ({ url, token, topic }) => {
    const client = new window.Centrifuge(url, { token, minReconnectDelay: 20, maxReconnectDelay: 200 });
    const subscription = client.newSubscription(topic);
    const seen = { client: [], topic: [], heard: [], own: [] };
    for (const name of ['connecting', 'connected', 'disconnected']) client.on(name, (c) => seen.client.push({ name, code: c.code }));
    subscription.on('subscribed', ({ wasRecovering, recovered }) => seen.topic.push({ wasRecovering, recovered }));
    subscription.on('publication', ({ data }) => data.type === 'event.moved' && seen.heard.push(data.event.version));
    client.on('subscribed', ({ channel }) => seen.own.push(channel));
    Object.assign(window, { client, subscription, seen });
    subscription.subscribe();
    client.connect();
    await Promise.all([client.ready(10_000), subscription.ready(10_000)]);
    return { own: seen.own };
  }, { url: munadi.socket(proxy.port), token: attendee.token, topic: `event:${concert.id}` });
  assert.deepEqual(own, [`user:${attendee.id}`]);

  const seen = () => tab.evaluate(() => window.seen);
  const { version: first } = await munadi.move(concert);
  await until('a live change is heard', async () => (await seen()).heard.length === 1);
  proxy.cut();
  await until('the loss is noticed', async () => (await seen()).client.at(-1).name === 'connecting');
  for (let change = 0; change < 50; change += 1) await munadi.move(concert);
  proxy.mend();
  await until('all changes are heard', async () => (await seen()).heard.length >= 51);
  await munadi.move(concert);
  await until('the next live change is heard', async () => (await seen()).heard.length >= 52);
  const { heard, topic } = await seen();
  assert.deepEqual(heard, Array.from({ length: 52 }, (_, index) => first + index));
  assert.deepEqual(topic.at(-1), { wasRecovering: true, recovered: true });
});
