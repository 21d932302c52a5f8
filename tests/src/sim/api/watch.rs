//! Watches: what the watch cache gives to one reader, and how that ends.
//!
//! **Invariants.** (1) A cursor below the cache's first list, or beyond what the cache still holds, is refused with
//! 410 [`refuse`]. (2) A bookmark of revision R comes after every event up to R. (3) A reader that does not take
//! what it is sent is closed, and (2) holds unless its kind is [armed](Server::arm) with a bug. (4) A reset of the cache, a restart and a CRD that goes end the stream.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Server,
    serve::{Ask, Refusal, whole},
    state::{Event, KindState, Trouble, Verb},
};
use crate::sim::{
    faults::Fault,
    json::{Json, obj},
    world::Process,
};

/// Events a cache keeps at least, and for how long at least.
const KEPT: usize = 100;
const FRESH: i64 = 75_000_000;
/// Chunks that may be under way to a reader.
const IN_FLIGHT: usize = 16;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, io::Error>> + Send>>;

/// Opens a watch.
pub(super) fn open(server: &Server, process: &Arc<Process>, ask: Ask) -> Result<Chunks, Refusal> {
    let now = server.world().now();
    let cursor: u64 = ask
        .param("resourceVersion")
        .parse()
        .map_err(|_| Refusal::new(400, "BadRequest", "a watch needs a resourceVersion here".into()))?;
    let (generation, expired) = server.look(|state| {
        let ks = state.kinds.get(&ask.kind).expect("the caller checked that it is served");
        (ks.generation, refuse(ks, cursor, now))
    });
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let mut watch = Watch {
        server: server.clone(),
        process: process.clone(),
        sender,
        cursor,
        generation,
        boot: server.0.boot.get(),
        bookmarks: ask.param("allowWatchBookmarks") == "true",
        ends: deadline(server, &ask),
        ask,
        dropped: None,
    };
    if let Some(refusal) = expired {
        // As on a real server: the stream opens with 200 and its first event is the error.
        tokio::spawn(async move { watch.error(&refusal).await });
    } else {
        tokio::spawn(async move { watch.run().await });
    }
    let process = process.clone();
    let chunks = stream::unfold((receiver, process), |(mut receiver, process)| async move {
        let chunk = receiver.recv().await?;
        process.step().await;
        Some((chunk, (receiver, process)))
    });
    // A body may be polled again after its end.
    Ok(Box::pin(chunks.fuse()))
}

/// Why a cursor is refused, if it is.
fn refuse(ks: &KindState, cursor: u64, now: i64) -> Option<Refusal> {
    let mut oldest = ks.listed_at;
    let cached = ks.events.iter().filter(|e| e.rv > ks.listed_at).count();
    if cached > KEPT {
        let dropped = ks.events.len() - KEPT;
        let last = ks.events.iter().take(dropped).rev().find(|e| e.at < now - FRESH);
        oldest = oldest.max(last.map_or(0, |e| e.rv));
    }
    (cursor < oldest).then(|| Refusal::new(410, "Expired", format!("too old resource version: {cursor} ({oldest})")))
}

fn deadline(server: &Server, ask: &Ask) -> Instant {
    let asked = ask.param("timeoutSeconds").parse().ok().filter(|&s: &u64| s > 0);
    let seconds = asked.unwrap_or_else(|| server.world().draw(|rng| rng.between(1800, 3600)));
    Instant::now() + Duration::from_secs(seconds)
}

struct Watch {
    server: Server,
    process: Arc<Process>,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    ask: Ask,
    cursor: u64,
    generation: u64,
    boot: Option<u64>,
    bookmarks: bool,
    ends: Instant,
    dropped: Option<u64>,
}

/// The reader is gone, or the stream ended.
struct Over;

impl Watch {
    async fn run(&mut self) {
        // Every way out is an end of the stream; there is nobody to report to.
        let _ = self.follow().await;
    }

