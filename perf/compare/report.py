"""The tables, in Markdown."""


ONE_SIDED = "; **one-sided**: its TCP conversations are not answered, so Suricata follows no stream in it and parses no HTTP"


def number(value):
    """A figure for a table: as many digits as say something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def times(spread):
    if spread is None:
        return "too short to tell"
    return f"{number(spread['median'])} ({number(spread['min'])} to {number(spread['max'])})"


def memory(side):
    return f"{'at most ' if side['rss_is_upper_bound'] else ''}{side['rss_kib'] / 1024:,.0f}"


def captures_table(document):
    lines = [
        "| capture | peer | packets a processor second: peer | PhantomNet | **ratio** | net of starting | by the clock | MiB: peer | PhantomNet |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in document["results"]:
        head = f"| {result['capture']} | {result['peer']} |"
        if "failed" in result:
            lines.append(f"{head} failed: {cell(result['failed'])} | | | | | | |")
            continue
        theirs, ours = result["theirs"], result["ours"]
        lines.append(
            f"{head} {number(theirs['packets_per_cpu_second']['median'])} | {number(ours['packets_per_cpu_second']['median'])} "
            f"| **{times(result['ratio_cpu'])}** | {times(result['ratio_cpu_net'])} | {times(result['ratio_wall'])} "
            f"| {memory(theirs)} | {memory(ours)} |"
        )
    lines += [f"| all | {each['peer']} | not had: {cell(each['reason'])} | | | | | | |" for each in document["skipped"]]
    return lines


def starts_table(document):
    """What starting takes, and what was written: beside the first table, for it would be too wide."""
    lines = [
        "| capture | peer | s to start and end: peer | PhantomNet | clock of a run, s: peer | PhantomNet | events written: peer | PhantomNet |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in document["results"]:
        if "failed" in result:
            continue
        theirs, ours = result["theirs"], result["ours"]
        lines.append(
            f"| {result['capture']} | {result['peer']} | {theirs['start_cpu_s']:.2f} | {ours['start_cpu_s']:.2f} "
            f"| {theirs['wall_s']['median']:.2f} | {ours['wall_s']['median']:.2f} "
            f"| {events(theirs)} | {events(ours)} |"
        )
    return lines


def events(side):
    return "" if side["events"] is None else f"{side['events']:,}"


def forest_table(forest):
    lines = [
        "| library | version | its ns a row | PhantomNet | **ratio** | scores differ by |",
        "|---|---|---|---|---|---|",
    ]
    for result in forest["results"]:
        if "failed" in result:
            lines.append(f"| {result['peer']} | failed: {cell(result['failed'])} | | | | |")
            continue
        ours = times(result["ours_ns"]) if "ours_ns" in result else "not had"
        ratio = f"**{times(result['ratio'])}**" if "ratio" in result else ""
        apart = "a forest of its own" if result["apart"] is None else f"{result['apart']:.1e}"
        lines.append(f"| {result['peer']} | {result['version']} | {times(result['theirs_ns'])} | {ours} | {ratio} | {apart} |")
    lines += [f"| {each['peer']} | not had: {cell(each['reason'])} | | | | |" for each in forest["skipped"]]
    return lines


def apart(figure):
    return "a figure that is not had" if figure is None else f"{figure:.1e} at the most"


def cell(text):
    return text.replace("|", "\\|")


def markdown(document):
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    captures = "; ".join(
        f"`{each['name']}` ({each['packets']:,} packets, {each['bytes'] / 1e6:,.0f} MB, SHA-256 {each['sha256'][:12]}"
        f"{ONE_SIDED if each['one_sided'] else ''})"
        for each in document["captures"]
    )
    lines = [
        f"{document['date']}, {document['rounds']} rounds of pairs, all threads on core {document['core']}. {versions}.",
        "",
        *([f"Captures: {captures}.", ""] if document["captures"] else []),
        "```",
        *document["machine"].splitlines(),
        "```",
    ]
    if document["captures"]:
        lines += ["", *captures_table(document), "", *starts_table(document)]
    forest = document["forest"]
    if forest is not None:
        lines.append("")
        if "forest" in forest:
            grown = forest["forest"]
            lines += [
                f"A forest of {grown['trees']} trees of {grown['subsample']} rows ({grown['nodes']:,} nodes), {grown['rows']:,} rows; "
                f"PhantomNet's scores differ from scikit-learn's by {apart(forest['ours_apart'])}.",
                "",
            ]
        lines += forest_table(forest)
    return "\n".join(lines) + "\n"
