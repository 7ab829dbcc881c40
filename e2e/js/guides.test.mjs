// The guides in docs/clients: what stands there is run as it stands there, only at another address and with another account.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Munadi } from './munadi.mjs';
import { Proxy } from './proxy.mjs';
import { until } from './until.mjs';

const GUIDES = fileURLToPath(new URL('../../docs/clients/', import.meta.url));
const HERE = fileURLToPath(new URL('.', import.meta.url));
const PYTHON = fileURLToPath(new URL('../python/.venv/bin/python', import.meta.url));
const PASSWORD = 'correct horse battery staple';
const APP = '[hub.pusher.apps.1]\nkey = "festival-key"\nsecret = "a secret of 16 characters or more"\n[hub.classes.default]\n';

/** The snippets of a guide in `language`, in their order; those that are a fragment of something else are left out. */
function snippets(guide, language, kind = '') {
  const text = fs.readFileSync(path.join(GUIDES, guide), 'utf8');
  const found = [...text.matchAll(/^```(\w+)(?: (\w+))?\n([\s\S]*?)^```$/gm)];
  return found.filter(([, name, word = '']) => name === language && word === kind).map(([, , , code]) => code);
}

describe('the guides', { timeout: 180_000 }, () => {
  let munadi;
  let proxy;
  const children = new Set();

  before(async () => {
    munadi = await Munadi.start({ toml: APP });
    proxy = await Proxy.to(munadi.port);
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await proxy?.close();
    await munadi?.stop();
  });

  /** A snippet as a person would have filled it in. Its connection goes over the proxy, so that it can be cut. */
  const filled = (code, person) => code
    .replaceAll('ws://127.0.0.1:8000', `ws://127.0.0.1:${proxy.port}`)
    .replaceAll('127.0.0.1:8000', `127.0.0.1:${munadi.port}`)
    .replaceAll('wsPort: 8000', `wsPort: ${proxy.port}`)
    .replaceAll('port=8000', `port=${munadi.port}`)
    .replaceAll('you@example.org', person?.email)
    .replaceAll('your password', PASSWORD);

  /** Starts a program; `said` is what it has printed. */
  function start(command, args, options) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    children.add(child);
    const program = { child, said: '' };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { program.said += text; });
    program.says = (what) => until(`the program says ${what}, having said:\n${program.said}`, () => {
      if (child.exitCode) throw new Error(program.said);
      return what.test(program.said);
    });
    program.end = async () => {
      child.kill();
      await once(child, 'exit');
      children.delete(child);
    };
    return program;
  }

  /** What both programs do: follow, recover, acknowledge. */
  async function follows(program, person) {
    await program.says(/^connected/m);
    await program.says(/^following festival/m);
    const concert = await munadi.concert();
    await munadi.move(concert);
    await program.says(/^festival \d+: event\.moved/m);
    proxy.cut();
    await program.says(/connection lost/);
    await munadi.move(concert);
    proxy.mend();
    await program.says(/^back, nothing missed/m);
    await until('the missed change', () => program.said.match(/event\.moved/g).length === 2);
    const announcement = await munadi.announce({
      lane: 'transactional',
      title: { en: 'Your seat', ar: 'مقعدك' },
      body: { en: 'Row 5', ar: 'الصف ٥' },
      audience: { kind: 'users', user_ids: [person.id] },
    });
    await program.says(/^notification: Your seat \/ مقعدك/m);
    await program.says(/^acknowledged/m);
    await until('it is counted', async () => (await munadi.counts(announcement)).by_state.delivered === 1);
    await program.end();
  }

  test('JavaScript: connect, token, subscribe, recover, acknowledge', async (t) => {
    const person = await munadi.person('attendee');
    const file = path.join(HERE, `guide-${process.pid}.mjs`); // beside node_modules, where a person's program stands, too
    fs.writeFileSync(file, filled(snippets('javascript.md', 'js').join('\n'), person));
    t.after(() => fs.rmSync(file));
    await follows(start(process.execPath, [file]), person);
  });

  test('Python: connect, token, subscribe, recover, acknowledge', async () => {
    const person = await munadi.person('attendee');
    const file = path.join(munadi.dir, 'guide.py');
    fs.writeFileSync(file, filled(snippets('python.md', 'python').join('\n\n'), person));
    await follows(start(PYTHON, [file]), person);
  });

  test('curl: subscribe, token, recover, acknowledge', async () => {
    const person = await munadi.person('attendee');
    const [follow, followAsSomebody, recover] = snippets('curl.md', 'sh', 'stream').map((code) => filled(code, person));
    const [signIn, acknowledge] = snippets('curl.md', 'sh').map((code) => filled(code, person));
    const shell = (code, env) => start('bash', ['-ec', code.replace(/\bcurl /, 'exec curl ')], { env: { ...process.env, ...env } });
    const messages = ({ said }) => said.split('\n').map((line) => line.replace(/^data: ?/, '')).filter((line) => line.startsWith('{') && line !== '{}').map((line) => JSON.parse(line));
    const move = async (concert, streams) => {
      await munadi.move(concert);
      for (const stream of streams) await until('the move', () => messages(stream).some(({ pub }) => pub?.data.type === 'event.moved'));
    };

    const token = execFileSync('bash', ['-ec', `${signIn}\nprintf %s "$TOKEN"`], { encoding: 'utf8' });
    assert.equal(token.split('.').length, 3, token);
    const stream = shell(follow);
    const own = shell(followAsSomebody, { TOKEN: token });
    for (const one of [stream, own]) await one.says(/"connect"/);
    assert.deepEqual(Object.keys(messages(own)[0].connect.subs).sort(), ['festival', `user:${person.id}`]);
    const { epoch, offset = 0 } = messages(stream)[0].connect.subs.festival;
    const concert = await munadi.concert();
    await move(concert, [stream, own]);
    await stream.end();

    const again = shell(recover, { EPOCH: epoch, OFFSET: String(offset) });
    await again.says(/"connect"/);
    assert.equal(messages(again)[0].connect.subs.festival.recovered, true);
    await again.says(/event\.moved/);
    await again.end();

    const announcement = await munadi.announce({
      lane: 'transactional',
      title: { en: 'Your seat', ar: 'مقعدك' },
      body: { en: 'Row 5', ar: 'الصف ٥' },
      audience: { kind: 'users', user_ids: [person.id] },
    });
    const notice = await until('the notification', () => messages(own).map(({ pub }) => pub?.data).find((data) => data?.type === 'notification'));
    const env = { ...process.env, DELIVERY_ID: notice.delivery_id, RECEIPT_CODE: notice.receipt_code };
    const answer = JSON.parse(execFileSync('bash', ['-ec', acknowledge], { env, encoding: 'utf8' }));
    assert.equal(answer.success, true);
    await until('it is counted', async () => (await munadi.counts(announcement)).by_state.delivered === 1);
    await own.end();
  });

  test('Laravel Echo: connect and subscribe; a back end publishes', async (t) => {
    const file = path.join(HERE, `guide-echo-${process.pid}.mjs`);
    const more = "echo.channel('news').subscribed(() => console.log('following news')).listen('.greeting', ({ text }) => console.log(`greeting: ${text}`));\n";
    fs.writeFileSync(file, filled(snippets('laravel-echo.md', 'js').join('\n') + more));
    t.after(() => fs.rmSync(file));
    const program = start(process.execPath, [file]);
    for (const words of [/^connected/m, /^following festival/m, /^following news/m]) await program.says(words);
    await munadi.move(await munadi.concert());
    await program.says(/^moved: Concert \d+/m);
    execFileSync(PYTHON, ['-c', filled(snippets('laravel-echo.md', 'python').join('\n'))], { stdio: 'inherit' });
    await program.says(/^greeting: مرحبا/m);
    await program.end();
  });
});
