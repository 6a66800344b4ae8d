// The page below a path, behind the reverse proxies of the manual: one that cuts the path off and one that passes it on, over
// plain HTTP and over TLS. A browser visits every link, sends every form, is sent on and follows the stream.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { ENGINES, TOKEN, startBridge, stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';
import { NAME, startReverse } from './support/reverse.mjs';
import { until } from './support/wait.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too

let [browser, elsewhere] = [];
before(async () => {
  browser = await launch(`--host-resolver-rules=MAP ${NAME} 127.0.0.1`);
  elsewhere = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Elsewhere</title>'));
  await new Promise((ready) => elsewhere.listen(0, '127.0.0.1', ready));
});
after(async () => { await browser.close(); elsewhere.closeAllConnections(); elsewhere.close(); await stopShared(); });

// A path without what differs between two messages, jobs or channels.
const DIFFERENT = [['[0-9a-f]{32}', 'MID'], ['/bulk/\\d+', '/bulk/ID'], ['/channels/(support|sales)', '/channels/NAME']];
const kind = (path) => DIFFERENT.reduce((rest, [pattern, one]) => rest.replace(new RegExp(pattern), one), path);

// Visits what the page links to, and what that links to, one of each kind. Returns what answered otherwise than a page, what leads
// out of `base`, and the forms that were met.
function crawl(page, base) {
  return page.evaluate(async ([root, different]) => {
    const of = (url) => {
      const { pathname, searchParams } = new URL(url);
      const values = [...searchParams].filter(([, value]) => value).map(([name, value]) => (
        ['what', 'action', 'verdict', 'state'].includes(name) ? `${name}=${value}` : name));
      const kindOf = different.reduce((rest, [pattern, one]) => rest.replace(new RegExp(pattern), one), pathname);
      return `${kindOf}?${values.sort().join('&')}`;
    };
    const [seen, wrong, forms, waiting] = [new Set([of(root)]), [], new Set(), [root]];
    while (waiting.length) {
      const url = waiting.shift();
      const response = await fetch(url);
      if (response.status !== 200 || !response.url.startsWith(root)) wrong.push(`${url}: ${response.status} at ${response.url}`);
      if (!/html/.test(response.headers.get('content-type'))) { await response.arrayBuffer(); continue; }
      const shown = new DOMParser().parseFromString(await response.text(), 'text/html');
      for (const one of shown.querySelectorAll('a[href], link[href], script[src], form[action], [data-events]')) {
        const [name] = ['href', 'src', 'action', 'data-events'].filter((attribute) => one.hasAttribute(attribute));
        const link = new URL(one.getAttribute(name), response.url);
        link.hash = '';
        if (!link.href.startsWith(root)) { wrong.push(`${response.url} leads to ${link}`); continue; }
        if (name === 'action') forms.add(`${one.method} ${of(link.href).split('?')[0]}`);
        // The stream lasts; the language is chosen by a click.
        if (name === 'action' || name === 'data-events' || link.pathname.endsWith('/language') || seen.has(of(link.href))) continue;
        seen.add(of(link.href));
        waiting.push(link.href);
      }
    }
    return { wrong, forms: [...forms], visited: seen.size };
  }, [base, DIFFERENT]);
}

