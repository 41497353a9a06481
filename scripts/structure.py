"""What stands where and what imports what: the rooms of a checkout, read from their source; nothing of it is imported.

    python scripts/structure.py [CHECKOUT] [--moved OLD..NEW] [--mermaid]

prints files and lines a directory, arrows, two-way arrows, cycles and the longest functions; the last line is JSON.
--moved reads the modules of an older checkout as if they stood where the commits OLD..NEW of this repository put them.
--mermaid prints the graph of docs/architecture.md instead.

An import counts wherever it stands: in a function, under TYPE_CHECKING, as a string that is a module's dotted name
(importlib, `python -m`; a string that names a package says where data lies).
"""

import argparse
import ast
import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("models", "retrieval", "server")
Graph = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Function:
    where: str  # path:line name
    lines: int


@dataclass(frozen=True, slots=True)
class Module:
    """imports: dotted names, modules of the checkout where they are some, else what the statement says."""

    name: str
    path: str
    is_folder: bool
    lines: int
    docstring: str
    imports: frozenset[str]
    functions: tuple[Function, ...]

    @property
    def directory(self) -> str:
        return self.name if self.is_folder else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class House:
    """The modules of a checkout. A folder is a package below a room; a room's own modules have no folder:
    each stands by itself, on the ground (they import no folder, any folder may import them) or on the roof."""

    modules: Mapping[str, Module]
    places: Mapping[str, str] = field(default_factory=dict)  # of modules that are read as if they stood elsewhere

    def directory(self, name: str) -> str:
        return self.places.get(name, self.modules[name].directory)

    def folder(self, name: str) -> str:
        """The folder of a module; of a room's own module the module itself."""
        directory = self.directory(name)
        return directory if "." in directory else name

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """The modules of every folder, `__init__` left out."""
        found = defaultdict(list)
        for name, module in self.modules.items():
            if not module.is_folder and "." in self.directory(name):
                found[self.directory(name)].append(name)
        return dict(sorted(found.items()))

    @cached_property
    def imports(self) -> Graph:
        return {name: {*module.imports & set(self.modules)} - {name} for name, module in self.modules.items()}

    @cached_property
    def ground(self) -> set[str]:
        """A room's own modules that reach no folder by any import, and its `__init__`."""
        own = {name for name in self.modules if "." not in self.directory(name)}
        return {name for name in own if reached(self.imports, name) <= own}

    @cached_property
    def roof(self) -> set[str]:
        """A room's other own modules."""
        return {name for name in self.modules if "." not in self.directory(name)} - self.ground

    @cached_property
    def arrows(self) -> Graph:
        """Of every folder, and module on the roof, which it imports; the ground, which is open to all, left out."""
        return {name: set() for name in {*self.folders, *self.roof}} | self._between(self.folder, self.ground)

    @cached_property
    def directory_arrows(self) -> Graph:
        """Which package directories import which; a room's own modules are together one."""
        return self._between(self.directory, set())

    def _between(self, place: Callable[[str], str], open_to_all: set[str]) -> Graph:
        graph: Graph = defaultdict(set)
        for name, others in self.imports.items():
            for other in others - open_to_all:
                if name not in open_to_all and place(name) != place(other):
                    graph[place(name)].add(place(other))
        return dict(graph)

    def crossing(self, start: str, end: str) -> list[tuple[str, str]]:
        """The imports behind one arrow."""
        pairs = ((name, other) for name, others in self.imports.items() for other in others)
        return sorted(pair for pair in pairs if (self.folder(pair[0]), self.folder(pair[1])) == (start, end))

    @property
    def functions(self) -> list[Function]:
        """The longest first."""
        return sorted((one for each in self.modules.values() for one in each.functions), key=lambda one: -one.lines)


def read(root: Path, rooms: Iterable[str] = ROOMS) -> House:
    paths = {module_name(root, path): path for room in rooms for path in sorted((root / room).rglob("*.py"))}
    return House({name: module(root, path, paths) for name, path in paths.items()})


def module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module(root: Path, path: Path, known: Mapping[str, Path]) -> Module:
    source, name, is_folder = path.read_text(), module_name(root, path), path.name == "__init__.py"
    tree, short = ast.parse(source), str(path.relative_to(root))
    return Module(
        name=name,
        path=short,
        is_folder=is_folder,
        lines=source.count("\n"),
        docstring=ast.get_docstring(tree) or "",
        imports=frozenset(imported(tree, name if is_folder else name.rpartition(".")[0], known)),
        functions=tuple(functions(tree, short)),
    )


