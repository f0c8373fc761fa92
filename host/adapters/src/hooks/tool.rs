//! Tools of harnesses, mapped to effects.

use bytes::Bytes;
use fusebox::core::effect::{Outside, OutsideAccess};
use fusebox::core::{Effect, Json, ProposedEffect};
use serde_json::{Value, json};

use super::claude_like::NETWORK;
use super::cursor::MCP;
use super::event::ToolCall;
use super::harness::Harness;
use super::named;
use super::notebook::{self, CellEdit};
use super::patch::{PatchChange, apply, parse_patch};
use super::paths::{Place, Places};
use crate::error::Error;

/// Largest file that is read to tell what an edit makes of it, in bytes.
const MAX_EDITED_BYTES: u64 = 64 * 1024 * 1024;
/// Most hosts that are named in one text.
const MAX_URLS: usize = 16;
/// Fields of an input that change nothing of what happens: with other words or more patience it is the same action.
const IDLE_FIELDS: [&str; 7] =
    ["description", "timeout", "timeout_ms", "delay_ms", "instruction", "explanation", "agent_message"];

/// A call as an action of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedCall {
    /// Step type of the action.
    pub step_type: &'static str,
    /// What of the input counts.
    pub input: Json,
    /// The agent's words about it.
    pub description: String,
    /// What it does.
    pub effects: Vec<ProposedEffect>,
    /// The tool talks with the user of the harness itself: it is never let through without the harness.
    pub is_dialogue: bool,
}

/// What a call is.
enum Tool {
    /// A line for a shell, in a folder if one is named.
    Shell { line: String, folder: Option<String> },
    /// A line for another shell than those of POSIX.
    OtherShell { kind: &'static str, line: String },
    /// A file is written.
    Write { path: String, content: String },
    /// Parts of a file are replaced.
    Edit { path: String, edits: Vec<Edit> },
    /// A patch in the form of `apply_patch`.
    Patch(String),
    /// A cell of a notebook is changed.
    Notebook { path: String, cell: Option<String>, source: String, kind: String, edit: CellEdit },
    /// Files or folders are read.
    Read(Vec<String>),
    /// A file is removed.
    Remove(String),
    /// A page is fetched.
    Fetch(Vec<String>),
    /// Something is asked of the web, whose host is not known.
    Web { kind: &'static str, query: String },
    /// Another agent is given a task.
    Delegate { to: String, prompt: String },
    /// A tool of a tool server.
    Mcp { server: String, name: String },
    /// Nothing outside of the harness changes.
    Think,
    /// The harness talks with its user.
    Dialogue,
    /// Data leave, or something else happens that is not known in detail.
    Other(&'static str),
    /// A tool that is not known.
    Unknown,
}

/// A replacement in a file.
struct Edit {
    old: String,
    new: String,
    everywhere: bool,
}

/// What a call is, as an action of a session.
///
/// # Errors
/// When an input is not as the tool takes it, or names a path that cannot be used.
pub fn map(harness: Harness, call: &ToolCall, places: &Places) -> Result<MappedCall, Error> {
    let tool = classify(harness, call)?;
    let is_dialogue = matches!(tool, Tool::Dialogue);
    let line = match &tool {
        Tool::Shell { line, folder } => Some((line.clone(), folder.clone())),
        _ => None,
    };
    let (step_type, effects) = effects(tool, call, places)?;
    let (input, description) = (essential(call, line, places)?, description(call));
    Ok(MappedCall { step_type, input, description, effects, is_dialogue })
}

/// The input without what changes nothing, with the name of the tool and, where it matters, the folder. Of a line for a shell
/// only the line and its folder count, since not all events of one call say more.
fn essential(call: &ToolCall, line: Option<(String, Option<String>)>, places: &Places) -> Result<Json, Error> {
    let mut input = call.input.value().clone();
    if let Some(fields) = input.as_object_mut() {
        IDLE_FIELDS.iter().for_each(|field| {
            fields.remove(*field);
        });
    }
    let mut cwd = places.cwd();
    if let Some((line, folder)) = line {
        input = json!({ "command": line });
        if let Some(folder) = folder {
            cwd = places.from(&folder)?.cwd();
        }
    }
    let (Place::Inside(cwd) | Place::Outside(cwd)) = cwd;
    let mut named = json!({ "tool": call.tool, "input": input });
    if let Some(named) = named.as_object_mut() {
        if let Some(server) = &call.server {
            named.insert("server".to_owned(), server.as_str().into());
        }
        if !cwd.is_empty() {
            named.insert("cwd".to_owned(), cwd.into());
        }
    }
    Ok(Json::from_checked(named))
}

fn description(call: &ToolCall) -> String {
    let said =
        ["description", "explanation", "instruction"].iter().find_map(|field| call.input.value().get(*field)?.as_str());
    match said {
        Some(said) => format!("{}: {said}", call.tool),
        None => call.tool.clone(),
    }
}

/// Fields of a tool's input.
struct Input<'a>(&'a Value);

impl Input<'_> {
    fn maybe(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.0.get(*name)?.as_str().map(ToOwned::to_owned))
    }

