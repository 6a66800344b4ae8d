// A throwaway PostgreSQL, as src/testkit/postgres.rs has it: as somebody who is not root, on a socket alone, gone with
// this process.

import { spawn, execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './process.mjs';
import { until } from './wait.mjs';

// Its standard input closes when this process ends, however it does.
const SUPERVISOR = `
bin=$1 home=$2
trap 'rm -rf "$home"' EXIT
"$bin/initdb" -D "$home/data" -U bridge -A trust -E UTF8 --locale=C --no-sync >"$home/log" 2>&1 || exit 1
"$bin/postgres" -D "$home/data" -k "$home" -c listen_addresses= -c fsync=off -c full_page_writes=off \
    -c shared_buffers=64MB >>"$home/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server 2>/dev/null
wait $server
`;

function binaries() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort().reverse() : [];
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...(process.env.PATH ?? '').split(':')];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')));
}

// Whether there is one to be had.
export const available = Boolean(binaries());

let cluster;
let schemas = 0;

async function server() {
  const bin = binaries();
  const home = mkdtempSync(join(tmpdir(), 'bridge-browser-pg-'));
  let [program, args] = ['sh', []];
  if (process.getuid() === 0) {
    const id = (which) => execFileSync('id', [which, 'postgres']).toString().trim();
    const [user, group] = [id('-u'), id('-g')];
    chownSync(home, Number(user), Number(group));
    [program, args] = ['setpriv', [`--reuid=${user}`, `--regid=${group}`, '--clear-groups', 'sh']];
  }
  const child = spawn(program, [...args, '-c', SUPERVISOR, 'sh', bin, home], {
    cwd: home, stdio: ['pipe', 'ignore', 'ignore'], detached: true,
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  child.unref();
  child.stdin.unref?.();
  const psql = (sql) => run(join(bin, 'psql'), ['-h', home, '-U', 'bridge', '-d', 'postgres', '-qAtc', sql], process.env, '/');
  await until('PostgreSQL answers', () => psql('SELECT 1').then(() => true, () => {
    if (child.exitCode !== null) throw new Error('PostgreSQL did not start');
  }));
  return { home, psql, stop: () => { child.stdin.end(); return ended; } };
}

// Returns the URL of a schema of its own.
export async function freshSchema() {
  cluster ??= server();
  const { home, psql } = await cluster;
  const schema = `bridge_browser_${schemas += 1}`;
  await psql(`CREATE SCHEMA ${schema}`);
  return `postgres://bridge@localhost:5432/postgres?host=${home}&options=-csearch_path%3D${schema}`;
}

// Ends it.
export async function stop() {
  await (await cluster)?.stop();
}
