// Follows any number of tasks by one stream: of the six connections that a browser opens to a host, it takes one.
import { ask, pauseBefore } from "/static/pause.js";
import { FINAL } from "/static/states.js";

const TYPES = ["started", "progress", "chunk", "content", "retrying", "released", "suspended", ...FINAL];
const MOST = 50;
const SILENCE = 20000;

export class Follower {
  #tell;
  #tasks = new Map(); // of each task, the last event that was told
  #source = null;
  #opening = null;
  #failures = 0;
  #heard = 0;

  // tell(task, note): the note holds an event, or says that the stream is open, lost, or that the task is gone.
  constructor(tell) { this.#tell = tell; }

  follow(task, after) {
    const known = this.#tasks.get(task);
    if (known !== undefined && known <= after) return;
    this.#tasks.set(task, after);
    this.#openSoon(20);
  }

  leave(task) {
    if (this.#tasks.delete(task)) this.#openSoon(20);
  }

  // After a sleep or another network a stream may be dead without knowing.
  wake() {
    if (this.#source === null || Date.now() - this.#heard > SILENCE) this.#openSoon(0);
  }

  #openSoon(milliseconds) {
    clearTimeout(this.#opening);
    this.#opening = setTimeout(() => this.#open(), milliseconds);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    this.#close();
    const followed = [...this.#tasks].slice(-MOST);
    if (followed.length === 0) return;
    const after = followed.map(([task, seq]) => `${task}:${seq}`).join(",");
    const source = new EventSource(`/api/stream?after=${encodeURIComponent(after)}`);
    let opened = false;
    this.#source = source;
    this.#heard = Date.now();
    source.addEventListener("open", () => {
      opened = true;
      this.#failures = 0;
      this.#heard = Date.now();
      this.#tellAll({ open: true });
    });
    for (const type of TYPES) source.addEventListener(type, (message) => this.#receive(JSON.parse(message.data)));
    source.addEventListener("error", () => this.#lose(opened));
  }

  #receive(event) {
    this.#heard = Date.now();
    if (!this.#tasks.has(event.task_id)) return;
    this.#tasks.set(event.task_id, event.seq);
    this.#tell(event.task_id, { event });
    if (FINAL.has(event.type)) this.#tasks.delete(event.task_id);
    if (this.#tasks.size === 0) this.#close();
  }

  // Never left to the browser: it would ask a redirect's target for ever, and gives up after an error answer.
  #lose(opened) {
    this.#close();
    this.#tellAll({ lost: true });
    const pause = pauseBefore(this.#failures);
    this.#failures += 1;
    clearTimeout(this.#opening);
    this.#opening = setTimeout(() => (opened ? this.#open() : this.#reopen()), pause);
  }

  // An error answer tells an EventSource nothing, so the tasks themselves are asked what is the matter.
  async #reopen() {
    try {
      for (const [task, seq] of [...this.#tasks]) await this.#ask(task, seq);
    } catch {
      // the host is away: the next error brings us back here, later
    }
    this.#open();
  }

  async #ask(task, seq) {
    const answer = await ask(`/api/tasks/${task}`);
    if (answer.status === 401 || answer.status === 404) {
      this.#tasks.delete(task);
      this.#tell(task, { gone: true });
    } else if (answer.ok) {
      const { state, last_seq: last } = await answer.json();
      if (FINAL.has(state) && last <= seq) this.#tasks.delete(task);
    }
  }

  #tellAll(note) {
    for (const task of this.#tasks.keys()) this.#tell(task, note);
  }
}
