//! Trivy: its argv, its JSON report and its database.
