//! The only writer to standard output and standard error.
//!
//! **Words**: *data* is what was asked for and goes to standard output; all else (what T became, notes,
//! warnings, errors) goes to standard error.
//!
//! **Invariants.**
//! 1. No control character of a journal, a name or an argument reaches the terminal: everything printed passes
//!    [`escape`], which spells it `\u001b` and the like (`tests.rs`). The spelling is also the one of JSON and of
//!    double-quoted YAML, so it cannot change what a document means.
//! 2. A line of progress is wiped before anything else is written to standard error [`Printer::progress`]. Only it
//!    brings control characters, and its text is escaped like any other.
//! 3. A closed pipe (`hindcast log | head`) ends the output without an error; who would go on for ever or read on for
//!    nothing asks [`Printer::is_read`]. A restore goes on: what it does is not done for its output.
//!
//! Not here: what is printed (`render`, `view`).

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{IsTerminal as _, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::failure::Failure;

#[cfg(test)]
pub(crate) mod tests;

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    /// As any text.
    #[default]
    Plain,
    /// What matters most.
    Bold,
    /// What may be skipped.
    Dim,
    /// Something new, something right.
    Green,
    /// A change, a warning.
    Yellow,
    /// A loss, an error.
    Red,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[31m",
        }
    }
}

/// Text with styles; the styles never come from what is printed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text(Vec<(Style, String)>);

impl Text {
    /// Text as it is.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self(vec![(Style::Plain, text.into())])
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, piece)| piece.is_empty())
    }

    /// Adds a piece.
    pub(crate) fn push(&mut self, style: Style, text: impl Into<String>) -> &mut Self {
        self.0.push((style, text.into()));
        self
    }
}

type Stream = Mutex<Box<dyn Write + Send>>;

/// Where the answer to a question comes from: a line, or nothing if no more is to come.
type Answers = fn() -> tokio::sync::oneshot::Receiver<String>;

/// The two streams, and who answers questions, if anybody is there.
pub(crate) struct Printer {
    out: Stream,
    err: Stream,
    out_colour: bool,
    err_colour: bool,
    /// Whether data goes to a program or a file, which has room for long lines.
    piped: bool,
    /// Whether standard error is a terminal: a line there can be written over.
    watched: bool,
    /// Whether a line of progress stands there.
    standing: AtomicBool,
    /// Whether a question stands there that nobody has answered.
    asking: AtomicBool,
    /// Set once nobody reads the data any more.
    closed: tokio::sync::watch::Sender<bool>,
    answers: Option<Answers>,
}

impl Printer {
    /// The process's own streams. Colour is for terminals that want it.
    pub(crate) fn standard(colour: bool) -> Self {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        Self {
            out_colour: colour && out.is_terminal(),
            err_colour: colour && err.is_terminal(),
            piped: !out.is_terminal(),
            watched: err.is_terminal(),
            standing: AtomicBool::new(false),
            asking: AtomicBool::new(false),
            closed: tokio::sync::watch::Sender::new(false),
            answers: (std::io::stdin().is_terminal() && err.is_terminal()).then_some(typed as Answers),
            out: Mutex::new(Box::new(out)),
            err: Mutex::new(Box::new(err)),
        }
    }

