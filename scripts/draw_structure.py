"""The folders of the three rooms and their arrows as a picture: python scripts/draw_structure.py OUT.svg [CHECKOUT].

Every folder stands above what it imports, so that arrows go down; those of a cycle are red. An arrow that a longer way
implies is left out. Long arrows pass the layers between at places of their own, where no folder stands (Sugiyama).
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from structure import ROOMS, ROOT, Graph, House, read, reduction, without_cycles

WIDTH, HEIGHT = 132, 38  # of a folder
GAP, BEND = 26, 16  # between folders; what an arrow that passes takes
LAYER, TITLE, MARGIN = 76, 48, 24
FILLS = {"server": "#e8f0fe", "retrieval": "#e6f4ea", "models": "#fef7e0"}
EDGES = {"server": "#8ab4f8", "retrieval": "#81c995", "models": "#fdd663"}
Chain = tuple[str, ...]  # a folder, the bends of an arrow, a folder


@dataclass(frozen=True, slots=True)
class Picture:
    """Middles of folders and bends; `rows` from top to bottom, each from left to right."""

    rows: list[list[str]]
    chains: list[Chain]
    x: dict[str, float]
    y: dict[str, float]


def room_of(node: str) -> str:
    return node.partition(".")[0]


def heights(graph: Mapping[str, set[str]], nodes: list[str]) -> dict[str, int]:
    """How many folders of its room stand below a folder, on the longest way down."""

    def height(node: str) -> int:
        below = (other for other in graph.get(node, ()) if room_of(other) == room_of(node))
        return max((height(other) + 1 for other in below), default=0)

    return {node: height(node) for node in nodes}


def layers(graph: Mapping[str, set[str]], nodes: list[str]) -> dict[str, int]:
    """The layer of every folder, 0 at the top; a room's layers follow those of the room above it."""
    height, found, top = heights(graph, nodes), dict[str, int](), 0
    for room in reversed(ROOMS):
        here = [node for node in nodes if room_of(node) == room]
        depth = max((height[node] for node in here), default=-1) + 1
        found |= {node: top + depth - 1 - height[node] for node in here}
        top += depth
    return found


def chains(graph: Mapping[str, set[str]], layer: Mapping[str, int]) -> Iterator[Chain]:
    for start, others in sorted(graph.items()):
        for end in sorted(others):
            yield (start, *(f"{start}>{end}>{row}" for row in range(layer[start] + 1, layer[end])), end)


def rows_of(nodes: list[str], ways: list[Chain], layer: Mapping[str, int]) -> list[list[str]]:
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for node in nodes:
        rows[layer[node]].append(node)
    for way in ways:
        for bend in way[1:-1]:
            rows[int(bend.rpartition(">")[2])].append(bend)
    return rows


def neighbours(ways: list[Chain]) -> tuple[Graph, Graph]:
    above: Graph = {}
    below: Graph = {}
    for way in ways:
        for upper, lower in pairwise(way):
            below.setdefault(upper, set()).add(lower)
            above.setdefault(lower, set()).add(upper)
    return above, below


def crossings(rows: list[list[str]], below: Graph) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {node: i for i, node in enumerate(lower)}
        ends = [sorted(place[other] for other in below.get(node, ()) if other in place) for node in upper]
        total += sum(b < a for i, left in enumerate(ends) for right in ends[i + 1 :] for a in left for b in right)
    return total


def ordered(rows: list[list[str]], ways: list[Chain]) -> list[list[str]]:
    """The rows with few crossings: each row in turn by the middles of its neighbours, downwards, then upwards."""
    above, below = neighbours(ways)
    best = rows
    for sweep in range(24):
        near, order = (above, range(1, len(rows))) if sweep % 2 == 0 else (below, range(len(rows) - 2, -1, -1))
        rows = [list(row) for row in rows]
        for i in order:
            place = {node: at for row in rows for at, node in enumerate(row)}
            own = {node: place[node] for node in rows[i]}
            rows[i].sort(key=lambda node: fmean(place[o] for o in near[node]) if near.get(node) else own[node])
        best = min(best, rows, key=lambda some: crossings(some, below))
    return best


def half(node: str) -> float:
    return BEND / 2 if ">" in node else WIDTH / 2


def room_needed(left: str, right: str) -> float:
    """Between two middles of one row."""
    return half(left) + half(right) + (BEND if ">" in left + right else GAP)


def spread(row: list[str], wanted: Mapping[str, float]) -> dict[str, float]:
    """Middles as near to the wanted ones as the row allows: the mean of pushing to the right and to the left."""
    right, left = [wanted[row[0]]], [wanted[row[-1]]]
    for a, b in pairwise(row):
        right.append(max(wanted[b], right[-1] + room_needed(a, b)))
    for b, a in pairwise(reversed(row)):
        left.append(min(wanted[a], left[-1] - room_needed(a, b)))
    return {node: (a + b) / 2 for node, a, b in zip(row, right, reversed(left), strict=True)}


def middles(rows: list[list[str]], ways: list[Chain]) -> dict[str, float]:
    above, below = neighbours(ways)
    x: dict[str, float] = {}
    for row in rows:
        x |= spread(row, dict.fromkeys(row, 0.0))
    for sweep in range(40):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            near = {node: (above if sweep % 2 == 0 else below).get(node) or {node} for node in row}
            x |= spread(row, {node: fmean(x[other] for other in near[node]) for node in row})
    return x


def rooms_down_to(row: list[str]) -> int:
    """How many rooms begin above a row or with it; each has a title."""
    return len(ROOMS) - next(ROOMS.index(room_of(node)) for node in row if ">" not in node)


