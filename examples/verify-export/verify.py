#!/usr/bin/env python3
"""Checks an export of a Fusebox audit log. Needs nothing but Python 3.9: no part of Fusebox, no packages.

    verify.py EXPORT [--key KEY]

Written from docs/audit.md alone, so that a reader who doubts the host need not believe its own verifier. It prints what holds and
ends with 0, or the first thing that is wrong and ends with 1. KEY is what `fusebox audit keys` printed (one or several), obtained from
another source than the exporter; without it the export only fits together.
"""

import base64
import hashlib
import json
import re
import sys
import unicodedata

BLOCK = 64
DEFAULT_TENANT, HOST_TENANT = "default", "@host"


class Wrong(Exception):
    """The first thing that is wrong."""


def sha256(data):
    return hashlib.sha256(data).digest()


def unbase64(text):
    """Strictly: what two readers could take for different bytes is refused."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise Wrong("base64 that is not written as it must be")
    return data


def number(value):
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise Wrong(f"no number: {value!r}")
    return value


def sequence(value):
    if type(value) is not list:
        raise Wrong(f"no list: {value!r}")
    return value


def fields(content, required, optional=""):
    """An object with just these fields."""
    if type(content) is not dict or not set(required.split()) <= set(content) <= set(f"{required} {optional}".split()):
        raise Wrong("an object has not the fields that it must have")
    return content


# --- ed25519 signatures, as RFC 8032, section 5.1, defines them ---

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(one, two):
    a, b = (one[1] - one[0]) * (two[1] - two[0]) % P, (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def is_signed(public, text, signature):
    a, r = point(public), point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % Q
    left, right = times(s, BASE), add(r, times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- signed notes and checkpoints: c2sp.org/signed-note, c2sp.org/tlog-checkpoint ---


def check_name(name):
    if not 0 < len(name.encode()) < 256 or any(c.isspace() or unicodedata.category(c) == "Cc" or c == "+" for c in name):
        raise Wrong("no name of a key")


def read_key(text):
    name, hint, data = text.split("+", 2)
    check_name(name)
    data = unbase64(data)
    if len(data) != 33 or data[0] != 1 or sha256(name.encode() + b"\n" + data)[:4].hex() != hint:
        raise Wrong(f"no key: {text}")
    return name, bytes.fromhex(hint), data[1:]


def read_checkpoint(note, keys):
    """The checkpoint, and those of the keys that signed it."""
    at = note.rindex("\n\n")
    text, lines, signed = note[: at + 1], note[at + 2 :].split("\n")[:-1], []
    if len(note) > 65536 or len(lines) > 64 or not note.endswith("\n") or any(c < " " and c != "\n" for c in note):
        raise Wrong("no signed note")
    for line in lines:
        dash, name, data = line.split(" ")
        if dash != "\u2014":
            raise Wrong("no signed note")
        check_name(name)
        data = unbase64(data)
        if len(data) < 4:
            raise Wrong("no signed note")
        for key in keys:
            if (name, data[:4]) == key[:2]:
                if not is_signed(key[2], text.encode(), data[4:]):
                    raise Wrong("the checkpoint's signature is wrong")
                signed.append(key)
    if not signed:
        raise Wrong("no known key signed the checkpoint")
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), unbase64(root), signed


# --- Merkle trees: RFC 6962, section 2.1, and RFC 9162, section 2.1.3.2 ---


def node(left, right):
    return sha256(b"\x01" + left + right)


def tree(leaves):
    """Root over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node(tree(leaves[:half]), tree(leaves[half:]))


def root_of(leaf, index, size, path):
    last = size - 1
    for sibling in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            leaf = node(sibling, leaf)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            leaf = node(leaf, sibling)
        index, last = index >> 1, last >> 1
    return leaf if last == 0 else None


# --- the export ---


def event_hash(previous, event):
    parts = [previous, event["run_id"].encode(), event["seq"].to_bytes(8, "big"), event["time_us"].to_bytes(8, "big")]
    parts += [event["kind"].encode(), event["payload"].encode()]
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))


