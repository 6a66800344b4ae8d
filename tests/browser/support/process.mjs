// Processes that end with the test, however it ends.

import { spawn } from 'node:child_process';
import { until } from './wait.mjs';

const running = new Set();
// Ends what still runs: a test that failed leaves its own.
export const killAll = () => running.forEach((child) => child.kill('SIGKILL'));
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

// Starts a program. Its output is kept line by line in `lines`; `line(pattern)` waits for one and returns its match.
export function start(program, args, env, folder) {
  // The kernel ends it where this process is killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const lines = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop();
      lines.push(...parts);
    });
  }
  const ended = new Promise((resolve) => child.on('close', (code) => { running.delete(child); resolve(code); }));
  return {
    lines,
    ended,
    line: (pattern) => until(`${program} ${args[0] ?? ''} writes ${pattern}: ${lines.slice(-5).join('\n')}`, () => {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: ${lines.join('\n')}`);
      for (const line of lines) {
        const match = line.match(pattern);
        if (match) return match;
      }
    }),
    stop: async () => { child.kill('SIGTERM'); await ended; },
    kill: async () => { child.kill('SIGKILL'); await ended; },
  };
}

// Runs a program to its end, and returns what it wrote to stdout. Throws where it fails.
export async function run(program, args, env, folder) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text) => { out += text; });
    child.stderr.on('data', (text) => { err += text; });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${program} ${args.join(' ')}: ${code} ${err}`))));
  });
}
