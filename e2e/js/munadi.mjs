// The real binary in a directory of its own, and its API as tests need it.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { createHmac, createPrivateKey, sign } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.mjs';

const BINARY = process.env.MUNADI_BIN;
const CONFORMANCE = fileURLToPath(new URL('../../config/conformance.toml', import.meta.url));
/** The key of the server API in `config/conformance.toml`; other configurations of these tests take the same. */
export const API_KEY = 'test-api-key';
/** The secret of foreign tokens there. */
export const HMAC_SECRET = 'secret';
const PASSWORD = 'correct horse battery staple';

/** A port that was free a moment ago. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export class Munadi {
  /** Starts one process on the embedded default. `toml` is added to its configuration; with TLS if `secure`. */
  static async start({ toml = '', secure = false } = {}) {
    assert.ok(BINARY, 'MUNADI_BIN has to name the binary: run e2e/run.sh');
    const munadi = new Munadi();
    munadi.secure = secure;
    munadi.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'munadi-e2e-'));
    munadi.port = await freePort();
    munadi.adminPort = await freePort();
    munadi.config = path.join(munadi.dir, 'munadi.toml');
    fs.writeFileSync(munadi.config, configuration(munadi, toml));
    try {
      await munadi.up();
      munadi.admin = await munadi.firstAdmin();
    } catch (error) {
      await munadi.stop();
      throw error;
    }
    return munadi;
  }

  /** Starts one process on `config/conformance.toml`, on a port of its own. `redis` is the URL of its change log, if it has one. */
  static async conforming({ redis } = {}) {
    assert.ok(BINARY, 'MUNADI_BIN has to name the binary: run e2e/run.sh');
    const munadi = new Munadi();
    munadi.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'munadi-e2e-'));
    munadi.port = await freePort();
    munadi.adminPort = await freePort();
    munadi.config = CONFORMANCE;
    munadi.env = {
      MUNADI__DATA_DIR: path.join(munadi.dir, 'data'),
      MUNADI__HTTP__LISTEN: `["127.0.0.1:${munadi.port}"]`,
      MUNADI__ADMIN__LISTEN: `["127.0.0.1:${munadi.adminPort}"]`,
      ...(redis && { MUNADI__STREAMS__URL: redis }),
    };
    try {
      await munadi.up();
    } catch (error) {
      await munadi.stop();
      throw error;
    }
    return munadi;
  }

  get base() {
    return `${this.secure ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  /** Where sockets connect; `port` may be a proxy's. */
  socket(port = this.port) {
    return `ws://127.0.0.1:${port}/connection/websocket`;
  }

  /** Starts the process (again) and waits until it is ready. */
  async up() {
    const log = fs.openSync(path.join(this.dir, 'munadi.log'), 'a');
    this.child = spawn(BINARY, ['serve', '--config', this.config], { stdio: ['ignore', log, log], env: this.environment() });
    fs.closeSync(log);
    await until('munadi is ready', async () => {
      if (this.child.exitCode !== null) throw new Error(`munadi has ended:\n${this.log()}`);
      return (await fetch(`http://127.0.0.1:${this.adminPort}/health/ready`)).ok;
    });
  }

  environment() {
    return { ...process.env, ...this.env };
  }

  /** Ends the process and removes its directory. */
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      const hard = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
      await once(this.child, 'exit');
      clearTimeout(hard);
    }
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  log() {
    return fs.readFileSync(path.join(this.dir, 'munadi.log'), 'utf8').slice(-4000);
  }

  /** Runs a command of the binary on this installation; gives its standard output. */
  command(...args) {
    return execFileSync(BINARY, [...args, '--config', this.config], { encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** Calls the API as whom `token` says (the admin when it is left out); gives the answer's `data`. */
  async call(method, route, body, { token = this.admin?.token, etag } = {}) {
    const { data } = await this.answer(method, route, body, { token, etag });
    return data;
  }

  /** The same with the whole envelope and the entity tag. */
  async answer(method, route, body, { token = this.admin?.token, etag } = {}) {
    const headers = { 'content-type': 'application/json' };
    if (token) headers.authorization = `Bearer ${token}`;
    if (etag) headers['if-match'] = etag;
    const response = await fetch(this.base + route, { method, headers, body: body && JSON.stringify(body) });
    const envelope = await response.json();
    assert.ok(response.ok, `${method} ${route}: ${response.status} ${JSON.stringify(envelope)}`);
    return { ...envelope, etag: response.headers.get('etag') };
  }

  /** The first admin, made with the binary; logged in. */
  async firstAdmin() {
    const email = 'admin@example.org';
    const command = ['user', 'create', '--email', email, '--role', 'admin', '--password-file', '-', '--config', this.config];
    execFileSync(BINARY, command, { input: PASSWORD, stdio: ['pipe', 'pipe', 'pipe'] });
    return this.login({ email });
  }

  /** A new person of that role, logged in. */
  async person(role) {
    this.people = (this.people ?? 0) + 1;
    const email = `${role}-${this.people}@example.org`;
    await this.call('POST', '/api/v1/users', { email, name: `Number ${this.people}`, password: PASSWORD, roles: [role] });
    return this.login({ email });
  }

  /** Logs a person in (again). */
  async login({ email }) {
    const session = await this.call('POST', '/api/v1/auth/login', { email, password: PASSWORD }, { token: null });
    return { email, id: session.user.id, token: session.access_token };
  }

  /** A new public event. */
  async concert() {
    this.venue ??= await this.call('POST', '/api/v1/venues', {
      name: { en: 'Main stage', ar: 'المسرح الرئيسي' }, timezone: 'Africa/Cairo',
    });
    this.concerts = (this.concerts ?? 0) + 1;
    const starts = Date.parse('2030-07-15T18:00:00Z') + this.concerts * 86_400_000;
    const fields = {
      title: { en: `Concert ${this.concerts}`, ar: `حفل ${this.concerts}` },
      venue_id: this.venue.id,
      start_time: new Date(starts).toISOString(),
      end_time: new Date(starts + 3_600_000).toISOString(),
      timezone: 'Africa/Cairo',
    };
    const { data, etag } = await this.answer('POST', '/api/v1/events', { ...fields, status: 'published' });
    return { id: data.id, fields, etag };
  }

  /** Moves an event by a minute; gives it as it is now. */
  async move(concert) {
    const later = (time) => new Date(Date.parse(time) + 60_000).toISOString();
    const { start_time, end_time } = concert.fields;
    Object.assign(concert.fields, { start_time: later(start_time), end_time: later(end_time) });
    const { data, etag } = await this.answer('PUT', `/api/v1/events/${concert.id}`, concert.fields, concert);
    concert.etag = etag;
    return data;
  }

  /** Moves an event that somebody else has made by so many minutes. */
  async postpone({ id }, minutes) {
    const { data, etag } = await this.answer('GET', `/api/v1/events/${id}?expand=i18n`);
    const later = (time) => new Date(Date.parse(time) + minutes * 60_000).toISOString();
    const { title, description, language, capacity, timezone } = data;
    const fields = {
      title, description, language, capacity, timezone,
      venue_id: data.venue.id,
      category_id: data.category?.id,
      performer_ids: data.performers.map((performer) => performer.id),
      start_time: later(data.start_time),
      end_time: later(data.end_time),
    };
    return this.call('PUT', `/api/v1/events/${id}`, fields, { etag });
  }

  /** Every item of a list, over all of its pages. */
  async everything(route) {
    const items = [];
    let cursor = '';
    do {
      const { data, meta } = await this.answer('GET', `${route}?expand=i18n&limit=50${cursor}`);
      items.push(...data);
      cursor = meta.next_cursor && `&cursor=${encodeURIComponent(meta.next_cursor)}`;
    } while (cursor);
    return items;
  }

  /** Publishes an announcement that is of use for ten minutes. */
  announce(announcement) {
    return this.call('POST', '/api/v1/announcements', { ttl_seconds: 600, ...announcement });
  }

  /** Calls a method of the server API; gives its `result`. */
  async server(method, body) {
    const response = await fetch(`${this.base}/api/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': API_KEY },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method}: ${response.status} ${text}`);
    const { result, error } = JSON.parse(text);
    assert.equal(error, undefined, `${method}: ${text}`);
    return result;
  }

  /** Publishes into a topic over the server API. */
  publish(channel, data, options) {
    return this.server('publish', { channel, data, ...options });
  }

  /** The counts of an announcement's deliveries. */
  async counts({ id }) {
    return (await this.call('GET', `/api/v1/announcements/${id}`)).receipts;
  }

  /** Does `work` so often, so many at a time. */
  async inParallel(width, times, work) {
    let next = 0;
    const worker = async () => {
      for (let number = next++; number < times; number = next++) await work(number);
    };
    await Promise.all(Array.from({ length: width }, worker));
  }

  /** A token as a back end for Centrifugo signs it (HS256). */
  static foreignToken(claims) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
    return `${text}.${createHmac('sha256', HMAC_SECRET).update(text).digest('base64url')}`;
  }

  /** An access token like the person's own that ends so many seconds from now. */
  shortToken({ token }, seconds) {
    const decode = (part) => JSON.parse(Buffer.from(part, 'base64url'));
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const [header, claims] = token.split('.').slice(0, 2).map(decode);
    const now = Math.floor(Date.now() / 1000);
    const text = `${encode(header)}.${encode({ ...claims, iat: now - 120, exp: now + seconds })}`;
    const key = createPrivateKey(fs.readFileSync(this.keyFile()));
    return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`;
  }

  /** The installation's signing key, which it made at its first start. */
  keyFile() {
    return path.join(this.dir, 'data', 'signing-key.pem');
  }

  /** Settings with which a topic's history is short, and how many changes it holds then. */
  static SHORT_HISTORY_LENGTH = 20;
  static SHORT_HISTORY = `[hub.history]\npublications_max = ${Munadi.SHORT_HISTORY_LENGTH}\n`;
}

function configuration({ dir, port, adminPort }, toml) {
  return `
data_dir = "${dir}/data"
[http]
listen = ["127.0.0.1:${port}"]
[admin]
listen = ["127.0.0.1:${adminPort}"]
[hub]
origins = ["http://127.0.0.1:*"]
[api.rate_limits]
auth = { requests = 100000, window_secs = 1 }
anonymous = { requests = 100000, window_secs = 1 }
staff = { requests = 100000, window_secs = 1 }
${toml}`;
}
