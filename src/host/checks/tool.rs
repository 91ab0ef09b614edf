//! Checks for external tools that ctxprof can use.

use crate::host::checks::context::{HostContext, ToolSeen};
use crate::host::checks::{Check, Found, Verdict};
use crate::sys::unavailable::Unavailable;

pub(super) const PERF: Check = Check {
    id: "perf",
    why: "`ctxprof compare` sets perf's own benchmark beside these numbers",
    source: "perf --version",
    look: |context| Ok(tool(&context.tools.perf)),
    feeds: None,
};

pub(super) const GO: Check = Check {
    id: "go",
    why: "without Go there are no goroutines to measure, and none beside `compare`",
    source: "go version",
    look: go,
    feeds: None,
};

fn go(context: &HostContext<'_>) -> Verdict {
    Ok(tool(&context.tools.go))
}

fn tool(seen: &Result<ToolSeen, Unavailable>) -> Found {
    match seen {
        Ok(ToolSeen { path, version }) => Found::ok(format!("{version}, {}", path.display())),
        Err(Unavailable { reason, remedy }) => {
            let found = Found::info(reason.clone());
            // Only where the remedy is a command.
            match remedy.as_deref().and_then(|remedy| remedy.strip_prefix("install it: ")) {
                Some(command) if !command.contains("see ") && !command.contains("it is ") => {
                    found.fix(format!("sudo {command}"))
                }
                _ => found,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::checks::Severity::{Info, Ok as Fine};
    use crate::host::checks::context::tests::{MadeUp, expect};

    #[test]
    fn a_tool_is_there_with_its_version_or_missing_with_its_command() {
        let missing = |remedy: &str| {
            let missing = Unavailable { reason: "no perf in $PATH".to_string(), remedy: Some(remedy.to_string()) };
            let mut made_up = MadeUp::default();
            (made_up.tools.perf, made_up.tools.go) = (Err(missing.clone()), Err(missing));
            made_up
        };
        for check in [&PERF, &GO] {
            expect(&MadeUp::default().look(check, &[]), Fine, "1.2, /usr/bin/", "");
            let installable = missing("install it: apt-get install x");
            expect(&installable.look(check, &[]), Info, "no perf in $PATH", "sudo apt-get install x");
            expect(&missing("install it: see https://go.dev/dl").look(check, &[]), Info, "no perf", "");
        }
    }
}
