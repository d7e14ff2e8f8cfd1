//! Whether what an image runs is, or by `exec` becomes, an init system, which has to be PID 1.
//!
//! That has to be known before anything is executed, so it is read: from the name of the program, from where a link in
//! its place leads, and from the text of a script. A compiled program that executes an init system cannot be seen
//! through; for that there is `--init=process`.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::lookup;
use crate::shell::{self, Known};
use crate::sys;

/// What insists on being PID 1, or counts on it: systemd, the init of OpenRC, sysvinit, upstart and s6-overlay, runit,
/// s6, dinit, finit, sinit, that of phusion/baseimage.
const INIT_SYSTEMS: [&str; 11] = [
    "init",
    "systemd",
    "openrc-init",
    "runit",
    "runit-init",
    "s6-svscan",
    "s6-linux-init",
    "dinit",
    "finit",
    "sinit",
    "my_init",
];
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "ksh", "zsh"];
/// Programs that execute their arguments, with how many words come before those.
const WRAPPERS: [(&str, usize); 18] = [
    ("busybox", 0),
    ("env", 0),
    ("nohup", 0),
    ("nice", 0),
    ("ionice", 0),
    ("stdbuf", 0),
    ("setpriv", 0),
    ("setarch", 0),
    ("linux32", 0),
    ("linux64", 0),
    ("unshare", 0),
    ("prlimit", 0),
    ("chrt", 1),
    ("switch_root", 1),
    ("gosu", 1),
    ("su-exec", 1),
    ("taskset", 1),
    ("chroot", 1),
];
/// Of a script.
const MAX_BYTES: u64 = 64 * 1024;
/// Programs to look at in all: a script may name itself as often as it likes.
const MAX_PROGRAMS: u32 = 64;

/// Where a program is looked for.
#[derive(Debug)]
pub struct Search<'a> {
    path: &'a str,
    cwd: &'a Path,
    left: u32,
}

