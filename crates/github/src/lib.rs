//! GitHub: code scanning.

mod code_scanning;

pub use code_scanning::{CodeScanning, Place, UploadError};
