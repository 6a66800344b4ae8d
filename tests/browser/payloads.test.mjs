// What agents, customers, platforms and addresses say is text on every page, and nothing else.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ENGINES, startBridge, stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';
import { PAYLOADS } from './support/payloads.mjs';
import { startProxy } from './support/proxy.mjs';
import { until } from './support/wait.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too

// Signs that contact ids may have, and no more.
const CONTACTS = ['a_=+/@b', '//evil.example/@', '+/alert=1', '=3Cscript=3E', '@import_/'];

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); await stopShared(); });

// Fails where anything ran, or a tag came from data: each page has the one script of the bridge and nothing that payloads hold.
async function isQuiet(window, what) {
  const found = await window.page.evaluate(() => ({
    ran: globalThis.ran ?? null,
    title: document.title,
    odd: document.querySelectorAll('img, svg, iframe, base, b, style, math, script:not([src]), textarea, [onerror], [onload], [onfocus], '
      + '[onbegin], [srcdoc], [href^=javascript], meta[http-equiv], form[action*=evil]').length,
    scripts: document.querySelectorAll('script').length,
  }));
  assert.deepEqual({ ...found, title: '' }, { ran: null, title: '', odd: 0, scripts: 1 }, what);
  assert.deepEqual(window.wrongs, [], what);
}

