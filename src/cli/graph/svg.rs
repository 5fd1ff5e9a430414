//! A graph as a picture (W3C, Scalable Vector Graphics 1.1, with the colour schemes of CSS media queries 5).

use std::fmt::Write as _;

use super::layout::{
    BAR, Card, CardBody, Hue, LINE, MARGIN, PADDING, Picture, TEXT_SIZE, TITLE_SIZE, Wire, WireKind, layout,
};
use super::{Look, Row, title};
use crate::engine::Graph;
use crate::spec::Tier;

/// How round the corners of lines are.
const CORNER: i32 = 8;
/// How round the corners of cards are.
const ROUND: i32 = 5;
/// Length and half height of the tip of a line.
const TIP: (i32, i32) = (7, 3);

/// Colours: class, property, in light surroundings, in dark ones.
const COLOURS: [(&str, &str, &str, &str); 18] = [
    (".ground", "fill", "#ffffff", "#0d1117"),
    (".card", "fill", "#ffffff", "#161b22"),
    (".card", "stroke", "#d0d7de", "#30363d"),
    ("text", "fill", "#1f2328", "#e6edf3"),
    (".muted", "fill", "#59636e", "#9198a1"),
    (".removed", "fill", "#b3242c", "#ff8f87"),
    (".replaced", "fill", "#6e7781", "#848d97"),
    (".rule", "stroke", "#d8dee4", "#262c34"),
    (".profile", "fill", "#424a53", "#c4ccd4"),
    (".profile-wire", "stroke", "#8c959f", "#6e7681"),
    (".base", "fill", "#6e7781", "#9aa4ae"),
    (".base-wire", "stroke", "#8c959f", "#7d8590"),
    (".distro", "fill", "#1b7c83", "#39c5cf"),
    (".distro-wire", "stroke", "#3f9aa1", "#2f9aa2"),
    (".application", "fill", "#0969da", "#58a6ff"),
    (".application-wire", "stroke", "#4c93e3", "#3d7cc4"),
    (".overlay", "fill", "#8250df", "#bc8cff"),
    (".overlay-wire", "stroke", "#a481e6", "#8f6cc7"),
];

/// Returns the text of an SVG file. It reads well on light and on dark ground, and depends on nothing outside of it.
pub(super) fn text(graph: &Graph) -> String {
    let picture = layout(graph);
    let title = title(graph);
    let mut text = String::new();
    head(&picture, &title, &mut text);
    for (x, width, name) in &picture.columns {
        let _ =
            writeln!(text, "<text class=\"column muted\" x=\"{x}\" y=\"50\">{}</text>", escaped(&name.to_uppercase()));
        let _ = writeln!(text, "<path class=\"rule\" d=\"M{x} 56h{width}\"/>");
    }
    for wire in &picture.wires {
        draw_wire(wire, &mut text);
    }
    for card in &picture.cards {
        draw_card(card, &mut text);
    }
    let _ = writeln!(
        text,
        "<text class=\"muted\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
        picture.height - MARGIN / 2,
        escaped(&picture.legend)
    );
    text.push_str("</svg>\n");
    text
}

fn head(picture: &Picture, title: &str, text: &mut String) {
    let (width, height, title) = (picture.width, picture.height, escaped(title));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    let _ = writeln!(text, "<title>{title}</title>");
    let _ = writeln!(
        text,
        "<style>\n\
         text {{ font: {TEXT_SIZE}px system-ui, -apple-system, \"Segoe UI\", \"Noto Sans\", \"DejaVu Sans\", sans-serif; }}\n\
         .name {{ font-size: {TITLE_SIZE}px; font-weight: 600; }}\n\
         .code {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; }}\n\
         .heading {{ font-size: 15px; font-weight: 600; }}\n\
         .column {{ font-size: 10px; letter-spacing: 0.08em; }}\n\
         .bold {{ font-weight: 600; }}\n\
         .end {{ text-anchor: end; }}\n\
         .replaced {{ text-decoration: line-through; }}\n\
         .wire, .rule {{ fill: none; }}\n\
         .dashed {{ stroke-dasharray: 3 3; }}"
    );
    for (class, property, light, _) in COLOURS {
        let _ = writeln!(text, "{class} {{ {property}: {light}; }}");
    }
    text.push_str("@media (prefers-color-scheme: dark) {\n");
    for (class, property, _, dark) in COLOURS {
        let _ = writeln!(text, "{class} {{ {property}: {dark}; }}");
    }
    text.push_str("}\n</style>\n");
    let _ = writeln!(text, "<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>");
    let _ = writeln!(text, "<text class=\"heading\" x=\"{MARGIN}\" y=\"27\">{title}</text>");
}

