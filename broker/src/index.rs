//! Which filters match a topic: a tree of levels whose leaves are the channels of the fan-out.
//!
//! Depth is bounded by `Limits::topic_levels`, size by `Limits::distinct_filters`; a filter nobody holds is gone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fanout::Channel;

#[derive(Debug, Default)]
struct Node {
    names: HashMap<Box<str>, Node>,
    plus: Option<Box<Node>>,
    /// The filter that ends here.
    here: Option<Entry>,
    /// The filter that goes on with `#`.
    hash: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    channel: Arc<Channel>,
    users: usize,
}

/// The filters that clients hold.
#[derive(Debug, Default)]
pub(crate) struct Index {
    root: Node,
    filters: usize,
}

impl Index {
    /// One more client holds `filter`. `open` makes its channel when it is the first; `None` when there is no room.
    pub fn hold(&mut self, filter: &str, open: impl FnOnce() -> Option<Arc<Channel>>) -> Option<Arc<Channel>> {
        let mut node = &mut self.root;
        let mut hash = false;
        for level in filter.split('/') {
            match level {
                "#" => hash = true,
                "+" => node = node.plus.get_or_insert_default(),
                name => node = node.names.entry(name.into()).or_default(),
            }
        }
        let entry = if hash { &mut node.hash } else { &mut node.here };
        if let Some(entry) = entry {
            entry.users = entry.users.saturating_add(1);
            return Some(entry.channel.clone());
        }
        match open() {
            Some(channel) => {
                *entry = Some(Entry { channel: channel.clone(), users: 1 });
                self.filters += 1;
                Some(channel)
            }
            None => {
                prune(&mut self.root, filter.split('/'), &mut |_| {});
                None
            }
        }
    }

    /// One client less holds `filter`.
    pub fn release(&mut self, filter: &str) {
        let mut gone = false;
        prune(&mut self.root, filter.split('/'), &mut |entry: &mut Option<Entry>| {
            if let Some(held) = entry {
                held.users = held.users.saturating_sub(1);
                if held.users == 0 {
                    *entry = None;
                    gone = true;
                }
            }
        });
        self.filters = self.filters.saturating_sub(usize::from(gone));
    }

    /// Calls `found` with the channel of each filter that matches.
    pub fn matching(&self, topic: &str, found: &mut impl FnMut(&Arc<Channel>)) {
        if self.filters == 0 {
            return;
        }
        if topic.starts_with('$') {
            let mut levels = topic.split('/');
            let first = levels.next().and_then(|name| self.root.names.get(name));
            return first.into_iter().for_each(|node| walk(node, levels.clone(), found));
        }
        walk(&self.root, topic.split('/'), found);
    }
}

fn walk<'a>(node: &Node, mut levels: impl Iterator<Item = &'a str> + Clone, found: &mut impl FnMut(&Arc<Channel>)) {
    node.hash.iter().for_each(|entry| found(&entry.channel));
    let Some(level) = levels.next() else {
        return node.here.iter().for_each(|entry| found(&entry.channel));
    };
    if let Some(next) = &node.plus {
        walk(next, levels.clone(), found);
    }
    if let Some(next) = node.names.get(level) {
        walk(next, levels, found);
    }
}

/// Goes to the entry of the filter, lets `change` at it, and removes the nodes that have become empty on the way back.
fn prune(node: &mut Node, mut levels: std::str::Split<'_, char>, change: &mut dyn FnMut(&mut Option<Entry>)) -> bool {
    match levels.next() {
        None => change(&mut node.here),
        Some("#") => change(&mut node.hash),
        Some("+") => {
            if node.plus.as_mut().is_some_and(|next| prune(next, levels.clone(), change)) {
                node.plus = None;
            }
        }
        Some(name) => {
            if node.names.get_mut(name).is_some_and(|next| prune(next, levels.clone(), change)) {
                node.names.remove(name);
            }
        }
    }
    node.here.is_none() && node.hash.is_none() && node.plus.is_none() && node.names.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::Numbers;
    use proptest::prelude::*;

    fn found(index: &Index, topic: &str) -> usize {
        let mut n = 0;
        index.matching(topic, &mut |_| n += 1);
        n
    }

    #[test]
    fn a_filter_that_nobody_holds_leaves_nothing_behind() {
        let numbers = Numbers::new(2);
        let mut index = Index::default();
        for filter in ["a/+/c", "a/+/c", "#"] {
            assert!(index.hold(filter, || Channel::open(&numbers)).is_some());
        }
        assert!(index.hold("x/y", || Channel::open(&numbers)).is_none(), "two filters at most");
        assert_eq!(found(&index, "a/b/c"), 2);
        for filter in ["a/+/c", "#", "never/held", "a/+/c"] {
            index.release(filter);
        }
        assert_eq!((found(&index, "a/b/c"), index.filters), (0, 0));
        assert!(index.root.names.is_empty() && index.root.plus.is_none());
        assert!(index.hold("x/y", || Channel::open(&numbers)).is_some(), "the numbers came back");
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_the_plain_rule(
            filters in proptest::collection::vec("(a|b|\\+|é|)(/(a|b|\\+|)){0,3}(/#)?", 1..12),
            topic in "(a|b|é|)(/(a|b|)){0,3}",
        ) {
            prop_assume!(!topic.is_empty());
            let mut filters: Vec<String> = filters.into_iter().filter(|f| !f.is_empty()).collect();
            filters.sort();
            filters.dedup();
            let numbers = Numbers::new(100);
            let mut index = Index::default();
            for filter in &filters {
                index.hold(filter, || Channel::open(&numbers));
            }
            let plain = filters.iter().filter(|f| crate::topic::matches(&topic, f)).count();
            prop_assert_eq!(found(&index, &topic), plain);
        }
    }
}