for (const engine of ENGINES) {
  for (const [prefix, cuts] of [['/bridge', true], ['/ops', false]]) {
    describe(`over ${engine}, below ${prefix}, which the proxy ${cuts ? 'cuts off' : 'passes on'}`, () => {
      let bridge;
      const proxies = {};
      before(async () => {
        const own = cuts ? {} : { ADMIN__PATH_PREFIX: prefix };
        bridge = await startBridge({ engine, settings: { SERVER__TRUSTED_PROXIES: '127.0.0.1', ...own } });
        for (const program of ['nginx', 'caddy']) proxies[program] = await startReverse(program, { prefix, cuts, base: bridge.base });
      }, { timeout: LIMIT });
      after(async () => {
        for (const proxy of Object.values(proxies)) await proxy?.stop();
        await bridge?.stop();
      });

      // A message that failed.
      async function fails(contact, channel = 'demo') {
        await bridge.far('faults', { rule: 'sendmessage:MISSING_COMPULSORY_PARAM' });
        const mId = await bridge.say(contact, 'one that fails', { channel });
        await bridge.reaches(mId, 'failed');
        return mId;
      }

      // A message that nobody can tell of.
      async function unclear(contact) {
        await bridge.far('switches', { sent_row_visible_after: 'never' });
        await bridge.far('faults', { rule: 'sendmessage:reset' });
        const mId = await bridge.say(contact, 'one that nobody can tell of');
        await bridge.reaches(mId, 'unconfirmed');
        await bridge.clearFaults();
        return mId;
      }

      // A job of which nobody works: its command has been killed.
      async function leftJob() {
        const jobs = (await bridge.command('messages', 'jobs')).split('\n').length;
        const child = bridge.begin({ AFILNET__REQUESTS_PER_SECOND: '1' }, 'messages', 'retry', '--state', 'failed', '--channel', 'sales', '--yes');
        const begun = () => bridge.command('messages', 'jobs').then((listed) => (
          listed.split('\n').length > jobs && / [1-9]\d* done/.test(listed.split('\n')[0]) && listed));
        const listed = await until('it has begun', begun);
        await child.kill();
        return listed.match(/job (\d+)/)[1];
      }

      for (const [program, n] of [['nginx', 0], ['nginx', 1], ['caddy', 0], ['caddy', 1]]) {
        const scheme = ['http', 'https'][n];
        test(`every link, form, redirect and stream works behind ${program} over ${scheme}`, { timeout: LIMIT }, async (t) => {
          if (!proxies[program]) { t.skip(`there is no ${program}`); return; }
          const base = proxies[program].urls[n];
          const number = (last) => `+346007${program === 'nginx' ? 1 : 2}${n}0${cuts ? 1 : 2}${last}`;
          await fails(number(1));
          const [failed, doubtful] = [await fails(number(2)), await unclear(number(3))];
          for (const last of [4, 5, 6, 7, 8, 9]) await fails(number(last), 'demo2');

          const window = await open(browser, base, { ignoreHTTPSErrors: true });
          const { page, context } = window;
          const pressed = new Set();
          const visit = (path) => page.goto(new URL(path, base).href);
          const visits = (act) => Promise.all([page.waitForNavigation(), act()]).then(([response]) => response);
          const says = async (words) => assert.match(await page.innerText('main'), words);
          // Sends a form by its button. Returns the status.
          async function press(form, button = 'button') {
            const { method, action } = await page.$eval(form, (one) => ({ method: one.method, action: new URL(one.getAttribute('action'), location.href).pathname }));
            pressed.add(`${method} ${kind(action)}`);
            const response = await visits(() => page.locator(form).locator(button).first().click());
            assert.ok(page.url().startsWith(base), page.url());
            return response.status();
          }

          // Without its last slash, and then to the sign-in.
          const first = await page.goto(base.slice(0, -1));
          assert.deepEqual([first.status(), page.url()], [401, base]);
          // Forms of another port are refused, with the right token too; over plain HTTP by their origin, for it is all there is.
          await page.goto(`http://${new URL(base).hostname}:${elsewhere.address().port}/`);
          const foreign = await visits(() => page.evaluate(([action, token]) => {
            const form = Object.assign(document.createElement('form'), { method: 'post', action });
            form.append(Object.assign(document.createElement('input'), { name: 'token', value: token }));
            document.body.append(form);
            form.submit();
          }, [`${base}login`, TOKEN]));
          const sent = await foreign.request().allHeaders();
          assert.deepEqual([foreign.status(), 'sec-fetch-site' in sent], [403, scheme === 'https'], JSON.stringify(sent));
          assert.deepEqual(await context.cookies(base), []);
          window.wrongs.length = 0; // the other port is another host

          await visit('login');
          await page.fill('input[name=token]', TOKEN);
          assert.equal(await press('main form'), 200);
          assert.equal(page.url(), base);
          const [cookie] = await context.cookies(base);
          const { name, secure, httpOnly, sameSite, path } = cookie;
          assert.deepEqual({ name, secure, httpOnly, sameSite, path }, {
            name: scheme === 'https' ? '__Secure-bridge_session' : 'bridge_session', secure: scheme === 'https', httpOnly: true, sameSite: 'Strict', path: prefix,
          });

          const left = await leftJob();
          const { wrong, forms, visited } = await crawl(page, base);
          assert.deepEqual(wrong, []);
          assert.ok(visited > 40, `${visited}`);

          // Forms that search.
          await visit('');
          await page.fill('#q', number(1));
          assert.equal(await press('form[role=search]'), 200);
          await says(/failed/);
          assert.equal(await press('main form[role=search]'), 200);
          await visit('audit');
          assert.equal(await press('main form[role=search]'), 200);
          await visit('bulk');
          await page.selectOption('select[name=action]', 'discard');
          await page.fill('input[name=contact]', number(1));
          assert.equal(await press('main form[method=get]'), 200);
          // Forms that act: many at once, one alone, one beside its conversation, a pause and its end, jobs.
          assert.equal(await press('main form[method=post]'), 200);
          await until('the job is done', async () => / 1 done.*ended at/.test((await bridge.command('messages', 'jobs')).split('\n')[0]));
          await visit(`messages/${failed}`);
          await visits(() => page.click('a[href*="verdict=discard"]'));
          assert.equal(await press('main form'), 200);
          await says(/is discarded and its text is wiped/);
          await visit(`unconfirmed?m=${doubtful}`);
          assert.equal(await press('form[action=unconfirmed]', 'button[value=noted]'), 200);
          assert.ok((await bridge.messages(`q=${doubtful}&direction=out`))[0].noted_ms > 0);
          for (const verb of ['pause', 'resume']) {
            await visit('channels/support');
            await visits(() => page.click(`a[href*="/${verb}?what=in"]`));
            await page.fill('#why', 'a test behind a proxy');
            assert.equal(await press('main form'), 200);
            assert.equal((await bridge.command('channels', 'pauses')).includes('support\tin'), verb === 'pause');
          }
          await visit(`bulk/${left}`);
          assert.equal(await press('form[action$="cancel"]'), 200);
          await visit(`bulk/${await leftJob()}`);
          assert.equal(await press('form[action$="resume"]'), 200);
          // To its last answer: none of it may meet the next fault.
          await until('the job is done', async () => (await bridge.command('messages', 'jobs')).split('\n')[0].includes('ended at'));
          await until('all of it is sent', async () => (await bridge.messages('state=queued&direction=out')).length + (await bridge.messages('state=sending')).length === 0);

          // The stream, and a link of a line that came by it.
          await visit('live');
          await page.waitForFunction(() => document.getElementById('live-state').textContent === document.getElementById('live-state').dataset.on);
          const live = await bridge.say(number(7), 'as it happens');
          await page.waitForSelector(`#live a[href="messages/${live}"]`);
          await visits(() => page.click(`#live a[href="messages/${live}"]`));
          assert.equal(page.url(), `${base}messages/${live}`);

          // The language leads back to the page; a link that the command prints signs in; the end of the session leads to its begin.
          await visits(() => page.click('footer a[lang=es]'));
          assert.deepEqual([page.url(), await page.getAttribute('html', 'lang')], [`${base}messages/${live}`, 'es']);
          assert.equal(await press('header form'), 200);
          assert.equal(page.url(), `${base}login`);
          assert.equal((await context.cookies(base)).filter((one) => one.name.endsWith('bridge_session')).length, 0);
          const link = (await bridge.command('page', '--url', base)).trim();
          assert.ok(link.startsWith(`${base}login?link=`), link);
          await page.goto(link);
          assert.equal(page.url(), base);

          assert.deepEqual(forms.filter((form) => !pressed.has(form)), [], 'forms that were met and not sent');
          // Browsers heed that header over TLS alone, and say so.
          const told = window.wrongs.filter((words) => scheme === 'https' || !/Cross-Origin-Opener-Policy header has been ignored/.test(words));
          assert.deepEqual(told, []);
          console.log(`${program} over ${scheme}, ${cuts ? 'cut off' : 'passed on'}, ${engine}: ${visited} links, ${pressed.size} kinds of forms, 1 stream`);
          await window.close();
        });
      }
    });
  }
}
