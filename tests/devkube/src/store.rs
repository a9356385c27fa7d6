//! Objects and the history of their changes, with one version counter for all. Pure state: no clock, no requests, no
//! waking of watchers; identity (uid) is given out here because it must be unique within the store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::resources::{RESOURCES, Resource};
use crate::status::Refusal;

const MAX_OBJECTS: usize = 100_000;

/// Where an object lives; ordered so that one resource is a contiguous range, by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: usize,
    /// Empty for cluster-wide resources.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn resource(&self) -> &'static Resource {
        // Keys are made from positions in the table only.
        RESOURCES.get(self.resource).unwrap_or(&RESOURCES[0])
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// After the change; `None` when it was deleted.
    pub(crate) after: Option<Arc<Value>>,
    /// Before the change, for a deletion already carrying the version of the deletion.
    pub(crate) before: Option<Arc<Value>>,
}

#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    history_limit: usize,
    version: u64,
    /// The newest version that fell out of the history.
    trimmed: u64,
    /// Requests that start below this version are told that it is gone, although running watches go on.
    gone_below: u64,
    seed: u64,
    identities: u64,
    /// What each field manager last applied to an object that exists.
    applied: BTreeMap<(Key, String), Value>,
}

impl Store {
    /// `seed` makes uids differ between instances.
    pub(crate) fn new(history_limit: usize, seed: u64) -> Store {
        Store {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_limit,
            version: 1,
            trimmed: 1,
            gone_below: 0,
            seed,
            identities: 0,
            applied: BTreeMap::new(),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The oldest version that a new request may start from.
    pub(crate) fn oldest(&self) -> u64 {
        self.trimmed.max(self.gone_below)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// All objects of a resource, in one namespace or in all.
    pub(crate) fn list(&self, resource: usize, namespace: Option<&str>) -> Vec<(Key, Arc<Value>)> {
        let start = Key { resource, namespace: namespace.unwrap_or_default().to_owned(), name: String::new() };
        self.objects
            .range(start..)
            .take_while(|(key, _)| key.resource == resource && namespace.is_none_or(|n| key.namespace == n))
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// The same as it was at a version; the caller has checked that the version is not too old.
    pub(crate) fn list_at(&self, resource: usize, namespace: Option<&str>, version: u64) -> Vec<(Key, Arc<Value>)> {
        let mut objects: BTreeMap<Key, Arc<Value>> = self.list(resource, namespace).into_iter().collect();
        let undo = self.history.iter().rev().take_while(|change| change.version > version);
        for change in undo.filter(|c| c.key.resource == resource && namespace.is_none_or(|n| c.key.namespace == n)) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        objects.into_iter().collect()
    }

    pub(crate) fn all_in(&self, namespace: &str) -> Vec<Key> {
        self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect()
    }

    /// What happened to a resource after a version. The error says that some of it has been forgotten.
    pub(crate) fn since(&self, resource: usize, namespace: Option<&str>, version: u64) -> Result<Vec<Change>, Refusal> {
        if version < self.trimmed {
            return Err(Refusal::too_old(version, self.trimmed));
        }
        let first = self.history.partition_point(|change| change.version <= version);
        let wanted = |c: &&Change| c.key.resource == resource && namespace.is_none_or(|n| c.key.namespace == n);
        Ok(self.history.iter().skip(first).filter(wanted).cloned().collect())
    }

    /// Writes an object, whatever was there, and gives it the next version.
    pub(crate) fn write(&mut self, key: Key, mut object: Value) -> Result<Arc<Value>, Refusal> {
        if self.objects.len() >= MAX_OBJECTS && !self.objects.contains_key(&key) {
            return Err(Refusal::full(MAX_OBJECTS));
        }
        self.version = self.version.saturating_add(1);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        self.remember(Change { version: self.version, key, after: Some(Arc::clone(&object)), before });
        Ok(object)
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.applied.retain(|(applied, _), _| applied != key);
        self.version = self.version.saturating_add(1);
        let mut last = (*before).clone();
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.remember(Change { version: self.version, key: key.clone(), after: None, before: Some(Arc::new(last)) });
        Some(before)
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        while self.history.len() > self.history_limit {
            if let Some(old) = self.history.pop_front() {
                self.trimmed = old.version;
            }
        }
    }

    pub(crate) fn applied(&self, key: &Key, manager: &str) -> Option<&Value> {
        self.applied.get(&(key.clone(), manager.to_owned()))
    }

    pub(crate) fn remember_applied(&mut self, key: &Key, manager: &str, configuration: Value) {
        let place = (key.clone(), manager.to_owned());
        if self.applied.len() < MAX_OBJECTS || self.applied.contains_key(&place) {
            self.applied.insert(place, configuration);
        }
    }

    /// From now on every version seen so far is too old to start from.
    pub(crate) fn forget(&mut self) {
        self.version = self.version.saturating_add(1);
        self.gone_below = self.version;
    }

    pub(crate) fn new_uid(&mut self) -> String {
        let high = self.random();
        let low = self.random();
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
    }

    /// The five characters after `generateName`.
    pub(crate) fn new_suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.random();
        let mut suffix = String::new();
        for _ in 0..5 {
            let place = usize::try_from(bits % LETTERS.len() as u64).unwrap_or_default();
            suffix.push(char::from(LETTERS.get(place).copied().unwrap_or(b'x')));
            bits /= LETTERS.len() as u64;
        }
        suffix
    }

    // SplitMix64: unique for each count, which is all that is asked of it.
    fn random(&mut self) -> u64 {
        self.identities = self.identities.wrapping_add(1);
        let mut z = self.seed.wrapping_add(self.identities.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> Key {
        Key { resource: 0, namespace: "default".into(), name: name.into() }
    }

    fn object(value: u32) -> Value {
        json!({"metadata": {}, "value": value})
    }

    #[test]
    fn history_is_bounded_and_says_so() {
        let mut store = Store::new(3, 1);
        let start = store.version();
        for n in 0..4 {
            store.write(key("a"), object(n)).unwrap();
        }
        assert_eq!(store.since(0, None, start).unwrap_err().code, 410);
        assert_eq!(store.since(0, None, start + 1).unwrap().len(), 3);
        assert_eq!(store.oldest(), start + 1);
    }

    #[test]
    fn a_past_list_is_what_it_was() {
        let mut store = Store::new(100, 1);
        store.write(key("a"), object(1)).unwrap();
        store.write(key("b"), object(2)).unwrap();
        let then = store.version();
        store.write(key("a"), object(9)).unwrap();
        store.remove(&key("b"));
        store.write(key("c"), object(3)).unwrap();
        let past: Vec<(String, u64)> = store
            .list_at(0, Some("default"), then)
            .into_iter()
            .map(|(key, object)| (key.name, object["value"].as_u64().unwrap()))
            .collect();
        assert_eq!(past, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    }

    #[test]
    fn forgetting_refuses_new_starts_but_not_running_watches() {
        let mut store = Store::new(100, 1);
        store.write(key("a"), object(1)).unwrap();
        let seen = store.version();
        store.forget();
        assert!(seen < store.oldest());
        assert!(store.since(0, None, seen).is_ok());
        assert!(store.version() >= store.oldest());
    }

    #[test]
    fn namespaces_do_not_leak_into_each_other() {
        let mut store = Store::new(100, 1);
        for namespace in ["a", "ab", "b"] {
            let key = Key { resource: 2, namespace: namespace.into(), name: "x".into() };
            store.write(key, object(1)).unwrap();
        }
        assert_eq!(store.list(2, Some("a")).len(), 1);
        assert_eq!(store.list(2, None).len(), 3);
        assert_eq!(store.list(1, None).len(), 0);
    }

    #[test]
    fn identities_are_well_formed_and_differ() {
        let mut store = Store::new(1, 7);
        let (a, b) = (store.new_uid(), store.new_uid());
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
        assert_eq!(store.new_suffix().len(), 5);
    }
}
