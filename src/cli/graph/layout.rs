//! Where everything of a graph stands in a picture.
//!
//! Comes in: a graph. Goes out: cards and lines with their places, in pixels. Always holds: cards do not overlap and no
//! line crosses a card. Columns go from left to right: profiles, the tiers from base to overlay, files. Each layer has a
//! band of its own from the left to the right edge, in which nothing but it, its files and the lines to it are; lines
//! from band to band run in the gutters between columns.

use std::collections::BTreeSet;

use super::{Look, Row, rows, thousands, visible};
use crate::engine::{Graph, GraphLayer, GraphProfile, Group};
use crate::spec::{Origin, Tier};

pub(super) const TITLE_SIZE: i32 = 13;
pub(super) const TEXT_SIZE: i32 = 11;
/// Height of a line of text.
pub(super) const LINE: i32 = 16;
/// Space between the edge of a card and its text.
pub(super) const PADDING: i32 = 10;
/// Width of the coloured bar at the left of a card.
pub(super) const BAR: i32 = 4;
/// Space around the picture.
pub(super) const MARGIN: i32 = 24;
/// From the top to the names of columns, and from there to the first card.
const HEADER: i32 = 44;
const COLUMN_NAME: i32 = 18;
/// Space between two bands.
const BAND_GAP: i32 = 22;
/// Space between two cards of one band.
const CARD_GAP: i32 = 8;
/// Distance between two lines in a gutter.
const LANE: i32 = 9;
/// Space between a column and the first line in its gutter, and between the last one and the next column.
const CLEARANCE: i32 = 16;
/// How far above or below the middle of a card lines of `requires` begin and end.
const ASIDE: i32 = 9;
const CARD_WIDTH: std::ops::RangeInclusive<i32> = 190..=260;
const FILES_WIDTH: std::ops::RangeInclusive<i32> = 170..=440;
/// Lines of a summary.
const SUMMARY_LINES: usize = 3;

/// A picture.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) width: i32,
    pub(super) height: i32,
    /// Names of columns, each with the place where it begins.
    pub(super) columns: Vec<(i32, i32, &'static str)>,
    pub(super) cards: Vec<Card>,
    pub(super) wires: Vec<Wire>,
    /// What stands at the bottom, to explain what is not plain.
    pub(super) legend: String,
}

/// A box with text in it.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) hue: Hue,
    pub(super) title: String,
    /// Words at the right of the title.
    pub(super) mark: String,
    pub(super) body: CardBody,
}

/// What stands below the title of a card.
#[derive(Debug)]
pub(super) enum CardBody {
    /// Running text.
    Summary(Vec<String>),
    /// Paths.
    Rows(Vec<Row>),
}

/// A line from card to card, made of horizontal and vertical parts.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) points: Vec<(i32, i32)>,
    pub(super) hue: Hue,
    pub(super) kind: WireKind,
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireKind {
    /// A profile extends another.
    Extends,
    /// A profile names a layer.
    Names,
    /// A layer requires another.
    Requires,
    /// A layer holds files.
    Holds,
}

/// The colour of a card and of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hue {
    /// Of profiles.
    Profile,
    /// Of a tier.
    Tier(Tier),
}

/// Returns the picture of `graph`.
pub(super) fn layout(graph: &Graph) -> Picture {
    let columns = Columns::of(graph);
    let mut picture = Picture { columns: columns.names(), ..Picture::default() };
    let top = HEADER + COLUMN_NAME;
    let mut y = top;
    let mut profiles = Vec::new();
    for profile in &graph.profiles {
        let card = profile_card(profile, columns.profiles, y);
        y += card.height + BAND_GAP;
        profiles.push(picture.cards.len());
        picture.cards.push(card);
    }
    let mut bottom = y - BAND_GAP;
    y = top;
    let mut layers = Vec::new();
    for layer in &graph.layers {
        let (card, files) = band(layer, &columns, y);
        y = files.iter().chain([&card]).map(|card| card.y + card.height).max().unwrap_or(y) + BAND_GAP;
        bottom = bottom.max(y - BAND_GAP);
        for file in &files {
            picture.wires.push(holds(&card, file, columns.files.0 - CLEARANCE));
        }
        layers.push(picture.cards.len());
        picture.cards.push(card);
        picture.cards.extend(files);
    }
    let cards = &picture.cards;
    for (index, profile) in graph.profiles.iter().enumerate() {
        let from = &cards[profiles[index]];
        for parent in &profile.extends {
            picture.wires.push(beside(from, &cards[profiles[*parent]], columns.extended_lane(*parent)));
        }
        for layer in &profile.layers {
            picture.wires.push(names(from, &cards[layers[*layer]], columns.profile_lane(index)));
        }
    }
    for (index, layer) in graph.layers.iter().enumerate() {
        for required in &layer.requires {
            let lane = columns.required_lane(graph, *required);
            picture.wires.push(requires(&cards[layers[index]], &cards[layers[*required]], lane));
        }
    }
    picture.width = columns.files.0 + columns.files.1 + MARGIN;
    picture.height = bottom + MARGIN;
    picture.legend = legend(graph);
    if !picture.legend.is_empty() {
        picture.height += LINE;
    }
    picture
}

