use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use super::*;

#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Lines as they are printed without colour.
pub(crate) fn plain(lines: &[Text]) -> String {
    lines.iter().map(|line| paint(line, false)).collect()
}

/// Everything a terminal might act upon, as bytes: the C0 and C1 controls, DEL, and direction marks.
const HOSTILE: &str = "a\x1b[2Jb\u{9b}31mc\u{7}\r\x08\u{7f}\u{202e}d\u{2066}e\u{85}\u{2028}";

fn assert_harmless(text: &str) {
    for c in text.chars().filter(|c| !matches!(c, '\n' | '\t')) {
        assert!(!c.is_control() && !('\u{2028}'..='\u{202e}').contains(&c), "{c:?} in {text:?}");
        assert!(!('\u{2066}'..='\u{2069}').contains(&c), "{c:?} in {text:?}");
    }
}

#[test]
fn no_control_character_passes_any_way_out() {
    let (out, err) = (Buffer::default(), Buffer::default());
    let printer = Printer::to(Box::new(out.clone()), Box::new(err.clone()));
    printer.data(HOSTILE);
    printer.line(&Text::plain(HOSTILE));
    printer.note(HOSTILE);
    printer.warning(HOSTILE);
    printer.message(HOSTILE);
    printer.failure(&Failure::new(HOSTILE, HOSTILE).hint(HOSTILE));
    for text in [out.text(), err.text()] {
        assert_harmless(&text);
        assert!(text.contains(r"a\u001b[2Jb\u009b31mc\u0007\u000d"), "{text}");
    }
}

#[test]
fn a_line_cannot_be_broken_by_what_it_quotes() {
    let out = Buffer::default();
    let printer = Printer::to(Box::new(out.clone()), Box::new(Buffer::default()));
    printer.line(&Text::plain("one\ntwo\tthree"));
    assert_eq!(out.text(), "one\\u000atwo\\u0009three\n");
}

#[test]
fn documents_keep_their_lines() {
    assert_eq!(escape("a\n\tb", true), "a\n\tb");
    assert!(matches!(escape("plain ünïcode 東京", false), Cow::Borrowed(_)));
}

#[test]
fn an_escaped_character_is_the_same_character_in_json() {
    let original = "x\u{7f}\u{9b}\u{e0001}";
    let json = format!("\"{}\"", escape(original, false));
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), original);
}

#[test]
fn colour_comes_from_styles_alone() {
    let mut text = Text::default();
    text.push(Style::Red, "x\x1b[0m").push(Style::Plain, "y");
    assert_eq!(paint(&text, true), "\x1b[31mx\\u001b[0m\x1b[0my\n");
    assert_eq!(paint(&text, false), "x\\u001b[0my\n");
}

/// A pipe whose reader has gone away.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_away_is_known_after_a_write_and_no_error() {
    let printer = Printer::to(Box::new(Closed), Box::new(Closed));
    printer.note("for nobody");
    assert!(printer.is_read(), "what is not data says nothing of who reads the data");
    printer.data("a line\n");
    assert!(!printer.is_read());
    printer.out_closed().await;
}
