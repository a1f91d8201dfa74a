//! [`Attributes`]: what the application remembers about a session.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Value = Arc<dyn Any + Send + Sync>;

/// Named values of any type. Cheap to clone; clones share the values.
#[derive(Clone, Default)]
pub struct Attributes(Arc<Mutex<BTreeMap<String, Value>>>);

impl Attributes {
    /// Sets a value, replacing one of the same name.
    pub fn set<T: Any + Send + Sync>(&self, name: impl Into<String>, value: T) {
        // Converting the name and dropping a replaced value are the application's code: outside
        // the lock.
        let (name, value): (String, Value) = (name.into(), Arc::new(value));
        let replaced = self.values().insert(name, value);
        drop(replaced);
    }

    /// The value of this name, if there is one and it is a `T`.
    pub fn get<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        let value = self.values().get(name).cloned()?;
        value.downcast().ok()
    }

    /// Removes a value. Whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.values().remove(name);
        removed.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values().is_empty()
    }

    /// Every operation on the map is one call, so a panic elsewhere cannot leave it half done.
    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl core::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.values().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_name_and_type() {
        let attributes = Attributes::default();
        attributes.clone().set("user", String::from("ann"));
        assert_eq!(attributes.get::<String>("user").as_deref().map(String::as_str), Some("ann"));
        assert!(attributes.get::<u32>("user").is_none());
        assert!(attributes.remove("user"));
        assert!(!attributes.remove("user"));
    }
}
