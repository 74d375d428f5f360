// What an actor sends while it works: a chunk that is one text is that text, any other is a line of JSON.
const MOST = 200000;
const LEFT_OUT = "(The beginning is left out here.)\n";

const el = (id) => document.getElementById(id);

function add(text, chunk) {
  const values = Object.values(chunk);
  if (values.length === 1 && typeof values[0] === "string") return text + values[0];
  const apart = text === "" || text.endsWith("\n") ? "" : "\n";
  return `${text}${apart}${JSON.stringify(chunk)}\n`;
}

export function clearOutput() {
  el("chunks").textContent = "";
  el("output").hidden = true;
}

export function addOutput(chunks) {
  const pre = el("chunks");
  const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 8;
  const whole = chunks.reduce(add, pre.textContent);
  // One more text node for each event would be slow to lay out, and an endless one too.
  pre.textContent = whole.length > MOST ? LEFT_OUT + whole.slice(-MOST) : whole;
  el("output").hidden = false;
  if (atEnd) pre.scrollTop = pre.scrollHeight;
}
