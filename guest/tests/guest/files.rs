//! Files in and out, made and checked by the machine's own tar.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::machine::{Heard, Machine, exited};
use serde_json::json;

const FOREVER: &str = "exec sleep 1000";
const TREE: &str = r"
    mkdir -p src/dir/empty src/read-only && cd src
    echo text > dir/file && chmod 4751 dir/file && chown 12:34 dir/file
    printf '' > none; head -c 100000 /dev/urandom > random; ln random second-name
    ln -s ../nowhere dir/link; chown -h 5:6 dir/link
    mkfifo fifo; mknod null c 1 3; chmod 622 null
    long=$(printf 'n%.0s' $(seq 200)); mkdir -p $long; echo deep > $long/$long; ln -s $long/$long to-$long
    echo x > read-only/inside; chmod 555 read-only
    find . -exec touch -h -d '2001-02-03 04:05:06 UTC' {} +";

/// Every property that is copied, of everything in a folder.
fn listing(folder: &Path) -> String {
    shell(
        folder,
        "find . -printf '%P %y %m %U %G %Ts %l\n' | sort; find . -type f | sort | xargs sha256sum; find . -samefile random | wc -l",
    )
}

fn shell(folder: &Path, script: &str) -> String {
    let done = Command::new("sh").args(["-ec", script]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn get(machine: &Machine, path: &Path, follow: bool) -> Heard {
    machine.upgrade("GET", "/v1/files", &json!({"path": path, "follow": follow})).unwrap().finish()
}

fn put(machine: &Machine, path: &Path, archive: &[u8]) -> Heard {
    let mut stream = machine.upgrade("PUT", "/v1/files", &json!({"path": path})).unwrap();
    let (mut heard, mut sent) = (Heard::default(), 0);
    while heard.exit.is_null() && sent < archive.len() {
        let leave = heard.window as usize - sent;
        if leave == 0 {
            stream.hear(&mut heard);
            continue;
        }
        let end = archive.len().min(sent + leave.min(30_000));
        stream.stdin(&archive[sent..end]);
        sent = end;
    }
    stream.end_stdin();
    while heard.exit.is_null() {
        stream.hear(&mut heard);
    }
    heard
}

#[test]
#[ignore = "needs root"]
fn a_tree_goes_out_and_in_as_it_was() {
    let machine = Machine::start(FOREVER);
    shell(&machine.folder, TREE);
    let heard = get(&machine, &machine.folder.join("src"), false);
    assert_eq!((&heard.exit, heard.stderr.as_slice()), (&exited(0), &b""[..]));
    fs::write(machine.folder.join("all.tar"), &heard.stdout).unwrap();
    shell(&machine.folder, "mkdir by-tar by-init; tar -xpf all.tar -C by-tar --numeric-owner");
    let expected = listing(&machine.folder.join("src"));
    assert_eq!(listing(&machine.folder.join("by-tar/src")), expected);
    let heard = put(&machine, &machine.folder.join("by-init"), &heard.stdout);
    assert_eq!((&heard.exit, String::from_utf8_lossy(&heard.stderr).as_ref()), (&exited(0), ""));
    assert_eq!(listing(&machine.folder.join("by-init/src")), expected);
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_tar_makes_is_taken_in_each_of_its_formats() {
    let machine = Machine::start(FOREVER);
    shell(&machine.folder, TREE);
    let expected = listing(&machine.folder.join("src"));
    for format in ["gnu", "pax"] {
        shell(&machine.folder, &format!("mkdir {format}; tar -cf {format}.tar --format={format} src"));
        let archive = fs::read(machine.folder.join(format!("{format}.tar"))).unwrap();
        // Twice: what is there already is replaced.
        for _ in 0..2 {
            let heard = put(&machine, &machine.folder.join(format), &archive);
            assert_eq!((heard.exit, String::from_utf8_lossy(&heard.stderr).as_ref()), (exited(0), ""));
        }
        assert_eq!(listing(&machine.folder.join(format).join("src")), expected, "{format}");
    }
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn one_file_and_a_link_to_it() {
    let machine = Machine::start(FOREVER);
    shell(&machine.folder, "echo hello > file; ln -s file link; mkdir out");
    for (follow, listed) in [(true, "-rw-r--r-- link"), (false, "lrwxrwxrwx link -> file")] {
        let heard = get(&machine, &machine.folder.join("link"), follow);
        fs::write(machine.folder.join("one.tar"), &heard.stdout).unwrap();
        let listing =
            shell(&machine.folder, "tar -tvf one.tar | awk '{$2=$3=$4=$5=\"\"; print}' | tr -s ' '");
        assert_eq!(listing.trim(), listed);
    }
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn much_goes_through_whole() {
    let machine = Machine::start(FOREVER);
    shell(&machine.folder, "head -c 30000000 /dev/urandom > big; mkdir in; tar -cf big.tar big");
    let archive = fs::read(machine.folder.join("big.tar")).unwrap();
    assert_eq!(put(&machine, &machine.folder.join("in"), &archive).exit, exited(0));
    shell(&machine.folder, "cmp big in/big");
    let heard = get(&machine, &machine.folder.join("in/big"), false);
    fs::write(machine.folder.join("back.tar"), &heard.stdout).unwrap();
    shell(&machine.folder, "mkdir out; tar -xf back.tar -C out; cmp big out/big");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_is_said_in_one_line() {
    let machine = Machine::start(FOREVER);
    let folder = &machine.folder;
    shell(
        folder,
        "mkdir in sub; echo x > file; echo y > sub/y; tar -cf good.tar file; (cd sub; tar -cPf ../out.tar ../file); mkdir in/file",
    );
    let good = fs::read(folder.join("good.tar")).unwrap();
    let out = fs::read(folder.join("out.tar")).unwrap();
    fs::remove_file(folder.join("file")).unwrap();
    for (path, archive, says) in [
        ("missing", &good[..], "missing: no such file or directory"),
        ("sub/y", &good, "sub/y: not a directory"),
        ("in", &good, "in/file: a directory is in the way"),
        ("sub", &out, "../file: the name leads out of the directory"),
        ("sub", &good[..600], "the archive is cut off"),
        ("sub", &[b'x'; 5000], "this is not a tar archive, or a damaged one"),
    ] {
        let heard = put(&machine, &folder.join(path), archive);
        let said = String::from_utf8(heard.stderr).unwrap();
        assert!(said.trim_end().ends_with(says) && said.matches('\n').count() == 1, "{says:?}: {said:?}");
        assert_eq!(heard.exit, exited(1));
    }
    assert!(!folder.join("file").exists());
    let heard = get(&machine, &folder.join("missing"), false);
    assert_eq!((heard.exit, heard.stdout.len()), (exited(1), 0));
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_caller_that_goes_away_ends_the_copy() {
    let machine = Machine::start(FOREVER);
    drop(machine.upgrade("PUT", "/v1/files", &json!({"path": "/tmp"})).unwrap());
    drop(machine.upgrade("GET", "/v1/files", &json!({"path": "/usr", "follow": false})).unwrap());
    let waits = "while ps -eo args | grep -q ^inferno-files; do sleep 0.02; done; echo none";
    assert_eq!(machine.exec(&["sh", "-c", waits], &json!({})).finish().text(), "none\n");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_is_there_is_told() {
    let machine = Machine::start(FOREVER);
    shell(
        &machine.folder,
        "printf hello > file; chmod 640 file; ln -s file link; ln -s link loop; mkfifo fifo",
    );
    let stat = |name: &str, follow| {
        machine.ask("GET", "/v1/stat", &json!({"path": machine.folder.join(name), "follow": follow}))
    };
    let (status, file) = stat("file", false);
    assert_eq!((status, &file["found"]["kind"], &file["found"]["size"]), (200, &json!("file"), &json!(5)));
    assert_eq!((&file["found"]["mode"], &file["found"]["link"]), (&json!(0o640), &json!(null)));
    assert_eq!(stat("link", false).1["found"]["link"], "file");
    assert_eq!(stat("link", true), (200, file));
    assert_eq!(stat("", true).1["found"]["kind"], "directory");
    assert_eq!(stat("fifo", true).1["found"]["kind"], "other");
    assert_eq!(stat("missing", false), (200, json!({"found": null})));
    assert_eq!(stat("file/below", false).0, 422);
    machine.kill();
}

fn in_guest(machine: &Machine, script: &str) {
    let script = format!("cd {}; {script}", machine.folder.display());
    let heard = machine.exec(&["sh", "-ec", &script], &json!({})).finish();
    assert_eq!(heard.exit, exited(0), "{script}: {}", String::from_utf8_lossy(&heard.stderr));
}

#[test]
#[ignore = "needs root"]
fn files_that_say_less_than_they_have_come_whole() {
    let machine = Machine::start(FOREVER);
    shell(&machine.folder, "head -c 65536 /dev/urandom > edge; head -c 65537 /dev/urandom > over");
    for path in ["/proc/cpuinfo", "/proc/sys/kernel/ostype", "/sys/kernel/mm/transparent_hugepage/enabled"]
        .map(Path::new)
        .into_iter()
        .chain([machine.folder.join("edge").as_path(), machine.folder.join("over").as_path()])
    {
        let heard = get(&machine, path, false);
        assert_eq!(
            (&heard.exit, String::from_utf8_lossy(&heard.stderr).as_ref()),
            (&exited(0), ""),
            "{path:?}"
        );
        fs::write(machine.folder.join("one.tar"), &heard.stdout).unwrap();
        assert_eq!(
            shell(&machine.folder, "tar -xOf one.tar | sha256sum"),
            shell(Path::new("/"), &format!("sha256sum < {}", path.display())),
            "{path:?}"
        );
    }
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn what_never_ends_or_cannot_be_read_is_an_error() {
    let machine = Machine::start(FOREVER);
    // As long as all memory, and says to have nothing: a file of /proc that goes on.
    for (path, says) in [("/proc/self/mem", "input/output error"), ("/proc/sysrq-trigger", "")] {
        let heard = get(&machine, Path::new(path), false);
        let said = String::from_utf8(heard.stderr).unwrap();
        assert_eq!((heard.exit, said.matches('\n').count()), (exited(1), 1), "{path}: {said:?}");
        assert!(said.starts_with(path) && said.contains(says), "{said:?}");
    }
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn other_file_systems_are_left_out_unless_they_are_asked_for() {
    let machine = Machine::start(FOREVER);
    in_guest(
        &machine,
        "mkdir -p top/here top/memory top/kernel; echo x > top/here/file; mount -t tmpfs none top/memory;
         echo y > top/memory/file; mount -t proc none top/kernel",
    );
    let names = |path: &str| {
        let heard = get(&machine, &machine.folder.join(path), false);
        assert_eq!((heard.exit, String::from_utf8_lossy(&heard.stderr).as_ref()), (exited(0), ""));
        fs::write(machine.folder.join("all.tar"), &heard.stdout).unwrap();
        shell(&machine.folder, "tar -tf all.tar | tr '\\n' ' '")
    };
    assert_eq!(names("top"), "top/ top/here/ top/here/file top/kernel/ top/memory/ ");
    assert_eq!(names("top/memory"), "memory/ memory/file ");
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn a_device_or_a_pipe_is_written_into_only_where_it_was_named() {
    let machine = Machine::start(FOREVER);
    shell(
        &machine.folder,
        "mkdir in from from/sub; echo text > from/pipe; echo text > from/null; echo text > from/sub/pipe;
         cd from; tar -cf ../all.tar null pipe sub/pipe; cd ../in; mkdir sub; mkfifo pipe sub/pipe; mknod null c 1 3",
    );
    let archive = fs::read(machine.folder.join("all.tar")).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read_to_string(machine.folder.join("in/pipe")).unwrap());
        let heard = put(&machine, &machine.folder.join("in"), &archive);
        assert_eq!((heard.exit, String::from_utf8_lossy(&heard.stderr).as_ref()), (exited(0), ""));
        assert_eq!(reader.join().unwrap(), "text\n");
    });
    assert_eq!(
        shell(&machine.folder.join("in"), "stat -c %F null pipe sub/pipe"),
        "character special file\nfifo\nregular file\n"
    );
    machine.kill();
}

#[test]
#[ignore = "needs root"]
fn holes_stay_holes() {
    let machine = Machine::start(FOREVER);
    shell(
        &machine.folder,
        "truncate -s 20M holes; echo x | dd of=holes seek=1000000 bs=10 conv=notrunc status=none;
         tar -cf all.tar holes; mkdir in",
    );
    let archive = fs::read(machine.folder.join("all.tar")).unwrap();
    assert_eq!(put(&machine, &machine.folder.join("in"), &archive).exit, exited(0));
    let blocks =
        shell(&machine.folder, "cmp holes in/holes; stat -c %b in/holes").trim().parse::<u32>().unwrap();
    assert!(blocks <= 64, "{blocks} blocks of 512 bytes");
    machine.kill();
}