    fn text(&self, names: &[&'static str]) -> Result<String, Error> {
        let field = names.first().copied().unwrap_or_default();
        self.maybe(names).ok_or(Error::Field { field, expected: "a text in the input of the tool" })
    }

    fn flag(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.get(*name).and_then(Value::as_bool) == Some(true))
    }

    fn edit(&self) -> Result<Edit, Error> {
        Ok(Edit {
            old: self.text(&["old_string", "oldString", "old_str"])?,
            new: self.maybe(&["new_string", "newString", "new_str"]).unwrap_or_default(),
            everywhere: self.flag(&["replace_all", "replaceAll", "allow_multiple"]),
        })
    }
}

const PATH: &[&str] = &["file_path", "filePath", "path", "target_file", "absolute_path"];
const CONTENT: &[&str] = &["content", "contents", "file_text"];
const FOLDER: &[&str] = &["path", "dir_path", "directory"];

fn classify(harness: Harness, call: &ToolCall) -> Result<Tool, Error> {
    let input = Input(call.input.value());
    if let Some((server, name)) = mcp(harness, call) {
        return Ok(Tool::Mcp { server, name });
    }
    let shell = || -> Result<Tool, Error> {
        let folder = input.maybe(&["dir_path", "directory", "workdir", "working_directory", "cwd"]);
        Ok(Tool::Shell { line: input.text(&["command"])?, folder: folder.filter(|folder| !folder.is_empty()) })
    };
    let write =
        || -> Result<Tool, Error> { Ok(Tool::Write { path: input.text(PATH)?, content: input.text(CONTENT)? }) };
    let edit = || -> Result<Tool, Error> { Ok(Tool::Edit { path: input.text(PATH)?, edits: vec![input.edit()?] }) };
    let many = || -> Result<Tool, Error> {
        let edits = input.0.get("edits").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let edits = edits.iter().map(|edit| Input(edit).edit()).collect::<Result<_, _>>()?;
        Ok(Tool::Edit { path: input.text(PATH)?, edits })
    };
    let patch = || -> Result<Tool, Error> {
        let text = input.0.as_str().map(ToOwned::to_owned);
        Ok(Tool::Patch(text.map_or_else(|| input.text(&["command", "patchText", "patch", "input"]), Ok)?))
    };
    let folder = || input.maybe(FOLDER).filter(|path| !path.is_empty()).unwrap_or_else(|| ".".to_owned());
    let search = || Tool::Read(vec![folder()]);
    // A pattern can lead elsewhere than the folder that it is looked for in.
    let glob = || {
        let base = base_of(&input.maybe(&["pattern"]).unwrap_or_default());
        Tool::Read(vec![if base.starts_with('/') { base } else { format!("{}/{base}", folder()) }])
    };
    let fetch = || -> Result<Tool, Error> { Ok(Tool::Fetch(vec![input.text(&["url"])?])) };
    let web = |kind| Tool::Web { kind, query: input.maybe(&["query", "prompt"]).unwrap_or_default() };
    let delegate = || Tool::Delegate {
        to: input.maybe(&["subagent_type", "agent_type"]).unwrap_or_else(|| "agent".to_owned()),
        prompt: input.maybe(&["prompt", "message", "task", "description"]).unwrap_or_default(),
    };
    Ok(match (harness, call.tool.as_str()) {
        (Harness::ClaudeCode | Harness::CopilotCli, "Bash")
        | (Harness::ClaudeCode, "Monitor")
        | (Harness::Codex, "Bash") => shell()?,
        (Harness::CopilotCli | Harness::OpenCode, "bash")
        | (Harness::Cursor, "Shell")
        | (Harness::GeminiCli | Harness::QwenCode, "run_shell_command") => shell()?,
        (_, "PowerShell" | "powershell") => Tool::OtherShell { kind: "powershell", line: input.text(&["command"])? },
        // Copilot says `Edit` of its patches as well, whose input is a text.
        (Harness::CopilotCli, "Edit") if input.0.is_string() => patch()?,
        (_, "apply_patch" | "ApplyPatch" | "patch") => patch()?,
        // What a write of Cursor holds is not documented: some hold a replacement.
        (Harness::Cursor, "Write" | "StrReplace") if input.maybe(CONTENT).is_none() => edit()?,
        (_, "Write" | "write" | "create" | "write_file") => write()?,
        (_, "MultiEdit" | "multiedit") => many()?,
        (_, "Edit" | "edit" | "StrReplace" | "str_replace_editor" | "replace") => edit()?,
        (Harness::ClaudeCode, "NotebookEdit") => Tool::Notebook {
            path: input.text(&["notebook_path"])?,
            cell: input.maybe(&["cell_id"]),
            source: input.maybe(&["new_source"]).unwrap_or_default(),
            kind: input.maybe(&["cell_type"]).unwrap_or_else(|| "code".to_owned()),
            edit: CellEdit::of(input.maybe(&["edit_mode"]).as_deref()),
        },
        (Harness::Cursor, "Read") if input.0.get("files").is_some() => Tool::Read(texts(input.0.get("files"))),
        (_, "Read" | "read" | "view" | "read_file" | "view_image") => Tool::Read(vec![input.text(PATH)?]),
        (Harness::GeminiCli, "read_many_files") => {
            Tool::Read(texts(input.0.get("include")).iter().map(|glob| base_of(glob)).collect())
        }
        (_, "Glob" | "glob") => glob(),
        (_, "Grep" | "LS" | "grep" | "rg" | "list" | "list_directory" | "grep_search" | "search_file_content") => {
            search()
        }
        (Harness::ClaudeCode, "LSP") => search(),
        (Harness::Cursor, "Delete") => Tool::Remove(input.text(PATH)?),
        (Harness::GeminiCli, "web_fetch") => {
            let prompt = input.text(&["prompt"])?;
            let urls = urls_in(&prompt);
            if urls.is_empty() { Tool::Web { kind: "web-fetch", query: prompt } } else { Tool::Fetch(urls) }
        }
        (_, "WebFetch" | "web_fetch" | "webfetch") | (Harness::Codex, NETWORK) => fetch()?,
        (_, "WebSearch" | "web_search" | "websearch" | "google_web_search") => web("web-search"),
        (_, "Agent" | "Task" | "task" | "agent" | "spawn_agent") => delegate(),
        (Harness::ClaudeCode, "AskUserQuestion" | "ExitPlanMode") | (Harness::GeminiCli, "ask_user") => Tool::Dialogue,
        (
            Harness::ClaudeCode,
            "TodoWrite" | "TaskCreate" | "TaskUpdate" | "TaskGet" | "TaskList" | "EnterPlanMode" | "ToolSearch"
            | "BashOutput" | "TaskOutput",
        )
        | (Harness::Codex, "update_plan")
        | (Harness::GeminiCli, "write_todos")
        | (Harness::OpenCode, "todowrite" | "todoread")
        | (Harness::QwenCode, "todo_write") => Tool::Think,
        (Harness::ClaudeCode, "Artifact" | "RemoteTrigger" | "ShareOnboardingGuide" | "SendMessage") => {
            Tool::Other("data-leaves")
        }
        _ => Tool::Unknown,
    })
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect()
}

