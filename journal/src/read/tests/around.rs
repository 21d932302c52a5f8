//! Whatever file of a random journal is removed or altered: readers refuse or answer as before, and where they go around damage they
//! answer as before or say which part of the log that is for want of; and the doctor names the file.

use object_store::ObjectStoreExt as _;

use super::{
    merged::merge,
    random::{Told, World, tell},
    *,
};
use crate::{
    cut::Hole,
    doctor::{self, Harm},
    fold::ObjectKey,
    level::HIGHEST,
    verify::Asked,
};

/// A journal of the same files in a store of its own.
async fn copy(journal: &Journal) -> (Arc<InMemory>, Journal) {
    let inner = Arc::new(InMemory::new());
    let copy = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    for listed in journal.store().list(journal.store().layout().root(), None).await.expect("lists") {
        let bytes = journal.store().get(&listed.path).await.expect("it is there");
        inner.put(&listed.path, bytes.into()).await.expect("puts");
    }
    (inner, copy)
}

/// A journal with checkpoints and merged files, some of whose segments are gone.
async fn world(seed: u64) -> World {
    let mut world = World::new(seed, false).await;
    for _ in 0..40 {
        for _ in 0..=world.dice.roll(6) {
            world.step();
        }
        world.flush().await;
        if world.dice.roll(6) == 0 {
            world.checkpoint().await.expect("writes");
        }
    }
    let last = world.writer.segment();
    let day = 2 + world.dice.roll(last / 2);
    merge(&world.journal, HIGHEST, 1..=day).await;
    merge(&world.journal, 1, day + 1..=day + 1 + world.dice.roll(last - day - 2)).await;
    if world.dice.roll(3) > 0 {
        world.journal.move_boundary(day + 1).await.expect("moves");
        for number in 1..=day {
            let path = world.journal.store().layout().segment(number);
            world.journal.store().remove(&path).await.expect("removes");
        }
    }
    world
}

/// What every row of the log up to a cut gives.
async fn folded(journal: &Journal, cut: &Cut) -> State {
    let last = journal.names_after(0).await.expect("lists").last().copied().expect("there is one");
    let mut state = State::default();
    for segment in journal.segments(1..last + 1).await.expect("it is whole") {
        for row in segment.rows.iter() {
            state.apply(row, &Scope::default(), Some(cut)).expect("it follows");
        }
    }
    state
}

/// What is told around damage: the same as ever, the cut, and for want of what it is of another moment.
async fn tell_around(journal: &Journal, question: &At) -> Result<(Cut, Option<Hole>), Error> {
    let mut reader = Reader::open(journal).await?;
    let past = reader.at(question).await?;
    Ok((past.moment().cut.clone(), past.moment().hole.as_deref().cloned()))
}

/// The same, whatever else is known from further back.
fn alike(left: &Told, right: &Told, question: &At) -> bool {
    if matches!(question, At::Rev { .. }) {
        let both = left.kinds.iter().filter(|(kind, _)| right.kinds.contains_key(*kind));
        return both.into_iter().all(|(kind, objects)| right.kinds.get(kind) == Some(objects));
    }
    left == right
}

/// What was counted over all damages.
#[derive(Debug, Default)]
struct Seen {
    refused: u64,
    exact: u64,
    marked: u64,
    holes: u64,
}

