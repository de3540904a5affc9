//! The syntax tree back to text: a YAML file or a launch line.

mod chains;
mod launch;
mod yaml;

pub use launch::to_launch;
pub use yaml::to_yaml;

#[cfg(test)]
mod tests;
