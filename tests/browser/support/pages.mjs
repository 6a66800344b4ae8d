// Every page that the bridge serves, each state of it that looks different. A route of src/http/ops that is missing here
// fails the test, and so does a link to anything else.
//
// A line: the route as the router has it, a name, and the path of an example (a function of the scene where it has an mId).
// More, where it needs them: `status`; `signedOut`; `reach`, which does on the page what leads to it.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './bridge.mjs';

export const PAGES = [
  { route: '/login', name: 'login', path: '/login', signedOut: true },
  { route: '/login', name: 'login-wrong', path: '/login', signedOut: true, reach: wrongToken },
  { route: '/login', name: 'link-used', path: '/login?link=v1.1.a.b.c', status: 401, signedOut: true },
  { route: '/', name: 'sign-in-first', path: '/', status: 401, signedOut: true },
  { route: '/live', name: 'reload', path: '/login', signedOut: true, reach: fromElsewhere },
  { route: '/', name: 'overview', path: '/' },
  { route: '/messages', name: 'messages', path: '/messages' },
  { route: '/messages', name: 'messages-full', path: '/messages?contacts=full' },
  { route: '/messages', name: 'messages-filtered', path: '/messages?channel=support&state=failed&dir=out&from=2h' },
  { route: '/messages', name: 'messages-none', path: '/messages?q=nothing-of-the-kind' },
  { route: '/messages', name: 'messages-wrong', path: '/messages?channel=suport', status: 400 },
  { route: '/messages/{m_id}', name: 'journey-sent', path: (scene) => `/messages/${scene.sent}` },
  { route: '/messages/{m_id}', name: 'journey-failed', path: (scene) => `/messages/${scene.failed}` },
  { route: '/messages/{m_id}', name: 'journey-unconfirmed', path: (scene) => `/messages/${scene.unconfirmed[0]}` },
  { route: '/messages/{m_id}', name: 'journey-waiting', path: (scene) => `/messages/${scene.waiting}?contacts=full` },
  { route: '/messages/{m_id}', name: 'journey-received', path: (scene) => `/messages/${scene.received}` },
  { route: '/messages/{m_id}', name: 'journey-dead', path: (scene) => `/messages/${scene.dead}` },
  { route: '/messages/{m_id}', name: 'journey-missing', path: '/messages/0196f0c2a1b27c3d8e4f5a6b7c8d9e0f', status: 404 },
  { route: '/messages/{m_id}/decide', name: 'decide', path: (scene) => `/messages/${scene.failed}`, reach: ask },
  { route: '/messages/{m_id}/decide', name: 'decide-stale', path: (scene) => `/messages/${scene.failed}`, reach: decideLate },
  { route: '/messages/{m_id}/decide', name: 'decide-unknown', path: (scene) => `/messages/${scene.failed}/decide`, status: 400 },
  { route: '/unconfirmed', name: 'unconfirmed', path: '/unconfirmed' },
  { route: '/unconfirmed', name: 'unconfirmed-stale', path: '/unconfirmed', reach: noteLate },
  { route: '/unconfirmed', name: 'unconfirmed-none', path: '/unconfirmed?channel=sales' },
  { route: '/live', name: 'live', path: '/live' },
  { route: '/failed', name: 'failed', path: '/failed' },
  { route: '/bulk', name: 'bulk', path: '/bulk' },
  { route: '/bulk', name: 'bulk-plan', path: '/bulk?action=discard&state=failed' },
  { route: '/bulk', name: 'bulk-stale', path: '/bulk?action=discard&state=failed', reach: startLate },
  { route: '/bulk', name: 'bulk-paused', path: '/bulk?action=retry&state=dead&channel=sales' },
  { route: '/bulk', name: 'bulk-wrong', path: '/bulk?action=retry&state=queued', status: 400 },
  { route: '/bulk/{id}', name: 'job', path: (scene) => `/bulk/${scene.job}` },
  { route: '/bulk/{id}', name: 'job-missing', path: '/bulk/999', status: 404 },
  { route: '/channels', name: 'channels', path: '/channels' },
  { route: '/channels/{name}', name: 'channel', path: '/channels/support' },
  { route: '/channels/{name}', name: 'channel-paused', path: '/channels/sales' },
  { route: '/channels/{name}', name: 'channel-missing', path: '/channels/suport', status: 404 },
  { route: '/channels/{name}/pause', name: 'pause', path: '/channels/support', reach: (page) => follow(page, 'a[href*="/pause?"]') },
  { route: '/channels/{name}/resume', name: 'resume', path: '/channels/sales', reach: (page) => follow(page, 'a[href*="/resume?"]') },
  { route: '/audit', name: 'audit', path: '/audit' },
  { route: '/settings', name: 'settings', path: '/settings' },
];

