//! Build and boot options of this kernel that decide what a switch costs.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

/// Returns the configuration of the kernel of this release, from the kernel itself or from where systems install it.
///
/// # Errors
/// None is found; the message names the places.
pub fn config(root: &Path, release: &str) -> Result<String, String> {
    if let Ok(packed) = fs::File::open(root.join("proc/config.gz")) {
        let mut text = String::new();
        let read = GzDecoder::new(packed).read_to_string(&mut text);
        return read.map(|_| text).map_err(|error| format!("/proc/config.gz: {error}"));
    }
    let places = [format!("boot/config-{release}"), format!("lib/modules/{release}/config")];
    places
        .iter()
        .find_map(|place| fs::read_to_string(root.join(place)).ok())
        .ok_or_else(|| format!("neither /proc/config.gz nor /{} can be read", places.join(" nor /")))
}

/// Returns the value of an option of a kernel's configuration; `None` where it is not set.
pub fn option<'c>(config: &'c str, name: &str) -> Option<&'c str> {
    config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Returns the preemption model that the kernel was started with, by `uname -v`, its command line and its configuration; `None` where
/// these leave it open. A later change through debugfs is not included.
pub fn preemption_at_start(build: &str, command_line: &str, config: Option<&str>) -> Option<String> {
    let has = |word: &str| build.split_whitespace().any(|each| each == word);
    let asked = command_line.split_whitespace().find_map(|word| word.strip_prefix("preempt="));
    let configured = || {
        let models = [
            ("CONFIG_PREEMPT_RT", "realtime"),
            ("CONFIG_PREEMPT_NONE", "none"),
            ("CONFIG_PREEMPT_VOLUNTARY", "voluntary"),
            ("CONFIG_PREEMPT_LAZY", "lazy"),
            ("CONFIG_PREEMPT", "full"),
        ];
        models.into_iter().find(|(name, _)| config.and_then(|config| option(config, name)) == Some("y"))
    };
    let built = || {
        [("PREEMPT_RT", "realtime"), ("PREEMPT_LAZY", "lazy"), ("PREEMPT", "full")]
            .into_iter()
            .find(|(word, _)| has(word))
    };
    let model = match asked {
        Some(model) if has("PREEMPT_DYNAMIC") => model,
        _ => configured().or_else(built)?.1,
    };
    Some(model.to_string())
}

/// Returns the mitigations that lengthen system calls and switches, in words.
pub fn mitigations_in_words(told: &str) -> String {
    const WORDS: [(&str, &str); 10] = [
        ("mitigation: pti", "page table isolation"),
        ("retpoline", "retpolines"),
        ("automatic ibrs", "automatic IBRS"),
        ("enhanced ibrs", "enhanced IBRS"),
        ("mitigation: ibrs", "IBRS"),
        ("ibpb: conditional", "IBPB for processes that ask"),
        ("ibpb: always-on", "IBPB between all processes"),
        ("clear cpu buffers", "CPU buffers cleared"),
        ("safe ret", "safe returns"),
        ("untrained return", "untrained returns"),
    ];
    if told.is_empty() {
        return "none needed".to_string();
    }
    let lower = told.to_lowercase();
    let mut words: Vec<String> =
        WORDS.iter().filter(|(sign, _)| lower.contains(sign)).map(|(_, word)| word.to_string()).collect();
    let open = told
        .split("; ")
        .filter(|entry| entry.split_once(": ").is_some_and(|(_, state)| state.starts_with("Vulnerable")));
    match open.count() {
        0 if words.is_empty() => words.push("none that lengthens switches".to_string()),
        0 => {}
        open if words.is_empty() => words.push(format!("off ({open} vulnerable)")),
        open => words.push(format!("{open} left open")),
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preemption_model_at_start_is_told_by_command_line_configuration_or_build() {
        let check = |build, line, config, expected: Option<&str>| {
            assert_eq!(preemption_at_start(build, line, config).as_deref(), expected, "{build:?} {line:?} {config:?}");
        };
        let dynamic = "#1 SMP PREEMPT_DYNAMIC @0";
        check(dynamic, "ro preempt=none quiet", Some("CONFIG_PREEMPT=y\n"), Some("none"));
        check(dynamic, "ro quiet", Some("CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_VOLUNTARY=y\n"), Some("voluntary"));
        check(dynamic, "", Some("# CONFIG_PREEMPT_NONE is not set\nCONFIG_PREEMPT_LAZY=y\n"), Some("lazy"));
        check(dynamic, "", None, None);
        // Not dynamic: the kernel takes no such word.
        check("#1 SMP", "preempt=full", Some("CONFIG_PREEMPT_NONE=y\n"), Some("none"));
        check("#1 SMP PREEMPT", "", None, Some("full"));
        check("#1 SMP PREEMPT_RT", "", Some("CONFIG_PREEMPT_RT=y\nCONFIG_PREEMPT=y\n"), Some("realtime"));
        check("#1 SMP", "", None, None);
    }

    #[test]
    fn mitigations_that_lengthen_switches_are_named() {
        for (told, expected) in [
            ("", "none needed"),
            (
                "meltdown: Mitigation: PTI; spectre_v2: Mitigation: Retpolines; IBPB: conditional; STIBP: disabled; RSB filling",
                "page table isolation, retpolines, IBPB for processes that ask",
            ),
            (
                "spectre_v2: Mitigation: Enhanced / Automatic IBRS; IBPB: always-on",
                "automatic IBRS, IBPB between all processes",
            ),
            (
                "spectre_v2: Mitigation: Full generic retpoline; mds: Vulnerable; SMT vulnerable",
                "retpolines, 1 left open",
            ),
            ("meltdown: Vulnerable; spectre_v2: Vulnerable; STIBP: disabled", "off (2 vulnerable)"),
            (
                "spectre_v1: Mitigation: usercopy/swapgs barriers and __user pointer sanitization",
                "none that lengthens switches",
            ),
        ] {
            assert_eq!(mitigations_in_words(told), expected, "{told:?}");
        }
    }
}
