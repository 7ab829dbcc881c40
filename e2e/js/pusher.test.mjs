// The Pusher world against the real binary: pusher-js and Laravel Echo as clients, `pusher` as the back end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
import PusherServer from 'pusher';
import { browse } from './chromium.mjs';
import { Munadi } from './munadi.mjs';
import { APP, backEnd, bound, joined, pusher, settings } from './pusher.mjs';
import { follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const BUNDLE = fs.readFileSync(new URL('node_modules/pusher-js/dist/web/pusher.js', import.meta.url));
const [APP_UNKNOWN, NOT_MINE] = [4001, 401];

describe('pusher', { timeout: 120_000 }, () => {
  let munadi;
  let server;
  let listener;
  const hooks = [];
  const clients = [];
  const open = async (user) => {
    const client = pusher(munadi, user);
    clients.push(client);
    await until('connected', () => client.connection.state === 'connected');
    return client;
  };

  before(async () => {
    listener = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      hooks.push({ headers: request.headers, rawBody: Buffer.concat(chunks).toString() });
      response.end();
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const hook = `webhook_url = "http://127.0.0.1:${listener.address().port}/hook"\nwebhook_events = ["channel_existence", "presence"]\n`;
    munadi = await Munadi.start({ toml: settings(hook) });
    server = backEnd(munadi);
  });
  after(async () => {
    for (const client of clients) client.disconnect();
    await munadi?.stop();
    listener?.close();
  });

  test('an event of the back end reaches whoever follows, and not whom it leaves out', async () => {
    const [first, second] = [await open(), await open()];
    const [here, there] = [await joined(first, 'news'), await joined(second, 'news')];
    await server.trigger('news', 'greeting', { text: 'مرحبا' });
    await until('both hear it', () => here.heard.length === 1 && there.heard.length === 1);
    assert.deepEqual(here.heard, [{ event: 'greeting', data: { text: 'مرحبا' } }]);
    await server.trigger('news', 'edited', { by: 1 }, { socket_id: first.connection.socket_id });
    await server.trigger('news', 'last', 'plain text');
    await until('the last one arrives', () => here.heard.length >= 2 && there.heard.length >= 3);
    assert.deepEqual(here.heard.map((one) => one.event), ['greeting', 'last']);
    assert.deepEqual(there.heard.map((one) => one.event), ['greeting', 'edited', 'last']);
    assert.equal(there.heard[2].data, 'plain text');
  });

  test('many channels and batches in one request', async () => {
    const client = await open();
    const channels = [await joined(client, 'many-1'), await joined(client, 'many-2')];
    await server.trigger(['many-1', 'many-2'], 'all', { n: 1 });
    await server.triggerBatch([
      { channel: 'many-1', name: 'one', data: { n: 2 } },
      { channel: 'many-2', name: 'two', data: { n: 3 } },
    ]);
    await until('all arrive', () => channels.every(({ heard }) => heard.length === 2));
    assert.deepEqual(channels.map(({ heard }) => heard[1].event), ['one', 'two']);
  });

  test('a private channel wants a signature, and lets clients talk to each other', async () => {
    const [first, second] = [await open(), await open()];
    const [here, there] = [await joined(first, 'private-room'), await joined(second, 'private-room')];
    assert.ok(here.trigger('client-typing', { who: 'Amal' }));
    await until('the other hears it', () => there.heard.length === 1);
    assert.deepEqual(there.heard, [{ event: 'client-typing', data: { who: 'Amal' } }]);
    assert.deepEqual(here.heard, []);
    const stranger = new Pusher(APP.key, {
      cluster: 'none', wsHost: '127.0.0.1', wsPort: munadi.port, forceTLS: false, enabledTransports: ['ws'],
      channelAuthorization: { customHandler: (_, callback) => callback(null, { auth: `${APP.key}:${'0'.repeat(64)}` }) },
    });
    clients.push(stranger);
    const refused = stranger.subscribe('private-room');
    const { status } = await bound(refused, 'pusher:subscription_error');
    assert.equal(status, NOT_MINE);
  });

  test('a presence channel knows its members, each user once', async () => {
    const amal = await open({ id: '7', info: { name: 'Amal' } });
    const room = await joined(amal, 'presence-room');
    assert.equal(room.members.count, 1);
    assert.deepEqual(room.members.me, { id: '7', info: { name: 'Amal' } });
    const added = bound(room, 'pusher:member_added');
    const basim = await open({ id: '8', info: { name: 'Basim' } });
    const theirs = await joined(basim, 'presence-room');
    assert.deepEqual(await added, { id: '8', info: { name: 'Basim' } });
    await until('the other member is there', () => theirs.members.count === 2);
    const { users } = await (await server.get({ path: '/channels/presence-room/users' })).json();
    assert.deepEqual(users.map(({ id }) => id).sort(), ['7', '8']);
    const removed = bound(room, 'pusher:member_removed');
    basim.disconnect();
    assert.equal((await removed).id, '8');
    assert.equal(room.members.count, 1);
  });

  test('a cache channel gives the last event to whoever comes later', async () => {
    const first = await open();
    const missed = first.subscribe('cache-score');
    await bound(missed, 'pusher:cache_miss');
    await server.trigger('cache-score', 'score', { home: 2 });
    const late = (await open()).subscribe('cache-score');
    assert.deepEqual(await bound(late, 'score'), { home: 2 });
  });

  test('a user who has signed in can be written to and thrown out', async () => {
    const client = await open({ id: '42', info: {} });
    client.signin();
    await bound(client, 'pusher:signin_success').catch(() => client.user.user_data);
    await until('signed in', () => client.user.user_data?.id === '42');
    const heard = bound(client.user, 'gate');
    await until('the topic is joined', async () => {
      await server.sendToUser('42', 'gate', { open: true });
      return Promise.race([heard, new Promise((resolve) => { setTimeout(resolve, 200); })]);
    });
    assert.deepEqual(await heard, { open: true });
    const gone = bound(client.connection, 'state_change');
    await server.terminateUserConnections('42');
    assert.notEqual((await gone).current, 'connected');
  });

  test('the back end can ask which channels are followed', async () => {
    const client = await open();
    await joined(client, 'asked-1');
    const one = await (await server.get({ path: '/channels/asked-1', params: { info: 'subscription_count' } })).json();
    assert.deepEqual({ occupied: one.occupied, subscription_count: one.subscription_count }, { occupied: true, subscription_count: 1 });
    const { channels } = await (await server.get({ path: '/channels', params: { filter_by_prefix: 'asked-' } })).json();
    assert.deepEqual(Object.keys(channels), ['asked-1']);
    const forged = new PusherServer({ appId: APP.id, key: APP.key, secret: 'not the secret at all', host: '127.0.0.1', port: String(munadi.port), useTLS: false });
    await assert.rejects(forged.trigger('asked-1', 'e', {}), { status: 401 });
  });

  test('the back end is told what happens, signed', async () => {
    const name = 'presence-hooked';
    const client = await open({ id: '9', info: {} });
    await joined(client, name);
    const told = () => hooks.flatMap((hook) => {
      const webhook = server.webhook(hook);
      assert.ok(webhook.isValid(), hook.rawBody);
      return webhook.getEvents().filter(({ channel }) => channel === name);
    });
    await until('it is told who came', () => told().length >= 2);
    client.unsubscribe(name);
    await until('it is told who left', () => told().length >= 4);
    const names = told().map((one) => `${one.name} ${one.user_id ?? ''}`.trim());
    assert.deepEqual([...names].sort(), ['channel_occupied', 'channel_vacated', 'member_added 9', 'member_removed 9']);
  });

  test('an unknown application is refused for good', async () => {
    const client = new Pusher('no-such-key', {
      cluster: 'none', wsHost: '127.0.0.1', wsPort: munadi.port, forceTLS: false, enabledTransports: ['ws'],
    });
    clients.push(client);
    const refused = await bound(client.connection, 'error');
    assert.equal(refused.error?.data?.code ?? refused.data?.code, APP_UNKNOWN);
  });

  test('Laravel Echo listens, whispers and sees who is there', async () => {
    const echo = (user) => {
      const client = pusher(munadi, user);
      clients.push(client);
      return new Echo({ broadcaster: 'pusher', key: APP.key, client });
    };
    const [amal, basim] = [echo({ id: '7', info: { name: 'Amal' } }), echo({ id: '8', info: { name: 'Basim' } })];
    const heard = [];
    amal.channel('orders').listen('OrderShipped', (data) => heard.push(['shipped', data]));
    await bound(amal.connector.pusher.channel('orders'), 'pusher:subscription_succeeded');
    await server.trigger('orders', 'App\\Events\\OrderShipped', { order: 5 });
    await until('the event', () => heard.length === 1);
    assert.deepEqual(heard[0], ['shipped', { order: 5 }]);

    const seen = [];
    const here = await new Promise((resolve) => {
      amal.join('lobby').here(resolve).joining((user) => seen.push(['joining', user.name])).leaving((user) => seen.push(['leaving', user.name]))
        .listenForWhisper('typing', (data) => seen.push(['typing', data.name]));
    });
    assert.deepEqual(here, [{ name: 'Amal' }]);
    const lobby = basim.join('lobby');
    await new Promise((resolve) => { lobby.here(resolve); });
    await until('the joining', () => seen.length === 1);
    lobby.whisper('typing', { name: 'Basim' });
    await until('the whisper', () => seen.length === 2);
    basim.leave('lobby');
    await until('the leave', () => seen.length === 3);
    assert.deepEqual(seen, [['joining', 'Basim'], ['typing', 'Basim'], ['leaving', 'Basim']]);
  });

  test('a Centrifuge client and a Pusher client of one topic hear the same', async () => {
    const client = sdk(munadi);
    client.connect();
    const topic = follow(client, 'shared');
    await event(topic, 'subscribed');
    const channel = await joined(await open(), 'shared');
    await server.trigger('shared', 'from.pusher', { n: 1 });
    await topic.publish({ type: 'from.centrifuge', n: 2 });
    await until('both hear both', () => topic.heard.length === 2 && channel.heard.length === 2);
    assert.deepEqual(topic.heard.map(({ data }) => data), [{ event: 'from.pusher', data: { n: 1 } }, { type: 'from.centrifuge', n: 2 }]);
    assert.deepEqual(channel.heard, [
      { event: 'from.pusher', data: { n: 1 } },
      { event: 'from.centrifuge', data: { type: 'from.centrifuge', n: 2 } },
    ]);
    client.disconnect();
  });

  test('pusher-js in Chromium follows the programme', async (t) => {
    const page = http.createServer(async (request, response) => {
      const isBundle = request.url === '/pusher.js';
      response.setHeader('content-type', isBundle ? 'text/javascript' : 'text/html');
      response.end(isBundle ? BUNDLE : '<!doctype html><title>e2e</title><script src="/pusher.js"></script>');
    });
    page.listen(0, '127.0.0.1');
    await once(page, 'listening');
    t.after(() => page.close());
    const concert = await munadi.concert();
    const tab = await (await browse(t)).newPage();
    await tab.goto(`http://127.0.0.1:${page.address().port}/`);
    await tab.evaluate(({ key, port, channel }) => new Promise((resolve) => {
      const client = new window.Pusher(key, { cluster: 'none', wsHost: '127.0.0.1', wsPort: port, forceTLS: false, enabledTransports: ['ws'] });
      window.heard = [];
      const topic = client.subscribe(channel);
      topic.bind('event.moved', (data) => window.heard.push(data.event.version));
      topic.bind('pusher:subscription_succeeded', resolve);
    }), { key: APP.key, port: munadi.port, channel: `event.${concert.id}` });
    const { version } = await munadi.move(concert);
    await until('the move is heard', () => tab.evaluate(() => window.heard.length > 0));
    assert.deepEqual(await tab.evaluate(() => window.heard), [version]);
  });
});
