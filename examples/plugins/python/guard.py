"""A guard that refuses or asks about files by the end of their names, and refuses writes that hold a marker."""

import json

from fusebox_sdk import reporting
from wit_world import exports
from wit_world.imports import context
from wit_world.imports.types import Effect_Remove, Effect_Write, Finding, Ruling, Severity, Verdict

SLICE = 65536
STRICTEST_LAST = [Ruling.ABSTAIN, Ruling.ALLOW, Ruling.REVIEW, Ruling.DENY]


def holds(content, marker):
    tail = b""
    for offset in range(0, content.size, SLICE):
        piece = tail + context.payload(content.handle, offset, SLICE)
        if marker in piece:
            return True
        tail = piece[-len(marker):]
    return False


def judge(rules, effect, index):
    if not isinstance(effect, (Effect_Write, Effect_Remove)):
        return Ruling.ABSTAIN, []
    path, marker = effect.value.path, rules.get("marker", "").encode()
    ends = lambda endings: any(path.endswith(ending) for ending in endings)
    if ends(rules.get("deny", [])):
        return Ruling.DENY, [Finding("denied-ending", Severity.ERROR, "Files of this kind are not changed.", index)]
    if isinstance(effect, Effect_Write) and marker and holds(effect.value.content, marker):
        return Ruling.DENY, [Finding("marker", Severity.ERROR, "The content holds the marker.", index)]
    if ends(rules.get("ask", [])):
        return Ruling.REVIEW, [Finding("asked-ending", Severity.WARNING, "A person decides about such files.", index)]
    return Ruling.ABSTAIN, []


@reporting
class Guard(exports.Guard):
    def describe(self):
        about = {"name": "endings-py", "version": "1.0.0", "kind": "guard"}
        return json.dumps({**about, "summary": "Judges files by their endings."})

    def check_settings(self, settings):
        given = json.loads(settings)
        is_list = lambda value: isinstance(value, list) and all(isinstance(it, str) for it in value)
        is_right = (
            set(given) <= {"deny", "ask", "marker"}
            and is_list(given.get("deny", []))
            and is_list(given.get("ask", []))
            and isinstance(given.get("marker", ""), str)
        )
        message = "Give lists `deny` and `ask`, and a text `marker`."
        return [] if is_right else [Finding("settings", Severity.ERROR, message, None)]

    def check_plan(self, plan):
        return Verdict(Ruling.ABSTAIN, [], None, None)

    def check(self, action, effects):
        rules = json.loads(context.settings())
        judged = [judge(rules, effect, index) for index, effect in enumerate(effects)]
        ruling = max((ruling for ruling, _ in judged), key=STRICTEST_LAST.index, default=Ruling.ABSTAIN)
        return Verdict(ruling, [finding for _, findings in judged for finding in findings], None, None)
