//! What the bucket has of recovery points, read once for all who ask.
//!
//! **Invariants.** (1) Only the bucket says which points there are. (2) A point that is made is read once, as it never changes; what
//! is being made is read once for its intent. (3) One that cannot be read is named, and takes nothing from the others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt as _, stream};
use hindcast_journal::{
    Error, Journal, Result,
    error::ErrorKind,
    parts::Clock,
    point::{About, Listed, Point, Points, Stage},
};
use tokio::sync::{Mutex as Turn, watch};

use crate::watched::news;

/// How long ago the bucket may have been looked at for those who need not know better.
const FRESH: Duration = Duration::from_secs(2);

/// Points read at once.
const AT_ONCE: usize = 16;

/// One point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Book {
    /// It is being made; what it is, unless its intent is not there yet.
    Making(Option<Arc<About>>),
    /// It is made.
    Made(Arc<Point>),
    /// It is being deleted.
    Going,
    /// It cannot be read, and why.
    Unread(String),
}

/// What there was when the bucket was looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Books(pub(crate) BTreeMap<String, Book>);

impl Books {
    /// The points that are made.
    pub(crate) fn made(&self) -> impl Iterator<Item = &Arc<Point>> {
        self.0.values().filter_map(|book| match book {
            Book::Made(point) => Some(point),
            _ => None,
        })
    }

    /// The points that are being made, with what they are.
    pub(crate) fn making(&self) -> impl Iterator<Item = (&String, &Arc<About>)> {
        self.0.iter().filter_map(|(name, book)| match book {
            Book::Making(Some(about)) => Some((name, about)),
            _ => None,
        })
    }

    /// What each is that is made or being made.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &About)> {
        self.0.iter().filter_map(|(name, book)| match book {
            Book::Making(Some(about)) => Some((name, &**about)),
            Book::Made(point) => Some((name, &point.about)),
            _ => None,
        })
    }
}

/// Reads and keeps what the bucket has.
pub(crate) struct Shelf {
    points: Points,
    /// Who reads: one at a time.
    turn: Turn<()>,
    /// What was read, as it was listed then.
    read: Mutex<BTreeMap<String, (Listed, Book)>>,
    /// When that was.
    looked: Mutex<Option<Duration>>,
    clock: Arc<dyn Clock>,
    books: watch::Sender<Arc<Books>>,
}

impl Shelf {
    pub(crate) fn new(journal: &Journal) -> Self {
        let (books, _) = watch::channel(Arc::new(Books::default()));
        Self {
            points: Points::new(journal.store()),
            turn: Turn::new(()),
            read: Mutex::default(),
            looked: Mutex::default(),
            clock: journal.parts().clock.clone(),
            books,
        }
    }

    /// What there is: as it was a moment ago, or looked at anew. Many ask at once when something is new.
    pub(crate) async fn fresh(&self) -> Result<Arc<Books>> {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|looked| self.clock.monotonic().saturating_sub(looked) < FRESH) {
            return Ok(self.books());
        }
        self.look().await
    }

    /// Looks at the bucket, and tells those who listen if something is new.
    pub(crate) async fn look(&self) -> Result<Arc<Books>> {
        let _turn = self.turn.lock().await;
        let began = self.clock.monotonic();
        let listed = self.points.list().await?;
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reads = listed.into_iter().map(async |listed| match known.get(&listed.name) {
            Some((then, book)) if is_same(then, &listed) => Ok((listed, Some(book.clone()))),
            _ => self.open(&listed).await.map(|book| (listed, book)),
        });
        let mut stream = stream::iter(reads).buffer_unordered(AT_ONCE);
        let mut read = BTreeMap::new();
        while let Some(one) = stream.next().await {
            let (listed, book) = one?;
            if let Some(book) = book {
                read.insert(listed.name.clone(), (listed, book));
            }
        }
        drop(stream);
        let books = Arc::new(Books(read.iter().map(|(name, (_, book))| (name.clone(), book.clone())).collect()));
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        self.books.send_if_modified(|told| {
            let new = **told != *books;
            *told = books.clone();
            new
        });
        Ok(books)
    }

    async fn open(&self, listed: &Listed) -> Result<Option<Book>> {
        let book = match listed.stage {
            Stage::Deleted => return Ok(None),
            Stage::Deleting => return Ok(Some(Book::Going)),
            Stage::Begun | Stage::Frozen => {
                self.points.intent(&listed.name).await.map(|begin| Some(Book::Making(begin.map(|b| Arc::new(b.about)))))
            }
            Stage::Made => {
                self.points.read(&listed.name).await.map(|made| made.map(|point| Book::Made(Arc::new(point))))
            }
        };
        match book {
            Ok(book) => Ok(book),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            Err(error) => Ok(Some(Book::Unread(Error::causes(&error)))),
        }
    }

    /// Tells those who listen, whether or not the bucket has something new.
    pub(crate) fn tell(&self) {
        self.books.send_modify(|_| {});
    }

    /// What was there when it was last looked at.
    pub(crate) fn books(&self) -> Arc<Books> {
        self.books.borrow().clone()
    }

    /// What is new, from now on.
    pub(crate) fn news(&self) -> impl Stream<Item = ()> + Send + use<> {
        news(&self.books)
    }
}

/// Whether a point is surely what it was when it was read: a made one unless somebody was at it, one that is being made however
/// often its hold is renewed.
fn is_same(then: &Listed, now: &Listed) -> bool {
    let making = |listed: &Listed| matches!(listed.stage, Stage::Begun | Stage::Frozen);
    then == now || (making(then) && making(now) && then.hold <= now.hold)
}
