// Keeps a run's page live: each event of the run makes the page look again, and what tasks say meanwhile is shown.
import { pauseBefore, sleep } from "/static/pause.js";

const root = document.getElementById("run");
const el = (id) => document.getElementById(id);
const { id } = root.dataset;
const SETTLE = 150;
const MOST_LIVE = 20000;

let seq = Number(root.dataset.seq);
let source = null;
let looking = false;
let wanted = false;
let tries = 0;

// The parts of the page that are taken from the host; a question that is being answered stays as it is.
function take(fresh) {
  const now = fresh.getElementById("run");
  const typing = el("question")?.contains(document.activeElement);
  const same = el("question")?.dataset.id === fresh.getElementById("question")?.dataset.id;
  const pictures = (page) => page.querySelectorAll("#question .made li").length;
  const keep = same && (typing || pictures(document) === pictures(fresh)) ? el("asked") : null;
  if (keep) fresh.getElementById("asked").replaceWith(document.importNode(keep, false));
  const open = [...root.querySelectorAll("details")].map((one) => one.open);
  const parts = [...now.childNodes].map((node) => document.importNode(node, true));
  root.replaceChildren(...parts);
  if (keep) el("asked").replaceWith(keep);
  root.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
  root.dataset.asked = now.dataset.asked;
  document.title = fresh.title;
}

async function look() {
  wanted = true;
  if (looking) return;
  looking = true;
  while (wanted) {
    wanted = false;
    await sleep(SETTLE);
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      tries = 0;
    } catch {
      // The host is away, which the stream shows: once more, later.
      wanted = true;
      await sleep(pauseBefore(++tries));
    }
  }
  looking = false;
}

function say(text) {
  const live = el("live");
  live.hidden = false;
  live.textContent = (live.textContent + text).slice(-MOST_LIVE);
}

const told = (chunk) => (typeof chunk.text === "string" ? chunk.text : `${JSON.stringify(chunk)}\n`);

const sayAll = (chunks) => { if (chunks?.length) say(chunks.map(told).join("")); };

// What the parts of the run ask is no event of its own. A look that is under way may be from before.
function checkParts(data) {
  if (looking || data.asked_by_parts.map((one) => one.interaction_id).join(" ") !== root.dataset.asked) look();
}

function showLive(data) {
  el("live").textContent = "";
  for (const task of data.tasks) sayAll(task.chunks);
  checkParts(data);
}

// What tasks and parts say; all else makes the page look again.
const ALONG = {
  task_chunk: (data) => sayAll(data.data?.chunks),
  task_progress: (data) => { el("connection").textContent = data.data?.message ?? ""; },
  rollback: () => { el("live").textContent = ""; },
  tasks: showLive,
  parts: checkParts,
};

function follow() {
  source?.close();
  source = new EventSource(`/api/runs/${id}/stream?after=${seq}`);
  source.onopen = () => { el("connection").textContent = ""; };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) {
      sleep(pauseBefore(++tries)).then(follow);
    } else {
      el("connection").textContent = "Reconnecting…";
    }
  };
  const received = (event) => {
    // Only the run's own events have a number.
    if (event.lastEventId) seq = Math.max(seq, Number(event.lastEventId));
    const data = event.data ? JSON.parse(event.data) : {};
    if (event.type in ALONG) ALONG[event.type](data);
    else look();
    // The run goes on on another branch, and what the tasks of the old one have said is over.
    if (event.type === "snapshot") showLive(data);
  };
  for (const name of NAMES) source.addEventListener(name, received);
  source.addEventListener("end", () => {
    // A run that has ended can go on: by a button of this page, or in another tab.
    source.close();
    look();
  });
}

// What is done here is told by the stream, as it is to all others; only after the end of the run there is none.
function goOn() {
  if (source.readyState === EventSource.CLOSED) follow();
}

const NAMES = [
  "workflow_created", "workflow_resumed", "workflow_completed", "workflow_error", "workflow_cancelled",
  "workflow_target_reached", "workflow_validation_failed", "workflow_recovered", "step_started", "step_completed",
  "module_started", "module_completed", "module_skipped", "module_error", "interaction_requested",
  "interaction_response", "interaction_expired", "retry_requested", "jump_requested", "branch_switched",
  "sub_action_started", "sub_action_completed", "sub_action_failed", "timer_fired", "signal_received", "output_stored",
  "snapshot",
  ...Object.keys(ALONG),
];

async function post(path, body) {
  const answer = await fetch(`/api/runs/${id}/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told;
}

const WAYS = {
  retry: (button) => ["retry", { module: button.dataset.module }],
  jump: (button) => ["jump", { module: button.dataset.module }],
  switch: (button) => ["switch", { branch_id: button.dataset.branch }],
};

function planText(plan) {
  const list = (title, names) => (names?.length ? `${title}: ${names.join(", ")}\n` : "");
  return (
    list("Runs again", plan.runs_again.map((one) => one.module)) + list("Taken over as it is", plan.reused)
    + (plan.tasks_stop.length ? `Tasks that stop: ${plan.tasks_stop.length}\n` : "")
    + (plan.children_stop.length ? `Parts that stop: ${plan.children_stop.length}\n` : "")
    + (Number(plan.estimated_cost) ? `Costs about ${plan.estimated_cost} US dollars\n` : "")
    + list("No estimate, or not all of it, for", plan.without_estimate)
  ) || "Nothing that was done is undone.";
}

async function goBack(button) {
  const [path, body] = WAYS[button.dataset.back](button);
  try {
    const { plan } = await post(`${path}?dry_run=true`, body);
    el("plan").textContent = planText(plan);
    el("feedback").parentElement.querySelector("label").hidden = path === "switch";
    el("feedback").hidden = path === "switch";
    el("feedback").value = "";
    el("confirm").showModal();
    await new Promise((resolve) => { el("confirm").addEventListener("close", resolve, { once: true }); });
    if (el("confirm").returnValue !== "yes") return;
    const message = el("feedback").value.trim();
    await post(path, path !== "switch" && message ? { ...body, feedback: { message } } : body);
    goOn();
  } catch (error) {
    el("connection").textContent = `Not done: ${error.message}`;
  }
}

async function act(button) {
  const { module, act: action } = button.dataset;
  try {
    await post("actions", { module, action, arguments: JSON.parse(button.dataset.arguments) });
    goOn();
  } catch (error) {
    el("connection").textContent = `Not done: ${error.message}`;
  }
}

// A file goes to the host at once; the answer then names it by its id.
async function upload(input) {
  const form = input.form;
  const [file] = input.files;
  const button = form.querySelector("button[type=submit]");
  const named = form.elements.namedItem("content_id");
  const question = form.elements.namedItem("interaction_id").value;
  named.value = "";
  if (!file) return;
  button.disabled = true;
  el("uploaded").textContent = "Sending…";
  try {
    const answer = await fetch(`/api/runs/${id}/interactions/${question}/files?filename=${encodeURIComponent(file.name)}`, {
      method: "POST",
      headers: { "content-type": file.type || "application/octet-stream", accept: "application/json" },
      body: file,
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
    named.value = told.id;
    el("uploaded").textContent = "Sent.";
  } catch (error) {
    input.value = "";
    el("uploaded").textContent = `Not sent: ${error.message}`;
  }
  button.disabled = false;
}

// On the page itself: what is in it is replaced while the run goes on.
root.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.back) goBack(button);
  else if (button?.dataset.act) act(button);
});
root.addEventListener("change", (event) => { if (event.target.dataset.upload !== undefined) upload(event.target); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
window.addEventListener("online", follow);
follow();
