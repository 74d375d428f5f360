// Counts the script's characters, and keeps a draft until it was sent, so that a lost tab loses no text.
const DRAFT = "draft";
const form = document.querySelector("form[data-draft]");
const script = form.elements.script;
const count = form.querySelector("[data-count]");

const show = () => { count.textContent = [...script.value].length.toLocaleString("en"); };

if (!script.value) script.value = localStorage.getItem(DRAFT) ?? "";
show();
script.addEventListener("input", () => {
  localStorage.setItem(DRAFT, script.value);
  show();
});
form.addEventListener("submit", () => {
  sessionStorage.setItem("sent", script.value);
  form.querySelector("button").disabled = true;
});
window.addEventListener("pageshow", () => { form.querySelector("button").disabled = false; });
