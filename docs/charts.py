"""Draws the charts of docs/performance.md from the figures below, which `make bench` printed."""

from pathlib import Path
from xml.sax.saxutils import escape

DOCS = Path(__file__).parent
WIDTH, LEFT, LINE = 720, 190, 30
INK, PALE, COLOURS = "#1b2733", "#e3e8ee", ("#2a6fdb", "#e0792f", "#3a9d6e", "#8a6bbf", "#8a96a3")

Bar = tuple[str, list[float]]

LEGEND = ["web", "worker", "PostgreSQL", "Redis", "the peer"]

# Milliseconds of CPU for one edit with a thousand devices online, by process; a peer has one.
COST: list[Bar] = [
    ("the whole product", [25.2, 8.3, 10.3, 1.0]),
    ("its live path", [16.4, 0, 0, 0.8]),
    ("mosquitto, QoS 1", [0, 0, 0, 0, 12.7]),
    ("ejabberd, PEP", [0, 0, 0, 0, 43.2]),
    ("Prosody, PEP", [0, 0, 0, 0, 216.7]),
]
# Holders, all offline: seconds of one fan-out by one worker.
GROWTH: list[Bar] = [
    ("100 holders", [0.01]),
    ("1,000", [0.01]),
    ("10,000", [0.09]),
    ("100,000", [1.15]),
]


def bars(title: str, rows: list[Bar], legend: list[str], unit: str) -> str:
    """An SVG with one bar for each row, in parts."""
    height = 70 + LINE * len(rows)
    scale = (WIDTH - LEFT - 90) / max(sum(parts) for _name, parts in rows)
    drawn = [text(10, 24, title, bold=True)]
    for number, name in enumerate(legend):
        drawn.append(box(LEFT + 105 * number, 36, 12, 12, COLOURS[number]))
        drawn.append(text(LEFT + 18 + 105 * number, 46, name))
    for row, (name, parts) in enumerate(rows):
        top, x = 60 + LINE * row, float(LEFT)
        drawn.append(text(10, top + 16, name))
        for part, colour in zip(parts, COLOURS, strict=False):
            drawn.append(box(x, top, part * scale, LINE - 8, colour))
            x += part * scale
        drawn.append(text(x + 6, top + 16, f"{sum(parts):.4g} {unit}"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    sheet = f'<rect width="{WIDTH}" height="{height}" fill="white" stroke="{PALE}"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", sheet, *drawn, "</svg>"]) + "\n"


def text(x: float, y: float, said: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    font = 'font-family="sans-serif" font-size="13"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {font}{weight} fill="{INK}">{escape(said)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def main() -> None:
    cost = bars("CPU for one edit, 1,000 devices online", COST, LEGEND, "ms")
    growth = bars("Fan-out of one edit, all holders offline", GROWTH, ["seconds"], "s")
    (DOCS / "cost.svg").write_text(cost)
    (DOCS / "growth.svg").write_text(growth)


if __name__ == "__main__":
    main()
