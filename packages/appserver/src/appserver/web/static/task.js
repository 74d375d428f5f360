// Keeps a generation's page live: the page shows a snapshot, and this follows the log from there.
const root = document.getElementById("task");
const el = (id) => document.getElementById(id);
const url = `/api/tasks/${root.dataset.id}`;
const FINAL = { completed: "Done", failed: "Failed", cancelled: "Cancelled" };
const ENDINGS = { completed: "The video is ready.", cancelled: "Nothing more is made; what is there stays." };
const TYPES = ["started", "progress", "content", "retrying", "released", "completed", "failed", "cancelled"];
const LONGEST_PAUSE = 15000;
const ANNOUNCE_EVERY = 5000;

let seq = Number(root.dataset.seq);
let source = null;
let failures = 0;
let announcedAt = 0;
let retry = null;

function setState(state, word) {
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
  document.title = `${percent} % · ${root.dataset.name}`;
}

function setError(text) {
  el("error").textContent = text;
  el("error").hidden = !text;
}

function scene(index) {
  const scenes = el("scenes");
  let item = scenes.querySelector(`[data-index="${index}"]`);
  if (item) return item;
  item = el("scene").content.firstElementChild.cloneNode(true);
  item.dataset.index = index;
  item.querySelector("img").alt = `Drawn card of scene ${index + 1}`;
  item.querySelector("audio").setAttribute("aria-label", `Narration of scene ${index + 1}`);
  const later = [...scenes.children].find((other) => Number(other.dataset.index) > index);
  scenes.insertBefore(item, later ?? null);
  return item;
}

function showContent(content) {
  const id = content.content_id ?? content.id;
  const file = `/api/contents/${id}/file`;
  if (content.role === "video") {
    el("video").src = file;
    el("download").href = `${file}?download=true`;
    el("result").hidden = false;
    return;
  }
  if (content.index === null) return;
  const item = scene(content.index);
  if (content.caption) item.querySelector(".caption").textContent = content.caption;
  if (content.role === "picture") {
    item.querySelector("img").src = file;
    if (content.index === 0) el("video").poster = file;
  }
  if (content.role === "narration") {
    const audio = item.querySelector("audio");
    audio.src = file;
    audio.hidden = false;
  }
}

const HANDLERS = {
  started: (event) => {
    setState("processing", event.attempt > 1 ? `Running, attempt ${event.attempt}` : "Running");
    setError("");
    setProgress(0, "");
  },
  progress: (event) => setProgress(event.data.fraction, event.data.message),
  content: (event) => showContent(event.data),
  retrying: (event) => {
    setState("scheduled", "Trying again");
    setError(event.data.error.message);
  },
  released: () => setState("queued", "In the queue"),
  completed: () => {
    setError("");
    setProgress(1, ENDINGS.completed);
    finish("completed");
  },
  failed: (event) => {
    setError(event.data.error.message);
    el("again").hidden = false;
    finish("failed");
  },
  cancelled: () => {
    el("message").textContent = ENDINGS.cancelled;
    finish("cancelled");
  },
};

function finish(state) {
  setState(state, FINAL[state]);
  announce(FINAL[state]);
  document.title = `${FINAL[state]} · ${root.dataset.name}`;
  el("cancel").hidden = true;
  close();
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
  el("connection").textContent = "";
}

function receive(message) {
  const event = JSON.parse(message.data);
  if (event.seq <= seq) return;
  seq = event.seq;
  HANDLERS[event.type](event);
}

function open() {
  close();
  source = new EventSource(`${url}/stream?after=${seq}`);
  source.addEventListener("open", () => {
    failures = 0;
    el("connection").textContent = "";
  });
  for (const type of TYPES) source.addEventListener(type, receive);
  source.addEventListener("error", () => {
    if (root.dataset.state in FINAL) return;
    el("connection").textContent = "Reconnecting…";
    // A browser gives up for good after an error answer, such as a proxy's 503 during a restart: begin anew.
    if (source?.readyState === EventSource.CLOSED) reopenLater();
  });
}

function reopenLater() {
  source = null;
  failures += 1;
  const pause = Math.min(LONGEST_PAUSE, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
  clearTimeout(retry);
  retry = setTimeout(reopen, pause);
}

// An error answer tells an EventSource nothing, so the task itself is asked what is the matter.
async function reopen() {
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    reopenLater();
    return;
  }
  if (answer.status === 401 || answer.status === 404) {
    el("connection").textContent = "";
    setError("This generation is no longer here, or this browser is signed out. Go to the start page.");
    return;
  }
  if (!answer.ok) {
    reopenLater();
    return;
  }
  const task = await answer.json();
  if (task.state in FINAL && task.last_seq <= seq) location.reload();
  else open();
}

const live = () => !(root.dataset.state in FINAL);

el("cancel").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = el("cancel").querySelector("button");
  button.disabled = true;
  button.textContent = "Cancelling…";
  try {
    const answer = await fetch(`${url}/cancel`, { method: "POST" });
    if (!answer.ok && answer.status !== 409) throw new Error(`the host answered ${answer.status}`);
  } catch (error) {
    setError(`Not cancelled: ${error.message}. Try again.`);
    button.disabled = false;
    button.textContent = "Cancel";
  }
});

// A phone that slept may hold a stream that is dead without knowing.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && live()) open();
});
window.addEventListener("online", () => { if (live()) open(); });

// The script that led here is safe in its task; a draft begun since is kept.
const sent = sessionStorage.getItem("sent");
if (sent !== null) {
  if (localStorage.getItem("draft") === sent) localStorage.removeItem("draft");
  sessionStorage.removeItem("sent");
}

if (live()) open();
