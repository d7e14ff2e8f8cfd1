//! What a shell script says, as far as it can be told without running it: its simple commands, as words.
//!
//! Which branch is taken is not known, so that all are. Whatever is beyond this (here-documents, arithmetic, functions'
//! own parameters) is read as if it were plain, which finds too many commands and never ends in an error.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Words after which another command begins.
const RESERVED: [&str; 12] =
    ["if", "then", "else", "elif", "do", "while", "until", "time", "!", "{", "command", "builtin"];

/// What `set --` and `shift` may make of the parameters.
const MAX_VARIANTS: usize = 8;
/// Of a command.
const MAX_WORDS: usize = 64;
/// What a word of a script may come to, whose variables may hold each other.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// What all words of a script may come to: far more than an entrypoint has, and done in some milliseconds.
const MAX_ALL_BYTES: usize = 4 * 1024 * 1024;

/// A `$` that is one, since quotes made it so.
const DOLLAR: char = '\u{1}';

/// The simple commands of a text in their order, each with its words. Quotes are gone, `$` stays where it stands for
/// something, redirections are left out.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let (mut found, mut words) = (Vec::new(), Vec::new());
    let mut rest = text.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '\n' | ';' | '&' | '|' | '(' | ')' | '`' => {
                rest.next();
                end(&mut words, &mut found);
            }
            '#' => while rest.next_if(|char| *char != '\n').is_some() {},
            '<' | '>' => redirection(&mut rest, &mut words),
            _ if next.is_whitespace() => drop(rest.next()),
            _ => {
                let word = word(&mut rest);
                let begins = words.is_empty() && RESERVED.contains(&word.as_str());
                // A line that goes on in the next one leaves an empty word.
                if !begins && !word.is_empty() {
                    words.push(word);
                }
            }
        }
    }
    end(&mut words, &mut found);
    found
}

fn end(words: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if !words.is_empty() {
        found.push(std::mem::take(words));
    }
}

/// Passes over `2>&1`, `< file`, `<<EOF`, with the number that was taken for a word.
fn redirection(rest: &mut Peekable<Chars<'_>>, words: &mut Vec<String>) {
    if words.last().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
        words.pop();
    }
    while rest.next_if(|char| matches!(char, '<' | '>' | '&' | '|' | '-' | ' ' | '\t')).is_some() {}
    let _target = word(rest);
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    let mut braces = 0;
    while let Some(&next) = rest.peek() {
        let ends = next.is_whitespace() || matches!(next, ';' | '&' | '|' | '(' | ')' | '<' | '>' | '`');
        if ends && braces == 0 {
            break;
        }
        rest.next();
        match next {
            '\'' => word.extend(rest.by_ref().take_while(|char| *char != '\'').map(literal)),
            '"' => quoted(rest, &mut word),
            '\\' => word.extend(rest.next().filter(|char| *char != '\n').map(literal)),
            '{' if word.ends_with('$') => {
                braces += 1;
                word.push(next);
            }
            '}' => {
                braces = (braces - 1).max(0);
                word.push(next);
            }
            _ => word.push(next),
        }
    }
    word
}

fn quoted(rest: &mut Peekable<Chars<'_>>, word: &mut String) {
    while let Some(next) = rest.next() {
        match next {
            '"' => return,
            '\\' => word.extend(rest.next().filter(|char| *char != '\n').map(literal)),
            _ => word.push(next),
        }
    }
}

fn literal(char: char) -> char {
    if char == '$' { DOLLAR } else { char }
}

/// A word's text once nothing in it stands for something else.
fn plain(word: &str) -> String {
    word.replace(DOLLAR, "$")
}

/// What `$` in a word begins: the name of a variable or parameter, and the text that holds without it.
struct Variable<'a> {
    /// `INIT`, `1`, `@`.
    name: &'a str,
    /// Of `${INIT:-/sbin/init}` the path.
    otherwise: &'a str,
    /// What follows.
    rest: &'a str,
}

