//! Making the index of a block out of the label sets that have samples: docs/format/index.md.

use hashbrown::HashMap;
use tsdb_model::{Label, Labels};

use super::bytes::Bad;
use super::layout::Counts;
use super::postings::{Inverted, invert, put_posting};
use super::symbols::{PAIRS_RESTART, put_name, put_pairs};
use super::{factor, identity, sets};

/// The sections of an index.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) names: Vec<u8>,
    pub(super) pairs: Vec<u8>,
    pub(super) locals: Vec<u8>,
    pub(super) targets: Vec<u8>,
    pub(super) postings: Vec<u8>,
    pub(super) identity: Vec<u8>,
    /// Groups in the order in which they became targets.
    pub(super) target_groups: Vec<u32>,
    pub(super) counts: Counts,
}

/// Numbers of pairs, first in the order in which they are met.
#[derive(Debug, Default)]
struct Pairs<'a> {
    numbers: HashMap<Label<'a>, u32>,
    all: Vec<Label<'a>>,
}

impl<'a> Pairs<'a> {
    fn number(&mut self, pair: Label<'a>) -> u32 {
        let next = self.all.len() as u32;
        let number = *self.numbers.entry(pair).or_insert(next);
        if number == next {
            self.all.push(pair);
        }
        number
    }

    /// The pairs sorted, and for each number its place there.
    fn sorted(self) -> (Vec<Label<'a>>, Vec<u32>) {
        let mut order: Vec<(Label<'a>, u32)> = self.all.into_iter().zip(0u32..).collect();
        order.sort_unstable();
        let mut ranks = vec![0; order.len()];
        for (rank, (_, number)) in (0u32..).zip(&order) {
            if let Some(place) = ranks.get_mut(*number as usize) {
                *place = rank;
            }
        }
        (order.into_iter().map(|(pair, _)| pair).collect(), ranks)
    }
}

fn translate(sets: &mut [Vec<u32>], ranks: &[u32]) {
    for number in sets.iter_mut().flatten() {
        *number = ranks.get(*number as usize).copied().unwrap_or(0);
    }
}

/// Builds the index of the series given, which are in order of their labels, each with its group.
pub(super) fn build(series: &[(&Labels, u32)], groups: usize) -> Result<Index, Bad> {
    let shared = factor::shared(series.iter().copied(), groups);
    let mut pairs = Pairs::default();
    let mut locals: Vec<Vec<u32>> = Vec::new();
    let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut identity: Vec<(u32, u32)> = Vec::with_capacity(series.len());
    for (labels, group) in series {
        let of_target = shared.get(*group as usize).and_then(|s| s.as_deref());
        let mut of_target = of_target.unwrap_or_default().iter().peekable();
        // Both are sorted by name, and all that the target has is in the set.
        let own = labels
            .iter()
            .filter(|l| of_target.next_if(|t| t.name == l.name).is_none());
        let set: Vec<u32> = own.map(|l| pairs.number(l)).collect();
        let local = match numbers.get(&set) {
            Some(number) => *number,
            None => {
                let number = locals.len() as u32;
                locals.push(set.clone());
                numbers.insert(set, number);
                number
            }
        };
        identity.push((local, *group));
    }
    drop(numbers);
    let mut targets: Vec<(u32, Vec<u32>)> = Vec::new();
    for (group, labels) in (0u32..).zip(&shared) {
        if let Some(labels) = labels {
            let set = labels.iter().map(|l| pairs.number(*l)).collect();
            targets.push((group, set));
        }
    }
    let (pairs, ranks) = pairs.sorted();
    translate(&mut locals, &ranks);
    for (_, set) in &mut targets {
        translate(std::slice::from_mut(set), &ranks);
    }
    // By job first: so a job is a run of targets.
    let is_job = |pair: &&u32| pairs.get(**pair as usize).is_some_and(|p| p.name == "job");
    targets.sort_by_cached_key(|(_, set)| (set.iter().find(is_job).copied(), set.clone()));
    let mut target_of_group = vec![0; groups];
    for (target, (group, _)) in (0u32..).zip(&targets) {
        if let Some(place) = target_of_group.get_mut(*group as usize) {
            *place = target;
        }
    }
    for (_, target) in &mut identity {
        *target = target_of_group.get(*target as usize).copied().unwrap_or(0);
    }

    let local_lists = invert(pairs.len(), || locals.iter().map(Vec::as_slice));
    let target_lists = invert(pairs.len(), || targets.iter().map(|t| t.1.as_slice()));
    Ok(Index {
        names: names(&pairs, &local_lists, &target_lists),
        postings: postings(pairs.len(), &local_lists, &target_lists)?,
        locals: sets::put_sets(locals.iter().map(Vec::as_slice))?,
        targets: sets::put_sets(targets.iter().map(|t| t.1.as_slice()))?,
        identity: identity::put_identity(&identity)?,
        counts: Counts {
            series: series.len() as u32,
            pairs: pairs.len() as u32,
            locals: locals.len() as u32,
            targets: targets.len() as u32,
            columns: 0,
        },
        pairs: put_pairs(&pairs)?,
        target_groups: targets.into_iter().map(|(group, _)| group).collect(),
    })
}

/// The names with their numbers of pairs, and who has any of these.
fn names(pairs: &[Label<'_>], locals: &Inverted, targets: &Inverted) -> Vec<u8> {
    let mut out = Vec::new();
    let mut first = 0;
    for of_name in pairs.chunk_by(|a, b| a.name == b.name) {
        let members = |lists: &Inverted| {
            let mut all: Vec<u32> = Vec::new();
            for pair in first..first + of_name.len() {
                all.extend(lists.of(pair));
            }
            all.sort_unstable();
            all
        };
        let mut posting = Vec::new();
        put_posting(&mut posting, &members(locals), &members(targets));
        let name = of_name.first().map_or("", |p| p.name);
        put_name(&mut out, name, of_name.len() as u32, &posting);
        first += of_name.len();
    }
    out
}

/// Who has which pair: places of restarts, then the postings.
fn postings(pairs: usize, locals: &Inverted, targets: &Inverted) -> Result<Vec<u8>, Bad> {
    let (mut restarts, mut out) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        if pair % PAIRS_RESTART as usize == 0 {
            let at = u32::try_from(out.len()).map_err(|_| Bad("more postings than fit"))?;
            restarts.extend(at.to_le_bytes());
        }
        put_posting(&mut out, locals.of(pair), targets.of(pair));
    }
    restarts.extend(out);
    Ok(restarts)
}

/// Lists of numbers: the places of all and the end of the last, then the lists.
pub(super) fn put_lists<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Result<Vec<u8>, Bad> {
    let (mut places, mut out) = (0u32.to_le_bytes().to_vec(), Vec::new());
    let mut end = 0usize;
    for list in lists {
        end += list.len();
        let place = u32::try_from(end).map_err(|_| Bad("more time columns than fit"))?;
        places.extend(place.to_le_bytes());
        out.extend(list.iter().flat_map(|n| n.to_le_bytes()));
    }
    places.extend(out);
    Ok(places)
}
