"""Plots as SVG text: axes, lines, bars, legends; no library."""

import html
import math

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 34, 46
LEGEND_LINE = 15

# One colour per server, the same in every plot; all keep their distance for colour-blind readers.
COLOURS = {"stratwire": "#0b62c4", "stratwire_threads": "#6baed6", "stratwire_2_io": "#9ecae1", "uws": "#d94801",
           "beast": "#7b3294", "ws": "#1b9e77", "lws": "#b8a000", "redis": "#c51b7d", "nats": "#4d4d4d"}
# Of others in the order in which they come; from the seventh on they come again.
MORE_COLOURS = ("#66a61e", "#8c510a", "#f781bf", "#17becf", "#a50026", "#999999")
FLOOR_COLOUR = "#111111"
given = {}


def colour_of(name):
    if name.startswith("floor"):
        return FLOOR_COLOUR
    return COLOURS.get(name) or given.setdefault(name, MORE_COLOURS[len(given) % len(MORE_COLOURS)])


def label_of(value):
    """1500 -> 1.5k."""
    for unit, text in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{text}"
    return f"{value:.3g}"


class Axis:
    """Values to pixels, linear or by logarithm."""

    def __init__(self, low, high, begin, end, log=False):
        self.log = log
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def at(self, value):
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, 1e-12))
        return self.begin + (value - low) / ((high - low) or 1) * (self.end - self.begin)

    def ticks(self):
        if self.log:
            return self._log_ticks()
        step = 10 ** math.floor(math.log10(max(self.high - self.low, 1e-12)))
        for part in (0.2, 0.5, 1, 2):
            if (self.high - self.low) / (step * part) <= 7:
                step *= part
                break
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, int(self.high / step + 1e-9) + 1)]

    def _log_ticks(self):
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for parts in ((1, 2, 5), (1, 3), (1,)):
            ticks = [part * 10.0 ** decade for decade in decades for part in parts
                     if self.low <= part * 10.0 ** decade <= self.high * 1.0001]
            if len(ticks) <= 8:
                return ticks
        return ticks


def log_range(values):
    """A little more than the values, in whole steps of 1, 2, 5."""
    low, high = min(values), max(values)
    steps = [part * 10.0 ** decade for decade in range(-6, 12) for part in (1, 2, 5)]
    return (max((step for step in steps if step <= low), default=low),
            min((step for step in steps if step >= high), default=high))


def legend_places(names):
    """(name, x, y) of each, in as many lines as they need."""
    x, y = LEFT, TOP
    for name in names:
        width = 34 + 6.4 * len(name)
        if x + width > WIDTH and x > LEFT:
            x, y = LEFT, y + LEGEND_LINE
        yield name, x, y
        x += width


class Plot:
    """One picture. Set x and y before drawing."""

    def __init__(self, title, x_label, y_label, names=()):
        self.parts = []
        self.title, self.x_label, self.y_label = title, x_label, y_label
        self.legend = list(legend_places(names))
        self.x = self.y = None

    def set_x(self, low, high, log=False):
        self.x = Axis(low, high, LEFT, WIDTH - RIGHT, log)

    def set_y(self, low, high, log=False):
        below = max((y for _, _, y in self.legend), default=TOP)
        self.y = Axis(low, high, HEIGHT - BOTTOM, below + 18, log)

    def text(self, x, y, text, anchor="middle", size=11, extra=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'{extra}>{html.escape(text)}</text>')

    def segment(self, x1, y1, x2, y2, style):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')

    def grid_y(self):
        for tick in self.y.ticks():
            y = self.y.at(tick)
            self.segment(LEFT, y, WIDTH - RIGHT, y, 'stroke="#ddd"')
            self.text(LEFT - 6, y + 4, label_of(tick), "end")

    def mark_x(self, value, text):
        x = self.x.at(value)
        self.segment(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4, 'stroke="#666"')
        self.text(x, HEIGHT - BOTTOM + 17, text)

    def line(self, name, points, dots=True):
        dash = ' stroke-dasharray="5 3"' if name.startswith("floor") else ""
        width = 2.6 if name == "stratwire" else 1.6
        path = " ".join(f"{self.x.at(x):.1f},{self.y.at(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour_of(name)}" '
                          f'stroke-width="{width}"{dash}/>')
        for x, y in points if dots else ():
            self.parts.append(f'<circle cx="{self.x.at(x):.1f}" cy="{self.y.at(y):.1f}" r="3" '
                              f'fill="{colour_of(name)}"><title>{html.escape(name)}: {label_of(y)}'
                              "</title></circle>")

    def bar(self, name, x, width, value, low, high):
        base, top = self.y.begin, self.y.at(value)
        self.parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" '
                          f'height="{max(0.5, base - top):.1f}" fill="{colour_of(name)}">'
                          f"<title>{html.escape(name)}: {label_of(value)}</title></rect>")
        if high > low:
            middle = x + width / 2
            self.segment(middle, self.y.at(low), middle, self.y.at(high), 'stroke="#000" opacity="0.55"')

    def doubt(self, x, value):
        """A star over what says little; the caption says why."""
        self.text(x, self.y.at(value) - 2, "*", size=14)

    def _legend(self):
        for name, x, y in self.legend:
            colour = colour_of(name)
            dash = ' stroke-dasharray="5 3"' if name.startswith("floor") else ""
            self.segment(x, y + 2, x + 18, y + 2, f'stroke="{colour}" stroke-width="3"{dash}')
            self.text(x + 22, y + 6, name, "start")

    def svg(self):
        self.text(LEFT, 18, self.title, "start", 13, 'font-weight="600"')
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, self.x_label)
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self.text(14, middle, self.y_label, extra=f'transform="rotate(-90 14 {middle:.0f})"')
        self._legend()
        base = HEIGHT - BOTTOM
        self.segment(LEFT, base, WIDTH - RIGHT, base, 'stroke="#666"')
        return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
                f'aria-label="{html.escape(self.title)}">' + "".join(self.parts) + "</svg>")
