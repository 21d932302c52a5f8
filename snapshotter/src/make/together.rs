//! Snapshots of a group share their fate.

use std::collections::{BTreeMap, BTreeSet};

use super::Under;
use crate::csi::groups;

/// Fails all snapshots of a group of which one failed: they are deleted together, so a point has all of them or none.
pub(super) fn share<'u>(under: impl Iterator<Item = &'u mut Under>) {
    let mut under: Vec<&mut Under> = under.collect();
    let group_of = |one: &Under| Some((one.order.volume.namespace.clone(), one.order.group.as_ref()?.value.clone()));
    let grouped = |one: &&&mut Under| one.taken.as_ref().is_some_and(|taken| taken.details.contains_key(groups::GROUP));
    let made: BTreeSet<_> = under.iter().filter(grouped).filter_map(|one| group_of(one)).collect();
    let mut failed = BTreeMap::new();
    for one in &under {
        if let (Some(group), Some(why)) = (group_of(one).filter(|group| made.contains(group)), &one.why) {
            failed.entry(group).or_insert_with(|| format!("its group has not {}: {why}", one.order.volume.title()));
        }
    }
    for one in under.iter_mut().filter(|one| one.why.is_none()) {
        one.why = group_of(one).and_then(|group| failed.get(&group).cloned());
    }
}

/// What is to be said of volumes that were to be taken together and were not: a hook kept one of them out.
pub(super) fn apart(under: &[Under]) -> Vec<String> {
    let alone = under.iter().filter(|one| {
        one.taken.as_ref().is_some_and(|taken| one.why.is_none() && !taken.details.contains_key(groups::GROUP))
    });
    let groups: BTreeSet<_> =
        alone.filter_map(|one| Some((&one.order.group.as_ref()?.value, &one.order.volume.namespace))).collect();
    let said = |(group, namespace)| {
        format!(
            "the volumes of group {group} in namespace {namespace} were taken one by one, not at one instant: not all of them were to be had"
        )
    };
    groups.into_iter().map(said).collect()
}

#[cfg(test)]
mod tests {
    use hindcast_journal::point::{Group, Order, Tag, Taken, Volume};

    use super::*;

    fn under(claim: &str, group: &str, grouped: Option<bool>, why: Option<&str>) -> Under {
        let tag = Tag { cluster: "c".into(), point: "p".into(), id: "0a".into(), index: 0 };
        let mut taken = Taken::bare(tag.clone(), "csi");
        if grouped == Some(true) {
            taken.details.insert(groups::GROUP.to_owned(), group.to_owned());
        }
        let volume = Volume { namespace: "shop".into(), claim: claim.into(), ..Volume::default() };
        let group = Group { value: group.into(), ..Group::default() };
        let group = Some(group).filter(|group| !group.value.is_empty());
        let order = Order { group, ..Order::bare(tag, volume) };
        let taken = grouped.map(|_| taken);
        let why = why.map(str::to_owned);
        Under { order, driver: "csi".into(), taken, why, cut: true, ready: true, trouble: None, copied: None }
    }

    fn fates(mut all: Vec<Under>) -> Vec<bool> {
        share(all.iter_mut());
        all.iter().map(|one| one.why.is_some()).collect()
    }

    #[test]
    fn what_is_deleted_together_fails_together() {
        let (made, lost) = (Some(true), Some("it is full"));
        let all = vec![under("a", "db", made, None), under("b", "db", made, lost), under("c", "", Some(false), None)];
        assert_eq!(fates(all), [true, true, false]);
        let other = vec![under("a", "db", made, None), under("b", "db", made, None), under("c", "web", made, lost)];
        assert_eq!(fates(other), [false, false, true]);
        // What nobody found of a group fails it too; what was taken one by one does not.
        assert_eq!(fates(vec![under("a", "db", made, None), under("b", "db", None, lost)]), [true, true]);
        assert_eq!(fates(vec![under("a", "db", Some(false), None), under("b", "db", None, lost)]), [false, true]);
        let said =
            apart(&[under("a", "db", Some(false), None), under("b", "db", None, lost), under("c", "", made, None)]);
        assert!(said.len() == 1 && said[0].contains("group db in namespace shop"), "{said:?}");
        assert!(apart(&[under("a", "db", made, None), under("b", "db", made, None)]).is_empty());
    }
}
