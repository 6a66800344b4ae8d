// "The customer got nothing": from the overview to the sentence that names the cause, by clicks.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ENGINES, startBridge, stopShared } from './support/bridge.mjs';
import { launch, open } from './support/browser.mjs';
import { until } from './support/wait.mjs';

const LIMIT = 300_000; // of a test, in milliseconds: on a machine that others use too
const MOST_CLICKS = 3;

const text = 'Su pedido sale hoy.';
const file = { type: 'attachment', attachment: { type: 'image', url: 'https://files.example/label.jpg', description: 'Label' } };
const refused = (method, code) => async (bridge, contact) => {
  await bridge.far('faults', { rule: `${method}:${code}` });
  await bridge.say(contact, method === 'sendfile' ? file : text);
};

// What went wrong, and what the page says of it, in English and in Spanish. Those of one group follow each other on one
// bridge; the last of a group may leave it as it is.
const GROUPS = [
  [
    // Before Afilnet has shown a row of the bridge: looking can decide nothing.
    ['the answer of Afilnet was lost', async (bridge, contact) => {
      await bridge.far('switches', { sent_row_visible_after: 'never' });
      await bridge.far('faults', { rule: 'sendmessage:reset' });
      const mId = await bridge.say(contact, text);
      await bridge.reaches(mId, 'unconfirmed');
      await bridge.far('switches', { sent_row_visible_after: '0 s' });
    }, /Nobody can tell: looking could not decide/, /No se puede saber: las comprobaciones no lo han decidido/],
    ['Afilnet misses a part', refused('sendmessage', 'MISSING_COMPULSORY_PARAM'),
      /No: Afilnet misses a part of the message/, /No: Afilnet echa en falta una parte/],
    ['no conversation is open with the customer', refused('sendmessage', 'CHAT_NOT_FOUND'),
      /Afilnet has no open conversation with this customer/, /no tiene una conversación abierta con este cliente/],
    ['Afilnet cannot fetch the file', refused('sendfile', 'INCORRECT_FILEURL'),
      /Afilnet could not fetch the file/, /no pudo descargar el archivo/],
    ['Afilnet does not take this kind of file', refused('sendfile', 'INCORRECT_FILETYPE'),
      /Afilnet does not take this kind of file/, /no admite este tipo de archivo/],
    ['it is too long for Afilnet', refused('sendmessage', 'http_413'), /it is too long for Afilnet/, /demasiado largo para Afilnet/],
    ['Afilnet took it, and reports that it failed', async (bridge, contact) => {
      await bridge.reaches(await bridge.say(contact, text), 'sent');
      await bridge.far('status', { platformid: '100', destination: contact.slice(1), status: 'failed' });
    }, /Afilnet took it, and reported at .* that it failed/, /Afilnet lo aceptó, y a las .* indicó que había fallado/],
    ['a person gave it up', async (bridge, contact) => {
      await refused('sendmessage', 'MISSING_COMPULSORY_PARAM')(bridge, contact);
      const [{ m_id: mId }] = await bridge.messages(`contact=${encodeURIComponent(contact)}&state=failed`);
      await bridge.command('messages', 'discard', mId);
    }, /a person discarded it/, /una persona lo descartó/],
    ['a person has paused the channel', async (bridge, contact) => {
      await bridge.command('channels', 'pause', 'sales', 'out', '--why', 'migration');
      await bridge.say(contact, text, { channel: 'demo2' });
    }, /Sending is paused by Ana since .*: migration/, /Los envíos están en pausa por orden de Ana .*: migration/],
    ['Afilnet answers with errors', async (bridge, contact) => {
      await bridge.far('faults', { rule: 'sendmessage:http_503:1-100000' });
      await bridge.say(contact, text);
    }, /Afilnet answered with an error \(HTTP 503\)/, /Afilnet respondió con un error \(HTTP 503\)/],
  ],
  [['the account has no credit', async (bridge, contact) => {
    await bridge.far('faults', { rule: 'sendmessage:NO_CREDITS:1-100000' });
    await bridge.say(contact, text);
  }, /the account at Afilnet has no credit/i, /la cuenta de Afilnet no tiene saldo/i]],
  [['the password is not taken', async (bridge, contact) => {
    await bridge.far('faults', { rule: 'sendmessage:INCORRECT_USER_PASSWORD:1-100000' });
    await bridge.say(contact, text);
  }, /Afilnet does not accept the credentials/i, /Afilnet no acepta las credenciales/i]],
];

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); await stopShared(); });

// Goes from the overview to the message of a contact as a person does. Returns the number of clicks and the verdict.
async function find(window, contact) {
  const { page } = window;
  let clicks = 0;
  const click = async (what) => { clicks += 1; await Promise.all([page.waitForNavigation(), what.click()]); };
  await window.go('/');
  await page.fill('#q', contact);
  await click(page.locator('form[role=search] button'));
  await click(page.locator('tbody tr', { has: page.locator('text=/to the customer|al cliente/') }).first().locator('a'));
  return { clicks, verdict: (await page.innerText('.verdict')).replaceAll(/\s+/g, ' ') };
}

for (const engine of ENGINES) {
  describe(`over ${engine}`, () => {
    test('each of twelve causes is named within three clicks, in both languages', { timeout: LIMIT }, async () => {
      const rows = [];
      for (const [g, group] of GROUPS.entries()) {
        const bridge = await startBridge({ engine });
        const windows = { en: await open(browser, bridge.base), es: await open(browser, bridge.base, { language: 'es' }) };
        for (const window of Object.values(windows)) await window.signIn();
        for (const [n, [cause, make, ...words]] of group.entries()) {
          const contact = `+3460070${g}${String(n).padStart(3, '0')}`;
          await make(bridge, contact);
          for (const [at, language] of ['en', 'es'].entries()) {
            let found;
            await until(`${cause} is named in ${language}`, async () => {
              found = await find(windows[language], contact);
              return words[at].test(found.verdict);
            }).catch((error) => { throw new Error(`${error.message}: ${found?.verdict}`); });
            assert.ok(found.clicks <= MOST_CLICKS);
            if (language === 'en') rows.push({ cause, clicks: found.clicks, says: found.verdict.slice(0, 100) });
          }
        }
        for (const window of Object.values(windows)) { assert.deepEqual(window.wrongs, []); await window.close(); }
        await bridge.stop();
      }
      assert.ok(rows.length >= 10);
      console.log(`over ${engine}:`);
      for (const { cause, clicks, says } of rows) console.log(`${clicks} clicks | ${cause.padEnd(44)} | ${says}`);
    });
  });
}