/// Explains the signs that are in the picture.
fn legend(graph: &Graph) -> String {
    let requires = graph.layers.iter().any(|layer| !layer.requires.is_empty());
    let looks = || graph.layers.iter().flat_map(|layer| &layer.groups).flat_map(rows).map(|row| row.look);
    let words = [
        (requires, "dashed: requires"),
        (looks().any(|look| look == Look::Removed), "\u{2212} removed"),
        (looks().any(|look| look == Look::Replaced), "struck through: replaced by a higher layer"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(shown, _)| *shown).map(|(_, words)| words).collect();
    words.join("  \u{b7}  ")
}

/// Where columns begin, and how wide they are.
struct Columns {
    profiles: (i32, i32),
    tiers: Vec<(Tier, i32, i32)>,
    files: (i32, i32),
    /// The profiles that others extend; the lines to each run in a lane of its own at the left.
    extended: BTreeSet<usize>,
    /// The layers that others require, whose lines run in the gutter after their column.
    required: BTreeSet<usize>,
}

impl Columns {
    fn of(graph: &Graph) -> Self {
        let extended: BTreeSet<usize> =
            graph.profiles.iter().flat_map(|profile| profile.extends.iter().copied()).collect();
        let left = if extended.is_empty() { 0 } else { CLEARANCE + LANE * (extended.len() as i32 - 1) };
        let profile = graph.profiles.iter().map(|profile| profile.name.as_str());
        let profiles = (MARGIN + left, card_width(profile));
        let required: BTreeSet<usize> = graph.layers.iter().flat_map(|layer| layer.requires.iter().copied()).collect();
        let mut columns = Self { profiles, tiers: Vec::new(), files: (0, 0), extended, required };
        let mut x = profiles.0 + profiles.1 + gutter(graph.profiles.len());
        for tier in [Tier::Base, Tier::Distro, Tier::Application, Tier::Overlay] {
            let layers: Vec<_> = graph.layers.iter().enumerate().filter(|(_, layer)| layer.tier == tier).collect();
            if !layers.is_empty() {
                let width = card_width(layers.iter().map(|(_, layer)| layer.name.as_str()));
                columns.tiers.push((tier, x, width));
                let lanes = layers.iter().filter(|(index, _)| columns.required.contains(index)).count();
                x += width + gutter(lanes);
            }
        }
        let groups = graph.layers.iter().flat_map(|layer| &layer.groups);
        columns.files = (x + CLEARANCE, groups.map(group_width).max().unwrap_or(0).clamp_to(FILES_WIDTH));
        columns
    }

    fn names(&self) -> Vec<(i32, i32, &'static str)> {
        let tiers = self.tiers.iter().map(|(tier, x, width)| (*x, *width, tier.word()));
        let mut names = vec![(self.profiles.0, self.profiles.1, "profile")];
        names.extend(tiers);
        names.push((self.files.0, self.files.1, "files"));
        names
    }

    fn of_tier(&self, tier: Tier) -> (i32, i32) {
        let found = self.tiers.iter().find(|(known, ..)| *known == tier);
        found.map_or((0, 0), |(_, x, width)| (*x, *width))
    }

    fn extended_lane(&self, profile: usize) -> i32 {
        self.profiles.0 - CLEARANCE - LANE * self.extended.range(..profile).count() as i32
    }

    fn profile_lane(&self, profile: usize) -> i32 {
        self.profiles.0 + self.profiles.1 + CLEARANCE + LANE * profile as i32
    }

    /// Returns where the lines to a required layer run from band to band.
    fn required_lane(&self, graph: &Graph, layer: usize) -> i32 {
        let tier = graph.layers[layer].tier;
        let before = self.required.iter().filter(|index| **index < layer && graph.layers[**index].tier == tier);
        let (x, width) = self.of_tier(tier);
        x + width + CLEARANCE + LANE * before.count() as i32
    }
}

trait ClampTo {
    fn clamp_to(self, range: std::ops::RangeInclusive<i32>) -> i32;
}

impl ClampTo for i32 {
    fn clamp_to(self, range: std::ops::RangeInclusive<i32>) -> i32 {
        self.clamp(*range.start(), *range.end())
    }
}

fn gutter(lanes: usize) -> i32 {
    2 * CLEARANCE + LANE * lanes.max(1) as i32
}

fn card_width<'name>(titles: impl Iterator<Item = &'name str>) -> i32 {
    // Room for the words at the right of a title, too.
    let wanted = titles.map(|title| bold_width(title) + text_width(BUILT_IN) + 3 * PADDING + BAR).max().unwrap_or(0);
    wanted.clamp_to(CARD_WIDTH)
}

