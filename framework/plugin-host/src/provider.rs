//! The elements of all plugins, for a registry. Nothing is read before somebody asks for a name that no built-in element has.

use std::sync::{Arc, OnceLock};

use millstream_core::{Factory, Provider};

use crate::factory::factory;
use crate::find::{Found, Installed, Search};
use crate::library::Refused;

/// Plugins that a search finds, when they are asked for.
pub struct Plugins {
    search: Search,
    found: OnceLock<Vec<Plugin>>,
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
        Arc::new(Self { search, found: OnceLock::new() })
    }

    /// Those that are not used, and why.
    pub fn refused(&self) -> Vec<Refused> {
        let refused = |plugin: &Plugin| match plugin {
            Plugin::Refused(refused) => Some(refused.clone()),
            Plugin::Usable(_) => None,
        };
        self.found().iter().filter_map(refused).collect()
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

impl Provider for Plugins {
    fn get(&self, name: &str) -> Option<Arc<Factory>> {
        self.usable().find_map(|plugin| {
            let element = plugin.manifest.elements.iter().find(|element| element.name == name)?;
            Some(Arc::new(factory(plugin, element)))
        })
    }

    fn all(&self) -> Vec<Arc<Factory>> {
        let of = |plugin: &'_ Arc<Installed>| {
            plugin.manifest.elements.iter().map(|element| Arc::new(factory(plugin, element))).collect::<Vec<_>>()
        };
        self.usable().flat_map(of).collect()
    }

    fn trouble(&self, _: &str) -> Option<String> {
        // Which elements a refused plugin has is not known where its manifest cannot be read.
        self.refused().first().map(|refused| format!("it may be in a plugin that is not used: {refused}"))
    }
}
