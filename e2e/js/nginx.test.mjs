// The sample configuration of the reverse proxy, in a real nginx: every way of talking passes through it.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Munadi, freePort } from './munadi.mjs';
import { WAYS, follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const SAMPLE = fileURLToPath(new URL('../../config/nginx.conf', import.meta.url));
const NGINX = ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find((file) => fs.existsSync(file)) ?? 'nginx';

/** Starts nginx on the sample, with ports, host and certificate of this test. Gives its port and what ends it. */
async function nginx(munadi) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'munadi-nginx-'));
  const port = await freePort();
  const [key, certificate] = [path.join(dir, 'key.pem'), path.join(dir, 'certificate.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', key, '-out', certificate], { stdio: 'pipe' });
  const changes = [
    ['server 127.0.0.1:8000;', `server 127.0.0.1:${munadi.port};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['listen [::]:443 ssl;', ''],
    ['/etc/ssl/festival.example/fullchain.pem', certificate],
    ['/etc/ssl/festival.example/privkey.pem', key],
  ];
  const sample = changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), `the sample has no longer: ${from}`);
    return text.replace(from, to);
  }, fs.readFileSync(SAMPLE, 'utf8'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`);
  const config = path.join(dir, 'nginx.conf');
  fs.writeFileSync(config, `daemon off; pid ${dir}/pid; error_log ${dir}/error.log;
    events { worker_connections 512; }
    http { access_log off; ${temporary.join(' ')}\n${sample}\n}`);
  const child = spawn(NGINX, ['-p', dir, '-e', path.join(dir, 'error.log'), '-c', config], { stdio: 'ignore' });
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    fs.rmSync(dir, { recursive: true, force: true });
  };
  try {
    await until('nginx passes requests on', async () => {
      if (child.exitCode !== null) throw new Error(fs.readFileSync(path.join(dir, 'error.log'), 'utf8'));
      return (await fetch(`https://localhost:${port}/connection/init`)).ok;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, stop };
}

describe('behind nginx', { timeout: 120_000 }, () => {
  let munadi;
  let proxy;
  const verified = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  before(async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // the certificate is this test's own
    munadi = await Munadi.start();
    proxy = await nginx(munadi);
  });
  after(async () => {
    await proxy?.stop();
    await munadi?.stop();
    if (verified === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = verified;
  });

  for (const { transport, codec } of WAYS) {
    test(`${codec} over ${transport} hears what happens as it happens`, async (t) => {
      const concert = await munadi.concert();
      const client = sdk(munadi, { secure: true, port: proxy.port, transport, codec, websocket: WebSocket });
      t.after(() => client.disconnect());
      client.connect();
      const topic = follow(client, `event:${concert.id}`);
      await event(topic, 'subscribed');
      for (let change = 1; change <= 3; change += 1) {
        await munadi.move(concert);
        await until('the move has come through', () => topic.heard.length >= change, 5_000);
      }
    });
  }

  test('the API answers with the address of the caller in mind', async () => {
    const response = await fetch(`https://localhost:${proxy.port}/api/v1/venues`);
    assert.equal(response.status, 200);
    assert.equal((await response.json()).success, true);
  });
});
