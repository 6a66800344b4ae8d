// Chromium, and what it may not do while it shows a page of the bridge.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { SOON } from './wait.mjs';
import { TOKEN } from './bridge.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// `more`: arguments besides those of every test.
export const launch = (...more) => chromium.launch({
  executablePath: process.env.BRIDGE_TEST_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...more],
});

// Opens a window. What happens in it that must not, is collected in `wrongs`: dialogs, reports of the Content Security
// Policy, errors of scripts, requests to another host than that of `base`. `transferred` has each response: its path, and the bytes of its body.
export async function open(browser, base, { language = 'en', theme = 'light', width = 1280, cache = true, ...options } = {}) {
  const context = await browser.newContext({
    locale: { en: 'en-GB', es: 'es-ES' }[language], colorScheme: theme, viewport: { width, height: 800 }, ...options,
  });
  const [wrongs, transferred] = [[], []];
  const host = new URL(base).host;
  context.setDefaultTimeout(SOON);
  context.on('request', (request) => {
    if (new URL(request.url()).host !== host) wrongs.push(`a request to ${request.url()}`);
  });
  // Asked for at once: the debugger forgets the bodies of a page that is left. Where the cache is off, the lengths on the wire
  // that it tells are wrong.
  context.on('response', (response) => {
    if (/event-stream/.test(response.headers()['content-type'])) return; // it lasts
    const length = response.body().then((body) => body.length, () => 0);
    transferred.push({ path: new URL(response.url()).pathname, length });
  });
  context.on('page', (page) => {
    page.on('dialog', (dialog) => { wrongs.push(`a dialog: ${dialog.message()}`); dialog.dismiss().catch(() => {}); });
    page.on('pageerror', (error) => wrongs.push(`a script failed: ${error.message}`));
    page.on('console', (line) => {
      // A page that is answered with 4xx is a line of the console too.
      if (line.type() === 'error' && !line.text().includes('the server responded with a status of')) wrongs.push(line.text());
    });
  });
  const page = await context.newPage();
  if (!cache) await (await context.newCDPSession(page)).send('Network.setCacheDisabled', { cacheDisabled: true });
  const url = (path) => new URL(path, base).href;
  return {
    context, page, wrongs, transferred, url,
    go: (path) => page.goto(url(path)),
    async signIn(path = 'login', token = TOKEN) {
      await page.goto(url(path));
      await page.fill('input[name=token]', token);
      await Promise.all([page.waitForNavigation(), page.click('main form button')]);
    },
    close: () => context.close(),
  };
}

// Returns what of the page breaks WCAG 2.2 AA. Goes in by the debugger: the policy of the page lets no other script in.
export async function violations(page) {
  await page.evaluate(`if (!globalThis.axe) { ${AXE} }`);
  return page.evaluate(async () => {
    const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
    const { violations: found } = await globalThis.axe.run(document, { runOnly, resultTypes: ['violations'] });
    return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
  });
}

// Returns what is wider than the window, and nothing where there is no horizontal scroll.
export function tooWide(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const wide = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > clientWidth + 1);
    return [`${scrollWidth} wide in ${clientWidth}: ${wide.slice(-3).map((one) => one.outerHTML.slice(0, 120)).join(' ')}`];
  });
}
