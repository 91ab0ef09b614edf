//! The programs under test.

use crate::support::run;

#[test]
fn every_mode_of_the_switcher_ends_by_itself() {
    let usage = run("switcher").expect(2, &["usage"]).stderr;
    let modes: Vec<&str> =
        usage.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert_eq!(modes.len(), 19, "{usage}");
    for mode in modes {
        let (arguments, code): (&[&str], _) = match mode {
            "kill" => (&["SIGPIPE", "SIGSEGV", "9"], None),
            "exit" => (&["3"], Some(3)),
            "stop" => (&[""], Some(0)),
            _ => (&["0", "2"], Some(0)),
        };
        for arguments in arguments {
            let done = run(&format!("switcher {mode} {arguments}"));
            assert_eq!(done.code, code, "{mode} {arguments}: {done:?}");
        }
    }
}

#[test]
fn the_switcher_refuses_what_it_does_not_know() {
    for words in ["switch 1", "pipe", "pipe some", "pipe 1 2", "stop 1", "kill NOTHING", "--pin", "--pin some pipe 1"] {
        run(&format!("switcher {words}")).expect(2, &["usage: switcher"]);
    }
}
