//! A small tree in text.

/// A line and what hangs on it.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub text: String,
    pub below: Vec<Tree>,
}

impl Tree {
    pub(super) fn leaf(text: impl Into<String>) -> Tree {
        Tree { text: text.into(), below: Vec::new() }
    }

    pub(super) fn new(text: impl Into<String>, below: Vec<Tree>) -> Tree {
        Tree { text: text.into(), below }
    }

    /// The whole of it, a line each.
    pub(super) fn draw(&self) -> String {
        let mut out = format!("{}\n", self.text);
        self.branches("", &mut out);
        out
    }

    /// As deep as who builds it: a few levels, never as deep as an input.
    fn branches(&self, indent: &str, out: &mut String) {
        for (nth, branch) in self.below.iter().enumerate() {
            let last = nth + 1 == self.below.len();
            let (joint, rail) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            out.push_str(&format!("{indent}{joint}{}\n", branch.text));
            branch.branches(&format!("{indent}{rail}"), out);
        }
    }
}
