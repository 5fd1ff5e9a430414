//! What a command wrote, in bounded memory.
//!
//! Comes in: bytes of any number and content. Goes out: the first and the last of them. Always holds: a [`Log`] never
//! holds more than its limit; what was left out in the middle is counted.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// Standard output and standard error of a command, in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How many bytes each of `head` and `tail` may have.
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl Log {
    /// Returns an empty log that will hold `limit` bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { half: limit / 2, head: Vec::new(), tail: VecDeque::new(), omitted: 0 }
    }

    /// Adds what was written.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let surplus = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.omitted += surplus as u64;
    }

    /// Returns how many bytes in the middle were left out.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Returns all of it as text; what was left out is told of where it stood, and what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        let (tail, wrapped) = self.tail.as_slices();
        let tail = [tail, wrapped].concat();
        let tail = String::from_utf8_lossy(&tail);
        if self.omitted == 0 {
            return format!("{head}{tail}");
        }
        format!("{head}\n[{} bytes left out]\n{tail}", self.omitted)
    }

    /// Returns the last `count` lines that are not empty, fit to be shown on a terminal: control characters are escaped.
    pub fn last_lines(&self, count: usize) -> String {
        let text = self.text();
        let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(count).collect();
        lines.reverse();
        let mut shown = String::new();
        for letter in lines.join("\n").chars() {
            match letter {
                '\n' | '\t' => shown.push(letter),
                // A program writes a carriage return to write over its line.
                '\r' => shown.push('\n'),
                // Writing to a string does not fail.
                letter if letter.is_control() => drop(write!(shown, "{}", letter.escape_default())),
                letter => shown.push(letter),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_first_and_the_last() {
        let mut log = Log::new(8);
        log.push(b"ab");
        log.push(b"cdef");
        assert_eq!((log.text().as_str(), log.omitted()), ("abcdef", 0));
        log.push(b"ghijklmnop");
        assert_eq!((log.text().as_str(), log.omitted()), ("abcd\n[8 bytes left out]\nmnop", 8));
        for _ in 0..10_000 {
            log.push(b"0123456789");
        }
        assert_eq!((log.head.len(), log.tail.len(), log.omitted()), (4, 4, 100_008));
        assert_eq!(log.text(), "abcd\n[100008 bytes left out]\n6789");
    }

    #[test]
    fn last_lines_are_fit_for_a_terminal() {
        let mut log = Log::new(1000);
        log.push(b"first\n\nsecond \x1b[31mred\x07\n50%\r100%\nbad \xff\n\n");
        assert_eq!(log.last_lines(1), "bad \u{fffd}");
        assert_eq!(log.last_lines(3), "second \\u{1b}[31mred\\u{7}\n50%\n100%\nbad \u{fffd}");
        assert_eq!(Log::new(0).last_lines(5), "");
    }
}