/// Whether `args`, looked for in `path` from `cwd`, become an init system in the same process.
pub fn is_run_by(args: &[String], path: &str, cwd: &Path) -> bool {
    Search { path, cwd, left: MAX_PROGRAMS }.leads_to_one(args)
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn is_one(word: &str) -> bool {
    INIT_SYSTEMS.contains(&base(word))
}

impl Search<'_> {
    fn leads_to_one(&mut self, args: &[String]) -> bool {
        let Some(name) = args.first() else { return false };
        if self.left == 0 || name.is_empty() {
            return false;
        }
        self.left -= 1;
        if is_one(name) {
            return true;
        }
        if SHELLS.contains(&base(name)) {
            return self.shell_leads_to_one(args);
        }
        if let Some((_, before)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == base(name)) {
            let is_option = |word: &String| word.starts_with('-') || word.contains('=');
            let behind = args[1..].iter().skip_while(|word| is_option(word)).skip(*before);
            let behind: Vec<String> = behind.skip_while(|word| is_option(word)).cloned().collect();
            let names_one = args[1..].iter().any(|word| word.starts_with('/') && is_one(word));
            return names_one || self.leads_to_one(&behind);
        }
        let Ok(program) = lookup::program(name, self.path, self.cwd) else { return false };
        let target = program.canonicalize().unwrap_or(program);
        target.to_str().is_some_and(is_one)
            || head(&target).is_ok_and(|text| self.script_leads_to_one(&text, args))
    }

    /// `sh SCRIPT ARGS`, `sh -c TEXT NAME ARGS`.
    fn shell_leads_to_one(&mut self, args: &[String]) -> bool {
        let mut words = args[1..].iter();
        let mut is_text = false;
        while let Some(word) = words.next() {
            match word.strip_prefix(['-', '+']) {
                Some("-" | "") => {}
                Some("-rcfile" | "-init-file") => drop(words.next()),
                Some(long) if long.starts_with('-') => {}
                Some(letters) => {
                    is_text |= letters.contains('c') && word.starts_with('-');
                    if letters.ends_with(['o', 'O']) {
                        words.next();
                    }
                }
                None => {
                    let rest: Vec<String> = std::iter::once(word).chain(words).cloned().collect();
                    return if is_text {
                        self.text_leads_to_one(word, &rest[1..], true)
                    } else {
                        let file = self.cwd.join(word);
                        head(&file).is_ok_and(|text| self.text_leads_to_one(&text, &rest, false))
                    };
                }
            }
        }
        false
    }

    /// `args[0]` is the script.
    fn script_leads_to_one(&mut self, text: &str, args: &[String]) -> bool {
        let Some(interpreter) = text.strip_prefix("#!").and_then(|text| text.lines().next()) else {
            return false;
        };
        if interpreter.split_whitespace().any(|word| SHELLS.contains(&base(word))) {
            return self.text_leads_to_one(text, args, false);
        }
        // Each command of such a script executes the next.
        if interpreter.split_whitespace().next().is_some_and(|word| base(word) == "execlineb") {
            return text.lines().skip(1).flat_map(str::split_whitespace).any(is_one);
        }
        // Another language: a call that executes, and the init system or the arguments in it.
        let mut calls = text.lines().skip(1).filter(|line| line.contains("exec"));
        calls.any(|line| {
            let is_path =
                |char: char| !char.is_ascii_alphanumeric() && !matches!(char, '/' | '.' | '_' | '-');
            line.split(is_path).any(|word| word.starts_with('/') && is_one(word))
                || (line.to_ascii_lowercase().contains("argv") && self.leads_to_one(&args[1..]))
        })
    }

    /// Another script that the shell reads in its own place, with the parameters that it has.
    fn sourced_leads_to_one(&mut self, file: &str, args: &[String]) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        let file = self.cwd.join(file);
        head(&file).is_ok_and(|text| self.text_leads_to_one(&text, args, false))
    }

    /// Whether a shell's text executes one; `args[0]` is the script's name. With `-c` the last command needs no `exec`:
    /// shells execute it in their own place.
    fn text_leads_to_one(&mut self, text: &str, args: &[String], last_is_executed: bool) -> bool {
        let mut known = Known::new(args, is_one);
        let commands = shell::commands(text);
        let last = commands.len().saturating_sub(1);
        for (at, words) in commands.iter().enumerate() {
            let assigned = words.iter().take_while(|word| known.assign(word)).count();
            let Some((name, rest)) = words[assigned..].split_first() else { continue };
            let program = match name.as_str() {
                "exec" => executed(rest),
                "." | "source" => {
                    if rest.first().is_some_and(|file| self.sourced_leads_to_one(file, args)) {
                        return true;
                    }
                    continue;
                }
                "set" => {
                    known.set(rest);
                    continue;
                }
                "shift" => {
                    known.shift();
                    continue;
                }
                _ if last_is_executed && at == last => &words[assigned..],
                _ => continue,
            };
            if known.variants(program).iter().any(|args| self.leads_to_one(args)) {
                return true;
            }
        }
        false
    }
}

/// What follows the options of `exec`.
fn executed(mut words: &[String]) -> &[String] {
    while let Some((word, rest)) = words.split_first() {
        match word.as_str() {
            "--" => return rest,
            "-a" => words = rest.get(1..).unwrap_or_default(),
            option if option.starts_with('-') => words = rest,
            _ => break,
        }
    }
    words
}

