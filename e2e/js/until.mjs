// Waiting: always for a condition, always with a deadline.
import { setTimeout as pause } from 'node:timers/promises';

/** Waits until `condition` gives something true, and returns it. Fails with `what` after `ms`. */
export async function until(what, condition, ms = 20_000) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const found = await condition();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${ms} ms`, { cause: last });
    await pause(20);
  }
}

/** The next `name` event of an SDK object (client or subscription), as a promise with a deadline. */
export function event(emitter, name, ms = 20_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${name}" event within ${ms} ms`)), ms);
    emitter.once(name, (context) => {
      clearTimeout(timer);
      resolve(context);
    });
  });
}