    /// Streams of the caller, without colour.
    #[cfg(test)]
    pub(crate) fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            out: Mutex::new(out),
            err: Mutex::new(err),
            out_colour: false,
            err_colour: false,
            piped: false,
            watched: false,
            standing: AtomicBool::new(false),
            asking: AtomicBool::new(false),
            closed: tokio::sync::watch::Sender::new(false),
            answers: None,
        }
    }

    /// As [`Printer::to`], with somebody who answers questions.
    #[cfg(test)]
    pub(crate) fn answered(mut self, answers: Answers) -> Self {
        self.answers = Some(answers);
        self
    }

    /// Data as it is; line ends stand, other control characters are escaped.
    pub(crate) fn data(&self, text: &str) {
        self.wipe();
        self.write_out(escape(text, true).as_bytes());
    }

    /// A line of data.
    pub(crate) fn line(&self, text: &Text) {
        self.wipe();
        self.write_out(paint(text, self.out_colour).as_bytes());
    }

    fn write_out(&self, bytes: &[u8]) {
        if !write(&self.out, bytes) {
            self.closed.send_replace(true);
        }
    }

    /// Whether somebody may still read the data, as far as writing it has told.
    pub(crate) fn is_read(&self) -> bool {
        !*self.closed.borrow()
    }

    /// Waits until a write tells that nobody reads the data any more.
    pub(crate) async fn out_closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender is here, so waiting cannot fail.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// A line for the reader, not data.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.say(&Text::plain(text.as_ref()));
    }

    /// A reservation: the answer is right, but this has to be known.
    pub(crate) fn warning(&self, text: impl AsRef<str>) {
        let mut line = Text::default();
        line.push(Style::Yellow, "warning: ").push(Style::Plain, text.as_ref());
        self.say(&line);
    }

    /// An error with its remedies.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut line = Text::default();
        line.push(Style::Red, "error: ").push(Style::Plain, failure.to_string());
        self.say(&line);
        for hint in &failure.hints {
            let mut line = Text::default();
            line.push(Style::Bold, "hint: ").push(Style::Plain, hint);
            self.say(&line);
        }
    }

    /// Text of several lines that is not data, such as the usage of a command.
    pub(crate) fn message(&self, text: &str) {
        self.wipe();
        write(&self.err, escape(text, true).as_bytes());
    }

    /// A line for the reader, with styles.
    pub(crate) fn say(&self, text: &Text) {
        self.wipe();
        write(&self.err, paint(text, self.err_colour).as_bytes());
    }

    /// Whether data goes to a program or a file.
    pub(crate) fn is_piped(&self) -> bool {
        self.piped
    }

    /// Whether somebody is there to be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.answers.is_some()
    }

    /// Asks, and waits for a line; nothing if nobody is there, or no more is to come.
    pub(crate) async fn ask(&self, question: &str) -> Option<String> {
        self.wipe();
        write(&self.err, escape(question, false).as_bytes());
        self.asking.store(true, Ordering::Relaxed);
        let answer = self.answers?().await.ok();
        // Who answers ends the line.
        self.asking.store(answer.is_none(), Ordering::Relaxed);
        answer
    }

    /// Whether progress can be written over itself.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched
    }

    /// A line that says how far something is; on a terminal it takes the place of the one before.
    pub(crate) fn progress(&self, text: &str) {
        if self.watched {
            self.standing.store(true, Ordering::Relaxed);
            write(&self.err, format!("\r{}\x1b[K", escape(text, false)).as_bytes());
        } else {
            self.note(text);
        }
    }

    fn wipe(&self) {
        if self.standing.swap(false, Ordering::Relaxed) {
            write(&self.err, b"\r\x1b[K");
        }
        if self.asking.swap(false, Ordering::Relaxed) {
            write(&self.err, b"\n");
        }
    }
}

/// A line that somebody types. It is waited for on a thread of its own, so that Ctrl-C is heard meanwhile; the thread of
/// a question that nobody answers ends with the process.
fn typed() -> tokio::sync::oneshot::Receiver<String> {
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            // Who asked may be gone.
            let _ = send.send(line);
        }
    });
    receive
}

/// Writes and flushes, and says whether that could be done. A reader that has gone away is no error of ours, and there is
/// nobody left to tell.
fn write(stream: &Stream, bytes: &[u8]) -> bool {
    let mut stream = stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    stream.write_all(bytes).and_then(|()| stream.flush()).is_ok()
}

fn paint(text: &Text, colour: bool) -> String {
    let mut line = String::new();
    for (style, piece) in &text.0 {
        let piece = escape(piece, false);
        if colour && *style != Style::Plain {
            let _ = write!(line, "{}{piece}\x1b[0m", style.code());
        } else {
            line.push_str(&piece);
        }
    }
    line.push('\n');
    line
}

/// Whether a character may rewrite what a terminal shows: controls, and marks that turn the writing direction
/// or break lines.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Spells unsafe characters as `\u` and four digits (two such for one beyond the first plane). Line ends and
/// tabs stand where the text is a document of `lines`.
pub(crate) fn escape(text: &str, lines: bool) -> Cow<'_, str> {
    let stands = |c: char| !is_unsafe(c) || (lines && matches!(c, '\n' | '\t'));
    if text.chars().all(stands) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if stands(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(out)
}
