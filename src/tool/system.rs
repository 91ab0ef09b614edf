//! Programs of this system, and the command that installs a missing one.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{AccessFlags, User, access, geteuid};

use crate::sys::ownership;

/// A family of systems with the same package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Debian,
    /// Separate from Debian: some packages have other names.
    Ubuntu,
    Fedora,
    Alpine,
    Arch,
    Suse,
}

/// Families by `ID` and `ID_LIKE` of os-release(5), with the install command.
const FAMILIES: [(System, &[&str], &str); 6] = [
    (System::Debian, &["debian"], "apt-get install"),
    (System::Ubuntu, &["ubuntu"], "apt-get install"),
    (System::Fedora, &["fedora", "rhel", "centos", "amzn"], "dnf install"),
    (System::Alpine, &["alpine"], "apk add"),
    (System::Arch, &["arch"], "pacman -S"),
    (System::Suse, &["suse", "opensuse", "sles"], "zypper install"),
];

/// Returns the first program of a name in a list of folders such as `$PATH`. Relative folders are skipped: programs that a run as
/// root starts would depend on its working directory.
pub(super) fn in_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(|program| is_program(program))
}

pub(super) fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Returns the command that installs `package` on the system below `root`; `otherwise` where that is not known.
pub(super) fn remedy(root: &Path, package: impl Fn(System) -> &'static str, otherwise: &str) -> String {
    let release =
        ["etc/os-release", "usr/lib/os-release"].iter().find_map(|file| fs::read_to_string(root.join(file)).ok());
    match family(&release.unwrap_or_default()) {
        Some((system, command)) => format!("install it: {command} {}", package(system)),
        None => format!("install it: {otherwise}"),
    }
}

/// Returns the family that an os-release(5) names first: its own, or the nearest of those it is like.
pub(crate) fn family(release: &str) -> Option<(System, &'static str)> {
    let value = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_string()
    };
    let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
    ids.split_whitespace()
        // openSUSE's are opensuse-leap and opensuse-tumbleweed.
        .map(|id| id.split('-').next().unwrap_or(id))
        .find_map(|id| FAMILIES.iter().find(|(_, family, _)| family.contains(&id)))
        .map(|&(system, _, command)| (system, command))
}

/// Clears a command's environment but for the variables that a wrapper needs to find the real program.
///
/// `LD_PRELOAD` or `GODEBUG` would change the measurement, and a locale the format of numbers. Root's `HOME` is root's own: sudo
/// may have left the user's, whose settings (`.perfconfig`) must not apply to programs run as root.
pub(super) fn clear_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C");
    command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let home = if ownership::is_machines_root() {
        User::from_uid(geteuid()).ok().flatten().map(|user| user.dir.into_os_string())
    } else {
        env::var_os("HOME")
    };
    command.envs(home.map(|home| ("HOME", home)));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::machine::{Ability, missing};
    use crate::made_program::make_program;
    use crate::sys::unavailable::Unavailable;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    /// A root folder with an os-release.
    pub fn root_with(release: &str) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/os-release"), release).unwrap();
        root
    }

    /// Returns the tool if available; where it is required, its absence fails the test.
    pub fn required_or_skipped<T>(ability: Ability, found: Result<T, Unavailable>) -> Option<T> {
        found.map_err(|absent| missing(ability, &absent.to_string())).ok()
    }

    #[test]
    fn a_systems_family_is_known_by_its_release() {
        for (release, system) in [
            ("NAME=Debian\nID=debian", Some(System::Debian)),
            ("ID=ubuntu\nID_LIKE=debian", Some(System::Ubuntu)),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", Some(System::Ubuntu)),
            ("ID=raspbian\nID_LIKE=debian", Some(System::Debian)),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", Some(System::Fedora)),
            ("ID=alpine", Some(System::Alpine)),
            ("ID=manjaro\nID_LIKE=arch", Some(System::Arch)),
            ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"", Some(System::Suse)),
            ("ID=nixos", None),
            ("", None),
        ] {
            assert_eq!(family(release).map(|(system, _)| system), system, "{release:?}");
        }
    }

    #[test]
    fn the_remedy_is_the_systems_command_or_a_general_word() {
        let remedy = |root: &TempDir| remedy(root.path(), |_| "the-tool", "see the web");
        assert_eq!(remedy(&root_with("ID=alpine")), "install it: apk add the-tool");
        assert_eq!(remedy(&root_with("ID=haiku")), "install it: see the web");
        assert_eq!(remedy(&tempfile::tempdir().unwrap()), "install it: see the web");
        let usr = tempfile::tempdir().unwrap();
        fs::create_dir_all(usr.path().join("usr/lib")).unwrap();
        fs::write(usr.path().join("usr/lib/os-release"), "ID=arch").unwrap();
        assert_eq!(remedy(&usr), "install it: pacman -S the-tool");
    }

    #[test]
    fn the_first_program_in_path_is_found_and_relative_folders_are_passed_over() {
        let here = tempfile::tempdir().unwrap();
        let at = |place: &str| here.path().join(place);
        let path = env::join_paths([PathBuf::from("relative"), at("empty"), at("one"), at("two")]).unwrap();
        assert_eq!(in_path("tool", &path), None);
        make_program(&at("two/tool"), "");
        assert_eq!(in_path("tool", &path), Some(at("two/tool")));
        make_program(&at("one/tool"), "");
        assert_eq!(in_path("tool", &path), Some(at("one/tool")));
        fs::set_permissions(at("one/tool"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(in_path("tool", &path), Some(at("two/tool")));
    }
}
