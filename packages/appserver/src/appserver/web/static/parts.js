// Parts of this page as the host would send it now: what is shown is written once, in its templates.
import { ask } from "/static/pause.js";
import { showTexts } from "/static/files.js";

const el = (id) => document.getElementById(id);

// Returns the page as a document; throws when the host does not answer with it.
export async function fetchPage() {
  const answer = await ask(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`the host answered ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

export function showUnattended(fresh) {
  const [now, then] = [fresh.getElementById("unattended"), el("unattended")];
  // The same words again would be read out again.
  if (now.textContent !== then.textContent) then.replaceChildren(...now.childNodes);
  then.hidden = now.hidden;
}

export function showResult(fresh) {
  el("result").replaceWith(fresh.getElementById("result"));
}

// Items that are as they were stay, since one of them may be playing.
export function showItems(fresh) {
  const items = el("items");
  let before = null;
  for (const item of [...fresh.getElementById("items").children]) {
    const known = items.querySelector(`[data-item="${CSS.escape(item.dataset.item)}"]`);
    const same = known?.dataset.url === item.dataset.url;
    if (known && !same) known.replaceWith(item);
    else if (!known && before) before.after(item);
    else if (!known) items.prepend(item);
    before = same ? known : item;
  }
  el("files").hidden = items.children.length === 0;
  showTexts();
}
