// TLS in the binary itself: the unmodified SDK over every transport, with a certificate authority of this test.
//
// Node reads its authorities when it starts, so that this file runs itself once more with them.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Munadi } from './munadi.mjs';
import { WAYS, follow, sdk } from './sdk.mjs';
import { event, until } from './until.mjs';

const DIR = process.env.MUNADI_TLS_DIR;

/** An authority and a certificate of its for this machine, in `dir`. */
function certify(dir) {
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=Test authority', '-keyout', 'ca.key', '-out', 'ca.pem');
  openssl('req', ...key, '-subj', '/CN=localhost', '-keyout', 'key.pem', '-out', 'request.pem');
  fs.writeFileSync(path.join(dir, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  openssl('x509', '-req', '-in', 'request.pem', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names', '-out', 'certificate.pem');
}

if (!DIR) {
  test('over TLS', { timeout: 120_000 }, () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'munadi-tls-'));
    try {
      certify(dir);
      const { NODE_TEST_CONTEXT, ...env } = process.env;
      Object.assign(env, { NODE_EXTRA_CA_CERTS: path.join(dir, 'ca.pem'), MUNADI_TLS_DIR: dir });
      const ran = spawnSync(process.execPath, ['--test', fileURLToPath(import.meta.url)], { env, encoding: 'utf8' });
      assert.equal(ran.status, 0, ran.stdout + ran.stderr);
      assert.match(ran.stdout, /pass [1-9]/);
    } finally {
      fs.rmSync(dir, { recursive: true, force: true });
    }
  });
} else {
  describe('over TLS, with its authority', { timeout: 100_000 }, () => {
    let munadi;
    before(async () => {
      const toml = `[http.tls]\ncertificate_file = "${DIR}/certificate.pem"\nkey_file = "${DIR}/key.pem"\n`;
      munadi = await Munadi.start({ toml, secure: true });
    });
    after(() => munadi?.stop());

    for (const { transport, codec } of WAYS) {
      test(`${codec} over ${transport} hears what happens`, async (t) => {
        const concert = await munadi.concert();
        const client = sdk(munadi, { secure: true, transport, codec, websocket: WebSocket });
        t.after(() => client.disconnect());
        client.connect();
        const topic = follow(client, `event:${concert.id}`);
        await event(topic, 'subscribed');
        for (let change = 1; change <= 3; change += 1) {
          await munadi.move(concert);
          await until('the move has come', () => topic.heard.length >= change, 5_000);
        }
      });
    }
  });
}
