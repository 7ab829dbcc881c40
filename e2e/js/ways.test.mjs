// Everything that an app does, over every transport and in both dialects of the SDK, with the tokens of the installation.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { API_KEY, Munadi } from './munadi.mjs';
import { Proxy } from './proxy.mjs';
import { WAYS, follow, packed, sdk, unpacked } from './sdk.mjs';
import { event, until } from './until.mjs';

const PERMISSION_DENIED = 103;
const SETTINGS = `
[hub.server_api]
key = "${API_KEY}"

[hub.classes.room]
publish = "subscriber"
presence = true
read_presence = "subscriber"
join_leave = "asked"
`;

describe('every way', { timeout: 180_000 }, () => {
  let munadi;
  let proxy;
  let rooms = 0;
  const clients = [];

  before(async () => {
    munadi = await Munadi.start({ toml: SETTINGS });
    proxy = await Proxy.to(munadi.port);
  });
  after(async () => {
    for (const client of clients) client.disconnect();
    await proxy?.close();
    await munadi?.stop();
  });

  for (const way of WAYS) {
    describe(`${way.transport}, ${way.codec}`, () => {
      const room = () => `room:${(rooms += 1)}`;
      const connected = async (options) => {
        const person = await munadi.person('attendee');
        const client = sdk(munadi, { ...way, token: person.token, ...options });
        clients.push(client);
        client.connect();
        await client.ready(10_000);
        return { client, person };
      };
      const follows = async (client, topic, options) => {
        const subscription = follow(client, topic, options);
        await subscription.ready(10_000);
        return subscription;
      };
      const values = ({ heard }) => heard.map(({ data }) => unpacked(way.codec, data));
      const publish = (subscription, value) => subscription.publish(packed(way.codec, value));

      test('publishes, hears it with its author, asks who is there and what was', async () => {
        const { client, person } = await connected();
        const topic = await follows(client, room());
        const sent = [0, 1, 2].map((number) => ({ number, text: 'مرحبا بالجميع 🎪' }));
        for (const value of sent) await publish(topic, value);
        await until('all of it', () => topic.heard.length === 3);
        assert.deepEqual(values(topic), sent);
        const offsets = topic.heard.map(({ offset }) => offset);
        assert.ok(offsets[0] < offsets[1] && offsets[1] < offsets[2]);
        assert.deepEqual([...new Set(topic.heard.map(({ info }) => info.user))], [String(person.id)]);
        const { clients: present } = await topic.presence();
        assert.deepEqual(Object.values(present).map(({ user }) => user), [String(person.id)]);
        const { numClients, numUsers } = await topic.presenceStats();
        assert.deepEqual([numClients, numUsers], [1, 1]);
        const first = await topic.history({ limit: 2 });
        assert.deepEqual(first.publications.map(({ offset }) => offset), offsets.slice(0, 2));
        const rest = await topic.history({ limit: 10, since: { offset: offsets[0], epoch: first.epoch } });
        assert.deepEqual(rest.publications.map(({ offset }) => offset), offsets.slice(1));
        const last = await topic.history({ limit: 1, reverse: true });
        assert.deepEqual(last.publications.map(({ offset }) => offset), offsets.slice(2));
      });

      test('hears who comes and goes', async () => {
        const name = room();
        const { client } = await connected();
        const topic = follow(client, name, { joinLeave: true });
        const [joins, leaves] = [[], []];
        topic.on('join', ({ info }) => joins.push(info.user));
        topic.on('leave', ({ info }) => leaves.push(info.user));
        await topic.ready(10_000);
        const { client: guest, person } = await connected();
        const theirs = await follows(guest, name);
        await until('the join', () => joins.includes(String(person.id)));
        theirs.unsubscribe();
        await until('the leave', () => leaves.includes(String(person.id)), 2_000);
      });

      test('is cut off and recovers everything in order', async () => {
        const name = room();
        const author = await follows((await connected()).client, name);
        const { client } = await connected({ port: proxy.port });
        const topic = await follows(client, name, { delta: 'fossil' });
        await publish(author, { number: 0 });
        await until('the live one', () => topic.heard.length === 1);
        const lost = event(client, 'connecting');
        proxy.cut();
        await lost;
        for (let number = 1; number <= 20; number += 1) await publish(author, { number, text: 'نقل الحفل إلى المسرح الكبير' });
        const back = event(topic, 'subscribed');
        proxy.mend();
        const { wasRecovering, recovered } = await back;
        assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });
        await publish(author, { number: 21, text: 'نقل الحفل إلى المسرح الكبير' });
        await until('all of it', () => topic.heard.length === 22);
        assert.deepEqual(values(topic).map(({ number }) => number), Array.from({ length: 22 }, (_, number) => number));
        assert.ok(topic.deltaStats().numDeltaPayloads > 0);
      });

      test('hears only what its filter lets through', async () => {
        const name = room();
        const { client } = await connected();
        const topic = await follows(client, name, { tagsFilter: { key: 'stage', cmp: 'eq', val: 'main' } });
        for (const [number, stage] of [[1, 'main'], [2, 'small'], [3, 'main']]) {
          await munadi.publish(name, { number }, { tags: { stage } });
        }
        await until('both', () => topic.heard.length === 2);
        assert.deepEqual(values(topic), [{ number: 1 }, { number: 3 }]);
        assert.deepEqual(topic.heard[0].tags, { stage: 'main' });
      });

      test('confirms a notification', async () => {
        const { client, person } = await connected();
        const heard = [];
        client.on('publication', ({ data }) => heard.push(unpacked(way.codec, data)));
        const announcement = await munadi.announce({
          lane: 'transactional',
          title: { en: 'Your seat', ar: 'مقعدك' },
          body: { en: 'Row 5', ar: 'الصف ٥' },
          audience: { kind: 'users', user_ids: [person.id] },
        });
        const notice = await until('the notification', () => heard.find(({ type }) => type === 'notification'));
        await client.rpc('ack', packed(way.codec, { delivery_id: notice.delivery_id, code: notice.receipt_code, state: 'delivered' }));
        await until('it is counted', async () => (await munadi.counts(announcement)).by_state.delivered === 1);
      });

      test('is refused what is not for it', async () => {
        const { client } = await connected();
        const refused = follow(client, 'staff:programme');
        assert.equal((await event(refused, 'unsubscribed')).code, PERMISSION_DENIED);
        const festival = await follows(client, 'festival');
        await assert.rejects(publish(festival, { type: 'mine' }), { code: PERMISSION_DENIED });
      });
    });
  }
});