    async fn follow(&mut self) -> Result<(), Over> {
        let world = self.server.world().clone();
        let inner = self.server.0.clone();
        let early = world.draw(|rng| rng.between(55, 65));
        let mut bookmark = Instant::now() + Duration::from_secs(early);
        let mut last_bookmark = self.ends - Duration::from_secs(2);
        last_bookmark = last_bookmark.max(Instant::now() + Duration::from_millis(700));
        loop {
            if inner.boot.get() != self.boot {
                return self.reset().await;
            }
            let seen = inner.changed.get();
            if self.in_trouble(Trouble::Silent) {
                tokio::select! {
                    biased;
                    () = self.sender.closed() => return Err(Over),
                    () = inner.boot.until(|boot| boot != self.boot) => {}
                    () = inner.changed.until(|n| n != seen) => {}
                    () = tokio::time::sleep_until(self.ends) => return Ok(()),
                }
                continue;
            }
            self.events().await?;
            if self.over() {
                return Ok(());
            }
            let next = bookmark.min(last_bookmark).min(self.ends);
            tokio::select! {
                biased;
                () = self.sender.closed() => return Err(Over),
                () = inner.boot.until(|boot| boot != self.boot) => {}
                () = inner.changed.until(|n| n != seen) => world.dawdle(0, 30).await,
                () = tokio::time::sleep_until(next) => {
                    let now = Instant::now();
                    if now >= self.ends {
                        return Ok(());
                    }
                    if now >= last_bookmark {
                        last_bookmark = self.ends + Duration::from_secs(1);
                    }
                    if now >= bookmark {
                        bookmark = now + Duration::from_mins(1);
                    }
                    self.bookmark().await?;
                }
            }
            self.faults().await?;
        }
    }

    /// Whether its kind is in that trouble.
    fn in_trouble(&self, trouble: Trouble) -> bool {
        self.server.look(|state| state.kinds.get(&self.ask.kind).is_some_and(|ks| ks.trouble == Some(trouble)))
    }

    /// Whether the cache that this watch reads from is gone.
    fn over(&self) -> bool {
        self.server.look(|state| state.kinds.get(&self.ask.kind).is_none_or(|ks| ks.generation != self.generation))
    }

    /// Sends what is new.
    async fn events(&mut self) -> Result<(), Over> {
        let world = self.server.world().clone();
        self.do_wrong().await?;
        let fresh: Vec<(u64, Bytes)> = self.server.look(|state| {
            let Some(ks) = state.kinds.get(&self.ask.kind) else { return Vec::new() };
            let start = ks.events.partition_point(|e| e.rv <= self.cursor);
            let new = ks.events.iter().skip(start).filter(|e| self.ask.matches(e));
            let line = |event: &Event| (event.rv, line(event.verb.word(), &whole(ks, event, &self.ask), event.rv));
            if ks.generation == self.generation { new.map(line).collect() } else { Vec::new() }
        });
        let mut chunk = Vec::new();
        for (rv, line) in fresh {
            self.cursor = rv;
            if world.fires(Fault::StreamDrop) {
                self.dropped = Some(rv);
                continue;
            }
            chunk.extend_from_slice(&line);
            if world.fires(Fault::StreamDuplicate) {
                chunk.extend_from_slice(&line);
            }
            if world.draw(|rng| rng.permille(500)) {
                self.send(std::mem::take(&mut chunk)).await?;
            }
        }
        self.send(chunk).await
    }

    /// Sends what is new as its kind is armed to, if that can be done wrong.
    async fn do_wrong(&mut self) -> Result<(), Over> {
        let wrong = self.server.look(|state| {
            let ks = state.kinds.get(&self.ask.kind).filter(|ks| ks.generation == self.generation)?;
            let bug = ks.bug?;
            let (sent, to) = mislead(ks, bug, &self.ask, self.cursor)?;
            Some((bug, sent, to))
        });
        let Some((bug, sent, to)) = wrong else { return Ok(()) };
        self.server.disarm(&self.ask.kind);
        self.server.world().fired(bug);
        self.cursor = to;
        self.send(sent).await
    }

    async fn bookmark(&mut self) -> Result<(), Over> {
        self.events().await?;
        if !self.bookmarks || self.over() || self.in_trouble(Trouble::Mute) {
            return Ok(());
        }
        let (rv, kind) = self.server.look(|state| {
            let ks = state.kinds.get(&self.ask.kind);
            let rv = ks.map_or(0, |ks| ks.progress).max(self.cursor);
            (rv, ks.map(|ks| (ks.kind.kind.clone(), ks.kind.api_version(&self.ask.version))))
        });
        let Some((kind, version)) = kind else { return Ok(()) };
        let object = obj([
            ("kind", kind.into()),
            ("apiVersion", version.into()),
            ("metadata", obj([("resourceVersion", rv.to_string().into()), ("creationTimestamp", Json::Null)])),
            ("spec", obj([])),
        ]);
        self.send(line("BOOKMARK", &object, 0).to_vec()).await
    }

