// For Fusebox plugins in JavaScript: an uncaught exception becomes a bare trap, and its text is lost. What is wrapped here
// hands the text to the host first. Functions that refuse by throwing `{ tag, val }` go through unchanged.
import { panic } from 'fusebox:plugin/log';

const isRefusal = (thrown) => typeof thrown === 'object' && thrown !== null && typeof thrown.tag === 'string';

// What an export failed with, as one text. A failed import throws an Error whose reason is in `payload`.
const describe = (thrown) => {
  const reason = thrown?.payload?.tag === undefined ? String(thrown) : `${thrown.payload.tag}: ${thrown.payload.val}`;
  return thrown?.stack ? `${reason}\n${thrown.stack}` : reason;
};

const reporting = (call) => (...args) => {
  try {
    return call(...args);
  } catch (thrown) {
    if (!isRefusal(thrown)) panic(describe(thrown));
    throw thrown;
  }
};

// An exported interface whose functions report before they trap:
// `export const guard = reported({ describe() { … }, … })`.
export const reported = (functions) =>
  Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, reporting(call)]));

// Turns a failed import into a refusal of this export: `refuse(() => read(path, 0n, 10))`.
export const orRefuse = (call) => {
  try {
    return call();
  } catch (thrown) {
    throw thrown?.payload?.tag === undefined ? thrown : thrown.payload;
  }
};
