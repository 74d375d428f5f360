// A film's scenes and video, each as soon as the log tells of it.
const el = (id) => document.getElementById(id);

function scene(index) {
  const scenes = el("scenes");
  let item = scenes.querySelector(`[data-index="${index}"]`);
  if (item) return item;
  item = el("scene").content.firstElementChild.cloneNode(true);
  item.dataset.index = index;
  item.querySelector("img").alt = `Drawn card of scene ${index + 1}`;
  item.querySelector(".caption").setAttribute("aria-label", `Text of scene ${index + 1}`);
  item.querySelector("audio").setAttribute("aria-label", `Narration of scene ${index + 1}`);
  const later = [...scenes.children].find((other) => Number(other.dataset.index) > index);
  scenes.insertBefore(item, later ?? null);
  el("scenes-section").hidden = false;
  return item;
}

function setSource(element, url) {
  if (element.getAttribute("src") !== url) element.src = url;
}

// content: the data of a content event.
export function showInFilm(content) {
  if (content.role === "video") {
    setSource(el("video"), content.url);
    el("download").href = `${content.url}?download=true`;
    el("film").hidden = false;
    return;
  }
  if (content.index === null) return;
  const item = scene(content.index);
  if (content.caption) item.querySelector(".caption").textContent = content.caption;
  if (content.role === "picture") {
    setSource(item.querySelector("img"), content.url);
    if (content.index === 0) el("video").poster = content.url;
  }
  if (content.role === "narration") {
    const audio = item.querySelector("audio");
    setSource(audio, content.url);
    audio.hidden = false;
  }
}

export const filmIsReady = () => el("video").hasAttribute("src");
