// Keeps a task's page live: the page shows a snapshot, and this follows the log from there.
import { cancelTask } from "/static/cancel.js";
import { forgetSent } from "/static/draft.js";
import { keepFilesWhole, showTexts } from "/static/files.js";
import { filmIsReady, showInFilm } from "/static/film.js";
import { addOutput, clearOutput } from "/static/output.js";
import { fetchPage, showUnattended, showItems, showResult } from "/static/parts.js";
import { pauseBefore, sleep } from "/static/pause.js";
import { FINAL } from "/static/states.js";
import { followTask } from "/static/stream.js";

const root = document.getElementById("task");
const el = (id) => document.getElementById(id);
const { id, name, version } = root.dataset;
const words = JSON.parse(root.dataset.words);
const isFilm = "film" in root.dataset;
const ANNOUNCE_EVERY = 5000;
const LOOK_EVERY = 10000;
const MOST_TRIES = 20;

const shown = Number(root.dataset.seq);

// What an actor has sent is in the log alone, so the page of a task that is no film reads all of it.
let seq = isFilm ? shown : -1;
let stream = null;
let announcedAt = 0;
let heardAt = Date.now();
let refreshing = false;
let wanted = false;

const live = () => !FINAL.has(root.dataset.state);

function setState(state, word = words[state]) {
  root.dataset.state = state;
  el("state").textContent = word;
  el("state").className = `state ${state}`;
}

function announce(text) {
  el("announcement").textContent = text;
  announcedAt = Date.now();
}

function setProgress(fraction, message) {
  const percent = Math.round(fraction * 100);
  // A screen reader would read out every frame.
  if (Date.now() - announcedAt > ANNOUNCE_EVERY) announce(`${percent} %. ${message}`);
  el("progress").value = percent;
  el("message").textContent = message;
  document.title = `${percent} % · ${name}`;
}

function setError(text) {
  el("error").textContent = text;
  el("error").hidden = !text;
}

// A new attempt says everything anew.
const OUTPUT = {
  started: () => { if (!isFilm) clearOutput(); },
  chunk: (event) => { if (!isFilm) addOutput(event.data.chunks); },
};

const HANDLERS = {
  started: (event) => {
    setState("processing", event.attempt > 1 ? `${words.processing}, attempt ${event.attempt}` : words.processing);
    setError("");
    setProgress(0, "");
    OUTPUT.started();
  },
  progress: (event) => setProgress(event.data.fraction, event.data.message),
  chunk: OUTPUT.chunk,
  content: (event) => (isFilm ? showInFilm(event.data) : refresh()),
  retrying: (event) => {
    setState("scheduled", words.again);
    setError(event.data.error.message);
  },
  released: () => setState("queued"),
  suspended: () => setState("scheduled"),
  completed: () => {
    setProgress(1, isFilm && filmIsReady() ? words.ready : "");
    finish("completed");
  },
  failed: (event) => {
    finish("failed", event.data.error.message);
    if (isFilm) el("again").hidden = false;
  },
  cancelled: () => {
    el("message").textContent = words.nothing_more;
    finish("cancelled");
  },
};

function finish(state, error = "") {
  const ends = live();
  setState(state);
  setError(error);
  if (state === "failed") el("message").textContent = "";
  document.title = `${words[state]} · ${name}`;
  el("unattended").hidden = true;
  el("connection").textContent = "";
  if (ends) {
    announce(words[state]);
    // Who pressed Cancel by keyboard goes on from here, and not from the top of the page.
    if (el("cancel").contains(document.activeElement)) el("state").focus();
  }
  el("cancel").hidden = true;
  stream?.end();
  if (!isFilm) refresh();
}

function tell(note) {
  if (note.event) receive(note.event);
  else if (note.gone) {
    el("connection").textContent = "";
    setError("This generation is no longer here, or this browser is signed out. Go to the start page.");
  } else if (live()) el("connection").textContent = note.lost ? "Reconnecting…" : "";
}

function receive(event) {
  if (event.seq <= seq) return;
  seq = event.seq;
  heardAt = Date.now();
  if (seq <= shown) {
    // The page shows already what came of it, all but the output.
    if (event.type === "started" || event.type === "chunk") OUTPUT[event.type](event);
    return;
  }
  el("unattended").hidden = true;
  HANDLERS[event.type](event);
}

// Takes what the host shows of result and files by now; many events in a row cost one look.
async function refresh() {
  wanted = true;
  if (refreshing) return;
  refreshing = true;
  for (let tries = 0; wanted && tries < MOST_TRIES; ) {
    await sleep(tries === 0 ? 200 : pauseBefore(tries));
    wanted = false;
    try {
      const fresh = await fetchPage();
      showItems(fresh);
      showResult(fresh);
      tries = 0;
    } catch {
      // the host is away, which the stream shows: once more, later
      wanted = true;
      tries += 1;
    }
  }
  refreshing = false;
}

// Where no event comes, the page tells whether anybody works on the task, and whether the stream missed something.
async function look() {
  if (!live() || document.hidden || Date.now() - heardAt < LOOK_EVERY) return;
  try {
    const fresh = await fetchPage();
    if (!live()) return;
    showUnattended(fresh);
    if (Number(fresh.getElementById("task").dataset.seq) > seq) stream.wake();
  } catch {
    // the host is away, which the stream shows
  }
}

el("cancel").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = el("cancel").querySelector("button");
  // Not disabled: that would take the focus away.
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  button.textContent = "Cancelling…";
  try {
    const cancelled = await cancelTask(`/api/tasks/${id}`, live, (text) => { el("connection").textContent = text; });
    if (cancelled && live()) HANDLERS.cancelled();
  } catch (error) {
    if (live()) setError(`Not cancelled: ${error.message}.`);
  }
  button.removeAttribute("aria-disabled");
  button.textContent = "Cancel";
});

document.addEventListener("visibilitychange", () => { if (!document.hidden && live()) stream.wake(); });
window.addEventListener("online", () => { if (live()) stream.wake(); });

forgetSent();
keepFilesWhole();
showTexts();
if (live() || !isFilm) {
  stream = followTask({ task: id, version, position: () => seq, tell });
  setInterval(look, LOOK_EVERY);
}
