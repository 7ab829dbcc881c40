// The stock SDK in Node against the real binary: JSON over WebSocket.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { Munadi } from './munadi.mjs';
import { Proxy } from './proxy.mjs';
import { follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const PERMISSION_DENIED = 103;
const INVALID_TOKEN = 3500;
const INSUFFICIENT_STATE = 2500;
const MESSAGE_SIZE_LIMIT = 3; // what the SDK makes of the close code 1009

/** The versions of the event that a subscription heard of by its moves, in the order of arrival. */
const versions = ({ moves }) => moves.map(({ data }) => data.event.version);

describe('sockets', { timeout: 180_000 }, () => {
  let munadi;
  let proxy;
  const clients = [];
  const connect = (options) => {
    const client = sdk(munadi, options);
    clients.push(client);
    client.connect();
    return client;
  };

  before(async () => {
    munadi = await Munadi.start({ toml: '[api.announcements]\nbody_chars_max = 10000\n[hub.limits]\nanswer_bytes_max = 33554432\n' });
    proxy = await Proxy.to(munadi.port);
  });
  after(async () => {
    for (const client of clients) client.disconnect();
    await proxy?.close();
    await munadi?.stop();
  });

  test('nobody in particular follows the public programme', async () => {
    const concert = await munadi.concert();
    const festival = follow(connect(), 'festival');
    const subscribed = await event(festival, 'subscribed');
    assert.equal(subscribed.recoverable, true);
    assert.equal(subscribed.wasRecovering, false);
    const moved = await munadi.move(concert);
    await until('the move is heard', () => festival.moves.length > 0);
    const [{ data, offset }] = festival.moves;
    assert.equal(data.type, 'event.moved');
    assert.equal(data.event.id, concert.id);
    assert.equal(data.event.version, moved.version);
    assert.equal(Date.parse(data.event.starts_at), Date.parse(moved.start_time));
    assert.equal(data.previous.version, moved.version - 1);
    assert.ok(offset > subscribed.streamPosition.offset);
  });

  test('an attendee loses the connection, misses 50 changes and recovers all of them in order', async () => {
    const concert = await munadi.concert();
    const attendee = await munadi.person('attendee');
    const client = connect({ port: proxy.port, token: attendee.token });
    const topic = follow(client, `event:${concert.id}`);
    await event(topic, 'subscribed');
    await munadi.move(concert);
    await until('a live change is heard', () => topic.moves.length === 1);

    const lost = event(client, 'connecting');
    proxy.cut();
    await lost;
    for (let change = 0; change < 50; change += 1) await munadi.move(concert);
    assert.equal(topic.moves.length, 1);
    const back = event(topic, 'subscribed');
    proxy.mend();
    const { wasRecovering, recovered } = await back;
    assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });
    await until('all changes are heard', () => topic.moves.length >= 51);
    await munadi.move(concert);
    await until('the next live change is heard', () => topic.moves.length >= 52);
    const first = versions(topic)[0];
    assert.deepEqual(versions(topic), Array.from({ length: 52 }, (_, index) => first + index));
    const offsets = topic.heard.map(({ offset }) => offset);
    assert.deepEqual(offsets, [...new Set(offsets)].sort((one, other) => one - other));
  });

  test('a person hears what concerns them alone, and confirms it', async () => {
    const [attendee, other] = [await munadi.person('attendee'), await munadi.person('attendee')];
    const [client, stranger] = [connect({ token: attendee.token }), connect({ token: other.token })];
    const heard = [];
    const elsewhere = [];
    client.on('publication', (context) => heard.push(context));
    stranger.on('publication', (context) => elsewhere.push(context));
    const [own] = await Promise.all([event(client, 'subscribed'), event(stranger, 'subscribed')]);
    assert.equal(own.channel, `user:${attendee.id}`);
    const announcement = await munadi.announce({
      lane: 'transactional',
      title: { en: 'Your seat', ar: 'مقعدك' },
      body: { en: 'Row 5', ar: 'الصف ٥' },
      audience: { kind: 'users', user_ids: [attendee.id] },
    });
    const notice = await until('the notification is heard', () =>
      heard.find(({ data }) => data.type === 'notification'));
    assert.equal(notice.channel, `user:${attendee.id}`);
    assert.equal(notice.data.title.ar, 'مقعدك');
    assert.equal(notice.data.body.en, 'Row 5');
    assert.equal(notice.data.lane, 'transactional');
    await client.rpc('ack', {
      delivery_id: notice.data.delivery_id, code: notice.data.receipt_code, state: 'delivered',
    });
    await assert.rejects(
      client.rpc('ack', { delivery_id: notice.data.delivery_id, code: 'A'.repeat(22), state: 'opened' }),
    );
    const counts = await until('the receipt is counted', async () => {
      const { by_state } = await munadi.counts(announcement);
      return by_state.delivered === 1 && by_state;
    });
    assert.equal(counts.opened ?? 0, 0);
    assert.deepEqual(elsewhere, []);
  });

  test('topics that are none of theirs are refused with 103', async () => {
    const [attendee, other] = [await munadi.person('attendee'), await munadi.person('attendee')];
    const cases = [
      [undefined, `user:${attendee.id}`],
      [undefined, 'staff:programme'],
      [attendee.token, `user:${other.id}`],
      [attendee.token, 'staff:notifications'],
    ];
    for (const [token, topic] of cases) {
      const refused = follow(connect({ token }), topic);
      const { code } = await event(refused, 'unsubscribed');
      assert.equal(code, PERMISSION_DENIED, topic);
    }
    const organizer = await munadi.person('organizer');
    const staff = follow(connect({ token: organizer.token }), 'staff:notifications');
    await event(staff, 'subscribed');
  });

  test('a token that runs out is refreshed on the open connection', async () => {
    const attendee = await munadi.person('attendee');
    let asked = 0;
    const client = connect({
      token: munadi.shortToken(attendee, 3),
      getToken: async () => {
        asked += 1;
        return munadi.shortToken(attendee, 3);
      },
    });
    const breaks = [];
    const { client: first } = await event(client, 'connected');
    client.on('connecting', (context) => breaks.push(context));
    client.on('disconnected', (context) => breaks.push(context));
    await until('two refreshes', () => asked >= 2, 30_000);
    const concert = await munadi.concert();
    const topic = follow(client, `event:${concert.id}`);
    await event(topic, 'subscribed');
    await munadi.move(concert);
    await until('a change after the refresh is heard', () => topic.moves.length === 1);
    assert.deepEqual(breaks, []);
    assert.ok(first);
  });

  test('an expired token is replaced, a forged one is turned away for good', async () => {
    const attendee = await munadi.person('attendee');
    const late = connect({ token: munadi.shortToken(attendee, -60), getToken: async () => attendee.token });
    await event(late, 'connected');
    const [header, claims] = attendee.token.split('.');
    const forged = connect({ token: `${header}.${claims}.${'A'.repeat(86)}` });
    assert.equal((await event(forged, 'disconnected')).code, INVALID_TOKEN);
    const nonsense = connect({ token: 'nonsense' });
    assert.equal((await event(nonsense, 'disconnected')).code, INVALID_TOKEN);
  });

  test('a message beyond the limit ends its connection and no other', async () => {
    const concert = await munadi.concert();
    const bystander = follow(connect(), `event:${concert.id}`);
    await event(bystander, 'subscribed');
    const client = connect({ token: (await munadi.person('attendee')).token });
    await event(client, 'connected');
    const closed = event(client, 'disconnected');
    client.rpc('ack', { padding: 'x'.repeat(1_000_000) }).catch(() => {});
    assert.equal((await closed).code, MESSAGE_SIZE_LIMIT);
    await munadi.move(concert);
    await until('the bystander hears on', () => bystander.moves.length === 1);
  });

  test('a reader that stops reading loses the topic for now and recovers everything', async () => {
    const concert = await munadi.concert();
    const sockets = [];
    class Pausable extends WebSocket {
      constructor(...args) {
        super(...args);
        sockets.push(this);
      }
    }
    const client = connect({ websocket: Pausable });
    const topic = follow(client, `event:${concert.id}`);
    const bystander = follow(connect(), `event:${concert.id}`);
    await Promise.all([event(topic, 'subscribed'), event(bystander, 'subscribed')]);
    const lost = event(topic, 'subscribing', 60_000);
    sockets[0].pause();
    const messages = 250; // 7.5 MB: more than the kernel holds for one socket and the queue behind it
    await munadi.inParallel(16, messages, (number) => munadi.announce({
      lane: 'standard',
      title: { en: `news ${number}`, ar: `خبر ${number}` },
      body: { en: 'x'.repeat(10_000), ar: 'خ'.repeat(10_000) },
      audience: { kind: 'event', event_id: concert.id },
    }));
    const numbers = ({ heard }) => heard.flatMap(({ data }) => data.announcement?.id ?? []);
    await until('the bystander has everything', () => numbers(bystander).length === messages);
    sockets[0].resume();
    const { code } = await lost;
    assert.equal(code, INSUFFICIENT_STATE);
    await until('the slow reader has everything', () => numbers(topic).length >= messages);
    assert.deepEqual(numbers(topic), numbers(bystander));
    assert.equal(sockets.length, 1, 'the connection has stayed');
  });
});

