// A real Prometheus scrapes a loaded Munadi: every panel and every alert has to say something.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { API_KEY, Munadi, freePort } from './munadi.mjs';
import { follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const DASHBOARDS = fileURLToPath(new URL('../../dashboards/', import.meta.url));
const PROMETHEUS = process.env.PROMETHEUS_BIN ?? 'prometheus';
const PROMTOOL = process.env.PROMTOOL_BIN ?? 'promtool';

/** The panels' queries, with Grafana's variables as a dashboard of the last minute has them. */
function panelQueries() {
  const queries = [];
  for (const file of fs.readdirSync(DASHBOARDS).filter((name) => name.endsWith('.json'))) {
    const { panels } = JSON.parse(fs.readFileSync(path.join(DASHBOARDS, file), 'utf8'));
    for (const panel of panels) {
      for (const { expr } of panel.targets ?? []) {
        const query = expr.replaceAll('$__rate_interval', '30s').replaceAll('$__range', '1m');
        assert.ok(!query.includes('$'), `${file}, ${panel.title}: a variable that this test does not know: ${query}`);
        queries.push({ name: `${file}, ${panel.title}`, query });
      }
    }
  }
  return queries;
}

/** The alerts' expressions as Prometheus has loaded them, without the threshold that makes them fire. */
function withoutThreshold(query) {
  const bare = query.replace(/\s*(?:==|!=|>=|<=|>|<)\s*[\d.]+(?:e-?\d+)?$/, '');
  assert.notEqual(bare, query, `an alert without a threshold at its end: ${query}`);
  return bare;
}

describe('dashboards', { timeout: 180_000 }, () => {
  let munadi;
  let prometheus;
  let base;
  let busy = true;
  let load;

  before(async () => {
    munadi = await Munadi.start({ toml: `[hub.server_api]\nkey = "${API_KEY}"\n` });
    const port = await freePort();
    base = `http://127.0.0.1:${port}`;
    const config = fs.readFileSync(path.join(DASHBOARDS, 'prometheus.yml'), 'utf8')
      .replaceAll(/(scrape|evaluation)_interval: 10s/g, '$1_interval: 1s')
      .replace('127.0.0.1:8001', `127.0.0.1:${munadi.adminPort}`)
      .replace('- alerts.yml', `- ${path.join(DASHBOARDS, 'alerts.yml')}`);
    const file = path.join(munadi.dir, 'prometheus.yml');
    fs.writeFileSync(file, config);
    prometheus = spawn(PROMETHEUS, [
      `--config.file=${file}`, `--storage.tsdb.path=${path.join(munadi.dir, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ], { stdio: 'ignore' });
    load = keepBusy();
    await until('prometheus is ready', async () => (await fetch(`${base}/-/ready`)).ok);
  });
  after(async () => {
    busy = false;
    await load;
    if (prometheus && prometheus.exitCode === null) {
      prometheus.kill('SIGKILL');
      await once(prometheus, 'exit');
    }
    await munadi?.stop();
  });

  /** Does a little of everything, so that every rate has something to rise from. */
  async function keepBusy() {
    const concert = await munadi.concert();
    const attendee = await munadi.person('attendee');
    const client = sdk(munadi, { token: attendee.token });
    client.on('publication', ({ data }) => {
      if (data.type !== 'notification') return;
      client.rpc('ack', { delivery_id: data.delivery_id, code: data.receipt_code, state: 'delivered' }).catch(() => {});
    });
    client.connect();
    await event(follow(client, `event:${concert.id}`), 'subscribed');
    for (let round = 0; busy; round += 1) {
      if (round % 20 === 0) {
        await munadi.announce({
          lane: 'emergency', title: { en: 'Storm', ar: 'عاصفة' }, body: { en: 'Leave', ar: 'غادروا' },
          audience: { kind: 'users', user_ids: [attendee.id] },
        });
      }
      await munadi.move(concert);
      await munadi.login(attendee);
      await munadi.server('info', {});
      await munadi.announce({
        lane: 'standard', title: { en: 'News', ar: 'خبر' }, body: { en: 'News', ar: 'خبر' },
        audience: { kind: 'users', user_ids: [attendee.id] },
      });
      const visitor = sdk(munadi);
      visitor.connect();
      await visitor.ready(10_000);
      visitor.disconnect();
    }
    client.disconnect();
  }

  async function ask(path) {
    const response = await fetch(`${base}/api/v1/${path}`);
    const { status, data, error } = await response.json();
    assert.equal(status, 'success', `${path}: ${error}`);
    return data;
  }

  /** Waits until a query has data: a number, not merely a series of "not a number". */
  function answered(name, query) {
    return until(`${name}: ${query}`, async () => {
      const { result } = await ask(`query?query=${encodeURIComponent(query)}`);
      return result.some(({ value }) => value[1] !== 'NaN');
    }, 60_000);
  }

  test('every panel has data', async () => {
    const queries = panelQueries();
    assert.ok(queries.length > 40);
    for (const { name, query } of queries) await answered(name, query);
  });

  test('every alert has data to judge', async () => {
    const { groups } = await until('the rules were evaluated', async () => {
      const data = await ask('rules');
      return data.groups.every(({ rules }) => rules.every(({ health }) => health === 'ok')) && data;
    });
    const alerts = groups.flatMap(({ rules }) => rules);
    assert.ok(alerts.length > 10);
    for (const { name, query, state } of alerts) {
      await answered(name, withoutThreshold(query));
      assert.notEqual(state, 'firing', `${name} fires on a healthy installation`);
    }
  });

  test('alerts fire when they should', () => {
    execFileSync(PROMTOOL, ['test', 'rules', path.join(DASHBOARDS, 'alerts_test.yml')], { stdio: 'pipe' });
  });
});
