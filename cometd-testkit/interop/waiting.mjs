// Waiting for conditions, never for time to pass.

import { setTimeout as sleep } from 'node:timers/promises';

/** Far longer than anything takes that is not broken. */
export const SOON = 5_000;

/** The promise's outcome; an error if there is none in time. */
export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until the condition gives something true, and returns that. */
export async function until(condition, what = String(condition), ms = SOON) {
  for (const deadline = Date.now() + ms; ; await sleep(2)) {
    const found = condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
  }
}

/** Turns a function with a last callback argument into a promise of what the callback gets. */
export function called(start, what = String(start), ms = SOON) {
  return within(ms, new Promise((resolve) => start(resolve)), what);
}