    /// The ways a stream breaks by itself.
    async fn faults(&mut self) -> Result<(), Over> {
        let world = self.server.world().clone();
        if self.process.is_partitioned() {
            self.process.reachable().await;
            return self.reset().await;
        }
        if world.fires(Fault::StreamReset) {
            return self.reset().await;
        }
        if world.fires(Fault::StreamClosed) {
            return Err(Over);
        }
        if world.fires(Fault::StreamCut) {
            self.send(br#"{"type":"MODIFIED","object":{"kind":"Con"#.to_vec()).await?;
            return self.reset().await;
        }
        if world.fires(Fault::StreamExpired) {
            self.error(&Refusal::new(410, "Expired", "the event in requested index is outdated".into())).await;
            return Err(Over);
        }
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), Over> {
        let broken = io::Error::new(io::ErrorKind::ConnectionReset, "connection reset");
        let _ = self.sender.send(Err(broken)).await;
        Err(Over)
    }

    async fn error(&mut self, refusal: &Refusal) {
        let _ = self.send(line("ERROR", &refusal.status(), 0).to_vec()).await;
    }

    /// Sends bytes, now and then in two pieces.
    async fn send(&mut self, chunk: Vec<u8>) -> Result<(), Over> {
        if chunk.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(chunk);
        let split =
            self.server.world().draw(|rng| if rng.permille(250) { rng.below(chunk.len() as u64) as usize } else { 0 });
        for piece in [chunk.slice(..split), chunk.slice(split..)] {
            if piece.is_empty() {
                continue;
            }
            if self.sender.try_reserve().is_err() && !self.sender.is_closed() {
                let wait = tokio::time::timeout(Duration::from_secs(2), self.sender.reserve()).await;
                if wait.is_err() {
                    self.server.world().fired(Fault::SlowReader);
                    return Err(Over);
                }
            }
            self.sender.send(Ok(piece)).await.map_err(|_| Over)?;
        }
        Ok(())
    }
}

/// What a watch at a cursor sends that has this bug, and up to where; nothing where what is new gives no occasion.
fn mislead(ks: &KindState, bug: Fault, ask: &Ask, cursor: u64) -> Option<(Vec<u8>, u64)> {
    let start = ks.events.partition_point(|event| event.rv <= cursor);
    let new: Vec<&Event> = ks.events.iter().skip(start).filter(|event| ask.matches(event)).collect();
    let to = new.last()?.rv;
    let lines = new.iter().map(|event| line(event.verb.word(), &whole(ks, event, ask), event.rv));
    let mut lines: Vec<Bytes> = lines.collect();
    match bug {
        Fault::EventSwallowed => {
            lines.remove(new.iter().position(|event| event.verb != Verb::Deleted)?);
        }
        Fault::DeleteSwallowed => {
            lines.remove(new.iter().position(|event| event.verb == Verb::Deleted)?);
        }
        Fault::StaleSent => {
            let at = new.iter().position(|event| event.verb == Verb::Modified)?;
            let event = new.get(at)?;
            let before = ks.events.iter().rfind(|before| before.key == event.key && before.rv < event.rv)?;
            *lines.get_mut(at)? = line("MODIFIED", &whole(ks, before, ask), before.rv);
        }
        Fault::Reordered => {
            let apart = |pair: &[&Event]| matches!(pair, [a, b] if a.key != b.key);
            let at = new.windows(2).position(apart)?;
            lines.swap(at, at + 1);
        }
        Fault::BookmarkAhead => {
            let metadata = obj([("resourceVersion", to.to_string().into()), ("creationTimestamp", Json::Null)]);
            let (kind, version) = (ks.kind.kind.as_str().into(), ks.kind.api_version(&ask.version).into());
            let object = obj([("kind", kind), ("apiVersion", version), ("metadata", metadata), ("spec", obj([]))]);
            lines.insert(0, line("BOOKMARK", &object, 0));
        }
        _ => return None,
    }
    Some((lines.concat(), to))
}

/// One event as a line.
fn line(verb: &str, object: &Json, salt: u64) -> Bytes {
    let mut out = format!("{{\"type\":\"{verb}\",\"object\":");
    object.wire(salt, &mut out);
    out.push_str("}\n");
    Bytes::from(out)
}
