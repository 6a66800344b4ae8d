// Messages that may have been delivered, decided by keys alone; counted at the ledger of the simulated Afilnet.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { ENGINES, startBridge, stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';
import { until } from './support/wait.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); await stopShared(); });

for (const engine of ENGINES) {
  describe(`over ${engine}`, () => {
    let bridge;
    // Each test has its own: once rows of the bridge show, looking decides what nobody could tell before.
    beforeEach(async () => { bridge = await startBridge({ engine }); }, { timeout: LIMIT });
    afterEach(() => bridge?.stop());

    const ledger = async (contact) => (await bridge.far(`sent?destination=${contact.slice(1)}`)).length;

    // A message whose answer is lost, which the customer has where `arrived`; no row of it shows before `rowsShow`. Of a
    // conversation that the bridge has read, so that the page may read it too.
    async function doubtful(contact, arrived) {
      await bridge.receive(contact.slice(1), 'has it left?');
      const number = encodeURIComponent(contact);
      await until('it is read', async () => (await bridge.messages(`q=${number}&direction=in&state=done`)).length > 0);
      await bridge.far('switches', { sent_row_visible_after: 'never' });
      await bridge.far('faults', { rule: `sendmessage:${arrived ? 'reset_stored' : 'reset'}` });
      const mId = await bridge.say(contact, `one that nobody can tell of, ${contact}`);
      await bridge.reaches(mId, 'unconfirmed');
      await bridge.clearFaults();
      assert.equal(await ledger(contact), arrived ? 1 : 0);
      return mId;
    }
    const rowsShow = () => bridge.far('switches', { sent_row_visible_after: '0 s' });

    // Presses a key until a page takes it: keys do nothing in the first second of a page, so that the next one gets no press that was
    // meant for this one. Returns its status and what it says.
    async function press(page, key) {
      let response;
      page.waitForNavigation().then((found) => { response = found; }, () => {}); // said below
      await until(`${key} is taken`, async () => {
        if (!response) await page.keyboard.press(key);
        return response;
      });
      return { status: response.status(), said: await page.innerText('.notice[role]') };
    }

    test('each key has its outcome, once, however often it is pressed', { timeout: LIMIT }, async () => {
      const window = await open(browser, bridge.base);
      await window.signIn();
      const { page } = window;
      const outcomes = [
        ['d', true, 'sent', 1, /Settled as delivered/],
        ['f', false, 'failed', 0, /Settled as failed/],
        ['n', false, 'unconfirmed', 0, /Noted/],
        ['s', false, 'sent', 1, /It is sent again now/],
      ];
      for (const [n, [key, arrived, state, sent, words]] of outcomes.entries()) {
        const contact = `+3460071100${n}`;
        const mId = await doubtful(contact, arrived);
        await window.go(`/unconfirmed?m=${mId}`);
        assert.equal(await page.inputValue('input[name=m_id]'), mId);
        // In a field a letter is a letter.
        await page.waitForFunction(() => performance.now() > 1500);
        await page.fill('#why', '');
        await page.type('#why', 'dfsn');
        assert.equal(await page.inputValue('#why'), 'dfsn');
        assert.equal(await page.inputValue('input[name=m_id]'), mId);
        await page.locator('#why').blur();
        if (key === 's') await rowsShow();
        const { status, said } = await press(page, key);
        assert.equal(status, 200, said);
        assert.match(said, words);
        await bridge.reaches(mId, state);
        assert.equal((await bridge.messages(`q=${mId}&direction=out`))[0].noted_ms > 0, key === 'n');
        assert.equal(await ledger(contact), sent, `${key}: ${said}`);
      }
      assert.deepEqual(window.wrongs, []);
      await window.close();
    });

    test('a row that turns up before the key sends nothing, and says so', { timeout: LIMIT }, async () => {
      const [contact, window] = ['+34600711010', await open(browser, bridge.base)];
      await window.signIn();
      const mId = await doubtful(contact, true);
      await window.go(`/unconfirmed?m=${mId}`);
      assert.ok(await window.page.locator('button[data-key=s]').count(), 'it is offered: the row does not show');
      await rowsShow();
      await bridge.receive(contact.slice(1), 'and the customer answers');
      const { status, said } = await press(window.page, 's');
      assert.equal(status, 409, said);
      assert.match(said, /turned up|no longer as the page showed it/);
      assert.equal(await ledger(contact), 1, 'not twice');
      assert.deepEqual(window.wrongs, []);
      await window.close();
    });

    test('what another tab has decided stays so, and the second tab is told', { timeout: LIMIT }, async () => {
      const contact = '+34600711020';
      const mId = await doubtful(contact, false);
      const windows = [await open(browser, bridge.base), await open(browser, bridge.base, { language: 'es' })];
      for (const window of windows) {
        await window.signIn();
        await window.go(`/unconfirmed?m=${mId}`);
      }
      assert.equal((await press(windows[0].page, 'f')).status, 200);
      const late = await press(windows[1].page, 's');
      assert.equal(late.status, 409, late.said);
      assert.match(late.said, /No se ha cambiado nada|no se ha hecho nada|ya no está/i);
      assert.deepEqual([await bridge.state(mId), await ledger(contact)], ['failed', 0]);
      for (const window of windows) { assert.deepEqual(window.wrongs, []); await window.close(); }
    });
  });
}
