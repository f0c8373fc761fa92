"""An executor of `sort_lines`: sorts the lines of a text file of the workspace."""

import json

from componentize_py_types import Err
from fusebox_sdk import reporting
from wit_world import exports
from wit_world.exports.executor import Outcome
from wit_world.imports import payloads, workspace
from wit_world.imports.types import (
    Effect_Read,
    Effect_Write,
    Failure_InvalidInput,
    Failure_Limit,
    Failure_NotFound,
    ReadEffect,
    WriteEffect,
)

SLICE = 65536
MAX_BYTES = 1048576

ABOUT = {
    "name": "sort-lines-py",
    "version": "1.0.0",
    "summary": "Sorts the lines of a text file.",
    "kind": "executor",
    "step_types": [
        {
            "name": "sort_lines",
            "summary": "Sorts the lines of a text file.",
            "input_schema": {
                "type": "object",
                "properties": {"path": {"type": "string"}},
                "required": ["path"],
                "additionalProperties": False,
            },
            "output_schema": {"type": "object", "properties": {"lines": {"type": "integer"}}},
            "annotations": {"read_only": False, "destructive": True, "idempotent": True, "open_world": False},
            "reversible": True,
        }
    ],
}


def load(path):
    metadata = workspace.stat(path)
    if metadata is None:
        raise Err(Failure_NotFound(f"there is no {path}"))
    if metadata.size > MAX_BYTES:
        raise Err(Failure_Limit(f"the file has more than {MAX_BYTES} bytes"))
    content = b"".join(workspace.read(path, offset, SLICE) for offset in range(0, metadata.size, SLICE))
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise Err(Failure_InvalidInput("the file is no plain ASCII text"))


def stage(text):
    handle, content = payloads.begin(), text.encode()
    for offset in range(0, len(content), SLICE):
        payloads.append(handle, content[offset:offset + SLICE])
    return payloads.seal(handle)


def lines(text):
    return [line for line in text.split("\n") if line]


def in_order(text):
    return "".join(f"{line}\n" for line in sorted(lines(text)))


@reporting
class Executor(exports.Executor):
    def describe(self):
        return json.dumps(ABOUT)

    def check_settings(self, settings):
        return []

    def preview(self, action):
        path = json.loads(action.input)["path"]
        content = stage(in_order(load(path)))
        return [
            Effect_Read(ReadEffect(path)),
            Effect_Write(WriteEffect(path, None, "", content.size, content)),
        ]

    def execute(self, action):
        path = json.loads(action.input)["path"]
        before = load(path)
        workspace.write(path, stage(in_order(before)).handle)
        count = len(lines(before))
        delta = json.dumps({"before": before, "path": path})
        return Outcome(json.dumps({"lines": count}), f"sorted {count} lines of {path}", delta)

    def undo(self, delta):
        former = json.loads(delta)
        workspace.write(former["path"], stage(former["before"]).handle)
