// Counts the script's characters, and keeps a draft until it was sent, so that a lost tab loses no text.
const DRAFT = "draft";
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

if (!script.value) script.value = localStorage.getItem(DRAFT) ?? "";
show();
script.addEventListener("input", () => {
  try {
    localStorage.setItem(DRAFT, script.value);
  } catch {
    localStorage.removeItem(DRAFT); // the browser's store is full: half a draft would be worse than none
  }
  show();
});
form.addEventListener("submit", () => {
  try {
    sessionStorage.setItem("sent", script.value);
  } catch {
    sessionStorage.removeItem("sent");
  }
  form.querySelector("button").disabled = true;
});
window.addEventListener("pageshow", () => { form.querySelector("button").disabled = false; });
