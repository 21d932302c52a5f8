use super::*;
use crate::layout::Layout;

#[test]
fn a_name_says_level_and_segments() {
    let layout = Layout::new(&object_store::path::Path::from("p"), "uid");
    let path = layout.merged(2, 7, 4000).to_string();
    assert_eq!(path, "p/uid/log/2/00000000000000000007-00000000000000004000.parquet");
    assert_eq!(Layout::numbers(&path), Some((2, 7, 4000)));
    let odd = Layout::new(&object_store::path::Path::from("log/prod"), "uid").merged(1, 7, 9).to_string();
    assert_eq!(Layout::numbers(&odd), Some((1, 7, 9)));
    assert_eq!(Layout::numbers("log/1/00000000000000000007-00000000000000000009.parquet"), Some((1, 7, 9)));
    for other in [
        "wal/00000000000000000007.parquet",
        "log/1/7-9.parquet",
        "log/x/00000000000000000007-00000000000000000009.parquet",
    ] {
        assert_eq!(Layout::numbers(other), None, "{other}");
    }
}

#[test]
fn files_meet_where_they_share_a_segment() {
    let of =
        |first, last| Merged { level: 1, first, last, rows: (1, 0), made: (0, 0), bytes: 0, footer: None, weight: 0 };
    for (a, b, meets, holds) in [
        (of(1, 5), of(6, 9), false, false),
        (of(1, 5), of(5, 9), true, false),
        (of(1, 9), of(3, 5), true, true),
        (of(3, 5), of(1, 9), true, false),
        (of(1, 5), of(1, 5), true, true),
    ] {
        assert_eq!((a.meets(&b), a.holds(&b)), (meets, holds), "{:?} {:?}", a.segments(), b.segments());
    }
}
