//! The environment of the image's process.
#![forbid(unsafe_code)]

/// Docker's default for images that set no PATH.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The value of a variable.
pub fn get<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter()
        .rev()
        .find_map(|entry| entry.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// What was asked for, each name once (the last wins, in the first's place), plus what Docker always sets.
///
/// TERM stays away: whether there is a terminal is not known here.
pub fn complete(asked: &[String], hostname: &str, home: &str) -> Vec<String> {
    let mut env = vec![format!("PATH={DEFAULT_PATH}"), format!("HOSTNAME={hostname}")];
    for entry in asked {
        let Some((name, _)) = entry.split_once('=') else { continue };
        if name.is_empty() || entry.contains('\0') {
            continue;
        }
        match env.iter_mut().find(|known| known.split_once('=').is_some_and(|(key, _)| key == name)) {
            Some(known) => known.clone_from(entry),
            None => env.push(entry.clone()),
        }
    }
    if get(&env, "HOME").is_none_or(str::is_empty) {
        env.retain(|entry| !entry.starts_with("HOME="));
        env.push(format!("HOME={home}"));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(asked: &[&str]) -> Vec<String> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        complete(&asked, "web1", "/root")
    }

    #[test]
    fn has_what_docker_sets() {
        let env = completed(&[]);
        assert_eq!(env, [&format!("PATH={DEFAULT_PATH}"), "HOSTNAME=web1", "HOME=/root"]);
    }

    #[test]
    fn what_was_asked_for_wins() {
        let env =
            completed(&["PATH=/bin", "A=1=2", "HOME=/srv", "A=3", "NOVALUE", "=x", "EMPTY=", "HOSTNAME=h"]);
        assert_eq!(env, ["PATH=/bin", "HOSTNAME=h", "A=3", "HOME=/srv", "EMPTY="]);
        assert_eq!(get(&env, "EMPTY"), Some(""));
        assert_eq!(get(&env, "NOVALUE"), None);
    }

    #[test]
    fn an_empty_home_is_none() {
        assert_eq!(get(&completed(&["HOME="]), "HOME"), Some("/root"));
    }
}
