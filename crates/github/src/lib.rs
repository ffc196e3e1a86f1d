//! GitHub: code scanning, comments, deployments.
