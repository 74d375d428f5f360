// A tab's side of the stream that all tabs share; where a browser shares nothing, only the tab in sight has one.
import { Follower } from "/static/follow.js";

// task: what to follow; position(): the last event that this tab knows; tell(note): see follow.js.
// Returns how to wake the stream after a sleep, and how to end it once nothing can follow.
export function followTask({ task, version, position, tell }) {
  const alone = () => followAlone(task, position, tell);
  const worker = sharedWorker(version);
  return worker === null ? alone() : followTogether(worker, task, position, tell, alone);
}

function sharedWorker(version) {
  try {
    // The version: tabs of another release talk to a worker of their own.
    return new SharedWorker(`/static/stream-worker.js?v=${version}`, { type: "module" });
  } catch {
    return null; // there are none here, or the browser's settings forbid them
  }
}

function followTogether(worker, task, position, tell, alone) {
  let instead = null;
  let over = false;
  const say = (more) => worker.port.postMessage({ task, after: position(), ...more });
  const leave = () => (instead ? instead.leave() : say({ leave: true }));
  const wake = () => {
    if (!over) instead ? instead.wake() : say({ wake: true });
  };
  worker.addEventListener("error", () => { if (!over) instead ??= alone(); });
  worker.port.addEventListener("message", ({ data }) => tell(data));
  worker.port.start();
  say({});
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => { if (event.persisted) wake(); });
  return { wake, end: () => { over = true; leave(); } };
}

function followAlone(task, position, tell) {
  const follower = new Follower((_task, note) => tell(note));
  let over = false;
  const leave = () => follower.leave(task);
  const wake = () => {
    if (over) return;
    follower.follow(task, position());
    follower.wake();
  };
  // A browser lets six streams of a host live: those out of sight make room.
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : wake()));
  if (!document.hidden) wake();
  return { leave, wake, end: () => { over = true; leave(); } };
}
