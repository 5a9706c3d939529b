"""Is something slower than in the committed result? Only ratios to the floor of the same run are compared.

The rule: a row is slower when its median ratio to the floor is worse by more than a tenth AND the best of
its rounds is worse than the worst round of the committed result, so that the noise of neither run explains
it. The driver measures what is slower a second time; what is slower again counts. Where the generator was
the limit on either side, a row shows what the generator can do: it is named, not judged.
"""

import dataclasses

import results

TENTH = 0.10
# With fewer, nobody knows the noise.
ROUNDS_MIN = 3
INSTRUCTIONS_TOLERANCE = 0.005
# Compared beside what a row is about: name of the part, unit, and the kinds of rows of load.
PARTS = (("p99", "us", ("rate", "round-trip")), ("cpu", "CPU-s per million", ("rate",)))
BAD = ("slower", "missing")


@dataclasses.dataclass(frozen=True)
class Finding:
    bench: str
    key: str
    what: str       # the unit or the part
    verdict: str    # same, slower, faster, missing, new, few (rounds), limited (by the generator)
    then: tuple = None  # ratio to the floor: median, smallest, largest
    now: tuple = None
    change: float = 0.0  # Of the speed: -0.2 is a fifth slower.


def ratio_lists(figure, floor):
    """(what, whether more is better, ratios of the rounds) of a figure."""
    yield figure["unit"], figure["more_is_better"], results.ratios(figure["values"], floor["values"])
    for part, unit, kinds in PARTS:
        mine, its = (f.get("parts", {}).get(part) for f in (figure, floor))
        if figure.get("kind") in kinds and mine and its:
            text = unit if part == "cpu" else f"{unit} {part}"
            yield text, False, results.ratios(mine, its)


def verdict_of(then, now, more_is_better):
    """(verdict, change of the speed) of two lists of ratios."""
    speed = [list(then), list(now)] if more_is_better else [[1 / r for r in then], [1 / r for r in now]]
    (old, old_low, old_high), (new, new_low, new_high) = map(results.median_and_spread, speed)
    change = new / old - 1
    if change < -TENTH and new_high < old_low:
        return "slower", change
    if change > TENTH and new_low > old_high:
        return "faster", change
    return "same", change


def compare(then, now, wanted=lambda figure: True):
    """Findings for the figures of `then` that were wanted now, then those that are new."""
    before, after = results.by_key(then), results.by_key(now)
    found = []
    for place, figure in before.items():
        if wanted(figure) and is_compared(figure):
            found += compare_one(place, before, after)
    for place, figure in after.items():
        if place not in before and is_compared(figure):
            found.append(Finding(*place, figure["unit"], "new"))
    return found


def is_compared(figure):
    """Floors are what others are held against; peers are not ours to guard."""
    return bool(figure["floor"]) and figure["floor"] != results.key_of(figure) and (
        not figure.get("name") or figure["name"].startswith("stratwire"))


def compare_one(place, before, after):
    bench = place[0]
    old, new = before[place], after.get(place)
    old_floor = before.get((bench, old["floor"]))
    new_floor = new and after.get((bench, new["floor"]))
    if old_floor is None:
        return []
    if new is None or new_floor is None or not any(value is not None for value in new["values"]):
        return [Finding(*place, old["unit"], "missing")]
    limited = any(results.GENERATOR_LIMITS in figure.get("remarks", ()) for figure in (old, new))
    mine = {what: (more, list(values)) for what, more, values in ratio_lists(new, new_floor)}
    found = []
    for what, more, values in ratio_lists(old, old_floor):
        _, now = mine.get(what, (more, []))
        if not values or not now or min(*values, *now, 1) <= 0:
            found.append(Finding(*place, what, "missing" if values else "new"))
            continue
        if min(len(values), len(now)) < ROUNDS_MIN:
            found.append(Finding(*place, what, "few"))
            continue
        verdict, change = verdict_of(values, now, more)
        found.append(Finding(*place, what, "limited" if limited else verdict, results.median_and_spread(values),
                             results.median_and_spread(now), change))
    return found


def confirmed(first, second):
    """The findings of the first comparison; slower only what the second one calls slower too."""
    again = {(f.bench, f.key, f.what): f for f in second}
    out = []
    for finding in first:
        other = again.get((finding.bench, finding.key, finding.what))
        if finding.verdict in BAD and other is not None:
            finding = dataclasses.replace(other, verdict="same") if other.verdict == "faster" else other
        out.append(finding)
    return out


def lines(findings):
    """What changed, worst first, and how many did not."""
    changed = sorted((f for f in findings if f.verdict in ("slower", "faster")), key=lambda f: f.change)
    out = []
    if changed:
        out += ["| bench | row | of | ratio to the floor then | now | speed | |", "|---|---|---|---|---|---|---|"]
    for f in changed:
        out.append(f"| {f.bench} | {f.key.replace(' | ', ', ')} | {f.what} | {span(f.then)} | {span(f.now)} "
                   f"| {f.change:+.0%} | {f.verdict} |")
    for verdict, text in (("missing", "measured then, not now"), ("new", "not in the committed result"),
                          ("few", f"less than {ROUNDS_MIN} rounds, not compared")):
        out += [f"- {text}: {f.bench}, {f.key.replace(' | ', ', ')} ({f.what})" for f in findings
                if f.verdict == verdict]
    out += [f"- {results.GENERATOR_LIMITS}, says little: {f.bench}, {f.key.replace(' | ', ', ')} ({f.what}), "
            f"{span(f.then)} of the floor then, {span(f.now)} now" for f in findings if f.verdict == "limited"]
    same = sum(f.verdict == "same" for f in findings)
    out.append(f"- {same} of {len(findings)} figures as they were, within the noise of both runs")
    return out


def span(values):
    middle, low, high = map(results.text_of, values)
    return f"{middle} ({low}..{high})"


# ---- Counts of instructions, which have no noise


def compare_counts(then, now):
    """(text lines, whether something needs more instructions than it may)."""
    out, worse, same = [], False, 0
    for name in sorted({*then, *now}):
        if name not in now:
            out.append(f"- counted then, not now: {name}")
            worse = True
        elif name not in then:
            out.append(f"- not in the committed counts: {name}, {now[name]:.1f} instructions")
        elif abs(now[name] / then[name] - 1) > INSTRUCTIONS_TOLERANCE:
            more = now[name] > then[name]
            worse = worse or more
            out.append(f"- {'more' if more else 'fewer'} instructions: {name}, {then[name]:.1f} then, "
                       f"{now[name]:.1f} now ({now[name] / then[name] - 1:+.1%})")
        else:
            same += 1
    if same:
        which = f"{same} other" if out else f"all {same}"
        out.append(f"- {which} counts as they were (to {INSTRUCTIONS_TOLERANCE:.1%})")
    return out, worse
