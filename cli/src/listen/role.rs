//! What a process says of its role, where there are several: at `/readyz`, at `/role`, and in `hindcast status`.

use hindcast_journal::parts::utc_millis;
use hindcast_watcher::ha::{Reach, Role};

/// Kinds that are named.
const NAMED: usize = 5;

/// The role in a sentence.
pub(crate) fn said(role: &Role) -> String {
    let Role { leads, since, lease, holder, trouble, reach, .. } = role;
    let since = utc_millis(*since);
    let mut out = if *leads {
        format!("leads since {since}, by the Lease {lease}")
    } else {
        let holder = holder.as_deref().unwrap_or("nobody that is known");
        format!("stands by since {since}; {holder} holds the Lease {lease}")
    };
    if *leads && let Some(holder) = holder {
        out.push_str(&format!("; {holder} holds it now, and has not taken the journal over"));
    }
    if !trouble.is_empty() {
        out.push_str(&format!("; the Lease cannot be read or written: {trouble}"));
    }
    if let Some(reach) = reach {
        out.push_str("; ");
        out.push_str(&reached(reach));
    }
    out
}

fn reached(reach: &Reach) -> String {
    let Reach { kinds, short, bytes, bound, seconds_until_full, overflows, oldest_seconds } = reach;
    let mib = |bytes: usize| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let mut out = if *kinds == 0 {
        "nothing is committed yet".to_owned()
    } else if short.is_empty() {
        let room = seconds_until_full / 60;
        let room = if room > 60 * 24 { "for more than a day".to_owned() } else { format!("for {room} min") };
        format!(
            "a takeover loses nothing: all {kinds} kinds are held from what is committed on, and there is room {room}"
        )
    } else {
        let shown: Vec<&str> = short.iter().take(NAMED).map(String::as_str).collect();
        let more = short.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "of {} of {kinds} kinds a takeover needs the server's own history for now: {}{more}",
            short.len(),
            shown.join(", ")
        )
    };
    out.push_str(&format!(" ({} of {} MiB, the oldest {oldest_seconds} s old", mib(*bytes), mib(*bound)));
    if *overflows > 0 {
        out.push_str(&format!("; there was no room {overflows} times"));
    }
    out.push(')');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_told_with_what_it_means_for_a_takeover() {
        let reach = Reach { kinds: 52, bound: 128 << 20, seconds_until_full: 600, ..Reach::default() };
        let standby = Role {
            lease: "kube-system/hindcast-1".into(),
            holder: Some("node-1/7/abc".into()),
            reach: Some(reach.clone()),
            ..Role::default()
        };
        let text = said(&standby);
        for part in ["stands by since 1970-01-01", "node-1/7/abc holds the Lease", "all 52 kinds", "room for 10 min"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        let short = (0..7).map(|n| format!("kind{n}")).collect();
        let text = said(&Role { reach: Some(Reach { short, overflows: 3, ..reach }), ..standby.clone() });
        for part in ["of 7 of 52 kinds", "kind4 and 2 more", "no room 3 times"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        let leader = Role { leads: true, reach: None, trouble: "leases is forbidden".into(), ..standby };
        let text = said(&leader);
        for part in ["leads since", "node-1/7/abc holds it now", "leases is forbidden"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }
}
