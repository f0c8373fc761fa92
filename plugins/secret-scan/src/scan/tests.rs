use super::*;

fn secrets(text: &[u8]) -> Vec<Secret> {
    scan(text, &[]).secrets
}

/// Made up, and put together here so that no scanner of this repository takes them for real.
fn tokens() -> Vec<(&'static str, String)> {
    let body = "aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vW1xY2zA3b";
    let upper = "Q7XW3ZK9PL2M4N8V";
    let hex64 = "8f3a1c9e5b7d2f46".repeat(4);
    vec![
        ("aws-access-key", format!("AKIA{upper}")),
        ("github-token", format!("ghp_{}", &body[..36])),
        ("github-token", format!("github_pat_{body}")),
        ("gitlab-token", format!("glpat-{}", &body[..20])),
        ("slack-token", format!("xoxb-{}", &body[..30])),
        ("stripe-key", format!("sk_live_{}", &body[..24])),
        ("anthropic-key", format!("sk-ant-{body}")),
        ("openai-key", format!("sk-proj-{body}")),
        ("openai-key", format!("sk-{body}")),
        ("google-api-key", format!("AIza{}", &body[..35])),
        ("npm-token", format!("npm_{}", &body[..36])),
        ("huggingface-token", format!("hf_{}", &body[..34])),
        ("digitalocean-token", format!("dop_v1_{hex64}")),
        ("json-web-token", format!("eyJhbGciOiJI.eyJzdWIiOiIx.{}", &body[..20])),
        ("private-key", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----".to_owned()),
    ]
}

#[test]
fn every_format_is_found_wherever_it_stands() {
    for (kind, token) in tokens() {
        for text in [token.clone(), format!("x = \"{token}\""), format!("a {token}, b"), format!("k={token}\n")] {
            let found = secrets(text.as_bytes());
            assert_eq!(found.len(), 1, "{kind}: {text}: {found:?}");
            assert_eq!((found[0].kind, found[0].certainty), (kind, Certainty::Certain));
            assert_eq!(&text[found[0].place.clone()], token);
        }
    }
}

#[test]
fn formats_with_one_mark_stand_together() {
    for (index, format) in FORMATS.iter().enumerate() {
        let slot = usize::from(SLOTS[format.marked_byte() as usize]) - 1;
        let (begin, end) = GROUPS[slot][format.byte_before() as usize];
        assert!((begin as usize..end as usize).contains(&index));
        let group = &FORMATS[begin as usize..end as usize];
        let is_one = |other: &formats::Format| {
            (other.marked_byte(), other.byte_before()) == (format.marked_byte(), format.byte_before())
        };
        assert!(group.iter().all(is_one), "{}", format.prefix);
        // A mark either begins its formats, or stands inside of all of them.
        assert!(format.mark == 0 || GROUPS[slot][0].1 == 0, "{}", format.prefix);
        let shadowed = FORMATS[..index].iter().any(|other| format.prefix.starts_with(other.prefix));
        assert!(!shadowed, "{} is never reached", format.prefix);
    }
}

#[test]
fn what_only_looks_alike_is_not() {
    for text in [
        "AKIASHORT",
        "sk-learn",
        "risk-management-of-all-that-we-do-here",
        "task_live_reload",
        "ghp_",
        "hf_hub",
        "AKIAAAAAAAAAAAAAAAAA",
        "xAKIAQ7XW3ZK9PL2M4N8V",
        "-----BEGIN PUBLIC KEY-----",
        "eyJ.eyJ.x",
        "https://example.org:8080/a@b",
        "http://user@host",
        "https://user:<password>@host",
        "https://u:${PASS}@h",
        "a: b",
        "password: ",
        "password = input()",
        "password = os.environ['X']",
        "password=changeme123",
        "token: ${TOKEN_123}",
        "secret = \"your-secret-1\"",
        "def password(self):",
        "tokens = 12345678",
        "let token = lexer.next();",
        "password_hash_rounds = 12",
        "  --token: #a1b2c3d4;",
        "next_token = \"a1b2c3d4e5f6a7b8\"",
        "login(password=password1)",
        "password: \"password123\"",
        "token_type = \"Bearer\"",
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "\"integrity\": \"sha512-Zg9Ub0xk5hH1b0kL2mX3pQ4rS5tU6vW7xY8zA9bC0dE1fG2hI3jK4lM5nO6p==\"",
        "secret_key_base: <%= ENV['X'] %>",
        "Authorization: Bearer ${TOKEN}",
        "if (body.starts_with(\"-----BEGIN PRIVATE KEY-----\"))",
        "http://localhost:8080/path@x",
    ] {
        assert_eq!(secrets(text.as_bytes()), [], "{text}");
    }
}

#[test]
fn passwords_in_assignments_and_addresses_are_found() {
    for text in
        ["password = \"hunter2!x\"", "DB_PASSWORD=s3cr3t-value", "\"api_key\": \"a1b2c3d4e5\"", "apiKey: 'a1b2c3d4e5'"]
    {
        let found = secrets(text.as_bytes());
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].certainty, Certainty::Likely);
    }
    let found = secrets(b"postgres://app:pa55word@db/x");
    assert_eq!((found[0].kind, &found[0].place), ("url-password", &(15..23)));
}

#[test]
fn redaction_leaves_nothing_of_it() {
    for (kind, token) in tokens() {
        let shown = redacted(&format!("a {token} ä"), &[]).unwrap();
        assert_eq!(shown, format!("a [REDACTED:{kind}] ä"));
        assert_eq!(redacted(&shown, &[]), None, "what is redacted stays as it is");
    }
    assert_eq!(redacted("nothing here", &[]), None);
}

#[test]
fn hostile_texts_are_scanned_in_time() {
    for text in [
        "=".repeat(1 << 16),
        "password=".repeat(1 << 12),
        "eyJ.".repeat(1 << 14),
        "-----BEGIN PRIVATE KEY-----".repeat(1 << 9),
        "://a:".repeat(1 << 14),
        "sk-".repeat(1 << 14),
    ] {
        assert!(secrets(text.as_bytes()).len() <= 2 * MAX_SECRETS);
    }
}

#[test]
fn what_is_certain_is_found_inside_of_what_is_likely_and_behind_decoys() {
    let token = format!("ghp_{}", &"aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vW1xY2zA3b"[..36]);
    for text in [
        format!("GITHUB_TOKEN={token}"),
        format!("api_key: \"{token}\""),
        format!("my_{token}"),
        format!("x\\n{token}"),
    ] {
        let found = secrets(text.as_bytes());
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!((found[0].kind, found[0].certainty), ("github-token", Certainty::Certain), "{text}");
        assert!(redacted(&text, &[]).unwrap().contains("[REDACTED:github-token]"));
    }
    let decoys: String = (0..100).map(|n| format!("password = \"hunter{n}!xyz\"\n")).collect();
    let all = scan(format!("{decoys}{token}").as_bytes(), &[]);
    assert!(all.is_full && all.secrets.iter().any(|secret| secret.kind == "github-token"));
    let many: String = (0..100).map(|n| format!("{token}{n} ")).collect();
    assert!(!redacted(&many, &[]).unwrap().contains("ghp_"));
    assert_eq!(redacted(&token, &["github-token".to_owned()]), None);
    for address in ["redis://:pa55word9@h/0", "https://user+x:pa55word9@h", "https://u:yourRealPw99@h"] {
        assert_eq!(secrets(address.as_bytes()).len(), 1, "{address}");
    }
}
