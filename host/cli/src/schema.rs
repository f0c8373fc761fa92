//! `fusebox schema`: JSON Schemas of everything that goes in and comes out.

use fusebox::core::{Description, Policy};
use fusebox::{Plan, ProjectPolicy, Proposal};
use schemars::schema_for;
use serde_json::Value;

use crate::args::SchemaOf;
use crate::{output, print};

pub fn print(of: SchemaOf) {
    let text = serde_json::to_string_pretty(&schema(of)).unwrap_or_default();
    print::out(&text);
}

fn schema(of: SchemaOf) -> Value {
    match of {
        SchemaOf::Plan => Plan::schema(),
        SchemaOf::Policy => schema_for!(Policy).to_value(),
        SchemaOf::ProjectPolicy => schema_for!(ProjectPolicy).to_value(),
        SchemaOf::Action => Proposal::schema(),
        SchemaOf::Output => output::schema(),
        SchemaOf::Describe => schema_for!(Description).to_value(),
    }
}
