//! Finds the program that `args[0]` names, as `docker run` does.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, reason};

/// Where the program is. A name with a slash is taken as it is, from `cwd`; any other is looked for in `path`.
pub fn program(name: &str, path: &str, cwd: &Path) -> Result<PathBuf, Failure> {
    if name.contains('/') {
        let file = cwd.join(name);
        return match examine(&file) {
            Ok(()) => Ok(file),
            Err(error) => Err(failure(name, &error)),
        };
    }
    let mut forbidden = None;
    for directory in path.split(':') {
        // An empty element is the current directory: execvp(3).
        let file = cwd.join(directory).join(name);
        match examine(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                forbidden = forbidden.or(Some(error));
            }
            Err(_) => {}
        }
    }
    Err(match forbidden {
        Some(error) => failure(name, &error),
        None => Failure::not_found(format!("exec {name:?}: not found in PATH {path}")),
    })
}

/// Why the kernel refused to execute a program that is there.
pub fn exec_failure(name: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::not_found(format!("exec {name:?}: its interpreter or loader is not in the image"));
    }
    Failure::not_executable(format!("exec {name:?}: {}", reason(error)))
}

fn failure(name: &str, error: &io::Error) -> Failure {
    let text = format!("exec {name:?}: {}", reason(error));
    let missing = matches!(error.kind(), io::ErrorKind::NotFound);
    if missing { Failure::not_found(text) } else { Failure::not_executable(text) }
}

fn examine(file: &Path) -> io::Result<()> {
    let status = fs::metadata(file)?;
    if status.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // Whether this user may is the kernel's to say, at exec.
    if status.permissions().mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}
