//! The shards of a plan, each with about the same work.

use std::cmp::Reverse;

use crate::Item;

/// What an image costs however small it is, as bytes that are read in the meantime: a start of the scanner, the requests.
const EACH: u64 = 10 << 20;

/// `items` in at most `count` shards, none of them empty. Two of them differ by less than their largest image.
///
/// Each image goes to the shard that has the least so far, the largest first (Graham, Bounds on multiprocessing timing
/// anomalies, 1969). The same items make the same shards in whichever order they come.
pub(crate) fn balanced(mut items: Vec<Item>, count: usize) -> Vec<Vec<Item>> {
    items.sort_by(|a, b| (Reverse(a.bytes), &a.image).cmp(&(Reverse(b.bytes), &b.image)));
    let mut shards: Vec<(u64, Vec<Item>)> = vec![(0, Vec::new()); count.min(items.len())];
    for item in items {
        // The first one of several.
        if let Some((load, shard)) = shards.iter_mut().min_by_key(|(load, _)| *load) {
            *load = load.saturating_add(weight(&item));
            shard.push(item);
        }
    }
    let sorted = |(_, mut shard): (u64, Vec<Item>)| {
        shard.sort_by(|a, b| a.image.cmp(&b.image));
        shard
    };
    shards.into_iter().map(sorted).collect()
}

/// The work of an image.
fn weight(item: &Item) -> u64 {
    item.bytes.saturating_add(EACH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SHARDS;

    fn items() -> impl Strategy<Value = Vec<Item>> {
        // From a static binary to a machine-learning image; many of one size.
        let bytes = prop_oneof![Just(0), Just(30 << 20), 0..20_u64 << 30];
        proptest::collection::vec(bytes, 0..600).prop_map(|all| {
            let item = |(index, bytes)| Item {
                image: format!("r.example/app-{index}:1"),
                bytes,
                ..Item::default()
            };
            all.into_iter().enumerate().map(item).collect()
        })
    }

    proptest! {
        #[test]
        fn every_image_is_in_one_shard_and_no_shard_has_more_than_its_part(
            items in items(),
            count in 1..=SHARDS,
            seed in any::<u64>(),
        ) {
            let shards = balanced(items.clone(), count);
            prop_assert_eq!(shards.len(), count.min(items.len()));
            prop_assert!(shards.iter().all(|shard| !shard.is_empty()));

            let mut names: Vec<_> = shards.iter().flatten().map(|item| &item.image).collect();
            let mut expected: Vec<_> = items.iter().map(|item| &item.image).collect();
            names.sort();
            expected.sort();
            prop_assert_eq!(names, expected);

            let loads = shards.iter().map(|shard| shard.iter().map(weight).sum::<u64>());
            let (least, most) = loads.fold((u64::MAX, 0), |(least, most), load| (least.min(load), most.max(load)));
            let largest = items.iter().map(weight).max().unwrap_or(0);
            prop_assert!(shards.is_empty() || most - least <= largest, "{} {} {}", least, most, largest);

            let mut shuffled = items;
            let at = usize::try_from(seed % 601).unwrap() % shuffled.len().max(1);
            shuffled.rotate_left(at);
            shuffled.reverse();
            prop_assert_eq!(balanced(shuffled, count), shards);
        }
    }
}