def blob_digest(blob):
    data = unbase64(blob["bytes"])
    if "salt" not in blob:
        return sha256(data)
    parts = [b"fusebox blob 1", unbase64(blob["salt"]), data]
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))


def hashes(texts):
    found = [unbase64(text) for text in sequence(texts)]
    if any(len(data) != 32 for data in found):
        raise Wrong("a hash has 32 bytes")
    return found


def no_key_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Wrong("a key stands twice in one object")
    return found


def natural(digits):
    if digits.startswith("-"):
        raise Wrong("no number is below 0")
    return int(digits)


def tenant_of_first(event):
    named = json.loads(event["payload"]).get("tenant")
    is_host = event["run_id"] == "host" and event["kind"] != "run_created"
    return named or (HOST_TENANT if is_host else DEFAULT_TENANT)


EVENT = "leaf run_id seq time_us kind payload"
RUN_ID = "[A-Za-z0-9._-]{1,64}"


def follow_rotation(rotation, origin, keys):
    proved = fields(fields(rotation, "checkpoint proved path")["proved"], "event previous")
    event, previous = fields(proved["event"], EVENT), bytes.fromhex(proved["previous"])
    if previous.hex() != proved["previous"] or number(event["time_us"]) < 0 or number(event["leaf"]) < 0 or number(event["seq"]) < 1:
        raise Wrong("a change of keys is not of the form that it must have")
    said = json.loads(event["payload"])
    old, new = read_key(said["from"]), read_key(said["to"])
    if old not in keys:
        return
    of, size, root, signed = read_checkpoint(rotation["checkpoint"], [*keys, new])
    leaf = sha256(b"\x00" + event_hash(previous, event))
    if of != origin or event["kind"] != "audit_key_rotated" or old not in signed or new not in signed:
        raise Wrong("a change of keys does not count")
    if root_of(leaf, event["leaf"], size, hashes(rotation["path"])) != root:
        raise Wrong("a change of keys is not in a tree that both keys signed")
    keys.append(new)