for (const engine of ENGINES) {
  describe(`over ${engine}`, () => {
    let [bridge, proxy, window, errors] = [];
    before(async () => {
      // Afilnet refuses with a payload what is sent to a contact that is named after it.
      proxy = await startProxy((body) => {
        const n = /method=send[^]*destination=refused(\d+)|destination=refused(\d+)[^]*method=send/.exec(body);
        return n && { status: 'ERROR', error: PAYLOADS[n[1] ?? n[2]] };
      });
      bridge = await startBridge({ engine, idType: 'custom', afilnet: proxy.before });
      window = await open(browser, bridge.base);
      await window.signIn();
    }, { timeout: LIMIT });
    after(async () => { await bridge?.stop(); proxy.stop(); });

    test('what is typed into an address is shown as it was typed', { timeout: LIMIT }, async () => {
      const others = ['fault', 'from', 'to', 'channel', 'dir', 'state', 'before', 'contacts', 'other'];
      for (const [n, payload] of PAYLOADS.entries()) {
        const other = others[n % others.length];
        await window.go(`/messages?q=${encodeURIComponent(payload)}&${other}=${encodeURIComponent(payload)}`);
        await isQuiet(window, `${other}=${payload}`);
        assert.equal(await window.page.inputValue('#q'), payload);
        if (['fault', 'from', 'to'].includes(other)) {
          assert.equal(await window.page.inputValue(`[name=${other}]`), payload);
        }
        if (['from', 'to', 'channel'].includes(other)) {
          assert.ok((await window.page.textContent('main')).includes(`\`${payload}\``), `${other}=${payload} in the sentence`);
        }
      }
      for (const payload of PAYLOADS.filter((_, n) => n % 7 === 0)) {
        const text = encodeURIComponent(payload);
        for (const path of [`/messages/${text}`, `/messages/${text}/decide?verdict=${text}&of=${text}`, `/login?link=${text}`,
          `/language?to=${text}&next=${text}`, `/login?next=${text}`]) {
          await window.go(path);
          await isQuiet(window, path);
        }
      }
    });

    test('what people and platforms say is shown as they said it, and runs nowhere', { timeout: LIMIT }, async () => {
      const { page } = window;
      const attachment = (payload) => ({
        type: 'attachment', attachment: { type: 'file', url: 'https://files.example/a.pdf', fileName: payload, description: payload },
      });
      const reply = (payload) => ({ type: 'quick_reply', title: payload, replies: [payload.slice(0, 20), 'No'] });
      const kinds = [(payload) => payload, attachment, reply];
      errors = [];
      for (const [n, payload] of PAYLOADS.entries()) {
        const ascii = [...payload].filter((letter) => letter >= ' ' && letter <= '~').join('');
        await bridge.say(`accepted${n % 20}`, kinds[n % kinds.length](payload), { requestId: ascii });
        errors.push(await bridge.say(`refused${n}`, 'Hola', { requestId: ascii }));
        if (n % 10 === 0) await bridge.receive(`customer${n % 7}`, payload);
      }
      const spelled = [];
      for (const contact of CONTACTS) spelled.push([contact, await bridge.say(contact, 'Hola').catch(() => null)]);
      await until('all was answered', async () => (await bridge.messages('state=queued')).length === 0);
      await until('all that is refused has failed', async () => (await bridge.messages('state=failed')).length >= 200);
      assert.ok(spelled.filter(([, mId]) => mId).length >= 2, 'some of these contacts are taken');

      for (const [n, mId] of errors.entries()) {
        await window.go(`/messages/${mId}?contacts=full`);
        await isQuiet(window, `${mId} ${PAYLOADS[n]}`);
        // Of an answer the journey keeps the beginning, as plain text, without its tags (domain::excerpt).
        assert.match(await page.textContent('.steps'), /The response of Afilnet began: /, mId);
      }
      for (const [contact, mId] of spelled.filter(([, known]) => known)) {
        await window.go(`/messages/${mId}?contacts=full`);
        await isQuiet(window, contact);
        assert.ok((await page.textContent('.facts')).includes(contact), contact);
      }
      const rest = (await bridge.messages()).filter(({ m_id: mId }) => !errors.includes(mId));
      for (const { m_id: mId } of rest.filter((_, n) => n % 4 === 0)) {
        await window.go(`/messages/${mId}`);
        await isQuiet(window, mId);
      }
      for (const path of ['/', '/messages', '/messages?contacts=full', '/messages?q=alert', '/messages?state=failed']) {
        await window.go(path);
        await isQuiet(window, path);
      }
    });

    test('what an operator writes is shown as it was written', { timeout: LIMIT }, async () => {
      const { page } = window;
      const follow = (what) => Promise.all([page.waitForNavigation(), page.click(what)]);
      for (const payload of PAYLOADS.filter((_, n) => n % 20 === 0)) {
        const mId = errors.pop();
        await window.go(`/messages/${mId}`);
        await follow('a[href*="verdict=discard"]');
        await page.fill('#why', payload);
        await follow('main form button');
        await isQuiet(window, payload);
        await follow('main a.button');
        await isQuiet(window, payload);
        assert.ok((await page.textContent('.steps')).includes(payload), `${payload} in ${await page.textContent('.steps')}`);
      }
      await bridge.command('channels', 'pause', 'sales', 'out', '--why', PAYLOADS[0]);
      await window.go('/');
      await isQuiet(window, 'a pause');
      assert.ok((await page.textContent('main')).includes(PAYLOADS[0]));
    });

    test('what got in nevertheless would run nothing, load nothing and send nothing', { timeout: LIMIT }, async () => {
      const other = await open(browser, bridge.base);
      await other.signIn();
      const reported = await other.page.evaluate(async () => {
        const reports = [];
        document.addEventListener('securitypolicyviolation', (report) => reports.push(report.effectiveDirective));
        const add = (name, fields) => {
          const element = Object.assign(document.createElement(name), fields);
          document.body.append(element);
          return element;
        };
        add('script', { textContent: 'globalThis.ran = 1' });
        add('div', { innerHTML: '<img src="data:image/png;base64,AAAA" onerror="globalThis.ran = 1">' });
        add('style', { textContent: '* { color: red }' });
        add('iframe', { src: 'https://evil.example/' });
        add('base', { href: 'https://evil.example/' });
        const form = add('form', { action: 'https://evil.example/', method: 'post' });
        form.submit();
        await fetch('https://evil.example/').catch(() => {});
        const deadline = Date.now() + 10_000;
        while (new Set(reports).size < 8 && Date.now() < deadline) await new Promise((again) => setTimeout(again, 20));
        return { ran: globalThis.ran ?? null, reports: [...new Set(reports)].sort() };
      });
      assert.equal(reported.ran, null);
      assert.deepEqual(reported.reports, ['base-uri', 'connect-src', 'form-action', 'frame-src', 'img-src', 'script-src-attr',
        'script-src-elem', 'style-src-elem']);
      assert.match(other.page.url(), new RegExp(`^${bridge.base}`));
      assert.deepEqual(other.wrongs.filter((what) => what.startsWith('a ')), [], 'nothing left the page');
      await other.close();
    });
  });
}
