//! The elements of all plugins, for a registry. Nothing is read before somebody asks for a name that no built-in element has.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millstream_core::{Factory, Provider};

use crate::dynamic::Asking;
use crate::factory::factory;
use crate::find::{Found, Installed, Search};
use crate::library::Refused;

/// Plugins that a search finds, when they are asked for.
pub struct Plugins {
    search: Search,
    asking: Asking,
    found: OnceLock<Vec<Plugin>>,
    /// Why plugins could not say which elements they have.
    troubles: Mutex<Vec<Refused>>,
}

/// One of them.
enum Plugin {
    Usable(Arc<Installed>),
    Refused(Refused),
}

impl Plugins {
    /// The plugins of a search.
    #[must_use]
    pub fn new(search: Search) -> Arc<Self> {
        Self::asking(search, Asking::from_environment())
    }

    /// The same, and who is asked for elements that are known only on the machine.
    #[must_use]
    pub fn asking(search: Search, asking: Asking) -> Arc<Self> {
        Arc::new(Self { search, asking, found: OnceLock::new(), troubles: Mutex::default() })
    }

    /// Those that are not used, and why.
    pub fn refused(&self) -> Vec<Refused> {
        let refused = |plugin: &Plugin| match plugin {
            Plugin::Refused(refused) => Some(refused.clone()),
            Plugin::Usable(_) => None,
        };
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        self.found().iter().filter_map(refused).chain(troubles.iter().cloned()).collect()
    }

    /// Those that can be used, as far as is known without loading them.
    pub fn installed(&self) -> Vec<Arc<Installed>> {
        self.usable().cloned().collect()
    }

    fn found(&self) -> &[Plugin] {
        let plugin = |found: Found| match found.plugin {
            Ok(installed) => Plugin::Usable(Arc::new(installed)),
            Err(refused) => Plugin::Refused(refused),
        };
        self.found.get_or_init(|| self.search.plugins().into_iter().map(plugin).collect())
    }

    fn usable(&self) -> impl Iterator<Item = &Arc<Installed>> {
        self.found().iter().filter_map(|plugin| match plugin {
            Plugin::Usable(installed) => Some(installed),
            Plugin::Refused(_) => None,
        })
    }
}

impl Plugins {
    /// What a plugin says when it is asked; trouble is kept for who wants to know.
    fn heard<T>(&self, said: Result<T, Refused>) -> Option<T> {
        said.map_err(|refused| {
            let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
            if !troubles.contains(&refused) {
                troubles.push(refused);
            }
        })
        .ok()
    }

    /// An element that a manifest describes.
    fn described(&self, name: &str) -> Option<Arc<Factory>> {
        self.usable().find_map(|plugin| {
            let element = plugin.manifest.elements.iter().find(|element| element.name == name)?;
            Some(Arc::new(factory(plugin, element)))
        })
    }

    /// An element that is known only on the machine, by its name or without the prefix.
    fn asked(&self, name: &str, with_prefix: bool) -> Option<Arc<Factory>> {
        self.usable().find_map(|plugin| {
            let dynamic = plugin.manifest.dynamic.as_ref()?;
            let full = match with_prefix {
                true => name.starts_with(&dynamic.prefix).then(|| name.to_owned()),
                false => (dynamic.aliases && !name.contains('/')).then(|| format!("{}{name}", dynamic.prefix)),
            };
            let element = self.heard(self.asking.one(plugin, &full?))??;
            Some(Arc::new(factory(plugin, &element)))
        })
    }
}

impl Provider for Plugins {
    fn get(&self, name: &str) -> Option<Arc<Factory>> {
        self.described(name).or_else(|| self.asked(name, true)).or_else(|| self.asked(name, false))
    }

    fn all(&self) -> Vec<Arc<Factory>> {
        let of = |plugin: &'_ Arc<Installed>| {
            let asked = self.heard(self.asking.all(plugin)).unwrap_or_default();
            let all = plugin.manifest.elements.iter().chain(&asked);
            all.map(|element| Arc::new(factory(plugin, element))).collect::<Vec<_>>()
        };
        self.usable().flat_map(of).collect()
    }

    fn trouble(&self, _: &str) -> Option<String> {
        // Which elements a refused plugin has is not known where its manifest cannot be read.
        self.refused().first().map(|refused| format!("it may be in a plugin that is not used: {refused}"))
    }
}
