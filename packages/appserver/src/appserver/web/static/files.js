// Asks again for files that did not load: after a while, and when the browser is online or in sight again.
import { ask, pauseBefore, sleep } from "/static/pause.js";

const MEDIA = "img, audio, video";
const MOST_TRIES = 8;
const broken = new Map(); // of each element, how often its file was asked for in vain

function reload(element) {
  if (element.tagName === "IMG") {
    element.src = element.getAttribute("src");
    return;
  }
  const { currentTime, autoplay } = element;
  const wanted = element.dataset.wanted === "true";
  element.load();
  element.currentTime = currentTime;
  if (wanted && !autoplay) element.play().catch(() => {}); // the browser may want a click first
}

function tryLater(element) {
  if (!element.matches?.(MEDIA) || !element.getAttribute("src")) return;
  const source = element.getAttribute("src");
  const before = broken.get(element);
  const tries = before?.source === source ? before.tries + 1 : 0;
  clearTimeout(before?.timer);
  const timer = tries < MOST_TRIES ? setTimeout(() => reload(element), pauseBefore(tries)) : null;
  if (element.tagName !== "IMG") element.dataset.wanted = String(!element.paused);
  broken.set(element, { source, tries, timer });
}

function loaded(element) {
  clearTimeout(broken.get(element)?.timer);
  if (!broken.delete(element) || element.tagName !== "IMG") return;
  // A poster tells nobody that it did not load; the same picture in the page does.
  for (const video of document.querySelectorAll("video[poster]")) {
    if (video.poster === element.src) video.poster = element.src;
  }
}

function tryNow() {
  for (const [element, state] of broken) {
    clearTimeout(state.timer);
    broken.set(element, { ...state, tries: 0 });
    if (element.isConnected) reload(element);
    else broken.delete(element);
  }
}

export function keepFilesWhole() {
  // These events do not bubble, but they pass by on their way down.
  document.addEventListener("error", (event) => tryLater(event.target), true);
  for (const type of ["load", "loadedmetadata"]) {
    document.addEventListener(type, (event) => loaded(event.target), true);
  }
  window.addEventListener("online", tryNow);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tryNow(); });
  // What failed before this script ran.
  for (const element of document.querySelectorAll(MEDIA)) {
    const failed = element.tagName === "IMG" ? element.complete && element.naturalWidth === 0 : element.error;
    if (failed) tryLater(element);
  }
}

// Shows the text of files that are text, as text: nothing in them is markup here.
export async function showTexts() {
  for (const element of document.querySelectorAll("[data-text]")) {
    const url = element.dataset.text;
    delete element.dataset.text;
    for (let tries = 0; tries <= MOST_TRIES; tries += 1) {
      try {
        const answer = await ask(url);
        if (answer.ok) element.textContent = await answer.text();
        if (answer.status < 500) break;
      } catch {
        // the network is away: once more, later
      }
      await sleep(pauseBefore(tries));
    }
  }
}
