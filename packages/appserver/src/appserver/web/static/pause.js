// How long to wait before the next try: longer each time, and never all at once.
const FIRST = 500;
const LONGEST = 15000;

export function pauseBefore(tries) {
  return Math.min(LONGEST, FIRST * 2 ** tries) * (0.5 + Math.random() / 2);
}

export function sleep(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

// Ends a request that hangs: a browser itself would wait for minutes.
export function ask(url, options = {}) {
  return fetch(url, { signal: AbortSignal.timeout(10000), ...options });
}
