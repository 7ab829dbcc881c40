// What centrifuge-js's own tests ask of a server, asked of `config/conformance.toml` by the SDK from npm: on the embedded change
// log, and on Redis where TEST_REDIS_URL names one.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Munadi } from './munadi.mjs';
import { WAYS, follow, packed, sdk, unpacked } from './sdk.mjs';
import { event, until } from './until.mjs';

const [NOT_AVAILABLE, UNAUTHORIZED] = [108, 1];
const CALLED = 0;
const LOGS = [['embedded'], ...(process.env.TEST_REDIS_URL ? [['redis', process.env.TEST_REDIS_URL]] : [])];

for (const [log, redis] of LOGS) {
  describe(`conformance, ${log} log`, { timeout: 240_000 }, () => {
    let munadi;
    const clients = [];
    let topics = 0;
    /** A topic that no other test uses; `name` may have a class before a colon. */
    const fresh = (name = 'test') => `${name}_${Date.now()}_${(topics += 1)}`;
    const made = (way) => {
      const client = sdk(munadi, way);
      clients.push(client);
      return client;
    };
    const connected = async (way) => {
      const client = made(way);
      client.connect();
      await client.ready(5_000);
      return client;
    };
    const end = async (client) => {
      const ended = event(client, 'disconnected');
      client.disconnect();
      assert.equal((await ended).code, CALLED);
      assert.equal(client.state, 'disconnected');
    };
    const follows = async (client, topic, options) => {
      const subscription = follow(client, topic, options);
      await subscription.ready(5_000);
      return subscription;
    };
    const heard = async (subscription, count) => {
      await until(`${count} publications`, () => subscription.heard.length >= count, 5_000);
      return subscription.heard.map(({ data }) => data);
    };

    before(async () => {
      munadi = await Munadi.conforming({ redis });
    });
    after(async () => {
      for (const client of clients) client.disconnect();
      await munadi?.stop();
    });

    for (const way of WAYS) {
      describe(`${way.transport}, ${way.codec}`, () => {
        test('connects and disconnects', async () => {
          await end(await connected(way));
        });

        test('subscribes and unsubscribes', async () => {
          const client = await connected(way);
          const subscription = await follows(client, 'test');
          const left = event(subscription, 'unsubscribed');
          subscription.unsubscribe();
          client.disconnect();
          assert.equal((await left).code, CALLED);
        });

        test('publishes and hears it', async () => {
          const client = await connected(way);
          const subscription = await follows(client, 'test');
          const value = { my: 'data' };
          const next = event(subscription, 'publication');
          await subscription.publish(packed(way.codec, value));
          const { data, info } = await next;
          assert.deepEqual(unpacked(way.codec, data), value);
          assert.ok(info.client);
          await end(client);
        });

        test('an rpc waits for the connection and is not available', async () => {
          const client = made(way);
          const refused = assert.rejects(client.rpc('method', packed(way.codec, { my: 'data' })), { code: NOT_AVAILABLE });
          client.connect();
          await refused;
          await end(client);
        });

        test('goes offline and online', async () => {
          const networkEventTarget = new EventTarget();
          const client = await connected({ ...way, networkEventTarget });
          const lost = event(client, 'connecting');
          networkEventTarget.dispatchEvent(new Event('offline'));
          await lost;
          networkEventTarget.dispatchEvent(new Event('online'));
          await client.ready(5_000);
          await end(client);
          networkEventTarget.dispatchEvent(new Event('online'));
          assert.equal(client.state, 'disconnected');
        });

        test('is present', async () => {
          const client = await connected(way);
          const subscription = await follows(client, 'test');
          assert.ok(Object.keys((await subscription.presence()).clients).length > 0);
          const { numClients, numUsers } = await subscription.presenceStats();
          assert.ok(numClients > 0 && numUsers > 0);
          await end(client);
        });

        test('connects and disconnects ten times at once', async () => {
          const client = made(way);
          const ended = event(client, 'disconnected');
          for (let round = 0; round < 10; round += 1) {
            client.connect();
            client.disconnect();
          }
          await ended;
          assert.equal(client.state, 'disconnected');
        });

        test('is present exactly once after ten subscriptions at once, and gone 2 s after leaving', async () => {
          const topic = fresh();
          const client = await connected(way);
          const subscription = client.newSubscription(topic);
          const left = event(subscription, 'unsubscribed');
          for (let round = 0; round < 10; round += 1) {
            subscription.subscribe();
            subscription.unsubscribe();
          }
          await left;
          subscription.subscribe();
          const { numClients, numUsers } = await subscription.presenceStats();
          assert.deepEqual({ numClients, numUsers }, { numClients: 1, numUsers: 1 });
          assert.equal(Object.keys((await subscription.presence()).clients).length, 1);
          subscription.unsubscribe();
          await until('nobody is counted', async () => {
            const stats = await client.presenceStats(topic);
            return stats.numClients === 0 && stats.numUsers === 0;
          }, 2_000);
          assert.deepEqual((await client.presence(topic)).clients, {});
          await end(client);
        });

        test('is gone at once when it disconnects', async () => {
          const topic = fresh();
          const witness = await connected(way);
          const client = await connected(way);
          await follows(client, topic);
          assert.equal((await witness.presenceStats(topic)).numClients, 1);
          await end(client);
          await until('nobody is counted', async () => (await witness.presenceStats(topic)).numClients === 0, 2_000);
          await end(witness);
        });

        test('unsubscribes right after connecting, and subscribes again', async () => {
          const client = await connected(way);
          const subscription = client.newSubscription(fresh());
          const left = event(subscription, 'unsubscribed');
          subscription.subscribe();
          client.disconnect();
          client.connect();
          subscription.unsubscribe();
          await left;
          const back = event(subscription, 'subscribed');
          subscription.subscribe();
          await back;
          await end(client);
        });

        test('subscribes to five topics with tokens', async () => {
          const client = made({ ...way, token: Munadi.foreignToken({ iat: 1_737_532_348 }) });
          client.connect();
          const subscriptions = [1, 2, 3, 4, 5].map((number) => {
            const channel = `test${number}`;
            return follow(client, channel, {
              getToken: async () => Munadi.foreignToken({ iat: 1_737_532_348, channel }),
            });
          });
          await Promise.all(subscriptions.map((subscription) => subscription.ready(5_000)));
          const left = Promise.all(subscriptions.map((subscription) => event(subscription, 'unsubscribed')));
          for (const subscription of subscriptions) subscription.unsubscribe();
          client.disconnect();
          for (const { code } of await left) assert.equal(code, CALLED);
        });

        test('asks again for what it could not get: tokens and data', async () => {
          let [tokens, data, topicTokens, topicData] = [0, 0, 0, 0];
          const client = made({
            ...way,
            getToken: async () => {
              if ((tokens += 1) < 3) throw new Error('no token yet');
              return Munadi.foreignToken({});
            },
            getData: async () => {
              if ((data += 1) < 2) throw new Error('no data yet');
              return packed(way.codec, { hello: 'server' });
            },
          });
          const subscription = follow(client, 'test1', {
            minResubscribeDelay: 10,
            maxResubscribeDelay: 50,
            getToken: async () => {
              if ((topicTokens += 1) < 3) throw new Error('no token yet');
              return Munadi.foreignToken({ channel: 'test1' });
            },
            getData: async () => {
              if ((topicData += 1) < 2) throw new Error('no data yet');
              return packed(way.codec, { hello: 'topic' });
            },
          });
          client.connect();
          await subscription.ready(10_000);
          assert.ok(tokens >= 3 && data >= 2 && topicTokens >= 3 && topicData >= 2);
          await end(client);
        });
      });
    }

    test('unsubscribes between the connect command and its reply', async () => {
      const client = made(WAYS[0]);
      const subscription = client.newSubscription(fresh());
      const sent = new Promise((resolve) => {
        client.on('__centrifuge_debug:connect_frame_sent', () => {
          subscription.unsubscribe();
          resolve();
        });
      });
      subscription.subscribe();
      client.connect();
      await sent;
      await client.ready(5_000);
      await client.presenceStats('test'); // the replies to connect and unsubscribe have arrived before this one
      const back = event(subscription, 'subscribed');
      subscription.subscribe();
      await back;
      await end(client);
    });

    test('connects again when the network goes before the transport is open', async () => {
      const networkEventTarget = new EventTarget();
      const client = made({ ...WAYS[0], networkEventTarget });
      client.once('__centrifuge_debug:transport_initialized', () => {
        networkEventTarget.dispatchEvent(new Event('offline'));
      });
      client.connect();
      await client.ready(5_000);
      await end(client);
    });

    test('ends where it is not authorized: the client decides', async () => {
      const { UnauthorizedError } = await import('centrifuge');
      const refuse = async () => {
        throw new UnauthorizedError('no');
      };
      const client = made({ ...WAYS[0], getToken: refuse });
      const ended = event(client, 'disconnected');
      client.connect();
      assert.equal((await ended).code, UNAUTHORIZED);
      const other = await connected(WAYS[0]);
      const subscription = other.newSubscription(fresh(), { getToken: refuse });
      const left = event(subscription, 'unsubscribed');
      subscription.subscribe();
      assert.equal((await left).code, UNAUTHORIZED);
    });

    describe('recovery', () => {
      test('what was published while disconnected comes in order, then live', async () => {
        const [topic, client] = [fresh('recovery:disconnect'), await connected()];
        const subscription = await follows(client, topic);
        await munadi.publish(topic, { seq: 1 });
        await heard(subscription, 1);
        client.disconnect();
        for (const seq of [2, 3, 4]) await munadi.publish(topic, { seq });
        const back = event(subscription, 'subscribed');
        client.connect();
        const { wasRecovering, recovered } = await back;
        assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });
        await heard(subscription, 4);
        await munadi.publish(topic, { seq: 5 });
        assert.deepEqual(await heard(subscription, 5), [1, 2, 3, 4, 5].map((seq) => ({ seq })));
      });

      test('what was published while unsubscribed comes in order', async () => {
        const [topic, client] = [fresh('recovery:unsubscribe'), await connected()];
        const subscription = await follows(client, topic);
        await munadi.publish(topic, { seq: 1 });
        await heard(subscription, 1);
        subscription.unsubscribe();
        for (const seq of [2, 3]) await munadi.publish(topic, { seq });
        const back = event(subscription, 'subscribed');
        subscription.subscribe();
        assert.equal((await back).recovered, true);
        assert.deepEqual(await heard(subscription, 3), [1, 2, 3].map((seq) => ({ seq })));
      });

      for (const name of ['subscribed', 'publication']) {
        test(`what a handler of "${name}" has left behind comes with the next subscription`, async () => {
          const [topic, client] = [fresh('recovery:handler'), await connected()];
          const subscription = await follows(client, topic);
          subscription.unsubscribe();
          for (const seq of [1, 2, 3]) await munadi.publish(topic, { seq });
          subscription.once(name, () => subscription.unsubscribe());
          const left = event(subscription, 'unsubscribed');
          subscription.subscribe();
          await left;
          assert.equal(subscription.heard.length, name === 'subscribed' ? 0 : 1);
          subscription.subscribe();
          assert.deepEqual(await heard(subscription, 3), [1, 2, 3].map((seq) => ({ seq })));
        });
      }

      test('a position that the history has lost is not recovered, and the topic lives on', async () => {
        const [topic, client] = [fresh('smallhistory:lost'), await connected()];
        const subscription = await follows(client, topic);
        await munadi.publish(topic, { seq: 1 });
        await heard(subscription, 1);
        subscription.unsubscribe();
        for (const seq of [2, 3, 4, 5]) await munadi.publish(topic, { seq });
        const back = event(subscription, 'subscribed');
        subscription.subscribe();
        const { wasRecovering, recovered } = await back;
        assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: false });
        await munadi.publish(topic, { seq: 6 });
        assert.deepEqual(await heard(subscription, 2), [{ seq: 1 }, { seq: 6 }]);
      });
    });

    describe('delta', () => {
      const fossil = { delta: 'fossil' };

      test('three like publications are one whole and two deltas', async () => {
        const [topic, client] = [fresh('delta:three'), await connected()];
        const subscription = await follows(client, topic, fossil);
        const payload = 'a'.repeat(500);
        const sent = [
          { counter: 1, payload },
          { counter: 2, payload },
          { counter: 3, payload: `${payload.slice(1)}b` },
        ];
        for (const data of sent) await munadi.publish(topic, data);
        assert.deepEqual(await heard(subscription, 3), sent);
        const stats = subscription.deltaStats();
        assert.deepEqual([stats.numFullPayloads, stats.numDeltaPayloads], [1, 2]);
        assert.ok(stats.bytesReceived < stats.bytesDecoded && stats.compressionRatio > 0);
      });

      test('ten publications with small differences are one whole and nine deltas', async () => {
        const [topic, client] = [fresh('delta:ten'), await connected()];
        const subscription = await follows(client, topic, fossil);
        const sent = Array.from({ length: 10 }, (_, index) => ({ index, padding: 'x'.repeat(500) }));
        for (const data of sent) await munadi.publish(topic, data);
        assert.deepEqual(await heard(subscription, 10), sent);
        const stats = subscription.deltaStats();
        assert.deepEqual([stats.numFullPayloads, stats.numDeltaPayloads], [1, 9]);
      });

      test('Arabic text survives: no difference splits a character', async () => {
        const [topic, client] = [fresh('delta:arabic'), await connected()];
        const subscription = await follows(client, topic, fossil);
        const sent = Array.from({ length: 20 }, (_, index) => ({ text: `${'نقل الحفل إلى المسرح الكبير '.repeat(9)}${index} 🎪` }));
        for (const data of sent) await munadi.publish(topic, data);
        assert.deepEqual(await heard(subscription, 20), sent);
        assert.ok(subscription.deltaStats().numDeltaPayloads > 0);
      });

      for (const away of ['disconnect', 'unsubscribe']) {
        test(`recovery after ${away} gives whole values`, async () => {
          const [topic, client] = [fresh('delta:away'), await connected()];
          const subscription = await follows(client, topic, fossil);
          await munadi.publish(topic, { n: 1, text: 'base message content' });
          await heard(subscription, 1);
          if (away === 'disconnect') client.disconnect();
          else subscription.unsubscribe();
          await munadi.publish(topic, { n: 2, text: 'base message content updated' });
          await munadi.publish(topic, { n: 3, text: 'base message content updated again' });
          const back = event(subscription, 'subscribed');
          if (away === 'disconnect') client.connect();
          else subscription.subscribe();
          assert.equal((await back).recovered, true);
          await heard(subscription, 3);
          await munadi.publish(topic, { n: 4, text: 'base message content updated again, live' });
          const texts = (await heard(subscription, 4)).map(({ n, text }) => `${n} ${text}`);
          assert.deepEqual(texts, [
            '1 base message content',
            '2 base message content updated',
            '3 base message content updated again',
            '4 base message content updated again, live',
          ]);
        });
      }
    });

    describe('getState', () => {
      const nowhere = { offset: 0, epoch: '' };

      test('is asked before the first subscription, and not after a recovery', async () => {
        const [topic, client] = [fresh(), await connected()];
        for (const i of [1, 2, 3]) await munadi.publish(topic, { i });
        let asked = 0;
        const getState = async () => {
          asked += 1;
          return nowhere;
        };
        const subscription = await follows(client, topic, { recoverable: true, getState });
        assert.deepEqual(await heard(subscription, 3), [1, 2, 3].map((i) => ({ i })));
        const back = event(subscription, 'subscribed');
        client.disconnect();
        client.connect();
        await back;
        assert.equal(asked, 1);
      });

      test('`since` from the beginning subscribes without it', async () => {
        const [topic, client] = [fresh(), await connected()];
        await munadi.publish(topic, { i: 1 });
        const subscription = await follows(client, topic, { since: nowhere });
        assert.deepEqual(await heard(subscription, 1), [{ i: 1 }]);
      });

      test('is asked again after it failed', async () => {
        const client = await connected();
        let asked = 0;
        const subscription = client.newSubscription(fresh(), {
          minResubscribeDelay: 10,
          maxResubscribeDelay: 50,
          getState: async () => {
            if ((asked += 1) < 4) throw new Error('no database');
            return nowhere;
          },
        });
        const errors = [];
        subscription.on('error', (context) => errors.push(context));
        subscription.subscribe();
        await subscription.ready(5_000);
        assert.equal(asked, 4);
        assert.equal(errors[0].type, 'subscribe');
      });

      test('a position from before the first publication of an empty topic gives them all', async () => {
        const [topic, client] = [fresh(), await connected()];
        const probe = client.newSubscription(topic, { recoverable: true });
        const first = event(probe, 'subscribed');
        probe.subscribe();
        const { epoch } = (await first).streamPosition;
        assert.ok(epoch && epoch !== '_');
        probe.unsubscribe();
        client.removeSubscription(probe);
        for (const i of [1, 2]) await munadi.publish(topic, { i });
        const subscription = await follows(client, topic, { getState: async () => ({ offset: 0, epoch }) });
        assert.deepEqual(await heard(subscription, 2), [{ i: 1 }, { i: 2 }]);
      });

      test('is asked again when the position is lost (error 112)', async () => {
        const [topic, client] = [fresh('smallhistory:state'), await connected()];
        let asked = 0;
        const subscription = await follows(client, topic, {
          minResubscribeDelay: 10,
          maxResubscribeDelay: 50,
          getState: async () => {
            asked += 1;
            const { offset, epoch } = await munadi.server('history', { channel: topic, limit: 0 });
            assert.ok(epoch);
            return { offset, epoch };
          },
        });
        assert.equal(asked, 1);
        client.disconnect();
        for (let i = 0; i < 5; i += 1) await munadi.publish(topic, { i });
        const back = event(subscription, 'subscribed');
        client.connect();
        await back;
        assert.equal(asked, 2);
      });
    });

    test('maps, shared polls and what else is not spoken are declined politely', async () => {
      const client = await connected();
      const map = client.newMapSubscription(fresh('delta:map'));
      const left = event(map, 'unsubscribed');
      map.subscribe();
      assert.equal((await left).code, NOT_AVAILABLE);
      await follows(client, fresh());
    });
  });
}
