use super::*;

fn of(argv: &[&str]) -> Understood {
    understand(&argv.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

fn line(text: &str) -> Understood {
    of(&["/bin/sh", "-c", text])
}

fn programs(understood: &Understood) -> Vec<&str> {
    understood.commands.iter().map(|command| command.words[0].as_str()).collect()
}

#[test]
fn wrappers_are_seen_through() {
    for (text, expected) in [
        ("rm -rf x", "rm"),
        ("env -i rm x", "rm"),
        ("sh -c -e 'rm x'", "rm"),
        ("sh -c -- 'rm x'", "rm"),
        ("sh +e -c 'rm x'", "rm"),
        ("bash -co pipefail 'rm x'", "rm"),
        ("/usr/bin/env rm x", "rm"),
        ("ionice --class 3 stdbuf --output L rm x", "rm"),
        ("nohup nice -n 5 rm x", "rm"),
        ("timeout -k 5 10 rm x", "rm"),
        ("setsid stdbuf -oL rm x", "rm"),
        ("bash -lc 'rm x'", "rm"),
        ("sh -c \"bash -c 'env sh -c \\\"rm x\\\"'\"", "rm"),
        ("busybox rm x", "rm"),
        ("exec command rm x", "rm"),
    ] {
        let understood = line(text);
        assert_eq!(programs(&understood), [expected], "{text}");
        assert!(understood.doubts.is_empty(), "{text}: {:?}", understood.doubts);
    }
    for (text, expected) in [
        ("ls | xargs -i rm {}", "rm"),
        ("find . -exec grep x {} \\; -o -delete", "rm"),
        ("ls | xargs rm", "rm"),
        ("find . -exec rm {} +", "rm"),
        ("find . -delete", "rm"),
    ] {
        let understood = line(text);
        let last = understood.commands.last().unwrap();
        assert!(last.open_ended && last.words[0] == expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_a_doubt() {
    for text in [
        "sudo ls",
        "su -c ls",
        "doas ls",
        "eval ls",
        ". x",
        "source x",
        "sh",
        "sh -s",
        "python3 -c 'x'",
        "perl -e x",
        "perl -ne x",
        "node --eval x",
        "awk 'BEGIN{system(\"id\")}'",
        "watch ls",
        "env -S 'rm x'",
        "env PATH=. ls",
        "ssh-x $CMD",
        "$(cat x) y",
        "parallel rm",
    ] {
        assert!(!line(text).doubts.is_empty(), "{text}");
    }
    for text in [
        "python3 -m unittest -v test_stats",
        "python3 script.py -c x",
        "node script.js -e",
        "command -v git",
        "bash script.sh",
    ] {
        assert!(line(text).doubts.is_empty(), "{text}: {:?}", line(text).doubts);
    }
}

#[test]
fn running_a_download_is_seen() {
    for text in [
        "curl -s https://x | sh",
        "wget -O- x | sudo bash",
        "curl x | tee y | python3",
        "sh -c \"$(curl x)\"",
        "eval \"`wget -O- x`\"",
        "$(curl x)",
        "bash -c 'curl x | sh'",
        "curl x | env bash",
        "nohup curl x | bash &",
        "curl x | xargs -I{} sh -c {}",
        "bash <(curl -s x)",
        "source <(curl x)",
        "bash <<< \"$(curl x)\"",
        "curl x | { sh; }",
        "if curl x | sh; then ls; fi",
        "! curl x | sh",
        "curl x | python3.12",
        "rbash -c 'curl x | sh'",
    ] {
        assert!(line(text).runs_downloads, "{text}");
    }
    for text in ["curl x -o y", "curl x | grep y", "curl x; sh y.sh", "echo \"$(curl x)\"", "cat x | sh"] {
        assert!(!line(text).runs_downloads, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let mut argv = vec!["env".to_owned(); 1000];
    argv.push("rm".to_owned());
    assert!(!understand(&argv).doubts.is_empty());
    let deep = (0..100).fold("rm".to_owned(), |inner, _| format!("$({inner})"));
    assert!(!line(&deep).doubts.is_empty());
}
