//! How much is found of a labelled set of credentials, and how much of real code is taken for one.

use std::path::{Path, PathBuf};

use super::*;

/// Least share of the credentials that are found, in percent.
const RECALL: usize = 90;
/// Fewest lines of real files that are looked at.
const LINES: usize = 20_000;
/// Most findings in 10,000 lines of real files.
const FALSE_FINDINGS: usize = 1;

/// Numbers that look random and are the same each time (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most as u64) as usize
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let (small, large, digits) = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789");
        let characters = match alphabet {
            "an" => [small, large, digits].concat(),
            "AN" => [large, digits].concat(),
            "low" => [small, digits].concat(),
            "w" => [small, large, digits, "_-"].concat(),
            "hex" => "0123456789abcdef".to_owned(),
            "b64" => [small, large, digits, "+/"].concat(),
            "d" => digits.to_owned(),
            "pw" => [small, large, digits, "!%_-+.^"].concat(),
            other => panic!("no alphabet {other}"),
        };
        let characters: Vec<char> = characters.chars().collect();
        (0..length).map(|_| characters[self.below(characters.len())]).collect()
    }

    fn fill(&mut self, template: &str) -> String {
        let mut filled = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            let end = at + rest[at..].find('}').unwrap_or(0);
            match rest[at + 1..end.max(at + 1)].split_once(':') {
                Some((alphabet, length)) if length.parse::<usize>().is_ok() => {
                    filled.push_str(&rest[..at]);
                    filled.push_str(&self.text(alphabet, length.parse().unwrap()));
                    rest = &rest[end + 1..];
                }
                _ => {
                    filled.push_str(&rest[..=at]);
                    rest = &rest[at + 1..];
                }
            }
        }
        filled.push_str(rest);
        filled.replace("\\n", "\n")
    }
}

/// All credentials, each with its kind.
fn positives() -> Vec<(String, String)> {
    let places =
        ["{}", "TOKEN_X={}\n", "  \"value\": \"{}\",", "client = connect('{}')", "curl -H 'X-Key: {}' https://a.b/c"];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut all = Vec::new();
    for line in include_str!("positives.txt").lines().filter(|line| !line.starts_with('#')) {
        let (kind, template) = line.split_once('\t').unwrap();
        if kind == "line" {
            all.push((template.to_owned(), random.fill(template)));
        } else {
            for place in places {
                all.push((kind.to_owned(), place.replace("{}", &random.fill(template))));
            }
        }
    }
    all
}

/// Files of the packages that this workspace is built from, and those that are kept beside this one.
fn real_files() -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"), PathBuf::from);
    let mut files = vec![
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock"),
    ];
    let kept = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")).unwrap();
    files.extend(kept.map(|entry| entry.unwrap().path()));
    // Those of the lock file, whatever else lies there.
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
    let fields = |name: &str| -> Vec<String> {
        let lines = lock.lines().filter_map(|line| line.strip_prefix(&format!("{name} = \"")));
        lines.map(|value| value.trim_end_matches('"').to_owned()).collect()
    };
    let packages: Vec<String> =
        fields("name").iter().zip(fields("version")).map(|(name, version)| format!("{name}-{version}")).collect();
    for registry in std::fs::read_dir(cargo.join("registry/src")).into_iter().flatten().flatten() {
        for package in &packages {
            below(&registry.path().join(package), &mut files);
        }
    }
    files
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { below(&path, files) } else { files.push(path) }
    }
}

#[test]
fn nearly_all_credentials_are_found() {
    let positives = positives();
    assert!(positives.len() >= 400, "{}", positives.len());
    let missed: Vec<&(String, String)> =
        positives.iter().filter(|(_, text)| scan(text.as_bytes(), &[]).secrets.is_empty()).collect();
    let found = positives.len() - missed.len();
    println!("{found} of {} credentials are found", positives.len());
    for (kind, text) in &missed {
        println!("not found: {kind}: {text}");
    }
    assert!(found * 100 >= positives.len() * RECALL);
}

#[test]
fn hardly_any_real_code_is_taken_for_a_credential() {
    let (mut lines, mut wrong) = (0, Vec::new());
    for file in real_files() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        lines += text.lines().count();
        for secret in scan(text.as_bytes(), &[]).secrets {
            let line = text[..secret.place.start].lines().count();
            wrong.push(format!("{}:{line}: {} {:?}", file.display(), secret.kind, &text[secret.place]));
        }
    }
    println!("{} findings in {lines} lines", wrong.len());
    wrong.iter().for_each(|finding| println!("{finding}"));
    assert!(lines >= LINES, "{lines} lines");
    assert!(wrong.len() * 10_000 <= lines * FALSE_FINDINGS);
}