async fn check(world: &mut World, seen: &mut Seen) {
    let intact = world.journal.clone();
    let names = intact.store().list(intact.store().layout().root(), None).await.expect("lists");
    let at = world.dice.roll(names.len() as u64) as usize;
    let path = names[at].path.clone();
    let name = path.as_ref().strip_prefix("p/uid-1/").expect("it is below").to_owned();
    let (inner, damaged) = copy(&intact).await;
    let flip = name.ends_with(".parquet") && world.dice.roll(2) == 0;
    // That the newest segment was there nothing says.
    let newest = path == intact.store().layout().segment(world.writer.segment());
    if flip || (newest && name.ends_with(".parquet")) {
        let mut bytes = intact.store().get(&path).await.expect("it is there").to_vec();
        let byte = world.dice.roll(bytes.len() as u64) as usize;
        bytes[byte] ^= 1 << world.dice.roll(8);
        inner.put(&path, bytes.into()).await.expect("puts");
    } else {
        inner.delete(&path).await.expect("deletes");
    }
    let around = damaged.clone().around_damage();
    let mut marked = 0;
    for n in 0..16 {
        let time = world.dice.roll((world.now / 500) as u64) as i64 * 500;
        let question = match n {
            0 => At::Now,
            1 => At::NowOpen,
            2..5 => rev(1 + world.dice.roll(30)),
            5 => At::BeforeTime(time),
            _ => At::Time(time),
        };
        let what = format!("{name}: {question:?}");
        let before = tell(&intact, &question).await;
        match (&before, tell(&damaged, &question).await) {
            (_, Err(_)) => seen.refused += 1,
            (Ok(before), Ok(after)) => assert!(alike(before, &after, &question), "{what}: {before:?} and {after:?}"),
            (Err(error), Ok(_)) => panic!("{what} was refused before: {error}"),
        }
        let (cut, hole) = match tell_around(&around, &question).await {
            Ok(told) => told,
            Err(error) => {
                let wanting = error.to_string().contains("cannot be read of the log");
                assert!(before.is_err() || name.starts_with("meta/") || wanting, "{what}: {error}");
                continue;
            }
        };
        let told = tell(&around, &question).await.expect("it was told");
        let Some(hole) = hole else {
            let before = before.unwrap_or_else(|error| panic!("{what} was refused before: {error}"));
            assert!(alike(&before, &told, &question), "{what}: {before:?} and around it {told:?}");
            seen.exact += 1;
            continue;
        };
        marked += 1;
        if let At::Time(asked) | At::BeforeTime(asked) = question {
            let since = hole.since.is_none_or(|since| since < asked);
            let until = hole.until.is_none_or(|(until, _)| asked <= until);
            assert!(since && until, "{what} does not lie in {hole:?}");
        }
        // What is told instead is what there was at that cut.
        let state = folded(&intact, &cut).await;
        let stood = |key: &&ObjectKey| told.kinds.contains_key(&key.kind_key());
        let stood = state.objects.keys().filter(stood).count();
        assert_eq!(stood, told.kinds.values().map(BTreeMap::len).sum::<usize>(), "{what}");
        for (key, entry) in &state.objects {
            let Some(objects) = told.kinds.get(&key.kind_key()) else { continue };
            assert_eq!(objects.get(&key.name), Some(&(entry.row.rv, entry.public())), "{what}: {key:?}");
        }
    }
    seen.marked += marked;
    let whole = history(&intact).await.expect("it is whole");
    match history(&around).await {
        Ok((rows, holes)) => {
            seen.holes += holes.len() as u64;
            let within = |row: &Row| {
                holes
                    .iter()
                    .any(|hole| hole.positions.0 <= row.pos && hole.positions.1.is_none_or(|last| row.pos <= last))
            };
            let left: Vec<_> = whole.0.iter().filter(|row| !within(row)).cloned().collect();
            assert!(rows == left, "{name}: the log around {holes:?}");
        }
        Err(error) => assert!(name.starts_with("meta/"), "{name}: {error}"),
    }
    let found = doctor::diagnose(&damaged, &Asked::default(), &|_| {}).await.expect("the store answers");
    let own = found.ailments.iter().find(|ailment| ailment.finding.file == name);
    assert!(own.is_some() || !name.ends_with(".parquet"), "{name} is not named: {found:#?}");
    assert!(own.is_none_or(|own| !own.what.is_empty() && !own.stands.is_empty() && !own.remedies.is_empty()));
    assert!(marked == 0 || found.harm() == Harm::Lost, "{name}: {marked} of another moment, {found:#?}");
    let lost = own.is_some_and(|own| own.harm == Harm::Lost) && !name.starts_with("meta/");
    assert_eq!(lost, !found.holes.is_empty(), "{name}: {found:#?}");
}

