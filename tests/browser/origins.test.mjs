// What another site can do to a person who is signed in, in a browser that does what browsers do: nothing. The other site
// knows everything that a form holds, so that where it comes from is all that is left to refuse it.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { ENGINES, TOKEN, startBridge, stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too

let [browser, elsewhere, other] = [];
before(async () => {
  browser = await launch();
  elsewhere = createServer((_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Elsewhere</title>'));
  await new Promise((ready) => elsewhere.listen(0, '127.0.0.1', ready));
  const { port } = elsewhere.address();
  // Another port is the same site, to which the cookie goes along; another name is another site.
  other = { 'another port': `http://127.0.0.1:${port}/`, 'another site': `http://localhost:${port}/` };
});
after(async () => { await browser.close(); elsewhere.closeAllConnections(); elsewhere.close(); await stopShared(); });

for (const engine of ENGINES) {
  describe(`over ${engine}`, () => {
    let [bridge, failed] = [];
    before(async () => {
      bridge = await startBridge({ engine });
      await bridge.far('faults', { rule: 'sendmessage:MISSING_COMPULSORY_PARAM' });
      failed = await bridge.say('+34600111222', 'one that fails');
    }, { timeout: LIMIT });
    after(() => bridge?.stop());

    // A window that is signed in, and the fields of a form that would give the message up.
    async function signedIn() {
      const window = await open(browser, bridge.base);
      await window.signIn();
      await window.go(`/messages/${failed}`);
      await Promise.all([window.page.waitForNavigation(), window.page.click('a[href*="verdict=discard"]')]);
      const fields = await window.page.$$eval('main form [name]', (all) => Object.fromEntries(all.map(({ name, value }) => [name, value])));
      assert.deepEqual(Object.keys(fields).sort(), ['of', 'once', 'token', 'verdict', 'why']);
      return { window, fields, target: `${bridge.base}/messages/${failed}/decide` };
    }

    // Sends a form from the page that is shown; from a frame without an origin where `sandboxed`. Returns the status.
    async function send(page, { target, fields, enctype = 'application/x-www-form-urlencoded', sandboxed = false }) {
      const [response] = await Promise.all([
        page.waitForNavigation(),
        page.evaluate(([action, values, kind, isSandboxed]) => {
          const build = (document_) => {
            const form = Object.assign(document_.createElement('form'), { method: 'post', action, enctype: kind });
            for (const [name, value] of Object.entries(values)) {
              const input = form.appendChild(document_.createElement('input'));
              input.setAttribute('name', name);
              input.setAttribute('value', value);
            }
            document_.body.append(form);
            return form;
          };
          if (!isSandboxed) { build(document).submit(); return; }
          const form = build(document.implementation.createHTMLDocument(''));
          form.target = '_top'; // in a frame the answer would not be shown, and its status not be known
          const frame = document.createElement('iframe');
          frame.setAttribute('sandbox', 'allow-forms allow-scripts allow-top-navigation');
          frame.srcdoc = `${form.outerHTML}<script>document.forms[0].submit()</script>`;
          document.body.append(frame);
        }, [target, fields, enctype, sandboxed]),
      ]);
      return { status: response.status(), headers: await response.request().allHeaders() };
    }

    for (const name of ['another port', 'another site']) {
      test(`forms of ${name} are refused, and change nothing`, { timeout: LIMIT }, async () => {
        const { window, fields, target } = await signedIn();
        const { page } = window;
        for (const enctype of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data']) {
          await page.goto(other[name]);
          const { status, headers } = await send(page, { target, fields, enctype });
          assert.equal(status, 403, enctype);
          assert.equal(Boolean(headers.cookie), name === 'another port', 'the cookie goes along within a site');
        }
        await page.goto(other[name]);
        const nobody = await send(page, { target, fields, sandboxed: true });
        assert.deepEqual([nobody.status, nobody.headers.origin], [403, 'null']);
        // Nor does it sign anybody in, or out.
        await page.goto(other[name]);
        assert.equal((await send(page, { target: `${bridge.base}/login`, fields: { token: TOKEN, next: '' } })).status, 403);
        await page.goto(other[name]);
        assert.equal((await send(page, { target: `${bridge.base}/logout`, fields: { token: fields.token } })).status, 403);
        assert.equal(await bridge.state(failed), 'failed');
        assert.equal((await window.context.cookies(bridge.base)).filter((cookie) => cookie.name === 'bridge_session').length, 1);
        await window.close();
      });

      test(`calls and pictures of ${name} are refused or change nothing, and are not read`, { timeout: LIMIT }, async () => {
        const { window, fields, target } = await signedIn();
        const { page } = window;
        await page.goto(other[name]);
        const [posted, statuses] = [[], []];
        const isPost = (request) => request.method() === 'POST';
        page.on('request', (request) => { if (isPost(request)) posted.push(request.url()); });
        page.on('response', (response) => { if (isPost(response.request())) statuses.push(response.status()); });
        const body = new URLSearchParams(fields).toString();
        const json = JSON.stringify(fields);
        const api = `${bridge.base}/api/v1/messages/${failed}/discard`;
        const outcomes = await page.evaluate(async ([form, apiForm, encoded, text]) => {
          const tried = async (url, options) => {
            try {
              const response = await fetch(url, { credentials: 'include', ...options });
              return response.type === 'opaque' ? 'not read' : `read ${response.status}`;
            } catch { return 'not allowed'; }
          };
          const encodedForm = { 'content-type': 'application/x-www-form-urlencoded' };
          const found = [];
          for (const [url, sent, type] of [[form, encoded, encodedForm['content-type']], [form, text, 'text/plain'], [apiForm, text, 'text/plain']]) {
            found.push(await tried(url, { method: 'POST', mode: 'no-cors', body: sent, headers: { 'content-type': type } }));
            found.push(await tried(url, { method: 'POST', mode: 'cors', body: sent, headers: { 'content-type': type } }));
          }
          found.push(await tried(apiForm, { method: 'POST', body: text, headers: { 'content-type': 'application/json' } }));
          found.push(await tried(form, { method: 'POST', body: encoded, headers: { ...encodedForm, 'sec-fetch-site': 'same-origin', 'x-mine': '1' } }));
          for (const url of [`${form}?${encoded}`, `${apiForm}?${encoded}`, form.replace(/decide$/, '')]) {
            found.push(await tried(url, { mode: 'no-cors' }));
            await new Promise((done) => {
              const picture = Object.assign(new Image(), { src: url });
              picture.onload = picture.onerror = done;
            });
          }
          return found;
        }, [target, api, body, json]);
        assert.deepEqual([...new Set(outcomes)].filter((what) => !['not read', 'not allowed'].includes(what)), [], 'nothing is read');
        assert.ok(posted.length >= 6, `${posted}`);
        assert.deepEqual(statuses.filter((status) => status !== 403 && status !== 401), []);
        assert.equal(await bridge.state(failed), 'failed');
        await window.close();
      });

      test(`a link of ${name} leads a person who is signed in to the page, and not to the sign-in`, { timeout: LIMIT }, async () => {
        const { window } = await signedIn();
        const { page } = window;
        for (const [path, heading] of [['/', 'Overview'], [`/messages/${failed}`, 'failed'], ['/messages?q=34600111222&state=failed', 'Messages']]) {
          await page.goto(other[name]);
          const visits = [];
          const note = (response) => { if (response.request().isNavigationRequest()) visits.push(response.status()); };
          page.on('response', note);
          await page.evaluate((href) => {
            document.body.append(Object.assign(document.createElement('a'), { href, textContent: 'the alert' }));
          }, `${bridge.base}${path}`);
          await page.click('a');
          await page.waitForFunction((words) => document.querySelector('h1')?.textContent.includes(words), heading);
          page.off('response', note);
          assert.deepEqual(visits, name === 'another site' ? [200, 200] : [200], path);
          assert.equal(await page.locator('input[type=password]').count(), 0);
        }
        // Who is not signed in gets the form, after the same one reload.
        await window.context.clearCookies();
        await page.goto(other[name]);
        await page.evaluate((href) => { location.href = href; }, `${bridge.base}/messages?q=34600111222`);
        await page.waitForSelector('input[type=password]');
        await page.fill('input[name=token]', TOKEN);
        await Promise.all([page.waitForNavigation(), page.click('main form button')]);
        assert.equal(page.url(), `${bridge.base}/messages?q=34600111222`, 'where the link led');
        await window.close();
      });

      test(`no page is shown in a frame of ${name}`, { timeout: LIMIT }, async () => {
        const { window } = await signedIn();
        const { page } = window;
        await page.goto(other[name]);
        await page.evaluate((src) => new Promise((done) => {
          const frame = Object.assign(document.createElement('iframe'), { src });
          frame.onload = done;
          document.body.append(frame);
        }), `${bridge.base}/login`);
        const shown = await Promise.all(page.frames().slice(1).map((frame) => frame.locator('input').count()));
        assert.deepEqual(shown, [0]);
        await window.close();
      });
    }

    test('the same form of the bridge itself is done', { timeout: LIMIT }, async () => {
      const { window, fields, target } = await signedIn();
      const sent = await send(window.page, { target, fields });
      assert.deepEqual([sent.status, sent.headers['sec-fetch-site']], [200, 'same-origin']);
      assert.match(await window.page.innerText('main'), /is discarded and its text is wiped/);
      await window.close();
    });
  });
}
