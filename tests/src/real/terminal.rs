//! A terminal with somebody at it: a program runs on a pseudo-terminal, keys are pressed, and the whole screen is read, as a
//! terminal shows it: what was written over is gone.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::process::{Child, Command};

/// High enough that nothing is scrolled away.
const ROWS: NonZeroU16 = NonZeroU16::new(400).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(160).unwrap();

/// A program on a terminal of its own. It is killed when this is dropped.
pub struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    /// Starts a program with all three streams on a new terminal.
    pub fn start(mut command: Command) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context("a pseudo-terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size)?;
        let name = ptsname(&master, Vec::new())?;
        let end: OwnedFd =
            rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        command.stdin(end.try_clone()?).stdout(end.try_clone()?).stderr(end).kill_on_drop(true);
        let child = command.spawn().context("the program could not be started")?;
        // Its ends of the terminal are the program's alone from here on, so that the reader hears of its end.
        drop(command);
        let keys = File::from(master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut shown, onto) = (keys.try_clone()?, screen.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // When the program has gone, reading from its terminal is an error.
            while let Ok(n @ 1..) = shown.read(&mut bytes) {
                let mut screen = onto.lock().unwrap_or_else(PoisonError::into_inner);
                screen.process(&bytes[..n]);
            }
        });
        Ok(Self { child, keys, screen, reader })
    }

    /// What the terminal shows.
    pub fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        screen.screen().contents()
    }

    /// Waits until something is shown.
    pub async fn until(&mut self, text: &str, within: Duration) -> Result<()> {
        let began = Instant::now();
        while !self.screen().contains(text) {
            let over = self.child.try_wait()?;
            if let Some(status) = over.filter(|_| self.reader.is_finished() && !self.screen().contains(text)) {
                bail!("it ended ({status}) without {text:?}:\n{}", self.screen());
            }
            if began.elapsed() > within {
                bail!("{text:?} is not shown after {within:?}:\n{}", self.screen());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) -> Result<()> {
        Ok(self.keys.write_all(format!("{line}\n").as_bytes())?)
    }

    /// The program's process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the end: the exit code, and what is shown then.
    pub async fn end(mut self, within: Duration) -> Result<(i32, String)> {
        let Ok(status) = tokio::time::timeout(within, self.child.wait()).await else {
            bail!("it has not ended after {within:?}:\n{}", self.screen());
        };
        let status = status?;
        let began = Instant::now();
        while !self.reader.is_finished() && began.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok((status.code().unwrap_or(-1), self.screen()))
    }
}
