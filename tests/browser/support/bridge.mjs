// The real bridge between the simulators, on loopback ports of its own.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as postgres from './postgres.mjs';
import { killAll, run, start } from './process.mjs';
import { until } from './wait.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const BINARY = process.env.BRIDGE_TEST_BINARY ?? join(ROOT, 'target/debug/bridge');

export const TOKEN = 'token-of-the-operators';
export const PHONE = '34600111222';

// Both engines of the store, or the one that is asked for; PostgreSQL is left out where there is none, unless it is required.
const { BRIDGE_TEST_ENGINE: only } = process.env;
export const ENGINES = ['sqlite', 'postgres'].filter((engine) => {
  if (only && engine !== only) return false;
  if (engine === 'sqlite' || postgres.available || process.env.BRIDGE_TEST_POSTGRES_REQUIRED) return true;
  console.error('*** SKIPPED: pages over PostgreSQL. Install it: apt-get install postgresql');
  return false;
});

// Ends what several bridges share, and what a test that failed has left.
export async function stopShared() {
  killAll();
  await postgres.stop();
}

async function call(url, options) {
  const response = await fetch(url, options);
  const text = await response.text();
  let body = text;
  try { body = JSON.parse(text); } catch { /* it is no JSON */ }
  return { status: response.status, body };
}

async function must(url, options) {
  const { status, body } = await call(url, options);
  if (status !== 200) throw new Error(`${url}: ${status} ${JSON.stringify(body)}`);
  return body;
}

// Starts both platforms and the bridge. `settings`: more of its environment, without `BRIDGE__`. `afilnet`: returns what is
// put before the simulated Afilnet, by its URL.
export async function startBridge({ engine = 'sqlite', idType = 'phone', settings = {}, afilnet = (url) => url } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'bridge-browser-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.on('exit', remove);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BRIDGE_')));
  const listen = ['afilnet', 'bonychat', 'anna'].flatMap((of) => [`--${of}-listen`, '127.0.0.1:0']);
  const channels = ['--channel', 'whatsapp:100', '--channel', 'telegram:7'];
  const platforms = start(BINARY, ['simulate', ...listen, ...channels, '--id-type', idType, '--seed', '1'], env, folder);
  const [, far] = await platforms.line(/^Simulated Afilnet: +(\S+)/);
  const [, near] = await platforms.line(/^Simulated BonyChat: +(\S+)/);
  const [farControl, nearControl] = [far, near].map((url) => new URL('/control/', url));
  const channel = (name, id, token, platform, platformId) => Object.entries({
    CHANNEL_ID: id, API_TOKEN: token, ID_TYPE: idType, PLATFORM: platform, PLATFORM_ID: platformId,
    POLL_ACTIVE: '50ms', POLL_IDLE: '100ms',
  }).map(([key, value]) => [`CHANNELS__${name}__${key}`, value]);
  const all = {
    SERVER__LISTEN: '127.0.0.1:0',
    ADMIN__LISTEN: '127.0.0.1:0',
    ADMIN__TOKEN: TOKEN,
    STORE__URL: engine === 'postgres' ? await postgres.freshSchema() : `sqlite:${join(folder, 'bridge.db')}`,
    AFILNET__URL: afilnet(far),
    AFILNET__USER: 'user',
    AFILNET__PASSWORD: 'password',
    AFILNET__REQUESTS_PER_SECOND: '10000',
    AFILNET__TIMEOUT: '5s',
    BONYCHAT__WEBHOOK_URL: near,
    BONYCHAT__REQUESTS_PER_SECOND: '10000',
    OUTBOUND__LOOK_AFTER: '200ms, 300ms, 500ms',
    INBOUND__FIRST_RUN: 'unread',
    INBOUND__STATUS_MAP__4: 'failed',
    RETRY__INITIAL: '50ms',
    RETRY__MAX: '500ms',
    ...Object.fromEntries([
      ...channel('SUPPORT', 'demo', 'demo-token', 'whatsapp', '100'),
      ...channel('SALES', 'demo2', 'demo-token2', 'telegram', '7'),
    ]),
    ...settings,
  };
  const own = { ...env, USER: 'Ana', ...Object.fromEntries(Object.entries(all).map(([key, value]) => [`BRIDGE__${key}`, value])) };
  delete own.SUDO_USER;
  const bridge = start(BINARY, ['serve'], own, folder);
  const [, admin] = await bridge.line(/"address":"([^"]+)".*operators find \/metrics|operators find \/metrics.*"address":"([^"]+)"/)
    .then((match) => [match[0], match[1] ?? match[2]]);
  const [, address] = await bridge.line(/"message":"ready".*"address":"([^"]+)"|"address":"([^"]+)".*"message":"ready"/)
    .then((match) => [match[0], match[1] ?? match[2]]);
  const [url, base] = [`http://${address}`, `http://${admin}`];
  const json = (fields) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) });
  const bearer = { headers: { authorization: `Bearer ${TOKEN}` } };

  const self = {
    base,
    url,
    log: bridge.lines,
    // A call to the control API of the simulated Afilnet, and of the simulated BonyChat.
    far: (path, fields) => must(new URL(path, farControl), fields && json(fields)),
    near: (path, fields) => must(new URL(path, nearControl), fields && json(fields)),
    clearFaults: () => must(new URL('faults', farControl), { method: 'DELETE' }),
    // An agent writes. Returns the mId, also of a message that Afilnet refuses before the call is answered.
    async say(contact, message, { channel: id = 'demo', requestId = '' } = {}) {
      const body = typeof message === 'string' ? { type: 'text', text: message } : message;
      const token = id === 'demo' ? 'demo-token' : 'demo-token2';
      const { status, body: answer } = await call(new URL('/message', url), {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...(requestId && { 'x-request-id': requestId }) },
        body: JSON.stringify({ channelId: id, contactId: contact, message: body }),
      });
      if (status === 200) return answer.mId;
      const newest = (await self.messages('direction=out'))[0];
      if (status !== 400 || newest?.state !== 'failed') throw new Error(`${contact}: ${status} ${JSON.stringify(answer)}`);
      return newest.m_id;
    },
    // The customer writes.
    receive: (destination, text) => self.far('receive', { platformid: '100', destination, text }),
    // Newest first, as the API has them.
    messages: async (query = '') => (await must(new URL(`/api/v1/messages?${query}&limit=500`, base), bearer)).messages,
    state: async (mId) => (await self.messages(`q=${mId}&direction=out`))[0]?.state,
    reaches: (mId, state) => until(`${mId} is ${state}`, async () => (await self.state(mId)) === state),
    // A command of an operator, named Ana.
    command: (...args) => run(BINARY, args, own, folder),
    // The same while it runs. `more`: settings of its own, without `BRIDGE__`.
    begin: (more, ...args) => start(
      BINARY, args, { ...own, ...Object.fromEntries(Object.entries(more).map(([key, value]) => [`BRIDGE__${key}`, value])) }, folder,
    ),
    async stop() {
      await bridge.stop();
      await platforms.stop();
      remove();
    },
  };
  return self;
}