def arranged(house: House) -> Picture:
    nodes = sorted(house.arrows)
    graph = without_cycles(house.arrows)
    layer = layers(graph, nodes)
    ways = list(chains(reduction(graph), layer))
    rows = ordered(rows_of(nodes, ways, layer), ways)
    x = middles(rows, ways)
    shift = MARGIN * 2 + WIDTH / 2 - min(x.values())
    tops = {i: MARGIN + HEIGHT / 2 + i * LAYER + TITLE * rooms_down_to(row) for i, row in enumerate(rows)}
    y = {node: tops[i] for i, row in enumerate(rows) for node in row}
    return Picture(rows, ways, {node: at + shift for node, at in x.items()}, y)


def curve(points: list[tuple[float, float]]) -> str:
    """Upright at every point, so that arrows pass straight between folders."""
    parts = [f"M{points[0][0]:.0f},{points[0][1]:.0f}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        parts.append(f"C{x1:.0f},{(y1 + y2) / 2:.0f} {x2:.0f},{(y1 + y2) / 2:.0f} {x2:.0f},{y2:.0f}")
    return " ".join(parts)


def drawn_arrow(picture: Picture, way: Chain) -> str:
    start, *bends, end = way
    points = [(picture.x[start], picture.y[start] + HEIGHT / 2)]
    for bend in bends:
        points += [(picture.x[bend], picture.y[bend] - HEIGHT / 2), (picture.x[bend], picture.y[bend] + HEIGHT / 2)]
    points.append((picture.x[end], picture.y[end] - HEIGHT / 2 - 5))
    return f'<path d="{curve(points)}" class="arrow {room_of(start)}" marker-end="url(#head)"/>'


def drawn_cycle(picture: Picture, start: str, end: str) -> str:
    """An arrow of a cycle, from side to side."""
    right = [(picture.x[node] + WIDTH / 2, picture.y[node]) for node in (start, end)]
    (x1, y1), (x2, y2), bow = *right, max(x for x, _ in right) + WIDTH / 2
    return f'<path d="M{x1:.0f},{y1:.0f} C{bow:.0f},{y1:.0f} {bow:.0f},{y2:.0f} {x2:.0f},{y2:.0f}" class="cycle"/>'


def drawn_folder(house: House, picture: Picture, node: str) -> str:
    members = house.folders.get(node, [node])
    lines = sum(house.modules[name].lines for name in members)
    x, y = picture.x[node], picture.y[node]
    size = f"{len(members)} files, {lines:,} lines" if node in house.folders else f"{lines} lines"
    return (
        f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6" '
        f'class="folder" stroke="{EDGES[room_of(node)]}"/>'
        f'<text x="{x:.0f}" y="{y - 2:.0f}" class="name">{escape(node.partition(".")[2])}</text>'
        f'<text x="{x:.0f}" y="{y + 12:.0f}" class="size">{size}</text>'
    )


def drawn_room(house: House, picture: Picture, room: str, width: float) -> str:
    heights = [picture.y[node] for row in picture.rows for node in row if ">" not in node and room_of(node) == room]
    top, bottom = min(heights) - HEIGHT / 2 - TITLE + 4, max(heights) + HEIGHT / 2 + 16
    ground = ", ".join(sorted(name.partition(".")[2] for name in house.ground if name.startswith(room + ".")))
    ground, right = f"open to all: {ground or 'nothing'}", width - MARGIN - 12
    return (
        f'<rect x="{MARGIN}" y="{top:.0f}" width="{width - 2 * MARGIN:.0f}" height="{bottom - top:.0f}" rx="10" '
        f'fill="{FILLS[room]}"/><text x="{right:.0f}" y="{top + 19:.0f}" class="room">{room}/</text>'
        f'<text x="{right:.0f}" y="{top + 33:.0f}" class="ground">{escape(ground)}</text>'
    )


STYLE = """
.arrow { fill: none; stroke-width: 1.4; opacity: .85 }
.server { stroke: #1a56b0 } .retrieval { stroke: #1e7a3c } .models { stroke: #a06a00 }
.cycle { fill: none; stroke: #d11; stroke-width: 2; stroke-dasharray: 5 3 }
.folder { fill: #fff; stroke-width: 1.5 }
text { font-family: sans-serif; fill: #202124 }
.name { font-size: 12.5px; font-weight: bold; text-anchor: middle }
.size { font-size: 9.5px; text-anchor: middle; fill: #5f6368 }
.ground { font-size: 10px; text-anchor: end; fill: #3c4043 }
.room { font-size: 14px; font-weight: bold; text-anchor: end; fill: #3c4043 }
"""
HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#5f6368"/></marker></defs>'
)


def drawn(house: House) -> str:
    picture = arranged(house)
    nodes = [node for row in picture.rows for node in row if ">" not in node]
    width = max(picture.x.values()) + WIDTH / 2 + 2 * MARGIN
    height = max(picture.y.values()) + HEIGHT / 2 + MARGIN + 16
    rooms = [room for room in ROOMS if any(room_of(node) == room for node in nodes)]
    around = without_cycles(house.arrows)
    cycles = [(a, b) for a, others in sorted(house.arrows.items()) for b in sorted(others - around[a])]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">',
        f'<style>{STYLE}</style>{HEAD}<rect width="100%" height="100%" fill="#fff"/>',
        *(drawn_room(house, picture, room, width) for room in rooms),
        *(drawn_arrow(picture, way) for way in picture.chains),
        *(drawn_folder(house, picture, node) for node in nodes),
        *(drawn_cycle(picture, a, b) for a, b in cycles),
        "</svg>\n",
    ]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    arguments = parser.parse_args()
    arguments.out.write_text(drawn(read(arguments.checkout)))
    print(arguments.out)


if __name__ == "__main__":
    main()
