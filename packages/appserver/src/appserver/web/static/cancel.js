// Cancelling: repeated until the host has answered, since doing it again changes nothing.
import { ask, pauseBefore, sleep } from "/static/pause.js";

// live(): whether there is still something to cancel; tell(text): what goes on, for the user.
// Returns whether the task is cancelled; throws what the host refuses.
export async function cancelTask(url, live, tell) {
  for (let tries = 0; live(); tries += 1) {
    try {
      const answer = await ask(`${url}/cancel`, { method: "POST", signal: AbortSignal.timeout(5000) });
      if (answer.ok) return true;
      if (answer.status === 409) return false; // it has just ended, which the log tells
      if (answer.status < 500 && answer.status !== 429) throw new RangeError(`the host answered ${answer.status}`);
    } catch (error) {
      if (error instanceof RangeError) throw error;
    }
    tell("The host does not answer; trying again…");
    await sleep(pauseBefore(tries));
  }
  return false;
}
