// The reverse proxies of the manual, with its blocks for the page, over plain HTTP and over TLS. Over TLS they are called
// `localhost`, which the certificate of tests/fixtures/tls is for.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './bridge.mjs';
import { start } from './process.mjs';
import { until } from './wait.mjs';

// A name that is not of this machine: over plain HTTP browsers send no Sec-Fetch-Site to it.
export const NAME = 'ops.example.com';

const fixture = (name) => join(ROOT, 'tests/fixtures/tls', name);

// Returns where a program is installed, and nothing where it is not, unless it is required.
function installed(program) {
  const found = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin'].map((place) => join(place, program)).find(existsSync);
  if (!found && process.env[`BRIDGE_TEST_${program.toUpperCase()}_REQUIRED`]) throw new Error(`there is no ${program}`);
  if (!found) console.error(`*** SKIPPED: pages behind ${program}. Install it: apt-get install ${program}`);
  return found;
}

// Returns the manual's block in this language that contains these words.
function block(language, words) {
  const text = readFileSync(join(ROOT, 'docs/deployment.md'), 'utf8');
  const found = text.split(`\`\`\`${language}\n`).slice(1).map((rest) => rest.split('```')[0]).find((one) => one.includes(words));
  if (!found) throw new Error(`the manual shows no ${language} with ${words}`);
  return found;
}

// A port that nobody listens at now.
const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

function nginx({ folder, prefix, admin, plain, secure }) {
  const locations = block('nginx', `location ${prefix}/`).replace('127.0.0.1:9090', admin);
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const paths = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n');
  const server = (listen) => `server {\n${listen}\n${locations}\n}`;
  const config = `daemon off;\nworker_processes 1;\npid ${folder}/pid;\nerror_log ${folder}/error.log;\n`
    + `${process.getuid() === 0 ? 'user root;\n' : ''}events {}\nhttp {\naccess_log off;\n${paths}\n`
    + `ssl_certificate ${fixture('server.pem')};\nssl_certificate_key ${fixture('server.key')};\n`
    + `${server(`listen 127.0.0.1:${plain};`)}\n${server(`listen 127.0.0.1:${secure} ssl;`)}\n}\n`;
  return [config, ['-c', join(folder, 'config'), '-p', folder, '-e', join(folder, 'error.log')]];
}

function caddy({ folder, prefix, cuts, admin, plain, secure }) {
  const site = block('text', `${cuts ? 'handle_path' : 'handle'} ${prefix}/`).replace('127.0.0.1:9090', admin);
  const certificate = `tls ${fixture('server.pem')} ${fixture('server.key')}`;
  const config = '{\n\tadmin off\n\tauto_https disable_redirects\n}\n'
    + site.replace('ops.example.com {', `http://${NAME}:${plain} {\n\tbind 127.0.0.1`)
    + site.replace('ops.example.com {', `https://localhost:${secure} {\n\tbind 127.0.0.1\n\t${certificate}`);
  return [config, ['run', '--adapter', 'caddyfile', '--config', join(folder, 'config')]];
}

// Starts one before the page at `base`. `cuts`: whether it cuts the prefix off. Returns the URLs of the page behind it, and nothing
// where there is none.
export async function startReverse(program, { prefix, cuts, base }) {
  const path = installed(program);
  if (!path) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'bridge-reverse-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.on('exit', remove);
  const [plain, secure] = [await freePort(), await freePort()];
  const [config, args] = { nginx, caddy }[program]({ folder, prefix, cuts, admin: new URL(base).host, plain, secure });
  writeFileSync(join(folder, 'config'), config);
  const home = join(folder, 'home');
  mkdirSync(home);
  const service = start(path, args, { PATH: process.env.PATH, HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home }, folder);
  for (const port of [plain, secure]) {
    await until(`${program} listens: ${service.lines.slice(-3).join('\n')}`, () => (
      fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' }).then(() => true, ({ cause }) => cause?.code !== 'ECONNREFUSED')));
  }
  return {
    urls: [`http://${NAME}:${plain}${prefix}/`, `https://localhost:${secure}${prefix}/`],
    stop: async () => { await service.stop(); remove(); },
  };
}
