//! The graph of imports between files, and its cycles.

use std::collections::{BTreeMap, BTreeSet};

/// Imports between named places.
#[derive(Debug, Default)]
pub struct Graph {
    from: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Adds an import. One of a place by itself is none.
    pub fn add(&mut self, from: &str, to: &str) {
        if from != to {
            self.from.entry(from.to_owned()).or_default().insert(to.to_owned());
        }
    }

    /// All imports, from file to file.
    pub fn all(&self) -> impl Iterator<Item = (&String, &String)> {
        self.from.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)))
    }

    /// Number of imports.
    pub fn arrows(&self) -> usize {
        self.from.values().map(BTreeSet::len).sum()
    }

    /// The same between groups of places.
    pub fn folded(&self, group: impl Fn(&str) -> String) -> Self {
        let mut folded = Self::default();
        for (from, to) in self.all() {
            folded.add(&group(from), &group(to));
        }
        folded
    }

    /// Groups of places each of which imports every other one, directly or through others.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.from.keys().map(|place| (place.as_str(), self.reached(place))).collect();
        let meets = |one: &str, other: &str| reached.get(one).is_some_and(|places| places.contains(other));
        let mut circles: Vec<Vec<String>> = Vec::new();
        for place in self.from.keys().filter(|place| meets(place, place)) {
            match circles
                .iter_mut()
                .find(|circle| circle.iter().any(|other| meets(place, other) && meets(other, place)))
            {
                Some(circle) => circle.push(place.clone()),
                None => circles.push(vec![place.clone()]),
            }
        }
        circles
    }

    fn reached(&self, place: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = vec![place];
        while let Some(next) = open.pop() {
            for to in self.from.get(next).into_iter().flatten() {
                if reached.insert(to.as_str()) {
                    open.push(to);
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_chains_are_none() {
        let mut graph = Graph::default();
        for (from, to) in [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("a", "a")] {
            graph.add(from, to);
        }
        assert_eq!(graph.circles(), [["b", "c"]]);
        assert_eq!(graph.folded(|_| "x".to_owned()).arrows(), 0);
    }
}
