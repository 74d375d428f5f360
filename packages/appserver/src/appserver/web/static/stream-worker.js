// Runs once for all tabs of this browser, and holds the one stream that they share.
import { Follower } from "/static/follow.js";

const tabs = new Map(); // of each tab's port, its task

const follower = new Follower((task, note) => {
  for (const [port, followed] of tabs) if (followed === task) port.postMessage(note);
});

function leave(port) {
  const task = tabs.get(port);
  tabs.delete(port);
  if (task !== undefined && ![...tabs.values()].includes(task)) follower.leave(task);
}

addEventListener("connect", ({ ports: [port] }) => {
  port.addEventListener("message", ({ data }) => {
    if (data.leave) {
      leave(port);
      return;
    }
    tabs.set(port, data.task);
    follower.follow(data.task, data.after);
    if (data.wake) follower.wake();
  });
  port.addEventListener("close", () => leave(port));
  port.start();
});
