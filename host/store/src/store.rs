//! All roles of a store together.

use crate::audit::AuditLog;
use crate::coordination::Coordination;
use crate::events::Events;
use crate::read_models::ReadModels;

/// An engine that plays all four roles, each of which can be written alone.
pub trait Store: Events + ReadModels + Coordination + AuditLog + Send + Sync {}

impl<S: Events + ReadModels + Coordination + AuditLog + Send + Sync> Store for S {}
