// The script that is being written, kept until it was sent, so that a lost tab loses no text.
const DRAFT = "draft";
const SENT = "sent";

// A browser may refuse to keep anything, or have no room: then there is no draft, and all else works.
function quietly(work) {
  try {
    return work();
  } catch {
    return null;
  }
}

export const keptDraft = () => quietly(() => localStorage.getItem(DRAFT)) ?? "";

export function keepDraft(text) {
  // Half a draft would be worse than none.
  if (quietly(() => (localStorage.setItem(DRAFT, text), true)) === null) quietly(() => localStorage.removeItem(DRAFT));
}

export function noteSent(text) {
  quietly(() => sessionStorage.setItem(SENT, text));
}

// What was sent is safe in its task; a draft begun since is kept.
export function forgetSent() {
  const sent = quietly(() => sessionStorage.getItem(SENT));
  if (sent === null) return;
  if (keptDraft() === sent) quietly(() => localStorage.removeItem(DRAFT));
  quietly(() => sessionStorage.removeItem(SENT));
}
