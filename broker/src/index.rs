//! Which filters match a topic: a tree of levels whose leaves are the sessions that hold the filter.
//!
//! Depth is bounded by `Limits::topic_levels`, size by what filters [`cost`]; a filter nobody holds is gone.

use crate::router::Number;

/// Sorted lists rather than hash maps: most nodes have one child, and a map has room for four.
#[derive(Debug, Default)]
struct Node {
    names: Vec<(Box<str>, Node)>,
    plus: Option<Box<Node>>,
    /// Who holds the filter that ends here.
    here: Holders,
    /// Who holds the filter that goes on with `#`.
    hash: Holders,
}

/// Sessions and the QoS they were granted.
type Holders = Vec<(Number, u8)>;

/// What a filter costs at the most, in bytes: here, and with the session that holds it.
pub(crate) fn cost(filter: &str) -> usize {
    /// A node, its name's allocation, its holders'.
    const LEVEL: usize = size_of::<(Box<str>, Node)>() + 64;
    /// Its place with the session.
    const PLACE: usize = 64;
    filter.len().saturating_mul(2).saturating_add(filter.split('/').count().saturating_mul(LEVEL)).saturating_add(PLACE)
}

/// The filters that sessions hold.
#[derive(Debug, Default)]
pub(crate) struct Index {
    root: Node,
    len: usize,
    /// What all of them cost.
    bytes: usize,
}

impl Node {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.find(name).ok().and_then(|at| self.names.get(at)).map(|(_, node)| node)
    }

    fn get_or_insert(&mut self, name: &str) -> &mut Node {
        let at = self.find(name).unwrap_or_else(|at| {
            if self.names.len() < 4 {
                self.names.reserve_exact(1);
            }
            self.names.insert(at, (name.into(), Node::default()));
            at
        });
        &mut self.names[at].1
    }
}

impl Index {
    /// The session holds `filter` from now on, with this QoS.
    pub fn insert(&mut self, filter: &str, session: Number, qos: u8) {
        let mut node = &mut self.root;
        let mut hash = false;
        for level in filter.split('/') {
            match level {
                "#" => hash = true,
                "+" => node = node.plus.get_or_insert_default(),
                name => node = node.get_or_insert(name),
            }
        }
        let holders = if hash { &mut node.hash } else { &mut node.here };
        match holders.iter_mut().find(|(holder, _)| *holder == session) {
            Some((_, granted)) => *granted = qos,
            None => {
                if holders.is_empty() {
                    holders.reserve_exact(1);
                }
                holders.push((session, qos));
                self.len += 1;
                self.bytes = self.bytes.saturating_add(cost(filter));
            }
        }
    }

    /// The session no longer holds `filter`.
    pub fn remove(&mut self, filter: &str, session: Number) {
        let mut gone = false;
        prune(&mut self.root, filter.split('/'), &mut |holders| {
            if let Some(at) = holders.iter().position(|(holder, _)| *holder == session) {
                holders.swap_remove(at);
                gone = true;
            }
        });
        if gone {
            self.len = self.len.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(cost(filter));
        }
    }

    /// Filters, counted once for each session that holds them.
    pub fn len(&self) -> usize {
        self.len
    }

    /// What they cost, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether somebody holds a filter that begins with this level.
    pub fn has_below(&self, level: &str) -> bool {
        self.root.get(level).is_some()
    }

    /// Calls `found` for each filter of each session that matches.
    pub fn matching(&self, topic: &str, found: &mut impl FnMut(Number, u8)) {
        if self.len == 0 {
            return;
        }
        if topic.starts_with('$') {
            let mut levels = topic.split('/');
            let first = levels.next().and_then(|name| self.root.get(name));
            return first.into_iter().for_each(|node| walk(node, levels.clone(), found));
        }
        walk(&self.root, topic.split('/'), found);
    }
}

fn walk<'a>(node: &Node, mut levels: impl Iterator<Item = &'a str> + Clone, found: &mut impl FnMut(Number, u8)) {
    node.hash.iter().for_each(|&(session, qos)| found(session, qos));
    let Some(level) = levels.next() else {
        return node.here.iter().for_each(|&(session, qos)| found(session, qos));
    };
    if let Some(next) = &node.plus {
        walk(next, levels.clone(), found);
    }
    if let Some(next) = node.get(level) {
        walk(next, levels, found);
    }
}

/// Goes to the holders of the filter, lets `change` at them, and removes the nodes that have become empty on the way back.
fn prune(node: &mut Node, mut levels: std::str::Split<'_, char>, change: &mut dyn FnMut(&mut Holders)) -> bool {
    match levels.next() {
        None => change(&mut node.here),
        Some("#") => change(&mut node.hash),
        Some("+") => {
            if node.plus.as_mut().is_some_and(|next| prune(next, levels.clone(), change)) {
                node.plus = None;
            }
        }
        Some(name) => {
            if let Ok(at) = node.find(name)
                && prune(&mut node.names[at].1, levels.clone(), change)
            {
                node.names.remove(at);
                if node.names.len() < node.names.capacity() / 4 {
                    // What a crowd of filters took is given back.
                    node.names.shrink_to_fit();
                }
            }
        }
    }
    node.here.is_empty() && node.hash.is_empty() && node.plus.is_none() && node.names.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(index: &Index, topic: &str) -> usize {
        let mut n = 0;
        index.matching(topic, &mut |_, _| n += 1);
        n
    }

    #[test]
    fn a_filter_that_nobody_holds_leaves_nothing_behind() {
        let mut index = Index::default();
        for (filter, session) in [("a/+/c", 1), ("a/+/c", 2), ("a/+/c", 1), ("#", 1)] {
            index.insert(filter, session, 0);
        }
        assert_eq!((found(&index, "a/b/c"), index.len()), (3, 3));
        for (filter, session) in [("a/+/c", 1), ("#", 1), ("#", 7), ("never/held", 1), ("a/+/c", 2)] {
            index.remove(filter, session);
        }
        assert_eq!((found(&index, "a/b/c"), index.len(), index.bytes()), (0, 0, 0));
        assert!(index.root.names.is_empty() && index.root.plus.is_none());
    }

    #[test]
    fn a_filter_held_twice_has_the_later_qos() {
        let mut index = Index::default();
        index.insert("a", 1, 0);
        index.insert("a", 1, 1);
        let mut hits = Vec::new();
        index.matching("a", &mut |session, qos| hits.push((session, qos)));
        assert_eq!(hits, [(1, 1)]);
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
            let mut index = Index::default();
            for (session, filter) in filters.iter().enumerate() {
                index.insert(filter, session as Number, 0);
            }
            let plain = filters.iter().filter(|f| crate::topic::matches(&topic, f)).count();
            prop_assert_eq!(found(&index, &topic), plain);
        }
    }
}