/// The folder that a pattern begins in.
fn base_of(glob: &str) -> String {
    let fixed: Vec<&str> = glob.split('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).collect();
    let base = fixed.join("/");
    match (base.is_empty(), glob.starts_with('/')) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        _ => base,
    }
}

/// Server and name of an MCP tool.
fn mcp(harness: Harness, call: &ToolCall) -> Option<(String, String)> {
    if let Some(name) = call.tool.strip_prefix(MCP) {
        return Some((call.server.clone().unwrap_or_else(|| "unknown".to_owned()), name.to_owned()));
    }
    if let Some(server) = &call.server {
        return Some((server.clone(), call.tool.clone()));
    }
    if let Some(rest) = call.tool.strip_prefix("mcp__") {
        let (server, name) = rest.split_once("__")?;
        return Some((server.to_owned(), name.to_owned()));
    }
    match harness {
        Harness::ClaudeCode if ["ReadMcpResourceTool", "ListMcpResourcesTool"].contains(&&*call.tool) => {
            let server = call.input.value().get("server").and_then(Value::as_str).unwrap_or("all");
            Some((server.to_owned(), call.tool.clone()))
        }
        // Copilot and OpenCode put server and tool into one name. The built-in tools have no such mark in theirs, but for those
        // that are known by name.
        Harness::CopilotCli if call.tool.contains('-') => call.tool.rsplit_once('-').map(owned),
        Harness::OpenCode if call.tool.contains('_') && call.tool != "apply_patch" => {
            call.tool.split_once('_').map(owned)
        }
        Harness::GeminiCli => call.tool.strip_prefix("mcp_")?.split_once('_').map(owned),
        _ => None,
    }
}

