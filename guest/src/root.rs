//! From the initramfs into the image's root.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, chroot};
use std::path::Path;

use crate::failure::{Doing, Failure};
use crate::mounts;
use crate::run::Root;
use crate::sys;

const NEW: &CStr = c"/newroot";
const NEW_PATH: &str = "/newroot";
const BASE: &str = "/base";
const SCRATCH: &str = "/scratch";
const UPPER: &str = "/scratch/upper";
const WORK: &str = "/scratch/work";
/// Documentation/filesystems/overlayfs.rst; docs/storage.md says why each of them.
const OVERLAY: &CStr = c"lowerdir=/base,upperdir=/scratch/upper,workdir=/scratch/work,\
redirect_dir=on,metacopy=on,index=on,xino=on";

/// Mounts the root and makes it this process's. Leaves nothing of the initramfs in memory.
pub fn enter(root: &Root) -> Result<(), Failure> {
    make(NEW_PATH)?;
    match root {
        Root::Overlay { base, base_fs, scratch, scratch_fs } => overlay(base, base_fs, scratch, scratch_fs)?,
        Root::Ext4 { device } => mount_device(device, NEW_PATH, "ext4", 0)?,
    }
    leave_initramfs()
}

/// One line for the log.
pub fn describe(root: &Root) -> String {
    match root {
        Root::Overlay { base, scratch, .. } => format!("root: overlay of {base} and {scratch}"),
        Root::Ext4 { device } => format!("root: {device}"),
    }
}

fn overlay(base: &str, base_fs: &str, scratch: &str, scratch_fs: &str) -> Result<(), Failure> {
    make(BASE)?;
    make(SCRATCH)?;
    mount_device(base, BASE, base_fs, sys::MS_RDONLY)?;
    mount_device(scratch, SCRATCH, scratch_fs, sys::MS_NOATIME)?;
    make(UPPER)?;
    make(WORK)?;
    // The overlay's root has the upper layer's owner and mode, so they are made the image's.
    let image = fs::metadata(BASE).doing("look at the base")?;
    chown(UPPER, Some(image.uid()), Some(image.gid())).doing("own the upper layer")?;
    fs::set_permissions(UPPER, fs::Permissions::from_mode(image.mode() & 0o7777))
        .doing("open the upper layer")?;
    sys::mount(c"overlay", NEW, c"overlay", 0, OVERLAY).doing("mount the overlay")?;
    // The overlay holds clones of both; what names them can go.
    for layer in [c"/base", c"/scratch"] {
        sys::unmount(layer, sys::MNT_DETACH).doing("detach a layer")?;
    }
    Ok(())
}

fn mount_device(device: &str, target: &str, fs: &str, flags: u64) -> Result<(), Failure> {
    let text =
        |text: &str| CString::new(text).map_err(|_| Failure::new("run.json: root: a name holds a NUL"));
    sys::mount(&text(device)?, &text(target)?, &text(fs)?, flags, c"")
        .doing(format_args!("mount {device} as {fs}"))
}

fn make(path: &str) -> Result<(), Failure> {
    mounts::make_directory(Path::new(path), 0o755)
}

/// As switch_root(8): an initramfs cannot be unmounted, so it is emptied, covered, and left.
fn leave_initramfs() -> Result<(), Failure> {
    for mount in mounts::BASIC.iter().rev() {
        sys::unmount(mount.target, sys::MNT_DETACH).doing("leave the initramfs")?;
    }
    let initramfs = fs::metadata("/").doing("look at the initramfs")?.dev();
    empty(Path::new("/"), initramfs);
    std::env::set_current_dir(NEW_PATH).doing("enter the root")?;
    sys::mount(NEW, c"/", c"", sys::MS_MOVE, c"").doing("move the root")?;
    chroot(".").doing("change the root")?;
    std::env::set_current_dir("/").doing("enter the root")
}

/// Removes what is on that device and no other: what stays is only memory not freed, so errors are no matter.
fn empty(directory: &Path, device: u64) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match fs::symlink_metadata(&path) {
            Ok(status) if status.dev() != device => {}
            Ok(status) if status.is_dir() => {
                empty(&path, device);
                let _ = fs::remove_dir(&path);
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }
}