/// Reads a variable behind its `$`; `None` where there is none.
fn variable(text: &str) -> Option<Variable<'_>> {
    if let Some(inside) = text.strip_prefix('{') {
        let (inside, rest) = inside.split_once('}')?;
        let len = name_len(inside);
        let otherwise = inside[len..].trim_start_matches(':').strip_prefix(['-', '=']).unwrap_or_default();
        return (len > 0).then_some(Variable { name: &inside[..len], otherwise, rest });
    }
    let len = name_len(text);
    // Of parameters only one digit, outside braces.
    let len = if text.starts_with(|char: char| char.is_ascii_digit()) { 1 } else { len };
    (len > 0).then(|| Variable { name: &text[..len], otherwise: "", rest: &text[len..] })
}

fn name_len(text: &str) -> usize {
    if text.starts_with(['@', '*']) {
        return 1;
    }
    text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(text.len())
}

/// What a script's words stand for, as far as it was read.
#[derive(Debug)]
pub struct Known {
    script: String,
    parameters: Vec<Vec<String>>,
    variables: BTreeMap<String, String>,
    prefers: fn(&str) -> bool,
    /// Bytes that words may still come to. A script that needs more is read no further.
    left: Cell<usize>,
}

impl Known {
    /// At a script's begin: its name and parameters. What `prefers` takes stays the value of a variable.
    pub fn new(args: &[String], prefers: fn(&str) -> bool) -> Self {
        let mut args = args.iter().take(MAX_WORDS).cloned();
        let script = args.next().unwrap_or_default();
        Self {
            script,
            parameters: vec![args.collect()],
            variables: BTreeMap::new(),
            prefers,
            left: Cell::new(MAX_ALL_BYTES),
        }
    }

    /// Notes `NAME=VALUE`; false for any other word. What is preferred stays, whatever another branch chooses.
    pub fn assign(&mut self, word: &str) -> bool {
        let is_name = |name: &str| {
            name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) else {
            return false;
        };
        if !self
            .variables
            .get(name)
            .is_some_and(|before| before.split_whitespace().any(|word| (self.prefers)(word)))
        {
            let value = self.expand(value, &self.parameters[0].clone()).join(" ");
            self.variables.insert(name.to_owned(), value);
        }
        true
    }

    /// `set -- WORDS`: another branch may not come by it, so that what was before is kept.
    pub fn set(&mut self, words: &[String]) {
        let Some(at) = words.iter().position(|word| word == "--") else { return };
        self.note(self.variants(&words[at + 1..]));
    }

    /// `shift`, likewise.
    pub fn shift(&mut self) {
        self.note(self.parameters.iter().map(|words| words.iter().skip(1).cloned().collect()).collect());
    }

    fn note(&mut self, more: Vec<Vec<String>>) {
        for words in more {
            if self.parameters.len() < MAX_VARIANTS && !self.parameters.contains(&words) {
                self.parameters.push(words);
            }
        }
    }

    /// What the words are for each of what the parameters may be.
    pub fn variants(&self, words: &[String]) -> Vec<Vec<String>> {
        let expand = |parameters: &Vec<String>| {
            words.iter().flat_map(|word| self.expand(word, parameters)).take(MAX_WORDS).collect()
        };
        let mut found: Vec<_> = self.parameters.iter().map(expand).collect();
        found.dedup();
        found
    }

    /// Whether so many bytes more may be made; they count from now on.
    fn affords(&self, bytes: usize) -> bool {
        self.left.set(self.left.get().saturating_sub(bytes + 1));
        self.left.get() > 0
    }