/// The rows that come of the log, and what was gone around.
async fn history(journal: &Journal) -> Result<(Vec<Row>, Vec<Hole>)> {
    let reader = Reader::open(journal).await?;
    let (_, mut segments) = reader.history(i64::MIN, &Scope::default(), true).await?;
    let (mut rows, mut holes) = (Vec::new(), Vec::new());
    loop {
        let next = segments.next().await?;
        holes.extend(segments.crossed().await?.map(|crossed| crossed.hole));
        let Some(segment) = next else { return Ok((rows, holes)) };
        rows.extend(segment.rows.iter().cloned());
    }
}

#[tokio::test]
async fn around_any_damage_every_answer_is_as_before_or_says_what_it_lacks() {
    let mut seen = Seen::default();
    for seed in 0..12 {
        let mut world = world(seed).await;
        for _ in 0..10 {
            check(&mut world, &mut seen).await;
        }
    }
    assert!(seen.refused > 100 && seen.exact > 500 && seen.marked > 50 && seen.holes > 10, "{seen:?}");
}

#[tokio::test]
async fn of_a_hole_its_bounds_are_told_and_behind_it_all_is_exact() {
    let inner = Arc::new(InMemory::new());
    let journal = Journal::open(inner.clone(), &Path::from("p"), "uid-1", Parts::system());
    write(&journal, "ws", 2, 20).await;
    let mut reader = Reader::open(&journal).await.expect("opens");
    let (state, origin) = reader.at_cut(&rev(30)).await.expect("reads").expect("closed");
    Checkpoint::write(&journal, &state, &origin, "w", 1).await.expect("writes");
    let before = at(&journal, At::Time(20_000), &Scope::default()).await.1;
    // Segment n has the revisions 2n + 5 and 2n + 6, at positions 2n - 3 and 2n - 2.
    for number in [8, 9] {
        inner.delete(&journal.store().layout().segment(number)).await.expect("it was there");
    }
    let refused = journal.at(&At::Time(25_000)).await.expect_err("it cannot be read");
    assert!(refused.to_string().contains("is missing"), "{refused}");
    let around = journal.clone().around_damage();
    for (time, marked) in
        [(19_000, false), (20_000, false), (21_000, true), (29_999, true), (30_001, false), (50_000, false)]
    {
        let past = around.at(&At::Time(time)).await.expect("answers");
        let hole = past.moment().hole.as_deref();
        assert_eq!(hole.is_some(), marked, "{time}: {hole:?}");
        let Some(hole) = hole else { continue };
        assert_eq!((hole.segments, hole.positions, hole.rows()), ((8, 9), (13, Some(16)), Some(4)));
        assert_eq!((hole.since, hole.until.map(|(until, _)| until), hole.proven), (Some(20_000), Some(30_000), true));
        let state = past.state(&Scope::default()).await.expect("folds").state;
        let forms = |state: &State| state.objects.values().map(|e| (e.row.rv, datum(e))).collect::<Vec<_>>();
        assert_eq!(forms(&state), forms(&before), "{time}");
        assert_eq!(past.moment().cut.rev(), 20);
    }
    let error = around.at(&At::Pos(14)).await.expect_err("it is in the hole");
    assert!(error.hint().is_some_and(|hint| hint.contains("1970-01-01T00:00:00.020Z")), "{error} {:?}", error.hint());
    // Another log behind it is refused: which of them is right nobody can tell.
    let (rows, holes) = history(&around).await.expect("reads");
    assert_eq!((holes.len(), rows.len()), (1, 2 + 40 - 4));
    let found = doctor::diagnose(&journal, &Asked::default(), &|_| {}).await.expect("the store answers");
    let [ailment] = found.ailments.as_slice() else { panic!("{found:#?}") };
    assert_eq!((ailment.harm, found.holes.len()), (Harm::Lost, 1));
    assert!(ailment.lost.contains("segments 8 to 9, positions 13 to 16"), "{ailment:?}");
}