/// The first bytes of a regular file, as text.
fn head(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(sys::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    /// A folder with programs by their texts; `bin` in it is the PATH.
    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let top = std::env::temp_dir().join(format!("inferno-init-{name}-{}", std::process::id()));
        fs::create_dir_all(top.join("bin")).unwrap();
        for (name, text) in files {
            fs::write(top.join(name), text).unwrap();
            fs::set_permissions(top.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        top
    }

    fn is_run(top: &Path, words: &[&str]) -> bool {
        let args: Vec<String> = words.iter().map(ToString::to_string).collect();
        is_run_by(&args, top.join("bin").to_str().unwrap(), top)
    }

    #[test]
    fn programs_are_known_by_their_names_and_by_what_links_lead_to() {
        let top = folder("names", &[("bin/real", "\x7fELF"), ("systemd", "\x7fELF")]);
        symlink("../systemd", top.join("bin/boot")).unwrap();
        symlink("boot", top.join("bin/again")).unwrap();
        for (words, is) in [
            (&["/sbin/init"][..], true),
            (&["/lib/systemd/systemd", "--system"], true),
            (&["/init"], true),
            (&["s6-svscan", "/etc/s6"], true),
            (&["busybox", "init"], true),
            (&["boot"], true),
            (&["again"], true),
            (&["/usr/bin/env", "-i", "container=docker", "/sbin/init"], true),
            (&["gosu", "root", "boot"], true),
            (&["unshare", "-m", "--", "boot"], true),
            (&["chrt", "-r", "5", "/sbin/init"], true),
            (&["prlimit", "--nofile=1024", "real"], false),
            (&["/usr/bin/tini", "--", "/sbin/init"], false),
            (&["dumb-init", "/sbin/init"], false),
            (&["real"], false),
            (&["none"], false),
            (&["real", "/sbin/init"], false),
            (&["nginx-init"], false),
            (&["/etc/init/x"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(is_run(&top, words), is, "{words:?}");
        }
        fs::remove_dir_all(top).unwrap();
    }

    /// A script, its arguments, and whether it ends in an init system.
    const SCRIPTS: &[(&str, &[&str], bool)] = &[
        ("#!/bin/sh\nexec \"$@\"\n", &["/sbin/init"], true),
        ("#!/bin/sh\nexec \"$@\"\n", &["nginx", "-g", "daemon off;"], false),
        ("#!/bin/sh\nexec \"$@\"\n", &["./entrypoint", "/sbin/init"], true),
        ("#!/bin/sh\n\"$@\"\n", &["/sbin/init"], false),
        (
            "#!/usr/bin/env bash\nset -e\n[ -e /x ] && exec /bin/y\nexec /lib/systemd/systemd --log-level=info\n",
            &[],
            true,
        ),
        ("#!/bin/bash -e\nexec -a init /bin/x\nexec -l -- /sbin/init\n", &[], true),
        (
            "#! /bin/sh\necho exec /sbin/init\n# exec /sbin/init\n: 'exec /sbin/init'\nexec nginx\n",
            &[],
            false,
        ),
        ("#!/bin/sh\nexec env A=1 /sbin/init </dev/null >>/var/log/x 2>&1\n", &[], true),
        ("#!/bin/sh\nINIT=/sbin/init\n[ -x /x ] && INIT=/bin/x\nexec ${INIT} \"$@\"\n", &[], true),
        ("#!/bin/sh\nexec ${INIT:-/sbin/init}\n", &[], true),
        ("#!/bin/sh\nexec \"${@:-/sbin/init}\"\n", &[], true),
        ("#!/bin/sh\nexec \"${@:-/sbin/init}\"\n", &["sh"], false),
        ("#!/bin/sh\nif [ $# = 0 ]; then set -- /sbin/init; fi\nexec \"$@\"\n", &[], true),
        ("#!/bin/sh\nif [ \"$1\" = x ]; then set -- nginx \"$@\"; fi\nexec \"$@\"\n", &["/sbin/init"], true),
        ("#!/bin/sh\nshift\nexec \"$@\"\n", &["boot", "/sbin/init"], true),
        ("#!/bin/sh\nexec $1\n", &["/sbin/init"], true),
        ("#!/bin/sh\ncase $1 in init) exec /sbin/init;; *) exec \"$@\";; esac\n", &["sh"], true),
        ("#!/bin/sh\nexec su-exec root \\\n  /sbin/init\n", &[], true),
        ("#!/usr/bin/env -S bash -e\nmain() {\n  exec /sbin/init\n}\nmain \"$@\"\n", &[], true),
        ("#!/bin/sh\n. ./sourced\n", &["/sbin/init"], true),
        ("#!/bin/bash\nsource sourced extra\n", &["nginx"], false),
        ("#!/bin/sh\n. ./entrypoint\n. ./none\n", &["/sbin/init"], false),
        ("#!/bin/execlineb -P\nforeground { echo a }\ns6-svscan /etc/s6\n", &[], true),
        ("#!/command/execlineb -S0\ncd /srv\nnginx\n", &[], false),
        ("#!/usr/bin/python3\nimport os\nos.execv('/sbin/init', ['init'])\n", &[], true),
        ("#!/usr/bin/python3\nimport os, sys\nos.execvp(sys.argv[1], sys.argv[1:])\n", &["/sbin/init"], true),
        ("#!/usr/bin/python3\nprint('/sbin/init')\n", &["/sbin/init"], false),
        ("exec /sbin/init\n", &[], false),
        ("", &["/sbin/init"], false),
    ];

    #[test]
    fn scripts_are_read_for_what_they_execute() {
        let top = folder("scripts", &[("sourced", "exec \"$@\"\n")]);
        for &(text, args, is) in SCRIPTS {
            fs::write(top.join("entrypoint"), text).unwrap();
            fs::set_permissions(top.join("entrypoint"), fs::Permissions::from_mode(0o755)).unwrap();
            for before in [&["./entrypoint"][..], &["/bin/sh", "-eu", "-o", "pipefail", "entrypoint"]] {
                let has_no_shell =
                    !text.starts_with("#!") || text.contains("python") || text.contains("execlineb");
                if before.len() == 1 || !has_no_shell {
                    assert_eq!(is_run(&top, &[before, args].concat()), is, "{before:?} {text:?} {args:?}");
                }
            }
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_shell_executes_its_last_command_in_its_own_place() {
        let top = folder("shells", &[]);
        for (words, is) in [
            (&["/bin/sh", "-c", "/sbin/init"][..], true),
            (&["sh", "-c", "exec /sbin/init"], true),
            (&["bash", "-lc", "echo hello; exec /sbin/init --x"], true),
            (&["sh", "-c", "exec \"$0\" \"$@\"", "/sbin/init", "x"], true),
            (&["sh", "-c", "exec \"$@\"", "x", "/sbin/init"], true),
            (&["bash", "-o", "pipefail", "-c", "exec /sbin/init"], true),
            (&["busybox", "sh", "-c", "/sbin/init"], true),
            (&["sh", "-c", "/sbin/init; echo it ended"], false),
            (&["sh", "-c", "echo /sbin/init"], false),
            (&["sh", "-c"], false),
            (&["sh"], false),
        ] {
            assert_eq!(is_run(&top, words), is, "{words:?}");
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn what_would_never_end_does() {
        let doubles = "set -- \"$@\" \"$@\"; A=$A$A$@$A;".repeat(1500);
        let itself = "exec ./itself \"$@\" x; exec ./itself2;".repeat(1500);
        let top = folder(
            "ends",
            &[
                ("itself", &format!("#!/bin/sh\n{itself}")),
                ("itself2", &format!("#!/bin/sh\n{itself}")),
                ("doubles", &format!("#!/bin/sh\n{doubles} exec \"$@\" $A")),
                ("nothing", "#!/bin/sh\0"),
            ],
        );
        assert!(
            std::process::Command::new("mkfifo")
                .args(["-m", "755"])
                .arg(top.join("fifo"))
                .status()
                .unwrap()
                .success()
        );
        for words in
            [&["./itself"][..], &["./doubles", "a", "b"], &["./fifo"], &["sh", "/dev/zero"], &["./nothing"]]
        {
            assert!(!is_run(&top, words), "{words:?}");
        }
        fs::remove_dir_all(top).unwrap();
    }
}
