"""All oracles side by side in the simulator, in virtual time: the leader dies again and again over 3, 5, 9
and 25 proposers with 5 acceptors, and links are cut in every shape of a partial partition.

The same build prints the same table on every machine: the simulator draws everything from its seeds."""

import argparse
import math
import os
import re
import subprocess
import sys

BUILD = os.environ.get("BUILD", "build")
KINDS = ("connected", "static", "lease", "succession", "ring", "floodmax", "gossip", "external")
SIZES = (3, 5, 9, 25)
SHAPES = ("quorum-loss", "constrained", "constrained-alone", "chained", "majority-ring", "bridge",
          "isolated-leader", "halves", "leader-to-acceptors", "acceptors-to-leader")
ELECTION_MS = 500  # of both scenarios
SPREAD = r"count=(\d+) median=([\d.]+) p99=([\d.]+) max=([\d.]+)"


def note(text):
    """Progress, for who looks at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def simulate(scenario, proposers, seeds, minutes, *more):
    command = [os.path.join(BUILD, "synod-sim"), "--scenario", scenario, "--proposers",
               str(proposers), "--seeds", f"1..{seeds}", "--minutes", str(minutes), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        failed = re.search(r"^FAILED.*$", done.stdout, re.M)
        note("")
        sys.exit(f"error: {' '.join(command)}: {failed[0] if failed else done.stderr.strip()}")
    return done.stdout


def failover(kind, proposers, options):
    """{name: (count, median, p99, max)} of the ends of leaders."""
    out = simulate(f"failover:{kind}", proposers, options.seeds, options.minutes)
    line = re.search(r"^failover .*$", out, re.M)[0]
    spreads = [tuple(map(float, found)) for found in re.findall(SPREAD, line)]
    elections, ms, oracle, messages = spreads
    return {"elections": elections, "ms": ms, "oracle": oracle, "messages": messages,
            "named": int(re.search(r"named at once at most (\d+)", line)[1])}


def partition(kind, shape, proposers, options):
    """p99 of the recovery in election timeouts; changes of leader after it, and when links are whole;
    proposers that named themselves at once."""
    out = simulate(f"{shape}:5", proposers, options.partition_seeds, 0.6, "--oracle", kind)
    line = re.search(r"^recovery .*$", out, re.M)[0]
    return (float(re.findall(SPREAD, line)[0][2]),
            int(re.search(r"after it at most (\d+)", line)[1]),
            int(re.search(r"when healed at most (\d+)", line)[1]),
            int(re.search(r"named at once at most (\d+)", line)[1]))


def print_failovers(rows):
    print(f"The leader dies: {ELECTION_MS} ms of election timeout, 5 acceptors\n")
    print(f"{'':10} {'':>9} {'':>9} {'messages to elect':>25} {'time to fail over, election timeouts':>40} "
          f"{'ms':>11} {'named':>8}")
    print(f"{'oracle':10} {'proposers':>9} {'failovers':>9} {'of oracles':>12} {'all':>12} "
          f"{'median':>12} {'p99':>13} {'max':>13} {'median':>6}{'p99':>6} {'at once':>7}")
    for (kind, size), row in rows.items():
        print(f"{kind:10} {size:9} {row['elections'][0]:9.0f} {row['oracle'][1]:12.0f} "
              f"{row['messages'][1]:12.0f} {row['elections'][1]:12.2f} {row['elections'][2]:13.2f} "
              f"{row['elections'][3]:13.2f} {row['ms'][1]:6.0f}{row['ms'][2]:6.0f} "
              f"{row['named']:7}")


def print_partitions(rows, sizes):
    print("\nPartial partitions with 5 acceptors: election timeouts until something new is chosen, "
          "p99; in brackets the\nmost changes of leader after that and when the links are whole again, and "
          "proposers that named themselves at once\n")
    names = [shape.replace("acceptors", "acc.").replace("leader", "ld.") for shape in SHAPES]
    print(f"{'oracle':10} {'proposers':>9} " + " ".join(f"{name:>17}" for name in names))
    for kind in KINDS:
        for size in sizes:
            cells = [rows[kind, size, shape] for shape in SHAPES]
            print(f"{kind:10} {size:9} "
                  + " ".join(f"{p99:9.2f} [{after} {whole} {named}]"
                             for p99, after, whole, named in cells))


# ---- the picture

# Okabe and Ito's colours, told apart by every kind of eyes; the marks help, too.
COLOURS = ("#000000", "#999999", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7")
MARKS = ("circle", "square", "diamond", "up", "down", "circle", "square", "diamond")
WIDTH, HEIGHT, LEFT, TOP, PANEL = 860, 640, 70, 70, 210


def mark(index, x, y):
    fill = f'fill="{COLOURS[index]}"'
    r = 4.5
    shapes = {
        "circle": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {fill}/>',
        "square": f'<rect x="{x - r + 0.5:.1f}" y="{y - r + 0.5:.1f}" width="{2 * r - 1}" '
                  f'height="{2 * r - 1}" {fill}/>',
    }
    points = {"diamond": ((0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)),
              "up": ((0, -r - 1), (r + 1, r), (-r - 1, r)),
              "down": ((0, r + 1), (r + 1, -r), (-r - 1, -r))}
    name = MARKS[index]
    if name in shapes:
        return shapes[name]
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points[name])
    return f'<polygon points="{corners}" {fill}/>'


def text(x, y, content, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{content}</text>'


def panel(top, title, unit, ticks, place, rows, value):
    """One plot: for each number of proposers a group, in it each oracle's median and a line to its p99."""
    right = WIDTH - 20
    out = [text(LEFT, top - 14, title, "start", ' font-weight="bold"')]
    for tick in ticks:
        y = top + PANEL - place(tick) * PANEL
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(text(LEFT - 8, y + 4, f"{tick:g}", "end"))
    out.append(f'<text transform="translate(18 {top + PANEL / 2:.0f}) rotate(-90)" '
               f'text-anchor="middle">{unit}</text>')
    group = (right - LEFT) / len(SIZES)
    for at, size in enumerate(SIZES):
        if at > 0:
            x = LEFT + at * group
            out.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + PANEL}" '
                       'stroke="#bbb" stroke-dasharray="2 3"/>')
        out.append(text(LEFT + (at + 0.5) * group, top + PANEL + 18, f"{size} proposers"))
        for index, kind in enumerate(KINDS):
            x = LEFT + (at + 0.12 + 0.76 * index / (len(KINDS) - 1)) * group
            median, p99 = (top + PANEL - place(v) * PANEL for v in value(rows[kind, size]))
            out.append(f'<line x1="{x:.1f}" y1="{median:.1f}" x2="{x:.1f}" y2="{p99:.1f}" '
                       f'stroke="{COLOURS[index]}" stroke-width="2"/>')
            out.append(f'<line x1="{x - 4:.1f}" y1="{p99:.1f}" x2="{x + 4:.1f}" y2="{p99:.1f}" '
                       f'stroke="{COLOURS[index]}" stroke-width="2"/>')
            out.append(mark(index, x, median))
    out.append(f'<rect x="{LEFT}" y="{top}" width="{right - LEFT:.0f}" height="{PANEL}" '
               'fill="none" stroke="#444"/>')
    return out


