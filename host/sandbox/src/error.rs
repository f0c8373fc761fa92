//! Faults of components.

use crate::End;

/// A component was not loaded. The message says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine cannot be set up on this machine.
    #[error("the WebAssembly engine cannot be set up on this machine: {message}")]
    Engine {
        /// Message of the engine.
        message: String,
    },
    /// The component is too large.
    #[error("the component has {size} bytes; the most is {limit}. Strip debug information, or use a smaller runtime")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// The bytes are not valid WebAssembly, or use a feature that is not allowed.
    #[error("not a component that this host accepts: {message}")]
    Invalid {
        /// Message of the validator.
        message: String,
    },
    /// A core module without the contract's component type.
    #[error(
        "this is a core module that carries no component type: {message}. Build it with the SDK's export macro, or \
         turn it into a component first"
    )]
    PlainModule {
        /// Message of the encoder.
        message: String,
    },
    /// The component exports no kind of plugin.
    #[error(
        "the component is no plugin: it exports none of fusebox:plugin/guard, impact and executor (it exports \
         {exports}). Target one of the worlds guard-plugin, impact-plugin and executor-plugin"
    )]
    NoKind {
        /// Names of its exports.
        exports: String,
    },
    /// The component exports several kinds.
    #[error("the component claims to be several kinds of plugin at once ({kinds}); make one component of each")]
    SeveralKinds {
        /// Names of the kinds.
        kinds: String,
    },
    /// The component imports or exports something that does not fit.
    #[error("the {kind} needs {import}, but this host serves {served}; {needed}")]
    Incompatible {
        /// The kind of plugin.
        kind: &'static str,
        /// Name of the import or export.
        import: String,
        /// Interfaces that this host serves.
        served: String,
        /// Advice to the author.
        needed: String,
    },
    /// The compiler failed.
    #[error("the component does not compile: {message}")]
    Compile {
        /// Message of the compiler.
        message: String,
    },
    /// A limit ended the compiler.
    #[error("the component was not compiled, because {limit}. Make it smaller, or give the compiler more")]
    CompileLimit {
        /// Name of the limit, in words that end a sentence.
        limit: String,
    },
    /// Nothing compiles components that did not come with the host.
    #[error(
        "components that did not come with the host are compiled in a process of their own, and no launcher was given: give \
         one, or choose to compile in this process"
    )]
    NoCompiler,
    /// `describe()` did not complete.
    #[error("the plugin could not be described: {end}")]
    Describe {
        /// End of the invocation.
        end: End,
    },
    /// The answer of `describe()` is not of the published shape.
    #[error("the plugin describes itself wrongly: {message}")]
    BadDescription {
        /// Description of the fault.
        message: String,
    },
    /// The folder of compiled code cannot be used.
    #[error("the cache folder {folder} cannot be used: {source}")]
    Cache {
        /// Path of the folder.
        folder: std::path::PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
}

fusebox_core::error_codes!(Error {
    Engine => "FBX-2001",
    TooLarge => "FBX-2002",
    Invalid => "FBX-2003",
    PlainModule => "FBX-2004",
    NoKind => "FBX-2005",
    SeveralKinds => "FBX-2006",
    Incompatible => "FBX-2007",
    Compile => "FBX-2008",
    Describe => "FBX-2009",
    BadDescription => "FBX-2010",
    Cache => "FBX-2011",
    CompileLimit => "FBX-2012",
    NoCompiler => "FBX-2013",
});
