// Every page of the bridge: readable by everybody, small, quiet, and of use without JavaScript.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ENGINES, stopShared } from './support/bridge.mjs';
import { launch, open, tooWide, violations } from './support/browser.mjs';
import { NOT_PAGES, PAGES, isOf, reach, routes } from './support/pages.mjs';
import { CUSTOMER, UNCERTAIN, startScene } from './support/scene.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too
const MOST_BYTES = 100 * 1024;
const MOST_BYTES_OF_FILES = 24 * 1024;

// Widths at which nothing may scroll sideways: of a telephone and of a window, and what is left of each at 200 %.
const WIDTHS = [360, 1280, 180, 640];

test('every page that is routed is in the list, and each of the list is routed', () => {
  const [served, listed] = [routes(), new Set([...PAGES.map((page) => page.route), ...NOT_PAGES])];
  assert.ok(served.length >= 5, `${served}`);
  assert.deepEqual(served.filter((route) => !listed.has(route)), [], 'name these in support/pages.mjs');
  assert.deepEqual([...listed].filter((route) => !served.includes(route)), []);
});

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); await stopShared(); });

for (const engine of ENGINES) {
  describe(`over ${engine}`, () => {
    let scene;
    before(async () => { scene = await startScene({ engine }); }, { timeout: LIMIT });
    after(() => scene?.bridge.stop());

    // Runs `look` on every page, signed in where the page needs it.
    async function onEveryPage(options, look) {
      for (const signedOut of [true, false]) {
        const window = await open(browser, scene.bridge.base, options);
        if (!signedOut) await window.signIn();
        for (const entry of PAGES.filter((page) => Boolean(page.signedOut) === signedOut)) {
          window.transferred.length = 0;
          const status = await reach(window, scene, entry);
          assert.equal(status, entry.status ?? 200, entry.name);
          await look(window, entry);
        }
        assert.deepEqual(window.wrongs, []);
        await window.close();
      }
    }

    for (const language of ['en', 'es']) {
      test(`no page breaks WCAG 2.2 AA or scrolls sideways, in ${language}, light and dark, at each width`, { timeout: LIMIT }, async () => {
        const wrong = [];
        await onEveryPage({ language }, async ({ page }, { name }) => {
          assert.equal(await page.getAttribute('html', 'lang'), language, name);
          for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: 800 });
            wrong.push(...(await tooWide(page)).map((what) => `${name}, ${width}: ${what}`));
            for (const colorScheme of width === 360 || width === 1280 ? ['light', 'dark'] : []) {
              await page.emulateMedia({ colorScheme });
              wrong.push(...(await violations(page)).map((what) => `${name}, ${width}, ${colorScheme}: ${what}`));
            }
          }
        });
        assert.deepEqual(wrong, []);
      });
    }

    test('each link of every page leads to a page of the list', { timeout: LIMIT }, async () => {
      const known = [...PAGES.map((page) => page.route), ...NOT_PAGES];
      await onEveryPage({}, async ({ page, url }, { name }) => {
        const links = await page.$$eval('a[href], form[action]', (all) => all.map((one) => (
          // Not as a property: a field of that name hides it.
          new URL(one.getAttribute('href') ?? one.getAttribute('action'), location.href).href)));
        for (const link of links) {
          const { origin, pathname } = new URL(link);
          assert.equal(origin, new URL(url('/')).origin, `${name}: ${link}`);
          assert.ok(pathname === '/logout' || known.some((route) => isOf(route, pathname)), `${name}: ${link} is in no list`);
        }
      });
    });

    test('a visit asks no other host, and stays within its bytes', { timeout: LIMIT }, async () => {
      let most = 0;
      await onEveryPage({ cache: false }, async (window, entry) => {
        if (entry.reach) return; // what leads there has loaded other pages too
        const sizes = await Promise.all(window.transferred.map(async ({ path, length }) => ({ path, bytes: await length })));
        const sum = (some) => some.reduce((all, { bytes }) => all + bytes, 0);
        const files = sizes.filter(({ path }) => /\.(css|js)$/.test(path));
        assert.ok(files.length === 2 && files.every(({ bytes }) => bytes > 0), `${entry.name}: ${JSON.stringify(sizes)}`);
        assert.ok(sum(sizes) <= MOST_BYTES, `${entry.name}: ${sum(sizes)} bytes`);
        assert.ok(sum(files) <= MOST_BYTES_OF_FILES, `${entry.name}: ${sum(files)} bytes of style and script`);
        most = Math.max(most, sum(sizes));
      });
      console.log(`the largest page over ${engine}: ${most} bytes in all`);
    });

    test('without JavaScript every page is read, a message is found, and it is decided in two steps', { timeout: LIMIT }, async () => {
      const noScript = { javaScriptEnabled: false };
      for (const signedOut of [true, false]) {
        const window = await open(browser, scene.bridge.base, noScript);
        if (!signedOut) await window.signIn();
        for (const entry of PAGES.filter((page) => Boolean(page.signedOut) === signedOut && !page.name.endsWith('-stale'))) {
          assert.equal(await reach(window, scene, entry), entry.status ?? 200, entry.name);
          assert.match(await window.page.innerText('main'), /\S/, entry.name);
        }
        await window.close();
      }
      const window = await open(browser, scene.bridge.base, noScript);
      const { page } = window;
      const follow = (what) => Promise.all([page.waitForNavigation(), page.click(what)]);
      await window.signIn();
      // By the search of the overview, and by a filter of the list.
      await page.fill('#q', CUSTOMER);
      await follow('form[role=search] button');
      assert.match(await page.innerText('main'), /failed/);
      await page.click('summary');
      await page.selectOption('select[name=state]', 'unconfirmed');
      await page.fill('#q', '');
      await follow('form[role=search] button');
      assert.equal(await page.locator('tbody tr').count(), scene.unconfirmed.length);
      const mId = scene.unconfirmed.at(-1);
      await follow(`a[href$="${mId}"]`);
      assert.match(await page.innerText('.verdict'), /^Nobody can tell/);
      await follow('a[href*="verdict=noted"]');
      await page.fill('#why', 'a test without script');
      await follow('main form button');
      assert.match(await page.innerText('main'), /Done\s+Noted: it may have been delivered/);
      await follow('main a.button');
      assert.match(await page.innerText('main'), /a test without script/);
      assert.equal((await scene.bridge.messages(`q=${mId}&direction=out`))[0].noted_ms > 0, true);
      scene.unconfirmed.pop();
      assert.equal((await scene.bridge.far(`sent?destination=${UNCERTAIN.at(-1).slice(1)}`)).length, 0, 'nothing was sent');
      await follow('.who button');
      assert.match(page.url(), /\/login$/);
      assert.deepEqual(window.wrongs, []);
      await window.close();
    });
  });
}
