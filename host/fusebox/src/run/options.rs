//! How a run is carried out.

use std::path::PathBuf;
use std::sync::Arc;

use fusebox_core::RunLimits;
use fusebox_core::id::DEFAULT_TENANT;
use fusebox_core::plan::WorkspaceMode;
use fusebox_store::SALT_BYTES;

use crate::approval::approver::{ApproveNothing, Approver};

/// How to carry out a plan.
#[derive(Clone)]
pub struct RunOptions {
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) mode: WorkspaceMode,
    pub(crate) plan_folder: Option<PathBuf>,
    pub(crate) limits: RunLimits,
    pub(crate) approver: Arc<dyn Approver>,
    pub(crate) tenant: String,
    pub(crate) salt: Option<[u8; SALT_BYTES]>,
}

impl Default for RunOptions {
    fn default() -> Self {
        let nobody = ApproveNothing { reason: "this run has nobody to ask".to_owned() };
        Self {
            workspace: None,
            mode: WorkspaceMode::InPlace,
            plan_folder: None,
            limits: RunLimits::default(),
            approver: Arc::new(nobody),
            tenant: DEFAULT_TENANT.to_owned(),
            salt: None,
        }
    }
}

impl RunOptions {
    /// No workspace but the plan's, no budget but policy's and plan's, nobody to ask.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Works in this folder, whatever the plan names. A plan that asks for a copy gets a copy of it.
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

    /// Budgets and limits of the operator.
    #[must_use]
    pub fn limits(mut self, limits: RunLimits) -> Self {
        self.limits = limits;
        self
    }

    /// On whose account it goes, instead of `default`.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Hashes blobs with this salt instead of a random one, so that a run that is repeated with the same inputs gives the same
    /// digests. Whoever knows the salt can guess what was erased.
    #[must_use]
    pub fn salt(mut self, salt: [u8; SALT_BYTES]) -> Self {
        self.salt = Some(salt);
        self
    }

    /// Whom to ask.
    #[must_use]
    pub fn approver(self, approver: impl Approver + 'static) -> Self {
        self.approved_by(Arc::new(approver))
    }

    /// Whom to ask, shared with others.
    #[must_use]
    pub fn approved_by(mut self, approver: Arc<dyn Approver>) -> Self {
        self.approver = approver;
        self
    }
}

/// How far to carry a run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StopAt {
    /// To its end, or until it waits for a person.
    #[default]
    End,
    /// To the end of one step.
    NextStep,
}