def draw(rows, path):
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           "<title>What the end of a leader costs under each oracle</title>",
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for index, kind in enumerate(KINDS):
        x = LEFT + index * 97
        out.append(mark(index, x + 6, 22))
        out.append(text(x + 17, 26, kind, "start"))
    highest = max(row["elections"][2] for row in rows.values())
    top_tick = int(highest) + 1
    ticks = range(0, top_tick + 1, 1 if top_tick <= 8 else 2)
    out += panel(TOP, "Time until the next leader leads", "election timeouts", ticks,
                 lambda v: v / top_tick, rows, lambda row: row["elections"][1:3])
    most = max(row["oracle"][2] for row in rows.values())
    powers = 1
    while 10 ** powers < most:
        powers += 1
    out += panel(TOP + PANEL + 75, "Messages of oracles until then", "messages (logarithmic)",
                 [0] + [10 ** k for k in range(powers + 1)],
                 lambda v: 0.0 if v < 1 else (math.log10(v) + 1) / (powers + 1),
                 rows, lambda row: row["oracle"][1:3])
    count = int(min(row["elections"][0] for row in rows.values()))
    out.append(text(LEFT, HEIGHT - 14,
                    f"Median, and a line up to the 99th percentile, of {count} or more leaders killed in the "
                    f"simulator; 5 acceptors, {ELECTION_MS} ms of election timeout.", "start",
                    ' font-size="11" fill="#444"'))
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/oracles.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="of the failovers of each size")
    parser.add_argument("--minutes", type=float, default=2, help="virtual ones of each seed")
    parser.add_argument("--partition-seeds", type=int, default=5, help="of each partition")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)),
                        help="proposers in partitions")
    parser.add_argument("--svg", metavar="FILE", help="draw the failovers")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    failovers, partitions = {}, {}
    for kind in KINDS:
        for size in SIZES:
            note(f"failovers: {kind}, {size} proposers")
            failovers[kind, size] = failover(kind, size, options)
    note("")
    print_failovers(failovers)
    for kind in KINDS:
        for size in sizes:
            for shape in SHAPES:
                note(f"partitions: {kind}, {size} proposers, {shape}")
                partitions[kind, size, shape] = partition(kind, shape, size, options)
    note("")
    print_partitions(partitions, sizes)
    if options.svg:
        draw(failovers, options.svg)
        print(f"\nwritten: {options.svg}")


main()
