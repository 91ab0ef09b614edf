//! `ctxprof stat` attached to several processes, and to a cgroup.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::isolation::Cgroup;
use crate::machine::needs;
use crate::stats::stat;
use crate::support::{CTXPROF, Done, Program, command, pid_of, run, switcher, wait_until, waits_of};

/// A watch that has begun, and its document.
struct Watch {
    stat: Child,
    document: PathBuf,
    _folder: tempfile::TempDir,
}

impl Watch {
    /// Attaches; its first interval shows that it has.
    fn start(arguments: &str) -> Watch {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("stat.json");
        let line = format!("ctxprof stat --cost none -I 20ms -o {} {arguments}", document.display());
        let mut stat = command(&line).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(stat.stderr.take().unwrap()).lines();
        let first = lines.next().map(|line| line.unwrap());
        assert!(first.as_ref().is_some_and(|line| line.contains("switches/s")), "{first:?}");
        std::thread::spawn(move || lines.for_each(drop));
        Watch { stat, document, _folder: folder }
    }

    fn end(mut self) -> Value {
        assert!(self.stat.wait().unwrap().success());
        serde_json::from_str(&fs::read_to_string(&self.document).unwrap()).unwrap()
    }

    fn runs(&mut self) -> bool {
        self.stat.try_wait().unwrap().is_none()
    }
}

/// A program that waits to be let go, and then sleeps so many times.
struct Gated(Child);

impl Gated {
    /// Starts it, in a cgroup if one is given.
    fn start(sleeps: u32, cgroup: Option<&Path>) -> Gated {
        let enter = cgroup.map_or(String::new(), |folder| format!("echo $$ > {}/cgroup.procs; ", folder.display()));
        let script = format!("{enter}echo ready; read go; exec {} sleeps {sleeps} > /dev/null", switcher().display());
        let mut shell = command("sh -c");
        let mut program = shell.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Gated(program)
    }

    fn let_go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    fn wait(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

fn voluntary(document: &Value) -> u64 {
    document["totals"]["voluntary_switches"].as_u64().unwrap_or_else(|| panic!("{document}"))
}

#[test]
fn several_processes_are_counted_together_until_the_last_has_ended() {
    let (mut one, mut other) = (Gated::start(500, None), Gated::start(700, None));
    let (first, second) = (pid_of(&one.0), pid_of(&other.0));
    let mut watch = Watch::start(&format!("-p {first},{second}"));
    one.let_go();
    one.wait();
    // The second is waiting: it is watched on.
    assert!(watch.runs());
    other.let_go();
    other.wait();
    let document = watch.end();
    assert_eq!(document["settings"]["pids"], serde_json::json!([first.as_raw(), second.as_raw()]));
    assert_eq!((&document["ended"], &document["totals"]["processes"]), (&"gone".into(), &2.into()), "{document}");
    if document["watching"]["exit_records"] == true {
        assert!((1200..1260).contains(&voluntary(&document)), "{document}");
    }
}

#[test]
fn each_of_several_processes_has_its_threads_under_its_own_name() {
    let (one, other) = (Program::start("sleep 1000"), Program::start("switcher sleeps 100000000"));
    let both = format!("-p {},{} --duration 300ms", one.pid(), other.pid());
    let document = stat(&both);
    let rows = document["threads"].as_array().unwrap();
    assert!(rows.len() == 2 && rows.iter().all(|row| row["of_program"] == true), "{document}");
    let shown = run(&format!("ctxprof stat --cost none {both}")).expect(0, &["goes on; watched for", "switcher"]);
    assert!(shown.stderr.starts_with(&format!("processes {},{}: ", one.pid(), other.pid())), "{shown:?}");
}

#[test]
fn what_cannot_be_attached_to_is_refused_by_its_name() {
    run("ctxprof stat -p 1,1").expect(125, &["process 1 is named twice"]);
    run("ctxprof stat -p 1,4194305").expect(125, &["there is no process 4194305\n"]);
    run("ctxprof stat -p 1,x").expect(125, &["invalid"]);
    run("ctxprof stat -p 1,-2").expect(125, &["-2"]);
    run("ctxprof stat -p 1 --cgroup /").expect(125, &["cannot be used"]);
    run("ctxprof stat --cgroup / -- true").expect(125, &["cannot be used"]);
    run("ctxprof stat --cgroup no-such.slice").expect(125, &["there is no cgroup no-such.slice"]);
    run("ctxprof stat --cgroup /tmp").expect(125, &["/tmp is no cgroup: it has no file cgroup.procs"]);
    needs!(Root);
    let script = format!("mount -t tmpfs none /proc; exec {CTXPROF} stat -p 1");
    let without_proc: Done = command("unshare --mount sh -ec").arg(script).output().unwrap().into();
    without_proc.expect(125, &["/proc"]);
    needs!(CgroupCpu);
    let empty = Cgroup::new("cpu");
    run(&format!("ctxprof stat --cgroup {}", empty.path().display()))
        .expect(125, &["there is no process in this cgroup, nor in one below it"]);
}

#[test]
fn a_cgroup_is_counted_with_those_below_it_and_what_joins_it_from_then_on() {
    needs!(Root);
    needs!(CgroupCpu);
    let group = Cgroup::new("cpu");
    let below = group.path().join("below");
    fs::create_dir(&below).unwrap();
    let (mut one, mut other) = (Gated::start(500, Some(group.path())), Gated::start(700, Some(&below)));
    // Its path as the kernel has it, without the mount point.
    let name = group.path().file_name().unwrap().to_str().unwrap();
    let lines = fs::read_to_string(format!("/proc/{}/cgroup", one.0.id())).unwrap();
    let path = lines.lines().find_map(|line| line.splitn(3, ':').nth(2).filter(|path| path.ends_with(name))).unwrap();
    let watch = Watch::start(&format!("--cgroup {path}"));
    // It has made many switches before it joins.
    let late = Program::start("switcher sleeps 100000000");
    let earlier = 20_000;
    wait_until("many switches", || waits_of(late.pid()) > earlier);
    fs::write(group.path().join("cgroup.procs"), late.pid().to_string()).unwrap();
    one.let_go();
    one.wait();
    other.let_go();
    other.wait();
    let joined = waits_of(late.pid());
    wait_until("switches in the cgroup", || waits_of(late.pid()) > joined + 1000);
    let all_of_it = waits_of(late.pid());
    late.kill();
    let document = watch.end();
    fs::remove_dir(below).unwrap();
    assert_eq!((&document["ended"], &document["settings"]["cgroup"]), (&"gone".into(), &path.into()), "{document}");
    if document["watching"]["exit_records"] == true {
        assert!(voluntary(&document) >= 1200, "{document}");
    }
    assert!(voluntary(&document) < all_of_it, "what it had done before counts for nothing: {all_of_it}, {document}");
}