fn draw_card(card: &Card, text: &mut String) {
    let Card { x, y, width, height, .. } = card;
    let class = class(card.hue);
    let _ = writeln!(text, "<g>");
    // The bar is what a box in its colour shows beside the one that is laid over it.
    let _ = writeln!(
        text,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{ROUND}\"/>"
    );
    let _ = writeln!(
        text,
        "<path class=\"card\" d=\"M{} {}h{}q{ROUND} 0 {ROUND} {ROUND}v{}q0 {ROUND} -{ROUND} {ROUND}h-{}z\"/>",
        x + BAR,
        y,
        width - BAR - ROUND,
        height - 2 * ROUND,
        width - BAR - ROUND
    );
    let left = x + BAR + PADDING;
    let right = x + width - PADDING;
    let mut baseline = y + PADDING + 12;
    let paths = matches!(card.body, CardBody::Rows(_));
    let face = if paths { "code bold" } else { "name" };
    let _ = writeln!(text, "<text class=\"{face}\" x=\"{left}\" y=\"{baseline}\">{}</text>", escaped(&card.title));
    if !card.mark.is_empty() {
        let mark = escaped(&card.mark);
        let _ = writeln!(text, "<text class=\"muted end\" x=\"{right}\" y=\"{baseline}\">{mark}</text>");
    }
    match &card.body {
        CardBody::Summary(lines) => {
            for line in lines {
                baseline += LINE;
                let line = escaped(line);
                let _ = writeln!(text, "<text class=\"muted\" x=\"{left}\" y=\"{baseline}\">{line}</text>");
            }
        }
        CardBody::Rows(rows) => {
            for row in rows {
                baseline += LINE;
                draw_row(row, (left, right, baseline), text);
            }
        }
    }
    text.push_str("</g>\n");
}

fn draw_row(row: &Row, (left, right, baseline): (i32, i32, i32), text: &mut String) {
    let look = match row.look {
        Look::Plain => "code",
        Look::Removed => "code removed",
        Look::Replaced => "code replaced",
        Look::Muted => "muted",
    };
    let words = escaped(&row.text);
    let _ = writeln!(text, "<text class=\"{look}\" x=\"{left}\" y=\"{baseline}\">{words}</text>");
    if !row.note.is_empty() {
        let note = escaped(&row.note);
        let _ = writeln!(text, "<text class=\"muted end\" x=\"{right}\" y=\"{baseline}\">{note}</text>");
    }
}

fn draw_wire(wire: &Wire, text: &mut String) {
    let class = class(wire.hue);
    let dashed = if wire.kind == WireKind::Requires { " dashed" } else { "" };
    // Lines that share their end are dashed alike where they run together.
    let points: Vec<_> = wire.points.iter().rev().copied().collect();
    let path = path(&points);
    let _ = writeln!(text, "<path class=\"wire {class}-wire{dashed}\" stroke-width=\"1.4\" d=\"{path}\"/>");
    let [.., (before, _), (x, y)] = wire.points[..] else { return };
    if wire.kind != WireKind::Holds {
        let (length, half) = TIP;
        let back = if x > before { x - length } else { x + length };
        let _ = writeln!(text, "<path class=\"{class}\" d=\"M{x} {y}L{back} {}V{}z\"/>", y - half, y + half);
    }
}

/// Returns the path through `points`, which alternate between horizontal and vertical, with round corners.
fn path(points: &[(i32, i32)]) -> String {
    let mut path = String::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let around = index.checked_sub(1).and_then(|before| Some((points.get(before)?, points.get(index + 1)?)));
        match around {
            None => {
                let _ = write!(path, "{}{x} {y}", if index == 0 { "M" } else { "L" });
            }
            Some((before, after)) => {
                let (start, end) = (towards((x, y), *before), towards((x, y), *after));
                let _ = write!(path, "L{} {}Q{x} {y} {} {}", start.0, start.1, end.0, end.1);
            }
        }
    }
    path
}

/// Returns the point where the corner at `point` begins or ends: in the direction of `other`, at most half way.
fn towards(point: (i32, i32), other: (i32, i32)) -> (i32, i32) {
    let step = |from: i32, to: i32| from + ((to - from) / 2).clamp(-CORNER, CORNER);
    (step(point.0, other.0), step(point.1, other.1))
}

fn class(hue: Hue) -> &'static str {
    match hue {
        Hue::Profile => "profile",
        Hue::Tier(Tier::Base) => "base",
        Hue::Tier(Tier::Distro) => "distro",
        Hue::Tier(Tier::Application) => "application",
        Hue::Tier(Tier::Overlay) => "overlay",
    }
}

/// Escapes what means something in XML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            control if control.is_control() => safe.push('\u{fffd}'),
            plain => safe.push(plain),
        }
    }
    safe
}