/// What stands beside the name of something that the program brought along.
const BUILT_IN: &str = "built in";

fn mark(origin: Origin) -> String {
    if origin == Origin::Builtin { BUILT_IN.into() } else { String::new() }
}

fn profile_card(profile: &GraphProfile, (x, width): (i32, i32), y: i32) -> Card {
    card((x, y, width), Hue::Profile, &profile.name, mark(profile.origin), &profile.summary)
}

/// Returns the cards of a layer and of its files, each beside the middle of the other.
fn band(layer: &GraphLayer, columns: &Columns, y: i32) -> (Card, Vec<Card>) {
    let hue = Hue::Tier(layer.tier);
    let (x, width) = columns.of_tier(layer.tier);
    let mut own = card((x, y, width), hue, &layer.name, mark(layer.origin), &layer.summary);
    let mut below = y;
    let mut files = Vec::new();
    for group in &layer.groups {
        let file = group_card(group, hue, columns.files, below);
        below += file.height + CARD_GAP;
        files.push(file);
    }
    let height = below - CARD_GAP - y;
    if height > own.height {
        own.y += (height - own.height) / 2;
    } else {
        files.iter_mut().for_each(|file| file.y += (own.height - height) / 2);
    }
    (own, files)
}

fn card((x, y, width): (i32, i32, i32), hue: Hue, title: &str, mark: String, summary: &str) -> Card {
    let room = width - 2 * PADDING - BAR;
    let summary = wrapped(&visible(summary), room);
    let marked = if mark.is_empty() { 0 } else { text_width(&mark) + PADDING };
    let title = shortened(&visible(title), room - marked, bold_width);
    let height = 2 * PADDING + LINE + LINE * summary.len() as i32;
    Card { x, y, width, height, hue, title, mark, body: CardBody::Summary(summary) }
}

fn group_card(group: &Group, hue: Hue, (x, width): (i32, i32), y: i32) -> Card {
    let room = width - 2 * PADDING - BAR;
    let mark = group_mark(group);
    let marked = if mark.is_empty() { 0 } else { text_width(&mark) + PADDING };
    let title = shortened(&visible(&group.directory.to_string()), room - marked, code_width);
    let mut rows = rows(group);
    for row in &mut rows {
        let note = shortened(&row.note, room / 2, text_width);
        let noted = if note.is_empty() { 0 } else { text_width(&note) + PADDING };
        row.text = shortened(&row.text, room - noted, code_width);
        row.note = note;
    }
    let height = 2 * PADDING + LINE + LINE * rows.len() as i32;
    Card { x, y, width, height, hue, title, mark, body: CardBody::Rows(rows) }
}

/// Returns the number of paths, where not all of them are shown.
fn group_mark(group: &Group) -> String {
    if group.entries.len() > rows(group).len() {
        format!("{} paths", thousands(group.entries.len()))
    } else {
        String::new()
    }
}