fn owned((server, name): (&str, &str)) -> (String, String) {
    (server.to_owned(), name.to_owned())
}

/// The step type of a tool, and what it does.
fn effects(tool: Tool, call: &ToolCall, places: &Places) -> Result<(&'static str, Vec<ProposedEffect>), Error> {
    Ok(match tool {
        Tool::Shell { line, folder } => ("run_command", shell(&line, folder.as_deref(), places)?),
        Tool::OtherShell { kind, line } => ("run_command", vec![other(kind, json!({ "command": line }))]),
        Tool::Write { path, content } => ("edit_file", vec![write(&places.place(&path)?, content)]),
        Tool::Edit { path, edits } => ("edit_file", edit(&places.place(&path)?, &edits, places)),
        Tool::Patch(text) => ("edit_file", patch(&text, places)?),
        Tool::Notebook { path, cell, source, kind, edit } => {
            let place = places.place(&path)?;
            let before = content_of(&place, places).unwrap_or_default();
            let after = notebook::edited(&before, cell.as_deref(), &source, &kind, edit).unwrap_or(source);
            ("edit_file", vec![read(&place), write(&place, after)])
        }
        Tool::Read(paths) => {
            let reads = paths.iter().map(|path| Ok(read(&places.place(path)?)));
            ("read_file", reads.collect::<Result<_, Error>>()?)
        }
        Tool::Remove(path) => ("edit_file", vec![remove(&places.place(&path)?)]),
        Tool::Fetch(urls) => ("fetch", urls.iter().map(|url| net("GET", url)).collect::<Result<_, _>>()?),
        Tool::Web { kind, query } => {
            let asked = json!({ "query": query });
            ("fetch", vec![ProposedEffect::Plain(net_unknown()), other(kind, asked)])
        }
        Tool::Delegate { to, prompt } => {
            let prompt = ProposedEffect::Prompt { model: to, content: Bytes::from(prompt), max_output_tokens: 0 };
            ("delegate", vec![prompt])
        }
        Tool::Mcp { server, name } => {
            let effect = Effect::Tool { server, name, input: call.input.clone() };
            ("call_tool", vec![ProposedEffect::Plain(effect)])
        }
        Tool::Think | Tool::Dialogue => ("think", Vec::new()),
        Tool::Other(kind) => ("other", vec![other(kind, json!({ "tool": call.tool, "input": call.input.value() }))]),
        Tool::Unknown => {
            let data = json!({ "tool": call.tool, "input": call.input.value() });
            ("other", vec![other("unknown-tool", data)])
        }
    })
}

/// A line for a shell, with the files of a patch that it hands to `apply_patch`.
fn shell(line: &str, folder: Option<&str>, places: &Places) -> Result<Vec<ProposedEffect>, Error> {
    let places = match folder {
        Some(folder) => places.from(folder)?,
        None => places.clone(),
    };
    let mut effects = Vec::new();
    let cwd = match places.cwd() {
        Place::Inside(cwd) => cwd,
        Place::Outside(path) => {
            effects.push(outside(OutsideAccess::Run, &path));
            String::new()
        }
    };
    let argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()];
    effects.push(ProposedEffect::Run { argv, cwd, shell_text: Some(line.to_owned()) });
    effects.extend(named::outside(line, &places).iter().map(|path| outside(OutsideAccess::Name, path)));
    // Some agents hand their patches to a shell, whose harness takes them for itself.
    let hands_over = line.split_whitespace().any(|word| matches!(word, "apply_patch" | "applypatch"));
    if hands_over && line.contains("*** Begin Patch") {
        effects.extend(patch(line, &places)?);
    }
    Ok(effects)
}

