// A tab's side of the stream that all tabs share; where a browser shares nothing, only the tab in sight has one.
import { Follower } from "/static/follow.js";

// task: what to follow; position(): the last event that this tab knows; tell(note): see follow.js.
export function followTask({ task, version, position, tell }) {
  const alone = () => followAlone(task, position, tell);
  if (!("SharedWorker" in window)) return alone();
  return followTogether(task, version, position, tell, alone);
}

function followTogether(task, version, position, tell, alone) {
  let instead = null;
  // The version: tabs of another release talk to a worker of their own.
  const worker = new SharedWorker(`/static/stream-worker.js?v=${version}`, { type: "module" });
  const say = (more) => worker.port.postMessage({ task, after: position(), ...more });
  const leave = () => (instead ? instead.leave() : say({ leave: true }));
  const wake = () => (instead ? instead.wake() : say({ wake: true }));
  worker.addEventListener("error", () => { instead ??= alone(); });
  worker.port.addEventListener("message", ({ data }) => tell(data));
  worker.port.start();
  say({});
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => { if (event.persisted) wake(); });
  return { leave, wake };
}

function followAlone(task, position, tell) {
  const follower = new Follower((_task, note) => tell(note));
  const leave = () => follower.leave(task);
  const wake = () => {
    follower.follow(task, position());
    follower.wake();
  };
  // A browser lets six streams of a host live: those out of sight make room.
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : wake()));
  if (!document.hidden) wake();
  return { leave, wake };
}
