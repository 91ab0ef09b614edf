//! The command line that would make a document again, put together from its settings.

use crate::host::facts::Facts;

/// A command line in the making.
#[derive(Debug)]
pub(crate) struct Invocation(String);

impl Invocation {
    /// Returns `ctxprof COMMAND`, with `sudo` where root ran it.
    pub(crate) fn of(host: &Facts, command: &str) -> Invocation {
        Invocation(format!("{}ctxprof {command}", if host.user_id == 0 { "sudo " } else { "" }))
    }

    pub(crate) fn words<W: ToString>(mut self, words: impl IntoIterator<Item = W>) -> Invocation {
        words.into_iter().for_each(|word| self.0 += &format!(" {}", quoted(&word.to_string())));
        self
    }

    /// With `NAME VALUE`, if there is a value.
    pub(crate) fn option<V: ToString>(self, name: &str, value: Option<V>) -> Invocation {
        match value {
            Some(value) => self.words([name.to_string(), value.to_string()]),
            None => self,
        }
    }

    pub(crate) fn flag(self, name: &str, is_given: bool) -> Invocation {
        self.words(is_given.then_some(name))
    }

    pub(crate) fn line(self) -> String {
        self.0
    }
}

/// Returns a word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_each_word_for_one() {
        for (word, expected) in [
            ("thread-pipe", "thread-pipe"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn what_was_not_given_is_left_out() {
        let host = Facts { user_id: 1000, ..Facts::default() };
        let line = |host: &Facts| {
            let none: Option<u32> = None;
            Invocation::of(host, "run").words(["all"]).option("--time", Some(0.5)).option("--nice", none).line()
        };
        assert_eq!(line(&host), "ctxprof run all --time 0.5");
        assert_eq!(line(&Facts { user_id: 0, ..host }), "sudo ctxprof run all --time 0.5");
    }
}
