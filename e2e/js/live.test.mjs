// The page at /live in a real browser: what it shows is what happens.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { browse } from './chromium.mjs';
import { Munadi } from './munadi.mjs';
import { WAYS, follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const SDK = path.join(path.dirname(path.dirname(createRequire(import.meta.url).resolve('centrifuge'))), 'dist');
// where SCREENSHOTS names a directory, people can look at what the tests saw
const shot = (tab, name) => process.env.SCREENSHOTS && tab.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}.png`) });

describe('the page at /live', { timeout: 120_000 }, () => {
  let munadi;
  let bystander;
  before(async () => {
    munadi = await Munadi.start({ toml: `[live]\nsdk_dir = "${SDK}"\nsdk_url = ""\n` });
    bystander = sdk(munadi);
    bystander.connect();
  });
  after(async () => {
    bystander?.disconnect();
    await munadi?.stop();
  });

  /** A tab with the page; what goes wrong in it fails the test. */
  async function open(t, query = '', options = {}) {
    const context = await (await browse(t)).newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const tab = await context.newPage();
    tab.wrong = [];
    tab.on('pageerror', (error) => tab.wrong.push(String(error)));
    tab.on('console', (said) => said.type() === 'error' && tab.wrong.push(said.text()));
    await tab.goto(`${munadi.base}/live${query}`);
    return tab;
  }
  const state = (tab) => tab.locator('#state').textContent();
  const reads = (tab, what, text) => until(`${what} reads ${text}`, async () => text.test(await tab.locator(what).first().textContent()));
  const offsets = async (tab) => {
    const texts = await tab.locator('#messages li:not([data-kind="note"]) .meta').allTextContents();
    return texts.map((text) => Number(/offset (\d+)/.exec(text)?.[1])).reverse();
  };

  for (const { transport, codec } of WAYS) {
    test(`shows changes as they come and what was missed, over ${transport} in ${codec}`, async (t) => {
      const concert = await munadi.concert();
      const topic = `event:${concert.id}`;
      const tab = await open(t, `?topics=${topic}&transport=${transport}&dialect=${codec}`);
      await tab.getByRole('button', { name: 'Connect', exact: true }).click();
      await reads(tab, `[data-topic="${topic}"] .phase`, /^subscribed/);
      assert.equal(await state(tab), 'Connected');
      await reads(tab, '#fact-transport', new RegExp(`^${transport}, ${codec}$`));
      await munadi.move(concert);
      await reads(tab, '#messages li[data-kind="live"]', /event\.moved/);

      const witness = follow(bystander, topic);
      await event(witness, 'subscribed');
      await tab.getByRole('button', { name: 'Cut the line' }).click();
      await reads(tab, '#state', /Line cut/);
      for (let change = 0; change < 3; change += 1) await munadi.move(concert);
      await until('all of it is published', () => witness.moves.length === 3);
      await tab.getByRole('button', { name: 'Mend the line' }).click();
      await until('the missed changes are shown', async () => await tab.locator('#messages li[data-kind="recovered"]').count() === 3);
      await reads(tab, `[data-topic="${topic}"] .phase`, /nothing missed/);
      await munadi.move(concert);
      await until('live again', async () => Number(await tab.locator('#fact-messages').textContent()) >= 5);
      const seen = await offsets(tab);
      assert.deepEqual(seen, [...new Set(seen)].sort((one, other) => one - other));
      assert.equal(await tab.locator('#fact-connections').textContent(), '2');
      await shot(tab, `live-${transport}-${codec}`);
      assert.deepEqual(tab.wrong, []);
    });
  }

  test('a person is told what concerns them, in both languages, and confirms it, with the keyboard alone', async (t) => {
    const attendee = await munadi.person('attendee');
    const tab = await open(t, '', { colorScheme: 'dark' });
    await tab.locator('#token').focus();
    await tab.keyboard.type(attendee.token);
    await tab.keyboard.press('Enter');
    const own = `user:${attendee.id}`;
    await reads(tab, `[data-topic="${own}"] .phase`, /^subscribed/);
    const announcement = await munadi.announce({
      lane: 'emergency',
      title: { en: 'Leave by the north gate', ar: 'غادروا من البوابة الشمالية' },
      body: { en: 'Walk, do not run.', ar: 'امشوا ولا تركضوا.' },
      audience: { kind: 'users', user_ids: [attendee.id] },
    });
    const notice = tab.locator('#messages li[data-lane="emergency"]').filter({ hasText: 'notification' }).first();
    await notice.waitFor({ timeout: 20_000 });
    const arabic = notice.locator('.text[lang="ar"]');
    assert.match(await arabic.textContent(), /غادروا من البوابة الشمالية/);
    const { direction, align } = await arabic.evaluate((text) => {
      const style = getComputedStyle(text);
      return { direction: style.direction, align: style.textAlign };
    });
    assert.deepEqual({ direction, align }, { direction: 'rtl', align: 'right' });
    await notice.getByRole('button', { name: 'Confirm' }).focus();
    await tab.keyboard.press('Enter');
    await notice.getByRole('button', { name: 'Confirmed' }).waitFor({ timeout: 20_000 });
    await until('the receipt is counted', async () => (await munadi.counts(announcement)).by_state.delivered === 1);
    await shot(tab, 'live-notification-dark');
    assert.deepEqual(tab.wrong, []);
  });

  test('topics can be added, left and refused; a bad token is said', async (t) => {
    const tab = await open(t, '?topics=');
    await tab.getByRole('button', { name: 'Connect', exact: true }).click();
    await reads(tab, '#state', /^Connected$/);
    await tab.locator('#topic').fill('staff:programme');
    await tab.keyboard.press('Enter');
    await reads(tab, '[data-topic="staff:programme"] .phase', /103/);
    await tab.locator('#topic').fill('festival');
    await tab.keyboard.press('Enter');
    await reads(tab, '[data-topic="festival"] .phase', /^subscribed/);
    await tab.getByRole('button', { name: 'Unsubscribe: festival' }).click();
    await reads(tab, '[data-topic="festival"] .phase', /^unsubscribed/);
    await tab.getByRole('button', { name: 'Remove: festival' }).click();
    await until('the topic is gone', async () => await tab.locator('[data-topic="festival"]').count() === 0);
    await tab.getByRole('button', { name: 'Disconnect' }).click();
    await reads(tab, '#state', /^Disconnected$/);
    await tab.locator('#token').fill('nonsense');
    await tab.keyboard.press('Enter');
    await reads(tab, '#state', /3500/);
    await shot(tab, 'live-refused');
  });

  test('the hashes that browsers demand are those of the SDK that is tested here', async () => {
    const { builds, integrity } = await (await fetch(`${munadi.base}/live/settings.json`)).json();
    assert.deepEqual(builds, ['centrifuge.js', 'centrifuge.protobuf.js']);
    for (const build of builds) {
      const hash = createHash('sha384').update(fs.readFileSync(path.join(SDK, build))).digest('base64');
      assert.equal(integrity[build], `sha384-${hash}`, build);
    }
  });

  test('without any SDK the page says what to do', async (t) => {
    const tab = await open(t);
    await tab.route('**/live/sdk/*', (route) => route.abort());
    await tab.getByRole('button', { name: 'Connect', exact: true }).click();
    await reads(tab, '#trouble', /npm pack centrifuge/);
    assert.equal(await state(tab), 'No SDK');
  });

  test('a narrow screen shows everything, and nothing sticks out', async (t) => {
    const tab = await open(t, '', { viewport: { width: 360, height: 740 } });
    await tab.getByRole('button', { name: 'Connect', exact: true }).click();
    await reads(tab, '[data-topic="festival"] .phase', /^subscribed/);
    await munadi.move(await munadi.concert());
    await reads(tab, '#messages li', /event/);
    const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0);
    await shot(tab, 'live-narrow');
  });
});
