//! Options of a run.

use std::path::PathBuf;
use std::sync::Arc;

use fusebox_core::RunLimits;
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::plan::WorkspaceMode;
use fusebox_store::SALT_BYTES;

use crate::approval::approver::{ApproveNothing, Approver};

/// Options for carrying out a plan.
#[derive(Clone)]
pub struct RunOptions {
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) mode: WorkspaceMode,
    pub(crate) plan_folder: Option<PathBuf>,
    pub(crate) current_folder: Option<PathBuf>,
    pub(crate) limits: RunLimits,
    pub(crate) approver: Arc<dyn Approver>,
    pub(crate) tenant: String,
    pub(crate) salt: Option<[u8; SALT_BYTES]>,
}

impl Default for RunOptions {
    fn default() -> Self {
        let nobody = ApproveNothing { reason: "this run has no approver".to_owned() };
        Self {
            workspace: None,
            mode: WorkspaceMode::InPlace,
            plan_folder: None,
            current_folder: None,
            limits: RunLimits::default(),
            approver: Arc::new(nobody),
            tenant: DEFAULT_TENANT.to_owned(),
            salt: None,
        }
    }
}

impl RunOptions {
    /// The plan's own workspace, only the budgets of policy and plan, and no approver.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Works in this folder instead of the plan's. A plan that asks for a copy gets a copy of it.
    #[must_use]
    pub fn workspace(mut self, folder: impl Into<PathBuf>) -> Self {
        self.workspace = Some(folder.into());
        self
    }

    /// Works on a copy of the workspace.
    #[must_use]
    pub fn on_a_copy(mut self) -> Self {
        self.mode = WorkspaceMode::Copy;
        self
    }

    /// The folder that the plan lies in: where the workspace that it names is looked for.
    #[must_use]
    pub fn plan_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plan_folder = Some(folder.into());
        self
    }

    /// The folder that the operator is in: what is protected as seen from there is so in a workspace that a plan names.
    #[must_use]
    pub fn current_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_folder = Some(folder.into());
        self
    }

    /// Budgets and limits of the operator.
    #[must_use]
    pub fn limits(mut self, limits: RunLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Tenant that owns the run, instead of `default`.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Hashes blobs with this salt instead of a random one, so that a repeated run with the same inputs gives the same
    /// digests. A reader who knows the salt can guess erased blobs.
    #[must_use]
    pub fn salt(mut self, salt: [u8; SALT_BYTES]) -> Self {
        self.salt = Some(salt);
        self
    }

    /// Sets the approver.
    #[must_use]
    pub fn approver(self, approver: impl Approver + 'static) -> Self {
        self.approved_by(Arc::new(approver))
    }

    /// Sets an approver that is shared with other runs.
    #[must_use]
    pub fn approved_by(mut self, approver: Arc<dyn Approver>) -> Self {
        self.approver = approver;
        self
    }
}

/// Point up to which a run is carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StopAt {
    /// To its end, or until it waits for a person.
    #[default]
    End,
    /// To the end of one step.
    NextStep,
}
