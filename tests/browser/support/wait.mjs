// Waiting for a state, never for a time.

// Longest wait for a state; generous, because tests share the machine.
export const SOON = 60_000;

// Polls until `state` returns something true, and returns it. Throws with `what` after SOON.
export async function until(what, state) {
  const deadline = Date.now() + SOON;
  for (;;) {
    const found = await state();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${SOON} ms: ${what}`);
    await new Promise((again) => setTimeout(again, 25));
  }
}
