// People who may only read, or see some channels alone: what each is shown in a browser, and told where they may not go.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ENGINES, stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';
import { PAGES } from './support/pages.mjs';
import { startScene } from './support/scene.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too
const BEA = 'token-of-bea-0123456'; // reads all
const CARL = 'token-of-carl-012345'; // acts, of `sales` alone

const settings = {
  ADMIN__PEOPLE__BEA__TOKEN: BEA,
  ADMIN__PEOPLE__BEA__MAY: 'read',
  ADMIN__PEOPLE__CARL__TOKEN: CARL,
  ADMIN__PEOPLE__CARL__MAY: 'act',
  ADMIN__PEOPLE__CARL__CHANNELS: 'sales',
};

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); await stopShared(); });

for (const engine of ENGINES) {
  describe(`over ${engine}`, () => {
    let scene;
    before(async () => { scene = await startScene({ engine, settings }); }, { timeout: LIMIT });
    after(() => scene?.bridge.stop());

    const told = async ({ page, go }, path) => {
      const response = await go(path);
      return [response.status(), (await page.innerText('main')).replaceAll(/\s+/g, ' ')];
    };

    test('who may read sees every page without a button, and no plan', { timeout: LIMIT }, async () => {
      const window = await open(browser, scene.bridge.base);
      await window.signIn('login', BEA);
      const { page } = window;
      let seen = 0;
      for (const entry of PAGES.filter((one) => !one.signedOut && !one.reach)) {
        const path = typeof entry.path === 'function' ? entry.path(scene) : entry.path;
        const [status, words] = await told(window, path);
        if (/^\/bulk\?action=|\/decide/.test(path)) {
          assert.equal(status, 403, path);
          assert.match(words, /You may read, and change nothing.*Nothing was changed/, path);
          continue;
        }
        assert.equal(status, entry.status ?? 200, path);
        assert.equal(await page.locator('main form[method=post], main button[name=verdict], main button[data-key]').count(), 0, path);
        const links = await page.$$eval('main a[href]', (all) => all.map((one) => one.getAttribute('href')));
        assert.deepEqual(links.filter((link) => /verdict=|\/pause\?|\/resume\?|bulk\?|contacts=full/.test(link)), [], path);
        seen += 1;
      }
      assert.ok(seen > 15);
      assert.deepEqual(window.wrongs, []);
      await window.close();
    });

    test('who is of one channel sees that one, and is told nothing of another', { timeout: LIMIT }, async () => {
      for (const [language, of, none] of [
        ['en', /Not for your channels alone.*you see some of them/, /no message and no event with this id/],
        ['es', /No solo de sus canales.*usted ve algunos/, /No hay ningún mensaje ni evento con este id/],
      ]) {
        const window = await open(browser, scene.bridge.base, { language });
        await window.signIn('login', CARL);
        for (const path of ['/', '/messages', '/unconfirmed', '/live', `/messages/${scene.waiting}`]) {
          const [status, words] = await told(window, path);
          assert.equal(status, 200, path);
          assert.doesNotMatch(words, /support/, path);
        }
        for (const path of ['/channels/support', '/channels', '/failed', '/bulk', '/bulk?action=discard&state=failed', '/audit', '/settings']) {
          const [status, words] = await told(window, path);
          assert.equal(status, 403, path);
          assert.match(words, of, path);
        }
        for (const mId of [scene.sent, scene.failed, scene.received]) {
          const [status, words] = await told(window, `/messages/${mId}`);
          assert.equal(status, 404);
          assert.match(words, none);
          assert.doesNotMatch(words, /support|It left this morning/);
        }
        assert.deepEqual(window.wrongs, []);
        await window.close();
      }
    });
  });
}
