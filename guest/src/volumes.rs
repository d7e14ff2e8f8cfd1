//! The folders that an image declares as volumes: made where they are missing, and writable also when the root is not.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};
use crate::sys;

/// MAXSYMLINKS, include/linux/namei.h.
const MAX_LINKS: usize = 40;

/// Makes one, root's and 0755, and its parents, through the image's symlinks, where those lead to nothing too. What the
/// image has there stays as it is. For a root that will be for reading alone it becomes a mount of its own, which that
/// does not reach.
pub fn make(path: &str, root_is_read_only: bool) -> Result<(), Failure> {
    let what = format!("make the image's volume {path}");
    let made = make_folder(Path::new(path)).doing(&what)?;
    if root_is_read_only && fs::metadata(&made).doing(&what)?.dev() == fs::metadata("/").doing(&what)?.dev() {
        let target = CString::new(made.as_os_str().as_bytes()).map_err(|_| Failure::new(&what))?;
        sys::mount(&target, &target, c"", sys::MS_BIND, c"").doing(&what)?;
    }
    Ok(())
}

/// Returns where the folder is, through links.
fn make_folder(path: &Path) -> io::Result<PathBuf> {
    let mut made = PathBuf::new();
    let mut links = 0;
    let mut left: Vec<PathBuf> = parts(path);
    while let Some(part) = left.pop() {
        made.push(part);
        match fs::create_dir(&made) {
            Ok(()) => fs::set_permissions(&made, Permissions::from_mode(0o755))?,
            Err(_) if made.is_dir() => {}
            Err(error) => {
                let Ok(link) = fs::read_link(&made) else { return Err(error) };
                links += 1;
                if links > MAX_LINKS {
                    return Err(error);
                }
                made.pop();
                left.extend(parts(&link));
            }
        }
    }
    Ok(made)
}

/// The last part first.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("volumes-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn makes_what_is_missing_and_leaves_what_is_there() {
        let root = folder("plain");
        fs::create_dir(root.join("there")).unwrap();
        fs::set_permissions(root.join("there"), Permissions::from_mode(0o1770)).unwrap();
        fs::write(root.join("there/file"), "kept").unwrap();
        for path in ["there", "new/deep/er", "there/below", "there"] {
            assert_eq!(make_folder(&root.join(path)).unwrap(), root.join(path));
        }
        assert_eq!(mode(&root.join("there")), 0o1770);
        assert_eq!(mode(&root.join("new/deep")), 0o755);
        assert_eq!(mode(&root.join("there/below")), 0o755);
        assert_eq!(fs::read_to_string(root.join("there/file")).unwrap(), "kept");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn goes_through_links_also_those_to_nothing() {
        let root = folder("links");
        symlink("srv/data", root.join("data")).unwrap();
        symlink(root.join("far"), root.join("near")).unwrap();
        symlink("../data/./x", root.join("srv-x")).unwrap();
        assert!(make_folder(&root.join("data/sub")).unwrap().ends_with("srv/data/sub"));
        assert!(root.join("srv/data/sub").is_dir());
        make_folder(&root.join("near")).unwrap();
        assert!(root.join("far").is_dir());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_file_in_the_way_and_a_circle_are_errors() {
        let root = folder("errors");
        fs::write(root.join("file"), "x").unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for path in ["file", "file/below", "loop", "loop/below"] {
            assert!(make_folder(&root.join(path)).is_err(), "{path}");
        }
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "x");
        fs::remove_dir_all(root).unwrap();
    }
}
