// An executor of `sort_lines`: sorts the lines of a text file of the workspace.
import { append, begin, seal } from 'fusebox:plugin/payloads';
import { read, stat, write } from 'fusebox:plugin/workspace';
import { orRefuse, reported } from '../../../guest-sdk/javascript/fusebox.js';

const SLICE = 32768;
const MAX_BYTES = 1048576;

// ASCII only: QuickJS has no TextDecoder.
const decode = (bytes) => {
  if (bytes.some((byte) => byte > 127)) throw { tag: 'invalid-input', val: 'the file is no plain ASCII text' };
  return String.fromCharCode(...bytes);
};

const load = (path) => {
  const metadata = orRefuse(() => stat(path));
  if (metadata === null || metadata === undefined) throw { tag: 'not-found', val: `there is no ${path}` };
  if (metadata.size > MAX_BYTES) throw { tag: 'limit', val: `the file has more than ${MAX_BYTES} bytes` };
  let text = '';
  for (let offset = 0; offset < metadata.size; offset += SLICE) text += decode(orRefuse(() => read(path, offset, SLICE)));
  return text;
};

const stage = (text) => {
  const handle = orRefuse(begin);
  for (let offset = 0; offset < text.length; offset += SLICE) {
    const bytes = Uint8Array.from(text.slice(offset, offset + SLICE), (character) => character.charCodeAt(0));
    orRefuse(() => append(handle, bytes));
  }
  return orRefuse(() => seal(handle));
};

const lines = (text) => text.split('\n').filter((line) => line !== '');
const sorted = (text) => lines(text).sort().map((line) => `${line}\n`).join('');
const path = (action) => JSON.parse(action.input).path;

export const executor = reported({
  describe: () =>
    JSON.stringify({
      name: 'sort-lines-js',
      version: '1.0.0',
      summary: 'Sorts the lines of a text file.',
      kind: 'executor',
      step_types: [
        {
          name: 'sort_lines',
          summary: 'Sorts the lines of a text file.',
          input_schema: {
            type: 'object',
            properties: { path: { type: 'string' } },
            required: ['path'],
            additionalProperties: false,
          },
          output_schema: { type: 'object', properties: { lines: { type: 'integer' } } },
          annotations: { read_only: false, destructive: true, idempotent: true, open_world: false },
          reversible: true,
        },
      ],
    }),
  checkSettings: () => [],
  preview: (action) => {
    const content = stage(sorted(load(path(action))));
    const digest = { before: undefined, after: '', size: content.size };
    return [
      { tag: 'read', val: { path: path(action) } },
      { tag: 'write', val: { path: path(action), ...digest, content } },
    ];
  },
  execute: (action) => {
    const before = load(path(action));
    const content = stage(sorted(before));
    orRefuse(() => write(path(action), content.handle));
    const count = lines(before).length;
    return {
      output: JSON.stringify({ lines: count }),
      summary: `sorted ${count} lines of ${path(action)}`,
      delta: JSON.stringify({ before, path: path(action) }),
    };
  },
  undo: (delta) => {
    const { before, path } = JSON.parse(delta);
    orRefuse(() => write(path, stage(before).handle));
  },
});