fn group_width(group: &Group) -> i32 {
    let mark = text_width(&group_mark(group));
    let title = code_width(&group.directory.to_string()) + mark;
    let rows = rows(group).into_iter().map(|row| code_width(&row.text) + text_width(&row.note));
    rows.chain([title]).max().unwrap_or(0) + 3 * PADDING + BAR
}

impl Card {
    fn middle(&self) -> i32 {
        self.y + self.height / 2
    }

    fn right(&self) -> i32 {
        self.x + self.width
    }
}

fn holds(layer: &Card, file: &Card, lane: i32) -> Wire {
    let points =
        vec![(layer.right(), layer.middle()), (lane, layer.middle()), (lane, file.middle()), (file.x, file.middle())];
    Wire { points, hue: layer.hue, kind: WireKind::Holds }
}

fn names(profile: &Card, layer: &Card, lane: i32) -> Wire {
    let points = vec![
        (profile.right(), profile.middle()),
        (lane, profile.middle()),
        (lane, layer.middle()),
        (layer.x, layer.middle()),
    ];
    Wire { points, hue: Hue::Profile, kind: WireKind::Names }
}

/// From one card of a column to another, at the left of them.
fn beside(from: &Card, to: &Card, lane: i32) -> Wire {
    let points = vec![(from.x, from.middle()), (lane, from.middle()), (lane, to.middle()), (to.x, to.middle())];
    Wire { points, hue: from.hue, kind: WireKind::Extends }
}

/// From a layer to one it requires: through its own band to the gutter after the other's column, and there to its band.
fn requires(from: &Card, to: &Card, lane: i32) -> Wire {
    let (start, y) =
        if from.x > to.x { (from.x, from.middle() + ASIDE) } else { (from.right(), from.middle() - ASIDE) };
    let end = to.middle() + ASIDE;
    // All lines to one layer have its colour: they share the way into it.
    let points = vec![(start, y), (lane, y), (lane, end), (to.right(), end)];
    Wire { points, hue: to.hue, kind: WireKind::Requires }
}

/// Returns the width of text in the proportional face, at least that of every common one.
fn text_width(text: &str) -> i32 {
    width(text, TEXT_SIZE, proportional)
}

fn bold_width(text: &str) -> i32 {
    width(text, TITLE_SIZE, |character| proportional(character) * 112 / 100)
}

fn code_width(text: &str) -> i32 {
    width(text, TEXT_SIZE, |character| if is_wide(character) { 1240 } else { 620 })
}

/// Adds up widths in thousandths of the size.
fn width(text: &str, size: i32, of: impl Fn(char) -> i32) -> i32 {
    (text.chars().map(of).sum::<i32>() * size + 999) / 1000
}

fn proportional(character: char) -> i32 {
    match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 370,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 440,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 1000,
        'A'..='Z' => 760,
        wide if is_wide(wide) => 1240,
        _ => 640,
    }
}

/// Tells whether a character may take two columns: from the first Asian script on, most do.
fn is_wide(character: char) -> bool {
    character as u32 >= 0x1100 && !matches!(character, '\u{2010}'..='\u{2027}' | '\u{2190}'..='\u{22ff}')
}

/// Leaves out the middle of a text that is too wide: its ends tell most.
fn shortened(text: &str, room: i32, width: impl Fn(&str) -> i32) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    for kept in (0..characters.len()).rev() {
        let head: String = characters[..kept / 2].iter().collect();
        let tail: String = characters[characters.len() - (kept - kept / 2)..].iter().collect();
        let short = format!("{head}\u{2026}{tail}");
        if width(&short) <= room {
            return short;
        }
    }
    String::new()
}

/// Breaks text into lines at spaces; what does not fit into the last one is left out.
fn wrapped(text: &str, room: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}")) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let cut = lines.len() > SUMMARY_LINES;
    lines.truncate(SUMMARY_LINES);
    if let Some(last) = lines.last_mut().filter(|_| cut) {
        while !last.is_empty() && text_width(&format!("{last}\u{2026}")) > room {
            last.pop();
        }
        last.truncate(last.trim_end_matches([' ', ',', ':', ';']).len());
        last.push('\u{2026}');
    }
    lines.into_iter().map(|line| shortened(&line, room, text_width)).collect()
}
