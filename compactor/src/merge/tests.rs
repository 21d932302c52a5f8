use super::*;

const LEVELS: Levels = Levels { lengths: [10, 60, 240], least: 3, weight: 1000 };

fn raw(number: u64, made: Micros, weight: u64) -> Piece {
    Piece { level: 0, first: number, last: number, made, weight }
}

const fn job(level: u8, first: u64, last: u64) -> Job {
    Job { level, first, last }
}

#[test]
fn a_stretch_is_merged_when_it_is_over() {
    let mut pieces: Vec<Piece> = (1..=5).map(|n| raw(n, n as i64, 1)).collect();
    assert_eq!(plan(&pieces, &LEVELS), None, "more may come");
    pieces.push(raw(6, 10, 1));
    assert_eq!(plan(&pieces, &LEVELS), Some(job(1, 1, 5)));
    // Few wait for the next level, which takes them together with what is merged already.
    let few = [raw(1, 1, 1), raw(2, 2, 1), raw(3, 10, 1)];
    assert_eq!(plan(&few, &LEVELS), None);
    let merged = |level, first, last, made| Piece { level, first, last, made, weight: 1 };
    let mixed = [raw(1, 1, 1), raw(2, 2, 1), merged(1, 3, 9, 19), raw(10, 59, 1), raw(11, 60, 1)];
    assert_eq!(plan(&mixed, &LEVELS), Some(job(2, 1, 10)));
    // A file alone is made anew for the highest level only.
    let alone = [merged(1, 1, 9, 9), raw(10, 60, 1), raw(11, 61, 1)];
    assert_eq!(plan(&alone, &LEVELS), None);
    assert_eq!(plan(&[merged(1, 1, 9, 9), raw(10, 240, 1)], &LEVELS), Some(job(3, 1, 9)));
    assert_eq!(plan(&[merged(3, 1, 9, 9), raw(10, 240, 1)], &LEVELS), None);
}

#[test]
fn a_clock_that_was_wrong_holds_nothing_up() {
    // One was ahead by years, for a while; what came later shows it.
    let far = 1_000_000;
    let mut pieces = vec![raw(1, 1, 1), raw(2, far, 1), raw(3, far + 1, 1), raw(4, 4, 1), raw(5, 5, 1)];
    assert_eq!(plan(&pieces, &LEVELS), None, "more may come");
    pieces.push(raw(6, 12, 1));
    assert_eq!(plan(&pieces, &LEVELS), Some(job(1, 1, 5)));
    // So with a file that was made of such.
    let merged = Piece { level: 1, first: 1, last: 5, made: far, weight: 1 };
    assert_eq!(plan(&[merged, raw(6, 12, 1), raw(7, 61, 1)], &LEVELS), Some(job(2, 1, 6)));
    // And with one that went back.
    let back = [raw(1, 61, 1), raw(2, 62, 1), raw(3, 3, 1), raw(4, 63, 1), raw(5, 64, 1)];
    assert_eq!(plan(&back, &LEVELS), Some(job(1, 1, 3)));
}

#[test]
fn what_fills_memory_is_merged_at_once() {
    let pieces = [raw(1, 1, 600), raw(2, 2, 600), raw(3, 3, 1)];
    assert_eq!(plan(&pieces, &LEVELS), Some(job(1, 1, 1)));
    assert_eq!(plan(&[raw(1, 1, 5000)], &LEVELS), Some(job(1, 1, 1)));
    // Of an hour that does not fit, as many pieces as do.
    let merged = |first: u64, made| Piece { level: 1, first, last: first, made, weight: 400 };
    let hour = [merged(1, 9), merged(2, 19), merged(3, 29), merged(4, 39), raw(5, 60, 1)];
    assert_eq!(plan(&hour, &LEVELS), Some(job(2, 1, 2)));
}

/// Whatever comes, each segment ends in one file of the highest level at most, and no job is made twice.
#[test]
fn every_plan_ends_and_covers_what_is_over() {
    for seed in 0..500_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut pieces, mut made) = (Vec::new(), 0_i64);
        let count = 20 + draw(200);
        for number in 1..=count {
            made += draw(9) as i64 - i64::from(draw(20) == 0) * 15;
            pieces.push(raw(number, made, draw(120)));
            let mut jobs = 0;
            while let Some(job) = plan(&pieces, &LEVELS) {
                let own: Vec<Piece> =
                    pieces.iter().filter(|p| job.first <= p.first && p.last <= job.last).copied().collect();
                assert!(own.iter().all(|p| p.level < job.level), "seed {seed}: {job:?} of {own:?}");
                let covered: u64 = own.iter().map(|p| p.last - p.first + 1).sum();
                assert_eq!(covered, job.last - job.first + 1, "seed {seed}: {job:?} has a hole");
                let weight: u64 = own.iter().map(|p| p.weight).sum();
                assert!(own.len() == 1 || weight <= LEVELS.weight, "seed {seed}: {job:?} is too much at once");
                let newest = own.iter().map(|p| p.made).max().unwrap_or(0);
                let piece = Piece { level: job.level, first: job.first, last: job.last, made: newest, weight };
                pieces.retain(|p| p.last < job.first || job.last < p.first);
                pieces.push(piece);
                pieces.sort_by_key(|p| p.first);
                jobs += 1;
                assert!(jobs < 100, "seed {seed} never ends");
            }
        }
        // Two of the longest stretches later, nothing is left below the highest level but what came since.
        pieces.push(raw(count + 1, made + 1000, 1));
        while let Some(job) = plan(&pieces, &LEVELS) {
            pieces.retain(|p| p.last < job.first || job.last < p.first);
            pieces.push(Piece { level: job.level, first: job.first, last: job.last, made, weight: 0 });
            pieces.sort_by_key(|p| p.first);
        }
        let open = pieces.iter().filter(|p| p.level < HIGHEST).count();
        assert_eq!(open, 1, "seed {seed}: {pieces:?}");
    }
}