def verify(lines, given):
    header = None
    for place, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            raise Wrong("the last line does not end: something is cut off")
        try:
            if line.split(b":", 1)[1][:1] != b"{":
                raise Wrong("it is not one object under its name")
            ((kind, content),) = json.loads(line.decode(), object_pairs_hook=no_key_twice, parse_int=natural).items()
        except (ValueError, AttributeError, IndexError, RecursionError) as error:
            raise Wrong(f"line {place} is none of an export: {error}") from error
        if (header is None) != (kind == "header"):
            raise Wrong("a header stands first, and nowhere else")
        if kind == "header":
            header = fields(content, "format origin tenant time_us scope checkpoint keys blobs", "rotations")
            origin, own, named = header["origin"], [read_key(key) for key in sequence(header["keys"])], set()
            keys = [read_key(key) for key in given.split()] if given else own
            if type(header["format"]) is not int or type(header["blobs"]) is not bool or number(header["time_us"]) < 0:
                raise Wrong("the header is not of the form that it must have")
            if header.get("rotations") == []:
                raise Wrong("the header is not of the form that it must have")
            for rotation in sequence(header.get("rotations", [])):
                follow_rotation(rotation, origin, keys)
            of, size, root, _ = read_checkpoint(header["checkpoint"], keys)
            if header["format"] != 1 or of != origin or origin.rsplit("/", 1)[-1] != header["tenant"]:
                raise Wrong("the checkpoint is that of another log")
            whole = header["scope"] == "all"
            listed = [] if whole else fields(header["scope"], "runs")["runs"]
            if any(not re.fullmatch(RUN_ID, run["run_id"]) for run in sequence(listed)):
                raise Wrong("no name of a run")
            listed = [(fields(run, "run_id events")["run_id"], number(run["events"])) for run in listed]
            if (not whole and not listed) or len(dict(listed)) != len(listed):
                raise Wrong("it is an export of no run, or of one run twice")
            blocks, block, leaves, leaf, chains, ended, events, blobs, end = -(-size // BLOCK), -1, [], 0, {}, {}, 0, 0, None
        elif end is not None:
            raise Wrong("something stands behind the end")
        elif kind == "block":
            index = number(fields(content, "index leaves path")["index"])
            if index <= block or index >= blocks or (whole and (index != block + 1 or leaf < min(index * BLOCK, size))):
                raise Wrong(f"the event at leaf {leaf} is missing, or not where it belongs")
            leaves = hashes(content["leaves"])
            over = tree([sha256(b"\x00" + data) for data in leaves])
            if len(leaves) != min(BLOCK, size - index * BLOCK):
                raise Wrong(f"block {index} has not as many leaves as it must have")
            if root_of(over, index, blocks, hashes(content["path"])) != root:
                raise Wrong(f"block {index} is not part of the signed tree")
            block, leaf = index, max(leaf, index * BLOCK)
        elif kind == "event":
            fields(content, EVENT), number(content["time_us"])
            run, seq, at = content["run_id"], number(content["seq"]), number(content["leaf"])
            last, previous = chains.get(run, (0, bytes(32)))
            if at < leaf or (seq <= last):
                raise Wrong(f"event {seq} of {run} stands a second time, or where none belongs")
            if (whole and at != leaf) or at // BLOCK != block:
                raise Wrong(f"the event at leaf {leaf} is missing, or not where it belongs")
            if seq != last + 1:
                raise Wrong(f"event {last + 1} of {run} is missing, or not where it belongs")
            data = event_hash(previous, content)
            if data != leaves[at % BLOCK]:
                raise Wrong(f"event {seq} of {run} is not what was recorded")
            if seq == 1 and tenant_of_first(content) != header["tenant"]:
                raise Wrong(f"{run} belongs to another tenant")
            if header["blobs"]:
                named.update(re.findall('"([0-9a-f]{64})"', content["payload"]))
            chains[run], ended[run], leaf, events = (seq, data), content["kind"] == "run_ended", at + 1, events + 1
        elif kind == "blob":
            if blob_digest(fields(content, "digest bytes", "salt")).hex() != content["digest"]:
                raise Wrong(f"the blob {content['digest']} is not what was recorded")
            if content["digest"] not in named:
                raise Wrong(f"the blob {content['digest']} is named by no event before it, or stands a second time")
            named.remove(content["digest"])
            blobs += 1
        elif kind == "end":
            end = fields(content, "events blobs")
        else:
            raise Wrong(f"line {place} is none of an export")
    if header is None:
        raise Wrong("there is no header")
    if whole and leaf < size:
        raise Wrong(f"the event at leaf {leaf} and all that came behind it are missing")
    for run, count in listed:
        if chains.get(run, (0,))[0] < count:
            raise Wrong(f"event {chains.get(run, (0,))[0] + 1} of {run} and all that came behind it are missing")
    if not whole and set(chains) - set(dict(listed)):
        raise Wrong("a run is not among those of the header")
    if end is None or (number(end["events"]), number(end["blobs"])) != (events, blobs):
        raise Wrong("the last line is missing, or counts something else")
    what = "all" if whole else "some"
    print(f"holds: {events} events, {what} of a signed log of {size}, {blobs} blobs, {len(chains)} chains")
    for run in sorted(chains):
        print(f"  {run}: {chains[run][0]} events{', to its end' if ended[run] else ''}")
    if not given:
        print("  no key was given: the exporter could have made its keys as well")


def main(arguments):
    if len(arguments) not in (1, 3) or (len(arguments) == 3 and arguments[1] != "--key"):
        print(__doc__)
        return 2
    try:
        with open(arguments[0], "rb") as file:
            verify(file, arguments[2] if len(arguments) == 3 else None)
    except OSError as error:
        print(f"cannot read it: {error}")
        return 2
    except Wrong as wrong:
        print(f"wrong: {wrong}".encode(errors="replace").decode())
        return 1
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        print(f"wrong: it is no export: {error!r}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
