// The form: counts the script's characters, and keeps its draft.
import { keepDraft, keptDraft, noteSent } from "/static/draft.js";

const form = document.querySelector("form[data-draft]");
const script = form.elements.script;
const count = form.querySelector("[data-count]");
const over = form.querySelector("[data-over]");
const most = Number(script.dataset.max ?? Infinity);
const number = (value) => value.toLocaleString("en");

// Nothing that is pasted is ever cut: what is too long is said, and stays.
function show() {
  const length = [...script.value].length;
  const excess = length - most;
  count.textContent = number(length);
  over.textContent = excess > 0 ? `: ${number(excess)} too many` : "";
  over.parentElement.classList.toggle("error", excess > 0);
  script.setCustomValidity(excess > 0 ? `The script has ${number(length)} characters; ${number(most)} can be made into one video.` : "");
}

if (!script.value) script.value = keptDraft();
show();
script.addEventListener("input", () => {
  keepDraft(script.value);
  show();
});
form.addEventListener("submit", () => {
  noteSent(script.value);
  form.querySelector("button").disabled = true;
});
window.addEventListener("pageshow", () => { form.querySelector("button").disabled = false; });
