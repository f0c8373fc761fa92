// A guard that refuses or asks about files by the end of their names, and refuses writes that hold a marker.
import { payload, settings } from 'fusebox:plugin/context';
import { reported } from '../../../guest-sdk/javascript/fusebox.js';

const SLICE = 32768;
const KEYS = ['deny', 'ask', 'marker'];

const read = () => ({ deny: [], ask: [], marker: '', ...JSON.parse(settings()) });

// Bytes as a string with one character each: enough to find ASCII in them.
const holds = (content, marker) => {
  let tail = '';
  for (let offset = 0; offset < content.size; offset += SLICE) {
    const text = tail + String.fromCharCode(...payload(content.handle, offset, SLICE));
    if (text.includes(marker)) return true;
    tail = text.slice(-marker.length);
  }
  return false;
};

const found = (code, severity, message, effect) => ({ code, severity, message, effect });

const judge = ({ deny, ask, marker }, { tag, val }, index) => {
  if (tag !== 'write' && tag !== 'remove') return ['abstain', []];
  const ends = (endings) => endings.some((ending) => val.path.endsWith(ending));
  if (ends(deny)) return ['deny', [found('denied-ending', 'error', 'Files of this kind are not changed.', index)]];
  if (tag === 'write' && marker !== '' && holds(val.content, marker)) {
    return ['deny', [found('marker', 'error', 'The content holds the marker.', index)]];
  }
  if (ends(ask)) return ['review', [found('asked-ending', 'warning', 'A person decides about such files.', index)]];
  return ['abstain', []];
};

const STRICTEST_LAST = ['abstain', 'allow', 'review', 'deny'];

export const guard = reported({
  describe: () =>
    JSON.stringify({ name: 'endings-js', version: '1.0.0', summary: 'Judges files by their endings.', kind: 'guard' }),
  checkSettings: (text) => {
    const given = JSON.parse(text);
    const isList = (value) => value === undefined || (Array.isArray(value) && value.every((it) => typeof it === 'string'));
    const isRight =
      Object.keys(given).every((key) => KEYS.includes(key)) &&
      isList(given.deny) && isList(given.ask) && ['string', 'undefined'].includes(typeof given.marker);
    return isRight ? [] : [found('settings', 'error', 'Give lists `deny` and `ask`, and a text `marker`.', undefined)];
  },
  checkPlan: () => ({ ruling: 'abstain', findings: [] }),
  check: (_, effects) => {
    const rules = read();
    const judged = effects.map((effect, index) => judge(rules, effect, index));
    const ruling = judged.map(([it]) => it).reduce(
      (one, other) => (STRICTEST_LAST.indexOf(one) < STRICTEST_LAST.indexOf(other) ? other : one),
      'abstain',
    );
    return { ruling, findings: judged.flatMap(([, findings]) => findings) };
  },
});