// Routes that answer with no page: a redirection, and a stream.
export const NOT_PAGES = ['/language', '/live/events'];

// A token that is none.
async function wrongToken(page) {
  await page.fill('input[name=token]', 'not-the-token');
  await Promise.all([page.waitForNavigation(), page.click('main form button')]);
}

function follow(page, link) {
  return Promise.all([page.waitForNavigation(), page.click(link)]);
}

// The page that asks before it decides.
function ask(page) {
  return follow(page, 'a[href*="verdict=discard"]');
}

// The form of a message that is no longer as the page shows it. It changes nothing.
async function noteLate(page) {
  await page.evaluate(() => { document.querySelectorAll('input[name=of]').forEach((input) => { input.value = 'queued-1-none-none'; }); });
  await follow(page, 'button[name=verdict][value=noted]');
}

// The same form, of a state that is gone.
async function decideLate(page) {
  await ask(page);
  await page.evaluate(() => { document.querySelector('input[name=of]').value = 'queued-1-none-none'; });
  await Promise.all([page.waitForNavigation(), page.click('main form button')]);
}

// The form of a plan that is older than 10 minutes.
async function startLate(page) {
  await page.evaluate(() => {
    const of = document.querySelector('input[name=of]');
    of.value = of.value.replace(/^\d+/, '1000');
  });
  const [response] = await follow(page, 'form[method=post][action=bulk] button');
  if (response.status() !== 409) throw new Error(`${response.status()}: ${await page.innerText('main')}`);
}

// What a browser without a cookie gets that comes from another site, held before it loads itself once more.
async function fromElsewhere(page) {
  const isThis = (url) => url.pathname === '/live';
  await page.route(isThis, async (route) => {
    const response = await route.fetch({ headers: { ...route.request().headers(), 'sec-fetch-site': 'cross-site' } });
    const text = await response.text();
    const body = text.replace(/<meta http-equiv="refresh"[^>]*>/, '');
    if (body === text) throw new Error(`it does not load itself: ${text}`);
    await route.fulfill({ response, body });
  });
  await page.goto(new URL('live', page.url()).href);
  await page.unroute(isThis);
}

// Opens a page as the list has it. Returns the status of what its path answers.
export async function reach(window, scene, entry) {
  const path = typeof entry.path === 'function' ? entry.path(scene) : entry.path;
  const response = await window.go(path);
  await entry.reach?.(window.page, scene);
  return response.status();
}

// Paths that the router answers a GET on, as src/http/ops has them: but for the API, which has a router of its own, and the
// files.
export function routes() {
  const folder = join(ROOT, 'src/http/ops');
  const others = ['api.rs', 'openapi.rs', 'assets.rs'];
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.rs') && !others.includes(name));
  const found = files.flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    return [...text.matchAll(/\.route\(\s*"([^"]+)"\s*,([^;]*?)\)\s*(?=\.|;|\}|$)/gs)]
      .filter(([, , handlers]) => /\bget(::<[^>]*>)?\(/.test(handlers)).map(([, path]) => path);
  });
  return [...new Set(found)].sort();
}

// Whether a path is of a route.
export const isOf = (route, path) => new RegExp(`^${route.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path);