test('what was trimmed meanwhile is said, never passed over', { timeout: 60_000 }, async (t) => {
  const munadi = await Munadi.start({ toml: Munadi.SHORT_HISTORY });
  t.after(() => munadi.stop());
  const proxy = await Proxy.to(munadi.port);
  t.after(() => proxy.close());
  const concert = await munadi.concert();
  const [client, bystander] = [sdk(munadi, { port: proxy.port }), sdk(munadi)];
  for (const one of [client, bystander]) {
    t.after(() => one.disconnect());
    one.connect();
  }
  const [topic, live] = [client, bystander].map((one) => follow(one, `event:${concert.id}`));
  await Promise.all([event(topic, 'subscribed'), event(live, 'subscribed')]);
  const lost = event(client, 'connecting');
  proxy.cut();
  await lost;
  const changes = Munadi.SHORT_HISTORY_LENGTH + 10;
  for (let change = 0; change < changes; change += 1) await munadi.move(concert);
  await until('all of it is published', () => live.moves.length === changes);
  const back = event(topic, 'subscribed');
  proxy.mend();
  const { wasRecovering, recovered } = await back;
  assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: false });
  assert.deepEqual(topic.moves, []);
  const { version } = await munadi.move(concert);
  await until('the next change is heard', () => topic.moves.length > 0);
  assert.deepEqual(versions(topic), [version]);
});
