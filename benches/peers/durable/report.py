"""Medians of measured rates, as a table and as a picture.

report.py RATES.NDJSON TABLE.md PICTURE.svg
"""

import datetime
import json
import os
import statistics
import sys
from html import escape
from pathlib import Path

BAR = 420
ROW = 26
NAMES = 360


def machine() -> str:
    """Processor and number of cores, as Linux names them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    return f"{model}, {os.cpu_count()} cores"


def measured(path: Path) -> list[tuple[str, str, float, int]]:
    """Name, durability, median rate and rounds of each program, the fastest first."""
    rates: dict[tuple[str, str], list[float]] = {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        rates.setdefault((one["name"], one["durability"]), []).append(one["rate"])
    rows = [(name, durability, statistics.median(of), len(of)) for (name, durability), of in rates.items()]
    return sorted(rows, key=lambda row: -row[2])


def table(rows: list[tuple[str, str, float, int]], caption: str) -> str:
    lines = ["# Durable steps beside other programs", "", f"{caption}.", ""]
    lines += ["| Program | Durability | Steps/s |", "|---|---|---|"]
    lines += [f"| {name} | {durability} | {rate:,.0f} |" for name, durability, rate, _ in rows]
    lines += [
        "",
        "A step reads one small file. Fusebox judges each step by all bundled guards and the impact model, in sandboxes, and",
        "records its decision, effects and outcome in a signed log; the others record its output.",
        "",
        "`benches/peers/durable/run` measures it anew and writes this page.",
        "",
    ]
    return "\n".join(lines)


def picture(rows: list[tuple[str, str, float, int]], caption: str) -> str:
    most = max(rate for _, _, rate, _ in rows)
    height = ROW * len(rows) + 60
    width = NAMES + BAR + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>Durable steps a second. {escape(caption)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="22" font-size="15" font-weight="600" fill="#1f2328">Durable steps a second</text>',
    ]
    for place, (name, _, rate, _) in enumerate(rows):
        top = 36 + place * ROW
        colour = "#0969da" if name.startswith("Fusebox") else "#8c959f"
        length = max(rate / most * BAR, 1)
        parts.append(f'<text x="{NAMES - 8}" y="{top + 14}" text-anchor="end" fill="#1f2328">{escape(name)}</text>')
        parts.append(f'<rect x="{NAMES}" y="{top}" width="{length:.1f}" height="18" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{NAMES + length + 6:.1f}" y="{top + 14}" fill="#1f2328">{rate:,.0f}</text>')
    parts.append(f'<text x="12" y="{height - 10}" font-size="11" fill="#59636e">{escape(caption)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    rates, page, svg = (Path(argument) for argument in sys.argv[1:4])
    rows = measured(rates)
    day = datetime.date.today().isoformat()
    caption = f"Medians of {rows[0][3]} rounds that took turns, {day}, {machine()}"
    page.write_text(table(rows, caption))
    svg.write_text(picture(rows, caption))


main()
