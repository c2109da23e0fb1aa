//! Every key with the value in force, for people to look at: without what may be secret.

use serde_json::Value;

use super::raw::RawConfig;
use super::services::SECRET;

/// Keys whose values may hold a password, or are one.
const SECRETS: [&str; 4] =
    ["outputs.webhook.url", "replay.hash_key", "sources.hash_key", "store.url"];

/// A key of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// As in the file, the section before it: `policy.weights.model`.
    pub key: String,
    /// What is in force; of a secret, that it is not shown.
    pub value: Value,
    /// Who said so.
    pub said_by: SaidBy,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// Nobody: it is the default, or says the same.
    Default,
    /// The file.
    File,
    /// An argument of the program.
    CommandLine,
}

impl SaidBy {
    /// Everybody.
    pub const ALL: [Self; 3] = [Self::Default, Self::File, Self::CommandLine];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::CommandLine => "command line",
        }
    }
}

/// All of them, by their keys.
pub(super) fn settings(raw: &RawConfig) -> Vec<Setting> {
    let tree = |raw: &RawConfig| serde_json::to_value(raw).expect("keys are strings");
    let mut settings = Vec::new();
    walk(String::new(), tree(raw), Some(&tree(&RawConfig::default())), &mut settings);
    settings
}

fn walk(key: String, value: Value, default: Option<&Value>, settings: &mut Vec<Setting>) {
    if let Value::Object(section) = value {
        for (name, value) in section {
            let default = default.and_then(|default| default.get(&name));
            let key = if key.is_empty() { name } else { format!("{key}.{name}") };
            walk(key, value, default, settings);
        }
        return;
    }
    let said_by = if default == Some(&value) { SaidBy::Default } else { SaidBy::File };
    let is_secret = said_by == SaidBy::File && SECRETS.contains(&key.as_str());
    let value = if is_secret { SECRET.into() } else { value };
    settings.push(Setting { key, value, said_by });
}

/// Those of `newer` in these sections, of `older` in all others.
#[must_use]
pub fn renewed(older: &[Setting], newer: &[Setting], sections: &[&str]) -> Vec<Setting> {
    let is_renewed = |setting: &&Setting| {
        setting.key.split('.').next().is_some_and(|section| sections.contains(&section))
    };
    let kept = older.iter().filter(|setting| !is_renewed(setting));
    let mut settings: Vec<Setting> = kept.chain(newer.iter().filter(is_renewed)).cloned().collect();
    settings.sort_by(|one, other| one.key.cmp(&other.key));
    settings
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn of(text: &str) -> Vec<Setting> {
        Config::parse(text, Path::new("c.toml")).unwrap().settings
    }

    fn value<'a>(settings: &'a [Setting], key: &str) -> &'a Setting {
        settings.iter().find(|setting| setting.key == key).unwrap()
    }

    #[test]
    fn every_key_of_the_example_file_is_there_and_is_the_default() {
        let settings = of(include_str!("../../configs/phantomnet.toml"));
        assert_eq!(settings, of(""));
        assert!(settings.len() > 60, "{}", settings.len());
        assert!(settings.iter().all(|setting| setting.said_by == SaidBy::Default));
        assert_eq!(value(&settings, "policy.weights.intel").value, 0.5);
        assert!(settings.is_sorted_by(|one, other| one.key < other.key));
    }

    #[test]
    fn what_the_file_says_is_told_apart_and_secrets_are_not_shown() {
        let settings = of(
            "[store]\nurl = 'postgres://me:canary@host/db'\n[sources]\nhash_key = 'deadbeef000000000000000000000001'\n\
             [replay]\nhash_key = 'deadbeef000000000000000000000001'\n[outputs.webhook]\nurl = 'https://host/canary'\n\
             [rules.variables]\nHOME_NET = '192.0.2.0/24'\n",
        );
        let shown = format!("{settings:?}");
        assert!(!shown.contains("canary") && !shown.contains("deadbeef"), "{shown}");
        for key in SECRETS {
            let setting = value(&settings, key);
            assert_eq!((setting.value.as_str(), setting.said_by), (Some(SECRET), SaidBy::File));
        }
        assert_eq!(value(&settings, "rules.variables.HOME_NET").value, "192.0.2.0/24");
    }

    #[test]
    fn a_reload_renews_its_sections_alone() {
        let (older, newer) = (of("workers.count = 2"), of("workers.count = 3\nrules.files = []"));
        let settings = renewed(&older, &newer, &["rules"]);
        assert_eq!(value(&settings, "workers.count").value, 2);
        assert_eq!(value(&settings, "rules.files").said_by, SaidBy::File);
        assert_eq!(settings.len(), older.len());
    }
}
