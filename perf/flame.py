#!/usr/bin/env python3
"""Draws a flame graph of one thread: perf script -F comm,ip,sym | flame.py THREAD TITLE > flame.svg

After Brendan Gregg, "The Flame Graph" (Communications of the ACM 59, 2016): the width of a box is the share of samples in which the
function was on the stack, and what it called stands on it. Boxes below a thousandth are left out. Nothing but Python is needed.
"""

import html
import re
import sys

WIDTH, ROW, LEFT, TOP = 1200, 17, 10, 44
LEAST = 0.001
COLOURS = ["#e5653a", "#e87f3f", "#eb9a45", "#eeb44b", "#e2703c", "#ec8f42"]


class Box:
    """A function on a stack of callers."""

    def __init__(self, name):
        self.name, self.samples, self.called = name, 0, {}

    def add(self, stack):
        """Counts a sample whose stack, from the outermost call on, goes on from here."""
        self.samples += 1
        if stack:
            self.called.setdefault(stack[0], Box(stack[0])).add(stack[1:])

    def depth(self, whole):
        """How many boxes stand on each other, this one included."""
        seen = [box.depth(whole) for box in self.called.values() if box.samples >= LEAST * whole]
        return 1 + max(seen, default=0)


def stacks(lines, thread):
    """The stacks of the thread's samples, outermost call first."""
    mine, stack = False, []
    for line in lines:
        if not line.strip():
            if mine and stack:
                yield stack[::-1]
            stack = []
        elif not line[0].isspace():
            mine = line.split()[0] == thread
        else:
            stack.append(named(line))
    if mine and stack:
        yield stack[::-1]


def named(line):
    """The function of a line, without its offset and with what generics stand for left out."""
    name = re.sub(r"\+0x[0-9a-f]+$", "", line.strip().split(" ", 1)[-1])
    name = re.sub(r" \([^()]*\)$", "", name)
    shorter = None
    while shorter != name:
        shorter, name = name, re.sub(r"(?<=\w)<[^<>]*>", "", name)
    return name.replace("phantomnet::", "")


def draw(box, whole, x, height, level):
    """The box and all that stands on it."""
    width = WIDTH * box.samples / whole
    share = 100 * box.samples / whole
    y = height - (level + 2) * ROW
    text = html.escape(box.name[: max(int(width / 7) - 1, 0)]) if width > 30 else ""
    colour = COLOURS[sum(box.name.encode()) % len(COLOURS)]
    yield (
        f'<g><title>{html.escape(box.name)}: {share:.1f} %</title><rect x="{LEFT + x:.1f}" y="{y}" width="{width:.1f}" '
        f'height="{ROW - 1}" fill="{colour}"/><text x="{LEFT + x + 3:.1f}" y="{y + 12}">{text}</text></g>'
    )
    for called in sorted(box.called.values(), key=lambda called: called.name):
        if called.samples >= LEAST * whole:
            yield from draw(called, whole, x, height, level + 1)
        x += WIDTH * called.samples / whole


def main():
    thread, title = sys.argv[1:3]
    root = Box(thread)
    for stack in stacks(sys.stdin, thread):
        root.add(stack)
    if not root.samples:
        sys.exit(f"flame.py: no sample of a thread named {thread}; perf script -F comm,ip,sym has to come in")
    height = TOP + (root.depth(root.samples) + 2) * ROW
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * LEFT} {height}" font-family="monospace" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fffdf8"/><text x="{LEFT}" y="24" font-size="15">{html.escape(title)}</text>'
    )
    print("\n".join(draw(root, root.samples, 0, height, 0)))
    print("</svg>")


main()
