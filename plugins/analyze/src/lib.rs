//! Executor of `analyze`: lets a model work on files of the workspace and outputs of earlier steps.

use fusebox_sdk::prelude::*;
use serde_json::Value;

struct Analyze;

/// Input of an analysis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Instruction to the model.
    #[schemars(length(min = 1))]
    instruction: String,
    /// Text files of the workspace that it is about.
    #[serde(default)]
    #[schemars(length(max = 64))]
    files: Vec<String>,
    /// Ids of earlier steps whose outputs are analysed.
    #[serde(default)]
    #[schemars(length(max = 64))]
    steps: Vec<String>,
    /// JSON Schema of the answer; any text when left out.
    #[serde(default)]
    schema: Option<Value>,
    /// Model, by the alias that the policy knows; that of the settings when left out.
    #[serde(default)]
    model: Option<String>,
    /// Most tokens of the answer; those of the settings when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    max_output_tokens: Option<u64>,
}

/// Answer of the model.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// Text of the analysis.
    analysis: String,
    /// The answer as JSON, when a schema was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Input {
    fn prompt(&self, settings: &ModelSettings) -> Result<Prompt, Failure> {
        let prompt = Prompt::new(&self.instruction).about(&self.files, &self.steps, settings)?;
        Ok(match &self.schema {
            Some(schema) => prompt.schema(&schema.to_string()),
            None => prompt,
        })
    }
}

impl Executor for Analyze {
    type Settings = ModelSettings;
    type Input = Input;
    type Output = Output;
    type Delta = NoDelta;

    fn about() -> About {
        About::new("analyze", "0.1.0", "Lets a model analyse files and outputs of earlier steps.")
    }

    fn annotations() -> Annotations {
        Annotations::of("analyze").read_only().idempotent()
    }

    fn preview(input: &Input, settings: &ModelSettings) -> Result<Vec<Effect>, Failure> {
        let (model, tokens) = settings.or(input.model.as_deref(), input.max_output_tokens);
        let effect = input.prompt(settings)?.effect(model, tokens)?;
        Ok(input.files.iter().map(Effect::read).chain([effect]).collect())
    }

    fn execute(input: &Input, settings: &ModelSettings) -> Result<Done<Output, NoDelta>, Failure> {
        let (model, tokens) = settings.or(input.model.as_deref(), input.max_output_tokens);
        let completion = input.prompt(settings)?.send(model, tokens)?;
        let parse = |text: String| {
            serde_json::from_str(&text).map_err(|error| Failure::Other(format!("the answer is no JSON: {error}")))
        };
        let (sent, came) = (completion.input_tokens, completion.output_tokens);
        Ok(Done {
            summary: format!("{model} answered with {came} tokens to {sent}"),
            output: Output { data: completion.structured.map(parse).transpose()?, analysis: completion.text },
            delta: None,
        })
    }
}

fusebox_sdk::export_executor!(Analyze);

#[cfg(test)]
mod tests {
    use fusebox_sdk::testing::Fakes;

    use super::*;

    fn input(files: &[&str]) -> Input {
        let files = files.iter().map(|path| (*path).to_owned()).collect();
        Input { instruction: "Find the fault.".into(), files, ..Input::default() }
    }

    #[test]
    fn what_is_previewed_is_what_is_sent() {
        let fakes = Fakes::new().file("a.py", "x = 1\n").completion("none");
        let (done, fakes) = fakes.run(|| {
            let effects = Analyze::preview(&input(&["a.py"]), &ModelSettings::default())?;
            assert_eq!(effects.len(), 2);
            Analyze::execute(&input(&["a.py"]), &ModelSettings::default())
        });
        assert_eq!(done.unwrap().output, Output { analysis: "none".into(), data: None });
        assert_eq!(fakes.payloads[0], fakes.payloads[1]);
        let prompt = String::from_utf8(fakes.payloads[0].clone()).unwrap();
        assert!(prompt.starts_with("Find the fault.") && prompt.contains("| x = 1"), "{prompt}");
        assert_eq!(fakes.requests[0].model, "default");
    }

    #[test]
    fn a_schema_stands_in_the_prompt() {
        let schema: Value = serde_json::from_str(r#"{"type":"object"}"#).unwrap();
        let (prompt, _) =
            Fakes::new().run(|| Input { schema: Some(schema), ..input(&[]) }.prompt(&ModelSettings::default()));
        assert!(prompt.unwrap().text().contains(r#"{"type":"object"}"#));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let (missing, _) = Fakes::new().run(|| Analyze::preview(&input(&["nothing"]), &ModelSettings::default()));
        assert!(matches!(missing, Err(Failure::NotFound(_))));
        let late = Input { steps: vec!["later".into()], ..input(&[]) };
        let (missing, _) = Fakes::new().run(|| Analyze::preview(&late, &ModelSettings::default()));
        assert!(matches!(missing, Err(Failure::NotFound(message)) if message.contains("later")));
    }
}
