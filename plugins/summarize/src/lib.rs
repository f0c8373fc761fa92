//! Executor of `summarize`: lets a model summarise files of the workspace and outputs of earlier steps.

use fusebox_sdk::prelude::*;

/// Task that precedes the step's own instruction in the prompt.
const TASK: &str = "Summarise what follows for a person who will read nothing else. Be short and keep to the facts.";

struct Summarize;

/// Input of a summary.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Purpose of the summary, or points to dwell on.
    #[schemars(length(min = 1))]
    instruction: String,
    /// Text files of the workspace that it is about.
    #[serde(default)]
    #[schemars(length(max = 64))]
    files: Vec<String>,
    /// Ids of earlier steps whose outputs are summarised.
    #[serde(default)]
    #[schemars(length(max = 64))]
    steps: Vec<String>,
    /// Model, by the alias that the policy knows; that of the settings when left out.
    #[serde(default)]
    model: Option<String>,
    /// Most tokens of the summary; those of the settings when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    max_output_tokens: Option<u64>,
}

/// Summary by the model.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Output {
    /// Text of the summary.
    summary: String,
}

impl Input {
    fn prompt(&self, settings: &ModelSettings) -> Result<Prompt, Failure> {
        Prompt::new(&format!("{TASK}\n\n{}", self.instruction)).about(&self.files, &self.steps, settings)
    }
}

impl Executor for Summarize {
    type Settings = ModelSettings;
    type Input = Input;
    type Output = Output;
    type Delta = NoDelta;

    fn about() -> About {
        About::new("summarize", "0.1.0", "Lets a model summarise files and outputs of earlier steps.")
    }

    fn annotations() -> Annotations {
        Annotations::of("summarize").read_only().idempotent()
    }

    fn preview(input: &Input, settings: &ModelSettings) -> Result<Vec<Effect>, Failure> {
        if input.files.is_empty() && input.steps.is_empty() {
            return Err(Failure::InvalidInput("there is nothing to summarise; name files or steps".into()));
        }
        let (model, tokens) = settings.or(input.model.as_deref(), input.max_output_tokens);
        let effect = input.prompt(settings)?.effect(model, tokens)?;
        Ok(input.files.iter().map(Effect::read).chain([effect]).collect())
    }

    fn execute(input: &Input, settings: &ModelSettings) -> Result<Done<Output, NoDelta>, Failure> {
        let (model, tokens) = settings.or(input.model.as_deref(), input.max_output_tokens);
        let completion = input.prompt(settings)?.send(model, tokens)?;
        let (files, steps, came) = (input.files.len(), input.steps.len(), completion.output_tokens);
        Ok(Done {
            summary: format!("{model} summarised {files} files and {steps} steps in {came} tokens"),
            output: Output { summary: completion.text },
            delta: None,
        })
    }
}

fusebox_sdk::export_executor!(Summarize);

#[cfg(test)]
mod tests {
    use fusebox_sdk::testing::Fakes;

    use super::*;

    #[test]
    fn files_and_outputs_are_summarised() {
        let mut fakes = Fakes::new().file("a.txt", "one").completion("\nIt is one.\nMore.");
        fakes.step_outputs.insert("read".into(), r#"{"content":"two"}"#.into());
        let input = Input {
            instruction: "For the log.".into(),
            files: vec!["a.txt".into()],
            steps: vec!["read".into()],
            ..Input::default()
        };
        let (done, fakes) = fakes.run(|| {
            Summarize::preview(&input, &ModelSettings::default())?;
            Summarize::execute(&input, &ModelSettings::default())
        });
        let done = done.unwrap();
        assert_eq!(done.output.summary, "\nIt is one.\nMore.");
        assert!(done.summary.contains("1 files and 1 steps"), "{}", done.summary);
        let prompt = String::from_utf8(fakes.payloads[0].clone()).unwrap();
        assert!(prompt.contains("| one") && prompt.contains("two") && prompt.contains("For the log."), "{prompt}");
        assert_eq!(fakes.payloads[0], fakes.payloads[1]);
    }

    #[test]
    fn nothing_cannot_be_summarised() {
        let input = Input { instruction: "x".into(), ..Input::default() };
        let (refused, _) = Fakes::new().run(|| Summarize::preview(&input, &ModelSettings::default()));
        assert!(matches!(refused, Err(Failure::InvalidInput(_))));
    }
}