def imported(tree: ast.AST, package: str, known: Mapping[str, Path]) -> Iterator[str]:
    """Every module that the source names, relative imports resolved; `from a import b` is a.b where that is one."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=base, names=aliases, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                origin = ".".join([*parents, *([base] if base else [])])
                yield from (name if (name := f"{origin}.{alias.name}") in known else origin for alias in aliases)
            case ast.Constant(value=str(name)) if "." in name and name in known and known[name].name != "__init__.py":
                yield name


def functions(tree: ast.AST, path: str) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            yield Function(f"{path}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)


def reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """What the arrows lead to from a node, in one step or more."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The knots of a graph: sets of nodes that all reach each other, as sorted lists."""
    reach = {node: reached(graph, node) for node in graph}
    knots = {frozenset(other for other in reach[node] if node in reach.get(other, ())) for node in graph}
    return sorted(sorted(knot) for knot in knots if knot)


def without_cycles(graph: Mapping[str, set[str]]) -> Graph:
    """The graph without the arrows that lie on a cycle."""
    return {node: {other for other in others if node not in reached(graph, other)} for node, others in graph.items()}


def reduction(graph: Mapping[str, set[str]]) -> Graph:
    """The graph without the arrows that a longer way implies; those of a cycle stay."""
    downwards = without_cycles(graph)
    implied = {
        node: {way for other in others for way in reached(downwards, other)} for node, others in downwards.items()
    }
    return {node: others - implied[node] for node, others in graph.items() if others}


def two_way(graph: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    return sorted((a, b) for a, others in graph.items() for b in others if a < b and a in graph.get(b, ()))


def count(graph: Mapping[str, set[str]]) -> int:
    return sum(map(len, graph.values()))


def moved(range_of_commits: str) -> dict[str, str]:
    """Modules by their old names, and the directories that the commits moved them to."""
    command = ["git", "diff", "--name-status", "--find-renames=30%", "--diff-filter=R", range_of_commits, "--", *ROOMS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pairs = [line.split("\t")[1:] for line in listed.splitlines()]
    return {
        module_name(ROOT, ROOT / old): ".".join(Path(new).parent.parts) for old, new in pairs if new.endswith(".py")
    }


def figures(house: House) -> dict[str, object]:
    """What is compared before and after; a file is a module or an `__init__`."""
    files = Counter(map(house.directory, house.modules))
    lines = [each.lines for each in house.modules.values()]
    return {
        "files": len(lines),
        "lines": sum(lines),
        "directories": len(files),
        "files a directory, median": round(median(files.values())),
        "files a directory, most": max(files.values()),
        "lines a file, median": round(median(lines)),
        "lines a file, most": max(lines),
        "imports between modules": count(house.imports),
        "cycles of modules": len(cycles(house.imports)),
        "arrows between directories": count(house.directory_arrows),
        "two-way arrows between directories": len(two_way(house.directory_arrows)),
        "arrows between folders": count(house.arrows),
        "two-way arrows between folders": len(two_way(house.arrows)),
        "cycles of folders": len(cycles(house.arrows)),
        "longest functions": [one.lines for one in house.functions[:5]],
    }


def print_folders(house: House) -> None:
    named = defaultdict(list)
    for name in house.modules:
        named[house.directory(name)].append(name)
    print(f"{'directory':28}{'files':>6}{'lines':>7}  imports (the ground left out)")
    for directory, names in sorted(named.items()):
        others = {other for name in names for other in house.arrows.get(house.folder(name), ())}
        lines = sum(house.modules[name].lines for name in names)
        print(f"{directory:28}{len(names):6}{lines:7}  {', '.join(sorted(others))}")


def print_figures(house: House) -> None:
    print("\na directory: a package, a room's own modules together one; a folder: a package below a room, a room's own")
    print("modules each by themselves, and open to all where they import no folder")
    for name, value in figures(house).items():
        print(f"{name:38}{value}")
    for kind, graph in (("directories", house.directory_arrows), ("folders", house.arrows)):
        for a, b in two_way(graph):
            print(f"both ways, {kind}: {a} <-> {b}")
    for knot in cycles(house.arrows):
        print("cycle of folders:", ", ".join(knot))
    for one in house.functions[:5]:
        print(f"{one.lines} lines: {one.where}")
    print(json.dumps(figures(house)))


def mermaid(arrows: Mapping[str, set[str]]) -> str:
    """The folders, room by room, and the arrows that no longer way implies."""
    lines = ["flowchart TD"]
    for room in reversed(ROOMS):
        lines += [
            f"    subgraph {room}",
            f"        {' & '.join(sorted(name for name in arrows if name.startswith(room + '.')))}",
            "    end",
        ]
    for name, others in sorted(reduction(arrows).items()):
        lines.append(f"    {name} --> {' & '.join(sorted(others))}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    parser.add_argument(
        "--moved", metavar="OLD..NEW", help="read modules as if they stood where these commits put them"
    )
    parser.add_argument("--mermaid", action="store_true", help="print the graph of docs/architecture.md instead")
    arguments = parser.parse_args()
    house = read(arguments.checkout)
    if arguments.moved:
        house = House(house.modules, moved(arguments.moved))
    if arguments.mermaid:
        print(mermaid(house.arrows))
    else:
        print_folders(house)
        print_figures(house)


if __name__ == "__main__":
    main()
