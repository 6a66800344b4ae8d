// A bridge that has something of everything to show.

import { startBridge } from './bridge.mjs';
import { until } from './wait.mjs';

export const CUSTOMER = '+34600111222';
export const UNCERTAIN = ['+34600333441', '+34600333442', '+34600333443'];

// Returns it with the mIds of its messages, by what became of them.
export async function startScene(options = {}) {
  const bridge = await startBridge(options);
  const scene = { bridge };
  // Their answers are lost, and looking can decide nothing, for Afilnet has not shown a row of the bridge yet.
  const shown = (await bridge.far('switches')).sent_row_visible_after;
  await bridge.far('switches', { sent_row_visible_after: 'never' });
  await bridge.far('faults', { rule: 'sendmessage:reset:1-3' });
  scene.unconfirmed = await Promise.all(UNCERTAIN.map((contact, n) => bridge.say(contact, `One that nobody can tell of, ${n}`)));
  await Promise.all(scene.unconfirmed.map((mId) => bridge.reaches(mId, 'unconfirmed')));
  await bridge.far('switches', { sent_row_visible_after: shown });
  await bridge.clearFaults();
  await bridge.receive('34600111222', 'Hola, ¿abrís el sábado?');
  scene.sent = await bridge.say(CUSTOMER, 'Sí, de 10 a 14 h.');
  await bridge.reaches(scene.sent, 'sent');
  const broadcast = await Promise.all(
    Array.from({ length: 60 }, (_, n) => bridge.say(`+346002220${String(n % 20).padStart(2, '0')}`, `Broadcast ${n}`)),
  );
  // To its last answer: none of it may meet the next fault.
  await until('the broadcast is sent', async () => {
    const sent = new Set((await bridge.messages('state=sent')).map((message) => message.m_id));
    return broadcast.every((mId) => sent.has(mId));
  });
  await bridge.far('faults', { rule: 'sendmessage:MISSING_COMPULSORY_PARAM' });
  scene.failed = await bridge.say(CUSTOMER, 'It left this morning.');
  await bridge.reaches(scene.failed, 'failed');
  // A job that is done.
  await bridge.far('faults', { rule: 'sendmessage:MISSING_COMPULSORY_PARAM' });
  await bridge.reaches(await bridge.say('+34600666777', 'It is given up.'), 'failed');
  await bridge.command('messages', 'discard', '--state', 'failed', '--contact', '+34600666777', '--why', 'an example', '--yes');
  scene.job = 1;
  // An event that BonyChat refuses while it takes others.
  await bridge.near('poison', { marker: 'POISON' });
  await bridge.receive('34600444555', 'This one is POISON.');
  let others = 0;
  await until('the event is given up', async () => {
    others += 1;
    await bridge.receive('34600444556', `and this one is not, ${others}`);
    return (await bridge.messages('state=dead')).length > 0;
  });
  scene.dead = (await bridge.messages('state=dead'))[0].m_id;
  scene.received = (await bridge.messages('direction=in&state=done'))[0].m_id;
  await bridge.command('channels', 'pause', 'sales', 'out', '--why', 'migration of the bot');
  scene.waiting = await bridge.say('+34600555666', 'Waits for the migration', { channel: 'demo2' });
  return scene;
}
