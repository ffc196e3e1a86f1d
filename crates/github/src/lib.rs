//! GitHub: code scanning and issues.

mod code_scanning;
mod issues;

pub use code_scanning::{CodeScanning, Place, UploadError};
pub use issues::{Issues, RollingIssue};