fn read(place: &Place) -> ProposedEffect {
    match place {
        Place::Inside(path) => ProposedEffect::Read { path: path.clone() },
        Place::Outside(path) => outside(OutsideAccess::Read, path),
    }
}

fn write(place: &Place, content: String) -> ProposedEffect {
    match place {
        Place::Inside(path) => ProposedEffect::Write { path: path.clone(), content: Bytes::from(content) },
        Place::Outside(path) => outside(OutsideAccess::Write, path),
    }
}

fn remove(place: &Place) -> ProposedEffect {
    match place {
        Place::Inside(path) => ProposedEffect::Remove { path: path.clone() },
        Place::Outside(path) => outside(OutsideAccess::Remove, path),
    }
}

fn outside(access: OutsideAccess, path: &str) -> ProposedEffect {
    ProposedEffect::Plain(Outside { access, path: path.to_owned() }.into())
}

fn other(kind: &str, data: Value) -> ProposedEffect {
    ProposedEffect::Plain(Effect::Other { kind: kind.to_owned(), data: Json::from_checked(data) })
}

/// The text of a file as it is now; `None` where it is not there, too large, or no text.
fn content_of(place: &Place, places: &Places) -> Option<String> {
    let path = places.absolute(place);
    let found = std::fs::symlink_metadata(&path).ok()?;
    (found.is_file() && found.len() <= MAX_EDITED_BYTES).then(|| std::fs::read_to_string(&path).ok()).flatten()
}

/// What an edit makes of a file. Where its old text is not found, the tool fails or guesses: then the new text alone is shown.
fn edit(place: &Place, edits: &[Edit], places: &Places) -> Vec<ProposedEffect> {
    let mut after = content_of(place, places).unwrap_or_default();
    let mut is_exact = true;
    for Edit { old, new, everywhere } in edits {
        is_exact &= old.is_empty() || after.contains(old.as_str());
        after = match (old.is_empty(), everywhere) {
            (true, _) => new.clone(),
            (false, true) => after.replace(old.as_str(), new),
            (false, false) => after.replacen(old.as_str(), new, 1),
        };
    }
    if !is_exact {
        after = edits.iter().map(|edit| edit.new.as_str()).collect::<Vec<_>>().join("\n");
    }
    vec![read(place), write(place, after)]
}

fn patch(text: &str, places: &Places) -> Result<Vec<ProposedEffect>, Error> {
    let mut effects = Vec::new();
    for file in parse_patch(text)? {
        let place = places.place(&file.path)?;
        match file.change {
            PatchChange::Add(content) => effects.push(write(&place, content)),
            PatchChange::Delete => effects.push(remove(&place)),
            PatchChange::Update { hunks, to } => {
                let before = content_of(&place, places).unwrap_or_default();
                let new = || hunks.iter().flat_map(|hunk| hunk.new.clone()).collect::<Vec<_>>().join("\n");
                let after = apply(&before, &hunks).unwrap_or_else(new);
                effects.push(read(&place));
                match to {
                    Some(to) => effects.extend([write(&places.place(&to)?, after), remove(&place)]),
                    None => effects.push(write(&place, after)),
                }
            }
        }
    }
    Ok(effects)
}

/// A request to a place on the web.
fn net(method: &str, url: &str) -> Result<ProposedEffect, Error> {
    let wrong = || Error::Field { field: "url", expected: "an address with a host" };
    let parsed = url::Url::parse(url.trim()).or_else(|_| url::Url::parse(&format!("https://{}", url.trim())));
    let parsed = parsed.map_err(|_| wrong())?;
    let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
    let port = parsed.port_or_known_default().unwrap_or(443);
    let path = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    Ok(ProposedEffect::Plain(Effect::Net { method: method.to_owned(), host, port, path }))
}

/// A request to a place that the harness chooses.
fn net_unknown() -> Effect {
    Effect::Net { method: "GET".to_owned(), host: "unknown".to_owned(), port: 443, path: "/".to_owned() }
}

/// Addresses in a text.
fn urls_in(text: &str) -> Vec<String> {
    let ends = |c: char| c.is_whitespace() || "\"'<>()[]`,".contains(c);
    let is_url = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    text.split(ends)
        .filter(is_url)
        .take(MAX_URLS)
        .map(|url| url.trim_end_matches(['.', ';', '!', '?']).to_owned())
        .collect()
}