    fn expand(&self, word: &str, parameters: &[String]) -> Vec<String> {
        let mut text = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('$') {
            text.push_str(before);
            let Some(one) = variable(after) else {
                text.push('$');
                rest = after;
                continue;
            };
            let value = match one.name {
                // A word each.
                "@" | "*" if text.is_empty() && one.rest.is_empty() && !parameters.is_empty() => {
                    return if self.affords(parameters.iter().map(String::len).sum()) {
                        parameters.to_vec()
                    } else {
                        Vec::new()
                    };
                }
                "@" | "*" => Some(parameters.join(" ")),
                name => match name.parse::<usize>() {
                    Ok(0) => Some(self.script.clone()),
                    Ok(number) => number.checked_sub(1).and_then(|at| parameters.get(at)).cloned(),
                    Err(_) => self.variables.get(name).cloned(),
                },
            };
            text.push_str(value.as_deref().filter(|value| !value.is_empty()).unwrap_or(one.otherwise));
            rest = one.rest;
            if text.len() > MAX_TEXT_BYTES {
                self.affords(text.len());
                return Vec::new();
            }
        }
        text.push_str(rest);
        if !self.affords(text.len()) {
            return Vec::new();
        }
        text.split_whitespace().map(plain).take(MAX_WORDS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        commands(text).iter().map(|words| plain(&words.join("|"))).collect()
    }

    #[test]
    fn commands_are_told_apart_and_words_lose_their_quotes() {
        for (text, found) in [
            ("", &[][..]),
            ("exec /sbin/init", &["exec|/sbin/init"]),
            ("#!/bin/sh\nset -e # why\n\nexec \"$@\"\n", &["set|-e", "exec|$@"]),
            ("a; b && c || d & e|f", &["a", "b", "c", "d", "e", "f"]),
            ("if [ -x a ]; then exec b; else\n exec c\nfi", &["[|-x|a|]", "exec|b", "exec|c", "fi"]),
            (
                "case $1 in init) exec /sbin/init ;; *) exec \"$@\";; esac",
                &["case|$1|in|init", "exec|/sbin/init", "*", "exec|$@", "esac"],
            ),
            ("exec env -i \\\n  A='b c' \"d e\"'f' g\\ h", &["exec|env|-i|A=b c|d ef|g h"]),
            ("exec 3>&1 2> /dev/null < in cmd >out", &["exec|cmd"]),
            ("exec ${INIT:-/sbin/init --x} \"${A}\"", &["exec|${INIT:-/sbin/init --x}|${A}"]),
            ("x=$(which init)\nexec $x", &["x=$", "which|init", "exec|$x"]),
            ("echo '$@' \"\\$@\" \"unended", &["echo|$@|$@|unended"]),
        ] {
            assert_eq!(said(text), found, "{text:?}");
        }
    }

    #[test]
    fn variables_have_a_name_and_a_default() {
        for (text, found) in [
            ("@", Some(("@", "", ""))),
            ("{@}x", Some(("@", "", "x"))),
            ("{@:-/sbin/init}", Some(("@", "/sbin/init", ""))),
            ("1/x", Some(("1", "", "/x"))),
            ("12", Some(("1", "", "2"))),
            ("{12}", Some(("12", "", ""))),
            ("INIT/x", Some(("INIT", "", "/x"))),
            ("{INIT-a b}", Some(("INIT", "a b", ""))),
            ("{INIT:=a}", Some(("INIT", "a", ""))),
            ("{INIT%x}", Some(("INIT", "", ""))),
            ("", None),
            ("?", None),
            ("{", None),
            ("{#}", None),
        ] {
            let seen = variable(text).map(|one| (one.name, one.otherwise, one.rest));
            assert_eq!(seen, found, "{text:?}");
        }
    }

    #[test]
    fn a_script_is_read_until_its_words_come_to_too_much() {
        let mut known = Known::new(&["entrypoint".to_owned()], |_| false);
        assert!(known.assign(&format!("A={}", "x".repeat(16_000))));
        for _ in 0..MAX_ALL_BYTES / 16_000 {
            known.assign("B=$A");
        }
        assert_eq!(known.variants(&["$A".to_owned(), "exec".to_owned()]), [Vec::<String>::new()]);
        let known = Known::new(&["entrypoint".to_owned()], |_| false);
        assert_eq!(known.variants(&["exec".to_owned()]), [["exec"]]);
    }

    #[test]
    fn literal_dollars_stand_for_nothing() {
        assert_eq!(commands("exec '$@' \\$1"), [["exec", "\u{1}@", "\u{1}1"]]);
    }
}
