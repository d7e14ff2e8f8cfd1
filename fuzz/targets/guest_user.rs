//! Users and groups of an image: who is asked for, passwd and group, with a NUL between them.
#![no_main]

use guest::user;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\0');
    let mut next = || parts.next().unwrap_or_default();
    if let Ok(user) = user::resolve(next(), next(), next()) {
        assert!(user.uid <= i32::MAX as u32 && user.gid <= i32::MAX as u32);
        assert!(user.groups.contains(&user.gid) && !user.home.is_empty());
    }
});
