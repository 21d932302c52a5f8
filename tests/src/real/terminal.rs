//! A terminal with somebody at it: a program runs on a pseudo-terminal, keys are pressed, and the whole screen is read,
//! as a terminal shows it: what was written over is gone.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::process::{Child, Command};

use crate::until::{ends, until};

/// Tall enough that nothing scrolls off.
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
        // From here on only the program holds its end of the terminal, so that the reader notices when it ends.
        drop(command);
        let keys = File::from(master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut shown, onto) = (keys.try_clone()?, screen.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // When the program is gone, reading from its terminal is an error.
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
        let waited = until(format!("{text:?} is shown"), within, async || {
            // In this order: what was shown before its end is on the screen when the reader has finished.
            let over = self.child.try_wait()?.filter(|_| self.reader.is_finished());
            let shown = self.screen().contains(text);
            if let Some(status) = over.filter(|_| !shown) {
                bail!("the program ended ({status})");
            }
            Ok(shown)
        });
        waited.await.map_err(|error| anyhow!("{error:#}\n{}", self.screen()))?;
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

    /// Waits until the program ends: the exit code, and what is shown then.
    pub async fn end(mut self, within: Duration) -> Result<(i32, String)> {
        let ended = ends("the program ends", within, self.child.wait()).await;
        let status = ended.map_err(|error| anyhow!("{error:#}\n{}", self.screen()))??;
        // A child of the program may hold the terminal open: what is shown by then is all there is.
        let read = until("all is read", Duration::from_secs(5), async || Ok(self.reader.is_finished())).await;
        drop(read);
        Ok((status.code().unwrap_or(-1), self.screen()))
    }
}
